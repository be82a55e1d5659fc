//! The controllers around DaemonSets, on a server in this process with a store in memory: namespaces, accounts, garbage,
//! scheduling, taints, jobs. One test per promise; what decides has its tables in `everynode-core`.

use everynode_control::api::Patch;
use serde_json::{Value, json};

use crate::world::{World, condition, node_of, node_path, pods};

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}],
        },
    })
}

fn pinned(mut pod: Value, node: &str) -> Value {
    pod["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}],
    }}});
    pod
}

fn owned(name: &str, owner: &Value, blocks: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }]},
    })
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

/// A484, A485, A-T135: account and certificate come with a namespace, and come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_gets_its_account_and_certificate() {
    let world = World::start().await;
    world.namespace("a").await;
    let account = "/api/v1/namespaces/a/serviceaccounts/default";
    let first = world.until(account, |_| true).await;
    world.delete(account, json!({})).await;
    world.until(account, |again| again["metadata"]["uid"] != first["metadata"]["uid"]).await;
    let published = format!("{}/kube-root-ca.crt", config_maps("a"));
    let is_right = |map: &Value| map["data"]["ca.crt"].as_str().is_some_and(|pem| pem.contains("BEGIN CERTIFICATE"));
    world.until(&published, is_right).await;
    world.delete(&published, json!({})).await;
    world.until(&published, is_right).await;
    let spoilt = json!({"data": {"ca.crt": "x", "other": "y"}});
    world.api.patch(&published, Patch::Merge, &spoilt).await.expect("a patch");
    world.until(&published, |map| is_right(map) && map["data"].get("other").is_none()).await;
    world.stop().await;
}

/// A510, A353: a namespace goes with all that is in it, and waits for finalizers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_ends() {
    let world = World::start().await;
    world.namespace("a").await;
    world.create(&config_maps("a"), config_map("plain")).await;
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.create(&config_maps("a"), held).await;
    world.delete("/api/v1/namespaces/a", json!({})).await;
    world.until_gone(&format!("{}/plain", config_maps("a"))).await;
    let held = format!("{}/held", config_maps("a"));
    world.until(&held, |map| map.pointer("/metadata/deletionTimestamp").is_some()).await;
    assert!(world.get("/api/v1/namespaces/a").await.is_some(), "it waits");
    world.api.patch(&held, Patch::Merge, &json!({"metadata": {"finalizers": null}})).await.expect("a patch");
    world.until_gone("/api/v1/namespaces/a").await;
    world.stop().await;
}

/// R142, T125: the three ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dependents_follow_their_owner() {
    let world = World::start().await;
    world.namespace("a").await;
    let all = config_maps("a");
    for policy in ["Background", "Foreground", "Orphan"] {
        let name = policy.to_lowercase();
        let owner = world.create(&all, config_map(&name)).await;
        for blocks in [true, false] {
            world.create(&all, owned(&format!("{name}-{blocks}"), &owner, blocks)).await;
        }
        world.delete(&format!("{all}/{name}"), json!({"propagationPolicy": policy})).await;
        world.until_gone(&format!("{all}/{name}")).await;
        for blocks in [true, false] {
            let child = format!("{all}/{name}-{blocks}");
            if policy == "Orphan" {
                let is_free = |map: &Value| map.pointer("/metadata/ownerReferences").is_none();
                world.until(&child, is_free).await;
            } else {
                world.until_gone(&child).await;
            }
        }
    }
    world.stop().await;
}

/// R146, T151: an owner that never existed; A512: a Node may own what is in a namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_known_by_its_owners() {
    let world = World::start().await;
    world.namespace("a").await;
    world.node("n", "1").await;
    let nobody = json!({"metadata": {"name": "nobody", "uid": "11111111-1111-1111-1111-111111111111"}});
    world.create(&config_maps("a"), owned("child", &nobody, false)).await;
    world.until_gone(&format!("{}/child", config_maps("a"))).await;
    let node = world.until(&node_path("n"), |_| true).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "n", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": node["metadata"]["uid"]},
        ]},
    });
    world.create(leases, lease).await;
    world.delete(&node_path("n"), json!({})).await;
    world.until_gone(&format!("{leases}/n")).await;
    world.stop().await;
}

/// T148: an owner of that name and uid exists, but in another namespace; T147: one without a namespace is found anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t148_an_owner_in_another_namespace_is_none() {
    let world = World::start().await;
    for name in ["a", "b"] {
        world.namespace(name).await;
    }
    // Once this one is gone the collector knows all that is there, as the warning needs.
    let nobody = json!({"metadata": {"name": "nobody", "uid": "11111111-1111-1111-1111-111111111111"}});
    world.create(&config_maps("a"), owned("first", &nobody, false)).await;
    world.until_gone(&format!("{}/first", config_maps("a"))).await;
    let owner = world.create(&config_maps("b"), config_map("owner")).await;
    let near = world.create(&config_maps("b"), owned("near", &owner, false)).await;
    let child = world.create(&config_maps("a"), owned("child", &owner, false)).await;
    world.until_gone(&format!("{}/child", config_maps("a"))).await;
    let told = "/api/v1/namespaces/a/events?fieldSelector=reason%3DOwnerRefInvalidNamespace";
    let told = world.until_items(told, |items| !items.is_empty()).await;
    assert_eq!(told[0]["involvedObject"]["uid"], child["metadata"]["uid"]);
    assert_eq!(told[0]["type"], "Warning");
    for kept in [owner, near] {
        let path = format!("{}/{}", config_maps("b"), kept["metadata"]["name"].as_str().expect("a name"));
        assert_eq!(world.get(&path).await, Some(kept), "untouched");
    }
    world.stop().await;
}

/// T150: the same name, another object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t150_a_successor_of_the_same_name_owns_nothing() {
    let world = World::start().await;
    world.namespace("a").await;
    let all = config_maps("a");
    let first = world.create(&all, config_map("owner")).await;
    world.delete(&format!("{all}/owner"), json!({})).await;
    world.create(&all, config_map("owner")).await;
    world.create(&all, owned("child", &first, false)).await;
    world.until_gone(&format!("{all}/child")).await;
    assert!(world.get(&format!("{all}/owner")).await.is_some());
    world.stop().await;
}

/// T153, R143: a finalizer of somebody else keeps the object, however often it is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t153_deleting_twice_is_harmless() {
    let world = World::start().await;
    world.namespace("a").await;
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.create(&config_maps("a"), held).await;
    let path = format!("{}/held", config_maps("a"));
    world.delete(&path, json!({})).await;
    let once = world.get(&path).await;
    for policy in ["Background", "Foreground", "Background"] {
        world.delete(&path, json!({"propagationPolicy": policy})).await;
    }
    let again = world.until(&path, |map| map["metadata"]["finalizers"] == json!(["example.com/hold"])).await;
    let when = |map: &Value| map["metadata"]["deletionTimestamp"].clone();
    assert_eq!(once.as_ref().map(when), Some(when(&again)));
    world.patch(&path, json!({"metadata": {"finalizers": null}})).await;
    world.until_gone(&path).await;
    world.stop().await;
}

/// T154: a group that cannot be discovered and a kind that cannot be listed hold up nobody but themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t154_one_broken_kind_does_not_stop_the_others() {
    let world = World::broken(|path| path.starts_with("/apis/batch/v1") || path == "/api/v1/secrets").await;
    world.namespace("a").await;
    let owner = world.create(&config_maps("a"), config_map("owner")).await;
    world.create(&config_maps("a"), owned("child", &owner, true)).await;
    world.delete(&format!("{}/owner", config_maps("a")), json!({})).await;
    world.until_gone(&format!("{}/child", config_maps("a"))).await;
    world.stop().await;
}

/// R134–R138: a pinned pod is bound at once when it fits, told why when not, and bound when room comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_bound_when_they_fit() {
    let world = World::start().await;
    world.namespace("a").await;
    world.node("one", "1").await;
    world.node("two", "1").await;
    let path = |name: &str| format!("{}/{name}", pods("a"));
    world.create(&pods("a"), pinned(pod("first", "600m"), "one")).await;
    world.until(&path("first"), |pod| node_of(pod) == Some("one")).await;
    world.create(&pods("a"), pinned(pod("second", "600m"), "one")).await;
    let message = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. no new \
        claims to deallocate, preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 \
        Preemption is not helpful for scheduling.";
    // Until the scheduler has seen both nodes it says something else.
    let is_told = |pod: &Value| condition(pod, "PodScheduled")["message"] == message;
    let told = world.until(&path("second"), is_told).await;
    let told = condition(&told, "PodScheduled");
    assert_eq!((&told["status"], &told["reason"]), (&json!("False"), &json!("Unschedulable")));
    let of_pod = "/api/v1/namespaces/a/events?fieldSelector=reason%3DFailedScheduling";
    world.until_items(of_pod, |items| items.iter().any(|event| event["message"] == message)).await;
    world.create(&pods("a"), pod("anywhere", "600m")).await;
    world.until(&path("anywhere"), |pod| node_of(pod) == Some("two")).await;
    world.delete(&path("first"), json!({"gracePeriodSeconds": 0})).await;
    world.until(&path("second"), |pod| node_of(pod) == Some("one")).await;
    world.stop().await;
}

/// R139, A519a, A-T177.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_critical_pod_makes_room_for_itself() {
    let world = World::start().await;
    world.namespace("a").await;
    world.node("one", "1").await;
    let path = |name: &str| format!("{}/{name}", pods("a"));
    world.create(&pods("a"), pod("plain", "600m")).await;
    world.until(&path("plain"), |pod| node_of(pod).is_some()).await;
    let mut critical = pinned(pod("critical", "600m"), "one");
    critical["spec"]["priorityClassName"] = json!("system-node-critical");
    world.create(&pods("a"), critical).await;
    world.until_gone(&path("plain")).await;
    world.until(&path("critical"), |pod| node_of(pod) == Some("one")).await;
    world.stop().await;
}

/// R125, R127, R128.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taints_follow_conditions_and_drive_pods_away() {
    let world = World::start().await;
    world.namespace("a").await;
    world.node("one", "1").await;
    let path = |name: &str| format!("{}/{name}", pods("a"));
    let mut faithful = pod("faithful", "1m");
    faithful["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    for pod in [pod("timid", "1m"), faithful] {
        world.create(&pods("a"), pod).await;
    }
    for name in ["timid", "faithful"] {
        world.until(&path(name), |pod| node_of(pod).is_some()).await;
    }
    let cordon = json!({"spec": {"unschedulable": true}});
    world.api.patch(&node_path("one"), Patch::Merge, &cordon).await.expect("a patch");
    let has = |key: &'static str| {
        move |node: &Value| {
            let taints = node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
            taints.iter().any(|taint| taint["key"] == key && taint["effect"] == "NoSchedule")
        }
    };
    world.until(&node_path("one"), has("node.kubernetes.io/unschedulable")).await;
    let sick = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]}});
    let status = format!("{}/status", node_path("one"));
    world.api.patch(&status, Patch::Strategic, &sick).await.expect("a patch");
    world.until(&node_path("one"), has("node.kubernetes.io/not-ready")).await;
    let out = json!({"spec": {"taints": [{"key": "out", "effect": "NoExecute"}]}});
    world.api.patch(&node_path("one"), Patch::Merge, &out).await.expect("a patch");
    world.until_gone(&path("timid")).await;
    assert!(world.get(&path("faithful")).await.is_some(), "it tolerates everything");
    world.stop().await;
}

/// Design §10: a Job runs to its end (Helm hooks wait for it).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_to_its_end() {
    let world = World::start().await;
    world.namespace("a").await;
    world.node("one", "1").await;
    let jobs = "/apis/batch/v1/namespaces/a/jobs";
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "hook"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}},
    });
    world.create(jobs, job).await;
    let list = world.until(&pods("a"), |list| list["items"].as_array().is_some_and(|items| items.len() == 1)).await;
    let name = list["items"][0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let done = json!({"status": {"phase": "Succeeded"}});
    world.api.patch(&format!("{}/{name}/status", pods("a")), Patch::Merge, &done).await.expect("a patch");
    let job = world.until(&format!("{jobs}/hook"), |job| condition(job, "Complete")["status"] == "True").await;
    assert_eq!(job["status"]["succeeded"], 1);
    world.stop().await;
}
