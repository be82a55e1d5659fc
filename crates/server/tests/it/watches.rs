//! Watches: where they start, what they say, how they end.

use std::time::Duration;

use serde_json::json;

use crate::harness::Harness;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn labelled(name: &str, tier: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "labels": {"tier": tier}}})
}

async fn revision(server: &Harness) -> String {
    let list = server.get(&format!("{MAPS}?limit=1")).await.expect(200);
    list["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned()
}

fn brief(kind: &str, name: &str) -> Option<(String, String)> {
    Some((kind.to_owned(), name.to_owned()))
}

/// A101: from a list's revision a watch misses nothing and repeats nothing; A103: objects enter and leave a selection.
#[tokio::test]
async fn a103_from_a_revision_with_a_selector() {
    let server = Harness::start().await;
    let start = revision(&server).await;
    let mut watch = server.watch(&format!("{MAPS}?watch=1&labelSelector=tier%3Dx&resourceVersion={start}")).await;
    server.post(MAPS, &labelled("a", "x")).await.expect(201);
    server.post(MAPS, &labelled("b", "y")).await.expect(201);
    assert_eq!(watch.brief().await, brief("ADDED", "a"));
    server.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "v"}})).await.expect(200);
    assert_eq!(watch.brief().await, brief("MODIFIED", "a"));
    server.merge(&format!("{MAPS}/b"), &json!({"metadata": {"labels": {"tier": "x"}}})).await.expect(200);
    assert_eq!(watch.brief().await, brief("ADDED", "b"));
    let left = server.merge(&format!("{MAPS}/a"), &json!({"metadata": {"labels": {"tier": "y"}}})).await.expect(200);
    let event = watch.next().await.expect("an event");
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"]["tier"], "x", "the last state that matched");
    assert_eq!(event["object"]["metadata"]["resourceVersion"], left["metadata"]["resourceVersion"]);
    server.delete(&format!("{MAPS}/a")).await.expect(200);
    server.delete(&format!("{MAPS}/b")).await.expect(200);
    assert_eq!(watch.brief().await, brief("DELETED", "b"));
}

/// A101, A111: the state as events, then the bookmark that ends it, then changes.
#[tokio::test]
async fn a111_initial_events() {
    let server = Harness::start().await;
    server.post(MAPS, &labelled("a", "x")).await.expect(201);
    let query = "watch=1&labelSelector=tier&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut watch = server.watch(&format!("{MAPS}?{query}&allowWatchBookmarks=true")).await;
    assert_eq!(watch.brief().await, brief("ADDED", "a"));
    let marker = watch.next().await.expect("the marker");
    assert_eq!(marker["type"], "BOOKMARK");
    assert_eq!(marker["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(marker["object"]["metadata"]["resourceVersion"], revision(&server).await);
    server.post(MAPS, &labelled("b", "x")).await.expect(201);
    assert_eq!(watch.brief().await, brief("ADDED", "b"));
    let refused = server.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await;
    assert_eq!(refused.code, 422);
}

/// A101: a revision that is forgotten gives one ERROR event, and the end; one that is no number, 500.
#[tokio::test]
async fn a101_too_old() {
    let server = Harness::start().await;
    server.post(MAPS, &labelled("a", "x")).await.expect(201);
    server.store.compact(server.store.revision());
    let mut watch = server.watch(&format!("{MAPS}?watch=1&resourceVersion=2")).await;
    let event = watch.next().await.expect("an event");
    assert_eq!((event["type"].as_str(), event["object"]["code"].as_u64()), (Some("ERROR"), Some(410)));
    assert_eq!(watch.next().await, None);
    assert_eq!(server.get(&format!("{MAPS}?watch=1&resourceVersion=abc")).await.code, 500);
}

/// A86, A102: the timeout ends a watch; a bookmark comes shortly before to those who want one.
#[tokio::test]
async fn a102_bookmarks_and_the_end() {
    let server = Harness::start().await;
    let start = revision(&server).await;
    let path = format!("{MAPS}?watch=1&timeoutSeconds=3&resourceVersion={start}");
    let mut watch = server.watch(&format!("{path}&allowWatchBookmarks=true")).await;
    let mut silent = server.watch(&path).await;
    let bookmark = watch.next().await.expect("a bookmark before the end");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], start.as_str());
    assert_eq!(watch.next().await, None);
    assert_eq!(silent.next().await, None, "nothing for those who did not ask");
}

/// A105: metadata and tables; the columns come once.
#[tokio::test]
async fn a105_forms() {
    let server = Harness::start().await;
    let start = revision(&server).await;
    for name in ["a", "b"] {
        server.post(MAPS, &labelled(name, "x")).await.expect(201);
    }
    let path = format!("{MAPS}?watch=1&resourceVersion={start}&timeoutSeconds=1");
    let text = async |accept: &str| server.send("GET", &path, &[("accept", accept)], "").await.text();
    let tables = text("application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!(tables.matches("\"columnDefinitions\":[").count(), 1);
    assert_eq!(tables.matches("\"columnDefinitions\":null").count(), 1);
    let partial = text("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    assert_eq!(partial.matches("\"kind\":\"PartialObjectMetadata\"").count(), 2);
    let refused = server.send("GET", &path, &[("accept", "application/yaml")], "").await;
    assert_eq!(refused.code, 406);
}

/// A98, A101: a watch for the pods of one node hears of them alone, from their binding on.
#[tokio::test]
async fn a98_pods_of_a_node() {
    const PODS: &str = "/api/v1/namespaces/default/pods";
    let server = Harness::start().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    let start = revision(&server).await;
    let query = format!("watch=1&fieldSelector=spec.nodeName%3Dn1&resourceVersion={start}");
    let mut watch = server.watch(&format!("/api/v1/pods?{query}")).await;
    for name in ["a", "b"] {
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        server.post(PODS, &pod).await.expect(201);
    }
    for (name, node) in [("a", "n2"), ("b", "n1")] {
        let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
        server.post(&format!("{PODS}/{name}/binding"), &binding).await.expect(201);
    }
    assert_eq!(watch.brief().await, brief("ADDED", "b"));
    let taken = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}});
    let refused = server.post(&format!("{PODS}/a/binding"), &taken).await.expect(409);
    let text = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n2\"";
    assert_eq!(refused["message"], text);
}

/// A15, A87: when the server stops, watches end.
#[tokio::test]
async fn a87_the_end_of_the_server() {
    let server = Harness::start().await;
    let mut watch = server.watch(&format!("{MAPS}?watch=1&resourceVersion={}", revision(&server).await)).await;
    server.running.stop(Duration::from_secs(5)).await;
    assert_eq!(watch.next().await, None);
}
