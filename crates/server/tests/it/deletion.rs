//! Deletion: finalizers, policies, grace, preconditions, collections.

use serde_json::{Value, json};

use crate::harness::Harness;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn with_body(server: &Harness, path: &str, body: &Value) -> crate::harness::Answer {
    server.send("DELETE", path, &[("content-type", "application/json")], body.to_string()).await
}

/// A56, A78, A80: finalizers hold an object; with the last one it goes, and watchers see DELETED with what was stored.
#[tokio::test]
async fn a80_finalizers() {
    let server = Harness::start().await;
    let path = format!("{MAPS}/f");
    let map = json!({"metadata": {"name": "f", "finalizers": ["a.test/one", "a.test/two"]}});
    server.post(MAPS, &map).await.expect(201);
    let marked = server.delete(&path).await.expect(200);
    assert_eq!(marked["kind"], "ConfigMap");
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let again = server.delete(&path).await.expect(200);
    assert_eq!(again, marked, "nothing changes");
    let taken = server.post(MAPS, &map).await.expect(409);
    assert_eq!(taken["message"], "object is being deleted: configmaps \"f\" already exists");
    let more = json!({"metadata": {"finalizers": ["a.test/one", "a.test/two", "a.test/three"]}});
    assert_eq!(server.merge(&path, &more).await.code, 422, "none may be added");
    let revision = marked["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut watch = server.watch(&format!("{MAPS}?watch=1&resourceVersion={revision}")).await;
    let last = server.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    assert!(last["metadata"].get("finalizers").is_none());
    assert_eq!(last["metadata"]["resourceVersion"], *revision);
    let event = watch.next().await.expect("an event");
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["finalizers"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.get(&path).await.code, 404);
}

/// A76, A77: what a propagation policy leaves on the object.
#[tokio::test]
async fn a77_policies() {
    let server = Harness::start().await;
    let cases = [("Orphan", json!(["orphan"])), ("Foreground", json!(["foregroundDeletion"]))];
    for (policy, finalizers) in cases {
        server.post(MAPS, &json!({"metadata": {"name": "p"}})).await.expect(201);
        let path = format!("{MAPS}/p");
        let marked = server.delete(&format!("{path}?propagationPolicy={policy}")).await.expect(200);
        assert_eq!(marked["metadata"]["finalizers"], finalizers);
        server.merge(&path, &json!({"metadata": {"finalizers": []}})).await.expect(200);
    }
    server.post(MAPS, &json!({"metadata": {"name": "p"}})).await.expect(201);
    let path = format!("{MAPS}/p");
    let unknown = with_body(&server, &path, &json!({"propagationPolicy": "Slowly"})).await.expect(422);
    assert!(unknown["message"].as_str().is_some_and(|m| m.starts_with("DeleteOptions.meta.k8s.io \"\" is invalid")));
    let dry = with_body(&server, &path, &json!({"dryRun": ["All"]})).await.expect(200);
    assert_eq!(dry["status"], "Success");
    for (precondition, part) in [(json!({"uid": "abc"}), "UID"), (json!({"resourceVersion": "1"}), "ResourceVersion")] {
        let refused = with_body(&server, &path, &json!({"preconditions": precondition})).await.expect(409);
        let text = format!("Operation cannot be fulfilled on ConfigMap \"p\": the {part} in the precondition");
        assert!(refused["message"].as_str().is_some_and(|m| m.starts_with(&text)), "{refused}");
        assert_eq!(refused["details"]["kind"], "ConfigMap");
    }
    server.delete(&path).await.expect(200);
}

async fn pod(server: &Harness, name: &str, node: &str) {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = node.into();
    }
    server.post(PODS, &pod).await.expect(201);
}

/// A78, A79, A81: grace of bound pods, shortened and never lengthened; unbound pods go at once.
#[tokio::test]
async fn a79_grace() {
    let server = Harness::start().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    pod(&server, "free", "").await;
    let gone = server.delete(&format!("{PODS}/free")).await.expect(200);
    assert_eq!(
        (gone["kind"].as_str(), gone["metadata"]["deletionGracePeriodSeconds"].as_i64()),
        (Some("Pod"), Some(0))
    );
    assert_eq!(server.get(&format!("{PODS}/free")).await.code, 404);
    pod(&server, "bound", "n1").await;
    let path = format!("{PODS}/bound");
    let grace = |answer: Value| answer["metadata"]["deletionGracePeriodSeconds"].as_i64();
    assert_eq!(grace(server.delete(&path).await.expect(200)), Some(30));
    let generation = server.get(&path).await.expect(200)["metadata"]["generation"].as_i64();
    assert_eq!(generation, Some(2));
    assert_eq!(grace(server.delete(&format!("{path}?gracePeriodSeconds=100")).await.expect(200)), Some(30));
    assert_eq!(grace(server.delete(&format!("{path}?gracePeriodSeconds=5")).await.expect(200)), Some(5));
    let uid = server.get(&path).await.expect(200)["metadata"]["uid"].clone();
    let last = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
    assert_eq!(grace(with_body(&server, &path, &last).await.expect(200)), Some(0));
    assert_eq!(server.get(&path).await.code, 404);
}

/// A82: the victims of a collection's deletion, chosen by selector, come back as a list.
#[tokio::test]
async fn a82_collections() {
    let server = Harness::start().await;
    for (name, half) in [("a", "0"), ("b", "1"), ("c", "0")] {
        server.post(MAPS, &json!({"metadata": {"name": name, "labels": {"half": half}}})).await.expect(201);
    }
    let gone = server.delete(&format!("{MAPS}?labelSelector=half%3D0")).await.expect(200);
    assert_eq!(gone["kind"], "ConfigMapList");
    assert_eq!(gone["items"].as_array().map(Vec::len), Some(2));
    let left = server.get(&format!("{MAPS}?labelSelector=half")).await.expect(200);
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
    assert_eq!(server.delete("/api/v1/namespaces").await.code, 405);
}
