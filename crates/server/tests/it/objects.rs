//! Making, reading, changing and deleting objects.

use serde_json::{Value, json};

use crate::harness::Harness;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A40–A44, A50, A62, A63, A83: the life of an object.
#[tokio::test]
async fn a63_create_get_update_delete() {
    let server = Harness::start().await;
    let made = server.post(MAPS, &map("a", json!({"k": "v"}))).await.expect(201);
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(made["metadata"]["namespace"], "default");
    let uid = made["metadata"]["uid"].clone();
    assert_eq!(uid.as_str().map(str::len), Some(36));
    let again = server.post(MAPS, &map("a", json!({}))).await.expect(409);
    assert_eq!(again["message"], "configmaps \"a\" already exists");

    let path = format!("{MAPS}/a");
    let read = server.get(&path).await;
    assert!(read.bytes.ends_with(b"}\n"));
    assert_eq!(read.expect(200), made);
    let changed = server.put(&path, &map("a", json!({"k": "w"}))).await.expect(200);
    assert_eq!(changed["metadata"]["uid"], uid);
    assert_ne!(changed["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    // A69: nothing changes, nothing is written.
    let same = server.put(&path, &map("a", json!({"k": "w"}))).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
    // A66: somebody else was quicker.
    let mut stale = made.clone();
    stale["data"]["k"] = "x".into();
    let conflict = server.put(&path, &stale).await.expect(409);
    assert_eq!(conflict["reason"], "Conflict");

    let gone = server.delete(&path).await.expect(200);
    assert_eq!(gone["details"], json!({"name": "a", "kind": "configmaps", "uid": uid}));
    assert_eq!(server.get(&path).await.expect(404)["message"], "configmaps \"a\" not found");
}
