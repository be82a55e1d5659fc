//! The catalogue's integration and end-to-end cases of DaemonSets (T98–T119) on an everynode in this process with played
//! kubelets. T103, T104, T113 and T115 are decisions and have their tests in `everynode-core`.

use std::collections::{BTreeMap, BTreeSet};

use everynode_control::api::Patch;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::world::{
    MISSING, REVISIONS, SETS, World, counts, daemon_set, hash_of, is_going, is_ready, node_of, node_path, pod_path,
    pods, ready, set_path, with_image, with_spec,
};

async fn all_well(world: &World, name: &str, nodes: i64) -> Value {
    world.until_counts(name, [nodes; 5]).await
}

/// The pods of the set that are not on their way out.
fn staying(pods: &[Value]) -> Vec<&Value> {
    pods.iter()
        .filter(|pod| !is_going(pod) && !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")))
        .collect()
}

fn uids(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_t109_one_available_pod_on_every_node() {
    let world = World::of_nodes(1).await;
    let set = world.create(SETS, daemon_set("d")).await;
    all_well(&world, "d", 1).await;
    for i in 2..=5 {
        world.node(&format!("node-{i}"), "1").await;
    }
    all_well(&world, "d", 5).await;
    let items = world.list(&pods("a")).await;
    let nodes: BTreeSet<_> = items.iter().filter_map(node_of).collect();
    assert_eq!((items.len(), nodes.len()), (5, 5));
    for pod in &items {
        let owners = pod["metadata"]["ownerReferences"].as_array().expect("owners");
        assert_eq!(owners.len(), 1, "{pod}");
        assert_eq!((&owners[0]["kind"], &owners[0]["uid"]), (&json!("DaemonSet"), &set["metadata"]["uid"]));
        assert_eq!((&owners[0]["controller"], &owners[0]["blockOwnerDeletion"]), (&json!(true), &json!(true)));
    }
    world.delete(&pod_path(&items[0]), json!({"gracePeriodSeconds": 0})).await;
    let before = uids(&items);
    let is_revived = |now: &[Value]| now.len() == 5 && uids(now) != before && now.iter().all(is_ready);
    world.until_items(&pods("a"), is_revived).await;
    all_well(&world, "d", 5).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t99_t112_ended_pods_are_replaced() {
    let world = World::of_nodes(3).await;
    for (name, phase, finalizers) in [
        ("succeeds", "Succeeded", json!([])),
        ("fails", "Failed", json!([])),
        ("held", "Succeeded", json!(["example.com/hold"])),
    ] {
        let mut set = daemon_set(name);
        set["spec"]["template"]["metadata"]["finalizers"] = finalizers;
        world.create(SETS, set).await;
        all_well(&world, name, 3).await;
        let mine = format!("{}?labelSelector=app%3D{name}", pods("a"));
        let pod = world.list(&mine).await.remove(0);
        let ended = json!({"status": {"phase": phase}});
        world.patch(&format!("{}/status", pod_path(&pod)), ended).await;
        let uid = pod["metadata"]["uid"].as_str().expect("a uid");
        let is_replaced = |items: &[Value]| {
            let alive = staying(items);
            alive.len() == 3 && alive.iter().all(|pod| is_ready(pod) && pod["metadata"]["uid"] != uid)
        };
        world.until_items(&mine, is_replaced).await;
        if name == "held" {
            let held = world.until(&pod_path(&pod), is_going).await;
            assert_eq!(held["metadata"]["uid"], uid, "its finalizer keeps it");
            world.patch(&pod_path(&pod), json!({"metadata": {"finalizers": null}})).await;
        }
        world.until_gone(&pod_path(&pod)).await;
        all_well(&world, name, 3).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t100_terms_of_labels_or_names() {
    let world = World::of_nodes(4).await;
    for i in 5..=6 {
        world.node_with(&format!("node-{i}"), "1", json!({"zone": "test"}), json!([])).await;
    }
    let mut set = daemon_set("d");
    let terms = json!([
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["test"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]},
    ]);
    set["spec"]["template"]["spec"]["affinity"] =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    world.create(SETS, set).await;
    all_well(&world, "d", 3).await;
    let items = world.list(&pods("a")).await;
    let nodes: BTreeSet<_> = items.iter().filter_map(node_of).collect();
    assert_eq!(nodes, BTreeSet::from(["node-1", "node-5", "node-6"]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t101_a_node_that_is_not_ready_gets_its_pod() {
    // Without the taints that the node life-cycle would put there.
    let world = World::without(&["node-lifecycle-controller"]).await;
    world.namespace("a").await;
    let sick = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "sick"},
        "status": {"allocatable": {"pods": "10"}, "conditions": [{"type": "Ready", "status": "False"}]},
    });
    world.create("/api/v1/nodes", sick).await;
    world.patch(&node_path("sick"), json!({"spec": {"taints": null}})).await;
    world.create(SETS, daemon_set("d")).await;
    world.until_items(&pods("a"), |items| items.iter().filter_map(node_of).eq(["sick"])).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t102_a_pod_that_does_not_fit_is_made_and_waits() {
    let mut world = World::start().await;
    world.namespace("a").await;
    world.node("small", "100m").await;
    world.play_kubelets();
    let mut set = daemon_set("d");
    set["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
    world.create(SETS, set).await;
    let waits = |pod: &Value| crate::world::condition(pod, "PodScheduled")["reason"] == "Unschedulable";
    world.until_items(&pods("a"), |items| items.len() == 1 && waits(&items[0])).await;
    world.node("big", "2").await;
    world.until_counts("d", [2, 2, 1, 2, 1]).await;
    let items = world.list(&pods("a")).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items.iter().filter_map(node_of).collect::<Vec<_>>(), ["big"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t105_t106_taints_keep_pods_off_unless_tolerated() {
    let world = World::of_nodes(1).await;
    let taint = |key: &str| json!([{"key": key, "effect": "NoSchedule"}]);
    world.node_with("tainted", "1", json!({}), taint("example.com/keep-off")).await;
    world.create(SETS, daemon_set("d")).await;
    all_well(&world, "d", 1).await;
    world.patch(&node_path("tainted"), json!({"spec": {"taints": null}})).await;
    all_well(&world, "d", 2).await;
    // T106: what every such pod tolerates, and what only pods on the host's network do.
    let offline = json!([{"type": "NetworkUnavailable", "status": "True"}]);
    let status = format!("{}/status", node_path("tainted"));
    world.api.patch(&status, Patch::Strategic, &json!({"status": {"conditions": offline}})).await.expect("a patch");
    world
        .until(&node_path("tainted"), |node| crate::world::has_taint(node, "node.kubernetes.io/network-unavailable"))
        .await;
    world.patch(&node_path("node-1"), json!({"spec": {"unschedulable": true}})).await;
    world.until(&node_path("node-1"), |node| crate::world::has_taint(node, "node.kubernetes.io/unschedulable")).await;
    let mut on_host = daemon_set("host");
    on_host["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    world.create(SETS, on_host).await;
    world.create(SETS, daemon_set("plain")).await;
    all_well(&world, "host", 2).await;
    all_well(&world, "plain", 1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t108_a_surge_moves_between_tainted_zones() {
    let world = World::of_nodes(0).await;
    for zone in ["y", "z", "common"] {
        for i in 1..=2 {
            let taint = json!([{"key": "zone", "value": zone, "effect": "NoSchedule"}]);
            world.node_with(&format!("{zone}-{i}"), "1", json!({}), taint).await;
        }
    }
    let tolerating = |zones: &[&str]| -> Value {
        let of = zones.iter().map(|zone| json!({"key": "zone", "value": zone, "effect": "NoSchedule"}));
        with_spec(json!({"tolerations": of.collect::<Vec<_>>()}))
    };
    let mut set = daemon_set("d");
    set["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    set["spec"]["template"]["spec"]["tolerations"] =
        tolerating(&["y", "common"])["spec"]["template"]["spec"]["tolerations"].clone();
    world.create(SETS, set).await;
    all_well(&world, "d", 4).await;
    for (zones, in_flight, at_last) in [(&["z", "common"][..], 7, 4), (&["y", "z", "common"], 7, 6)] {
        world.let_kubelets_work(false).await;
        world.patch(&set_path("d"), tolerating(zones)).await;
        world.until_items(&pods("a"), |items| staying(items).len() == in_flight).await;
        world.let_kubelets_work(true).await;
        all_well(&world, "d", at_last).await;
        let expect = usize::try_from(at_last).expect("a number");
        world.until_items(&pods("a"), |items| items.len() == expect).await;
    }
    world.patch(&set_path("d"), with_spec(json!({"tolerations": null}))).await;
    world.until_items(&pods("a"), <[Value]>::is_empty).await;
    all_well(&world, "d", 0).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t110_t111_labels_of_nodes_bring_and_take_pods() {
    let world = World::of_nodes(2).await;
    let mut by_label = daemon_set("label");
    by_label["spec"]["template"]["spec"]["nodeSelector"] = json!({"color": "blue"});
    let mut by_affinity = daemon_set("affinity");
    by_affinity["spec"]["template"]["spec"]["affinity"] = json!({"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "color", "operator": "In", "values": ["blue"]}]}]}}});
    for set in [by_label, by_affinity] {
        world.create(SETS, set).await;
    }
    for (color, pods) in [("", 0), ("blue", 1), ("green", 0)] {
        if !color.is_empty() {
            world.patch(&node_path("node-2"), json!({"metadata": {"labels": {"color": color}}})).await;
        }
        for name in ["label", "affinity"] {
            all_well(&world, name, pods).await;
        }
    }
    world.until_items(&pods("a"), <[Value]>::is_empty).await;
    let green = json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}, "template": {"spec": {"nodeSelector": {"color": "green"}}}}});
    world.patch(&set_path("label"), green).await;
    all_well(&world, "label", 1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t114_a_rollout_takes_one_pod_at_a_time() {
    let world = World::of_nodes(4).await;
    world.create(SETS, daemon_set("d")).await;
    let before = all_well(&world, "d", 4).await;
    let first = world.list(REVISIONS).await;
    assert_eq!((first.len(), &first[0]["revision"]), (1, &json!(1)));
    world.patch(&set_path("d"), with_image("example.org/logger:2")).await;
    let is_rolled = |items: &[Value]| {
        // A list shows one moment: at each of them at most one node is without an available pod.
        let well = items.iter().filter(|pod| is_ready(pod) && !is_going(pod)).count();
        assert!(well >= 3, "{well} of 4 pods are available");
        items.len() == 4
            && items.iter().all(|pod| pod["spec"]["containers"][0]["image"] == "example.org/logger:2")
            && well == 4
    };
    let items = world.until_items(&pods("a"), is_rolled).await;
    let after = all_well(&world, "d", 4).await;
    let version = |set: &Value| set["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok());
    assert!(version(&after) > version(&before));
    let revisions = world.list(REVISIONS).await;
    let newest = revisions.iter().max_by_key(|revision| revision["revision"].as_i64()).expect("revisions");
    assert_eq!((revisions.len(), &newest["revision"]), (2, &json!(2)));
    assert_ne!(hash_of(newest), hash_of(&first[0]));
    assert!(items.iter().all(|pod| hash_of(pod) == hash_of(newest)), "all pods carry the new hash");
    world.stop().await;
}

/// What T116 forbids at any moment, judged on lists.
fn judge_surge(items: &[Value], nodes: usize) {
    let mut kept: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut going: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for pod in items {
        let Some(node) = node_of(pod) else { continue };
        versions.insert(hash_of(pod));
        let counted = if is_going(pod) { &mut going } else { &mut kept };
        *counted.entry((node, hash_of(pod))).or_default() += 1;
    }
    assert!(kept.values().all(|count| *count <= 1), "two pods of one version on a node: {kept:?}");
    assert!(going.values().all(|count| *count <= 2), "{going:?}");
    assert!(versions.len() <= 2, "{versions:?}");
    assert!(items.len() <= 4 * nodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t116_a_surge_holds_its_bounds_while_pods_fail_and_vanish() {
    const NODES: usize = 5;
    let world = World::of_nodes(NODES).await;
    let mut set = daemon_set("d");
    set["spec"]["minReadySeconds"] = json!(1);
    set["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "20%", "maxUnavailable": 0}});
    world.create(SETS, set).await;
    all_well(&world, "d", 5).await;
    world.patch(&set_path("d"), with_image("example.org/logger:2")).await;
    // Each look disturbs another pod: one loses its readiness for a moment, another is deleted.
    let turn = Mutex::new(0_usize);
    let spoilt: Mutex<Option<Value>> = Mutex::new(None);
    let done = crate::world::eventually(async || {
        let items = world.list(&pods("a")).await;
        judge_surge(&items, NODES);
        let mut turn = turn.lock().await;
        *turn += 1;
        let at = (*turn * 7) % items.len().max(1);
        let victim = items.get(at).filter(|pod| !is_going(pod) && is_ready(pod));
        if *turn < 40 && turn.is_multiple_of(10) {
            if let Some(pod) = victim {
                world.delete(&pod_path(pod), json!({})).await;
            }
        } else if *turn < 40 && turn.is_multiple_of(5) {
            if let Some(pod) = victim {
                set_ready(&world, pod, false).await;
                *spoilt.lock().await = Some(pod.clone());
            }
        } else if let Some(pod) = spoilt.lock().await.take() {
            set_ready(&world, &pod, true).await;
        }
        let set = world.get(&set_path("d")).await.expect("the set");
        (*turn >= 40 && counts(&set) == [5; 5]).then_some(items)
    });
    done.await.expect("the rollout ends");
    let items = world.until_items(&pods("a"), |items| items.len() == NODES).await;
    let revisions = world.list(REVISIONS).await;
    let newest = revisions.iter().max_by_key(|revision| revision["revision"].as_i64()).expect("revisions");
    assert_eq!((revisions.len(), &newest["revision"]), (2, &json!(2)));
    assert!(items.iter().all(|pod| hash_of(pod) == hash_of(newest)));
    world.stop().await;
}

async fn set_ready(world: &World, pod: &Value, is_ready: bool) {
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    // It may be gone by now.
    let _ = world.api.patch(&format!("{}/status", pod_path(pod)), Patch::Strategic, &ready(uid, is_ready)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t117_sets_are_found_and_removed_by_label() {
    let world = World::of_nodes(1).await;
    world.create(SETS, daemon_set("d")).await;
    world.create(SETS, daemon_set("other")).await;
    all_well(&world, "d", 1).await;
    let by_label = "/apis/apps/v1/daemonsets?labelSelector=app%3Dd";
    let found = world.list(by_label).await;
    assert_eq!(found.iter().map(|set| &set["metadata"]["name"]).collect::<Vec<_>>(), ["d"]);
    world.delete(&format!("{SETS}?labelSelector=app%3Dd"), json!({})).await;
    world.until_gone(&set_path("d")).await;
    assert!(world.list(by_label).await.is_empty());
    world.until_items(&pods("a"), |items| items.len() == 1).await;
    assert!(world.get(&set_path("other")).await.is_some());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t118_conditions_of_others_survive_the_controller() {
    let world = World::of_nodes(1).await;
    world.create(SETS, daemon_set("d")).await;
    let mut set = all_well(&world, "d", 1).await;
    let status = format!("{}/status", set_path("d"));
    assert_eq!(world.get(&status).await.expect("a status")["status"], set["status"]);
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "E2E", "message": "Set by a test", "lastTransitionTime": null});
    set["status"]["conditions"] = json!([condition("StatusUpdate")]);
    world.api.replace(&status, &set).await.expect("a status write");
    world
        .api
        .patch(&status, Patch::Merge, &json!({"status": {"conditions": [condition("StatusPatched")]}}))
        .await
        .expect("a patch");
    // The controller writes the status again, and R6 holds.
    world.node("node-2", "1").await;
    let set = all_well(&world, "d", 2).await;
    assert_eq!(set["status"]["conditions"], json!([condition("StatusPatched")]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t119_revisions_are_objects_like_others() {
    let world = World::of_nodes(1).await;
    world.create(SETS, daemon_set("d")).await;
    all_well(&world, "d", 1).await;
    let first = world.until_items(REVISIONS, |items| items.len() == 1).await.remove(0);
    let path = |revision: &Value| format!("{REVISIONS}/{}", revision["metadata"]["name"].as_str().unwrap_or_default());
    let labelled = json!({"metadata": {"labels": {"step": "patched"}}});
    assert_eq!(world.patch(&path(&first), labelled).await["metadata"]["labels"]["step"], "patched");
    let mut second = first.clone();
    second["metadata"] = json!({
        "name": "second", "labels": first["metadata"]["labels"], "ownerReferences": first["metadata"]["ownerReferences"],
    });
    second["revision"] = json!(2);
    world.create(REVISIONS, second).await;
    // T104: of two equal ones the higher stays; the test would take the other away itself.
    let _ = world.api.delete(&path(&first), &json!({})).await;
    let only = world.until_items(REVISIONS, |items| items.len() == 1).await.remove(0);
    assert_eq!((&only["metadata"]["name"], &only["revision"]), (&json!("second"), &json!(2)));
    world.patch(&path(&only), json!({"metadata": {"labels": {"step": "updated"}}})).await;
    world.patch(&set_path("d"), with_image("example.org/logger:2")).await;
    world.until_items(REVISIONS, |items| items.len() == 2).await;
    all_well(&world, "d", 1).await;
    world.delete(&format!("{REVISIONS}?labelSelector=step%3Dupdated"), json!({})).await;
    let last = world.until_items(REVISIONS, |items| items.len() == 1).await.remove(0);
    assert_eq!(last["revision"], 3);
    world.stop().await;
}

/// R142, R148: the pods and revisions of a set go with it, before it, or stay and are adopted again without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t125_a_set_is_deleted_in_three_ways() {
    let world = World::of_nodes(2).await;
    for (policy, mode) in [("Background", 0), ("Foreground", 0), ("Orphan", 2)] {
        world.create(SETS, daemon_set("d")).await;
        all_well(&world, "d", 2).await;
        world.delete(&set_path("d"), json!({"propagationPolicy": policy})).await;
        world.until_gone(&set_path("d")).await;
        if mode == 0 {
            if policy == "Foreground" {
                assert!(world.list(&pods("a")).await.is_empty(), "the set waited for its pods");
            }
            world.until_items(&pods("a"), <[Value]>::is_empty).await;
            world.until_items(REVISIONS, <[Value]>::is_empty).await;
        }
    }
    let free = |items: &[Value]| {
        items.len() == 2 && items.iter().all(|pod| pod.pointer("/metadata/ownerReferences").is_none())
    };
    let before = uids(&world.until_items(&pods("a"), free).await);
    let set = world.create(SETS, daemon_set("d")).await;
    all_well(&world, "d", 2).await;
    let adopted = world.list(&pods("a")).await;
    assert_eq!(uids(&adopted), before, "nothing was restarted");
    assert!(adopted.iter().all(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == set["metadata"]["uid"]));
    assert_eq!(world.list(REVISIONS).await.len(), 1);
    world.stop().await;
}

/// T115 from outside, as far as pods go: those that were never touched are not restarted by a change of mind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t115_back_from_an_image_that_does_not_exist() {
    let world = World::of_nodes(4).await;
    world.create(SETS, daemon_set("d")).await;
    all_well(&world, "d", 4).await;
    let before = uids(&world.list(&pods("a")).await);
    world.patch(&set_path("d"), with_image(MISSING)).await;
    let has_begun = |items: &[Value]| {
        items.len() == 4
            && items.iter().any(|pod| pod["spec"]["containers"][0]["image"] == MISSING && node_of(pod).is_some())
    };
    world.until_items(&pods("a"), has_begun).await;
    world.patch(&set_path("d"), with_image("example.org/logger:1")).await;
    all_well(&world, "d", 4).await;
    let after = uids(&world.list(&pods("a")).await);
    assert_eq!(before.intersection(&after).count(), 3, "one was replaced, and that is enough");
    world.stop().await;
}
