//! Bad days seen from outside: quotas, a template that nothing admits, a namespace that goes, and the events that tell.

use everynode_control::api::Patch;
use serde_json::{Value, json};

use crate::world::{SETS, World, daemon_set, is_going, pod_path, pods, set_path};

const QUOTAS: &str = "/api/v1/namespaces/a/resourcequotas";

fn quota(hard: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}})
}

fn events(reason: &str) -> String {
    format!("/api/v1/namespaces/a/events?fieldSelector=involvedObject.kind%3DDaemonSet,reason%3D{reason}")
}

/// How often it was said, over all events.
fn said(items: &[Value]) -> i64 {
    items.iter().filter_map(|event| event["count"].as_i64()).sum()
}

/// R31, R35: a set that may not have all its pods says so, reports those that it has, does not hammer, and goes on when it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t107_a_quota_stops_a_set_until_it_is_raised() {
    let world = World::of_nodes(5).await;
    world.create(QUOTAS, quota(json!({"pods": "2"}))).await;
    let path = format!("{QUOTAS}/q");
    world.until(&path, |quota| quota["status"]["used"]["pods"] == "0").await;
    world.create(SETS, daemon_set("d")).await;
    let set = world.until(&set_path("d"), |set| set["status"]["numberReady"] == 2).await;
    assert_eq!(set["status"]["desiredNumberScheduled"], 5);
    world.until(&path, |quota| quota["status"]["used"]["pods"] == "2").await;
    let told = world.until_items(&events("FailedCreate"), |items| said(items) >= 2).await;
    let message = told[0]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("Error creating: pods \"d-"), "{message}");
    let words = "\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(message.ends_with(words), "{message}");
    assert_eq!(world.list(&pods("a")).await.len(), 2);
    assert!(said(&world.list(&events("FailedCreate")).await) < 60, "no hot loop");
    world.api.patch(&path, Patch::Merge, &json!({"spec": {"hard": {"pods": "9"}}})).await.expect("a patch");
    world.until_counts("d", [5; 5]).await;
    world.until(&path, |quota| quota["status"]["used"]["pods"] == "5").await;
    world.delete(&set_path("d"), json!({})).await;
    world.until(&path, |quota| quota["status"]["used"]["pods"] == "0").await;
    world.stop().await;
}

/// A442, A499: what is counted, by admission and by the controller, and that a failed write does not stay charged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_count_what_they_name() {
    let world = World::start().await;
    world.namespace("a").await;
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let maps = "/api/v1/namespaces/a/configmaps";
    world.until(&format!("{maps}/kube-root-ca.crt"), |_| true).await;
    let hard = json!({"configmaps": "3", "count/daemonsets.apps": "1", "count/nothings.example.com": "1"});
    world.create(QUOTAS, quota(hard)).await;
    let path = format!("{QUOTAS}/q");
    let used = |quota: &Value| quota["status"]["used"].clone();
    world.until(&path, |quota| used(quota) == json!({"configmaps": "1", "count/daemonsets.apps": "0"})).await;
    world.create(maps, map("one")).await;
    assert!(world.api.create(maps, &map("one")).await.expect_err("it is there").is_already_exists());
    world.until(&path, |quota| used(quota)["configmaps"] == "2").await;
    world.api.create(&format!("{maps}?dryRun=All"), &map("dry")).await.expect("a dry run");
    world.create(maps, map("two")).await;
    let refused = world.api.create(maps, &map("three")).await.expect_err("no room").to_string();
    let words = "configmaps \"three\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=3, \
                 limited: configmaps=3";
    assert_eq!(refused, words);
    world.delete(&format!("{maps}/one"), json!({})).await;
    world.until(&path, |quota| used(quota)["configmaps"] == "2").await;
    world.create(SETS, daemon_set("d")).await;
    assert!(
        world
            .api
            .create(SETS, &daemon_set("e"))
            .await
            .expect_err("no room")
            .to_string()
            .contains("count/daemonsets.apps=1")
    );
    world.stop().await;
}

/// Many writers at once get exactly as many objects as there is room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quota_lets_nobody_slip_through() {
    let world = World::start().await;
    world.namespace("a").await;
    let secrets = "/api/v1/namespaces/a/secrets";
    world.create(QUOTAS, quota(json!({"secrets": "10"}))).await;
    let path = format!("{QUOTAS}/q");
    world.until(&path, |quota| quota["status"]["used"]["secrets"] == "0").await;
    let mut writers = tokio::task::JoinSet::new();
    for i in 0..40 {
        let api = world.api.clone();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("s-{i}")}});
        writers.spawn(async move { api.create(secrets, &secret).await.is_ok() });
    }
    let admitted = writers.join_all().await.into_iter().filter(|is_made| *is_made).count();
    assert_eq!(admitted, 10);
    assert_eq!(world.list(secrets).await.len(), 10);
    world.until(&path, |quota| quota["status"]["used"]["secrets"] == "10").await;
    world.stop().await;
}

/// A template that the namespace's PodSecurity refuses: the event has the server's words, and creates stay rare.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_nothing_admits_is_told_and_not_hammered() {
    let world = World::of_nodes(3).await;
    let strict = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    world.patch("/api/v1/namespaces/a", strict).await;
    world.create(SETS, daemon_set("d")).await;
    let told = world.until_items(&events("FailedCreate"), |items| said(items) >= 3).await;
    let message = told[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("is forbidden: violates PodSecurity \"restricted:latest\""), "{message}");
    let set = world.until(&set_path("d"), |set| set["status"]["desiredNumberScheduled"] == 3).await;
    assert_eq!(set["status"]["currentNumberScheduled"], 0);
    assert!(said(&world.list(&events("FailedCreate")).await) <= 26, "bounded by the events' own bucket (R118)");
    let lax = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": null}}});
    world.patch("/api/v1/namespaces/a", lax).await;
    world.until_counts("d", [3; 5]).await;
    world.stop().await;
}

/// R69: a namespace that goes takes its sets along; nobody makes pods there and nobody complains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_its_sets() {
    let world = World::of_nodes(2).await;
    let mut set = daemon_set("d");
    set["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.create(SETS, set).await;
    world.until_counts("d", [2; 5]).await;
    world.delete("/api/v1/namespaces/a", json!({})).await;
    world.until(&set_path("d"), is_going).await;
    world.until_items(&pods("a"), <[Value]>::is_empty).await;
    // Labels wake the controller: it has nothing to do with a set that goes.
    world.patch(&set_path("d"), json!({"metadata": {"labels": {"again": "yes"}}})).await;
    assert!(world.list(&events("FailedCreate")).await.is_empty());
    world.patch(&set_path("d"), json!({"metadata": {"finalizers": null}})).await;
    world.until_gone("/api/v1/namespaces/a").await;
    world.stop().await;
}

/// R116, R118: exact words; from the eleventh on one event speaks for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_are_told_in_few_events() {
    let world = World::of_nodes(14).await;
    world.create(SETS, daemon_set("d")).await;
    world.until_counts("d", [14; 5]).await;
    let told = world.until_items(&events("SuccessfulCreate"), |items| said(items) == 14).await;
    let combined = "(combined from similar events): Created pod: d-";
    let (folded, plain): (Vec<&Value>, Vec<&Value>) =
        told.iter().partition(|event| event["message"].as_str().is_some_and(|text| text.starts_with(combined)));
    assert_eq!((plain.len(), folded.len()), (10, 1));
    assert_eq!(folded[0]["count"], 4);
    for event in &told {
        assert_eq!((&event["type"], &event["source"]["component"]), (&json!("Normal"), &json!("daemonset-controller")));
    }
    let pod = world.list(&pods("a")).await.remove(0);
    let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
    world.delete(&pod_path(&pod), json!({})).await;
    world.until_counts("d", [14; 5]).await;
    // R116: only its own deletions are told.
    assert!(world.list(&events("SuccessfulDelete")).await.is_empty(), "{name} was deleted by hand");
    world
        .patch(&set_path("d"), crate::world::with_spec(json!({"nodeSelector": {"kubernetes.io/hostname": "none"}})))
        .await;
    let gone = world.until_items(&events("SuccessfulDelete"), |items| !items.is_empty()).await;
    assert!(gone[0]["message"].as_str().is_some_and(|text| text.starts_with("Deleted pod: d-")));
    world.stop().await;
}

/// R116: ended pods are told with their node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_pods_are_told() {
    let world = World::of_nodes(1).await;
    world.create(SETS, daemon_set("d")).await;
    world.until_counts("d", [1; 5]).await;
    for (phase, reason, kind, end) in
        [("Failed", "FailedDaemonPod", "Warning", "kill"), ("Succeeded", "SucceededDaemonPod", "Normal", "delete")]
    {
        let is_alive = |items: &[Value]| items.len() == 1 && crate::world::is_ready(&items[0]);
        let pod = world.until_items(&pods("a"), is_alive).await.remove(0);
        world.patch(&format!("{}/status", pod_path(&pod)), json!({"status": {"phase": phase}})).await;
        let told = world.until_items(&events(reason), |items| !items.is_empty()).await;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let words = format!("Found {} daemon pod a/{name} on node node-1, will try to {end} it", phase.to_lowercase());
        assert_eq!((&told[0]["message"], &told[0]["type"]), (&json!(words), &json!(kind)));
        world.until_gone(&pod_path(&pod)).await;
    }
    world.stop().await;
}
