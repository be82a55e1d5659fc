//! Server-side apply and field ownership, from request to stored object.

use serde_json::{Value, json};

use crate::harness::{Answer, Harness};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SETS: &str = "/apis/apps/v1/namespaces/default/daemonsets";

async fn apply(server: &Harness, path: &str, query: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/apply-patch+yaml")];
    server.send("PATCH", &format!("{path}?{query}"), &headers, body.to_owned()).await
}

fn map(data: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}).to_string()
}

fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let word = |entry: &Value, part: &str| entry[part].as_str().unwrap_or_default().to_owned();
    let show =
        |e: &Value| ["manager", "operation", "subresource"].map(|part| word(e, part)).join(" ").trim_end().to_owned();
    entries.iter().map(show).collect()
}

/// A146, A148, A150, A69: an intent in YAML makes the object; the same again writes nothing; another's conflicts; force takes.
#[tokio::test]
async fn a148_an_intent_makes_and_changes() {
    let server = Harness::start().await;
    let path = format!("{MAPS}/m");
    let dry = apply(&server, &path, "fieldManager=a&dryRun=All", &map(&json!({"k": "v"}))).await;
    assert_eq!((dry.code, server.get(&path).await.code), (201, 404));
    let yaml = "apiVersion: v1\nkind: ConfigMap\ndata:\n  k: v\n";
    let made = apply(&server, &path, "fieldManager=a", yaml).await.expect(201);
    assert_eq!((owners(&made), &made["metadata"]["name"]), (vec!["a Apply".to_owned()], &json!("m")));
    let same = apply(&server, &path, "fieldManager=a", yaml).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let refused = apply(&server, &path, "fieldManager=b", &map(&json!({"k": "w"}))).await.expect(409);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"a\": .data.k");
    let forced = apply(&server, &path, "fieldManager=b&force=true", &map(&json!({"k": "w"}))).await.expect(200);
    assert_eq!((owners(&forced), &forced["data"]["k"]), (vec!["b Apply".to_owned()], &json!("w")));
    assert_eq!(server.get(&path).await.expect(200), forced);
}

/// A74, A75, A135, A146, A148: what is refused before anything is merged.
#[tokio::test]
async fn a146_refusals() {
    let server = Harness::start().await;
    let path = format!("{MAPS}/m");
    let not_a_map = "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type \
                     map[string]interface {}";
    let broken = "error decoding YAML: error converting YAML to JSON: yaml: did not find expected ',' or ']'";
    let twice = "apiVersion: v1\nkind: ConfigMap\ndata:\n  k: v\n  k: w\n";
    let strict = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key \"k\" already set in map";
    let with_uid = "{apiVersion: v1, kind: ConfigMap, metadata: {uid: abc}}";
    let unknown = "Operation cannot be fulfilled on configmaps \"m\": uid mismatch: the provided object specified uid abc, and no existing object \
                   was found";
    for (query, body, code, message) in [
        ("fieldManager=a", "[]", 400, not_a_map),
        ("fieldManager=a", "a: [b", 400, broken),
        ("fieldManager=a&fieldValidation=Strict", twice, 400, strict),
        ("fieldManager=a", with_uid, 409, unknown),
    ] {
        let refused = apply(&server, &path, query, body).await.expect(code);
        assert_eq!(refused["message"], message, "{body}");
    }
    let cbor = server.send("PATCH", &path, &[("content-type", "application/apply-patch+cbor")], "x").await;
    assert_eq!(cbor.expect(415)["message"], "415: Unsupported Media Type");
    let status =
        apply(&server, &format!("{SETS}/none/status"), "fieldManager=a", "{apiVersion: apps/v1, kind: DaemonSet}")
            .await;
    assert_eq!(status.code, 404, "a subresource makes nothing");
}

/// A73, A152, A157: each write is recorded under the manager that it names or the program that sent it; a client may clear the record.
#[tokio::test]
async fn a152_every_write_is_recorded() {
    let server = Harness::start().await;
    let path = format!("{MAPS}/m");
    // Entries are in the order of seconds, then of names: the later writer has the later name.
    let agent = [("user-agent", "agent/1.2 (linux)")];
    let made = server.send("POST", MAPS, &agent, map(&json!({"a": "1"}))).await.expect(201);
    assert_eq!(owners(&made), ["agent Update"]);
    let patched = server.merge(&format!("{path}?fieldManager=patcher"), &json!({"data": {"a": "2"}})).await.expect(200);
    assert_eq!(owners(&patched), ["agent Update", "patcher Update"], "agent still owns the container");
    let put = server
        .put(&format!("{path}?fieldManager=putter"), &serde_json::from_str(&map(&json!({"b": "1"}))).expect("JSON"))
        .await;
    let put = put.expect(200);
    assert_eq!(owners(&put), ["agent Update", "putter Update"]);
    // A69: what changes nothing is no write, whatever its time.
    let again = server.merge(&format!("{path}?fieldManager=late"), &json!({"data": {"b": "1"}})).await.expect(200);
    assert_eq!(again, put);
    for clear in [json!([]), json!([{}])] {
        let cleared = server.merge(&path, &json!({"metadata": {"managedFields": clear}})).await.expect(200);
        assert!(cleared["metadata"].get("managedFields").is_none());
    }
    let untracked = server.merge(&path, &json!({"data": {"c": "1"}})).await.expect(200);
    assert_eq!(owners(&untracked), Vec::<String>::new());
    let applied = apply(&server, &path, "fieldManager=a", &map(&json!({"c": "1"}))).await.expect(200);
    assert_eq!(owners(&applied), ["a Apply", "before-first-apply Update"]);
}

/// A63, A156, A161: subresources have entries of their own, and what an endpoint resets is in nobody's.
#[tokio::test]
async fn a161_subresources_are_recorded_apart() {
    let server = Harness::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let set = |kind: &str| json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    let made = server.post(&format!("{SETS}?fieldManager=maker"), &set("DaemonSet")).await.expect(201);
    let annotations = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"];
    assert_eq!(*annotations, json!({".": {}, "f:deprecated.daemonset.template.generation": {}}));
    let status = json!({"status": {"numberReady": 3}, "spec": {"minReadySeconds": 9}});
    let changed = server.merge(&format!("{SETS}/x/status?fieldManager=ctl"), &status).await.expect(200);
    let own =
        changed["metadata"]["managedFields"].as_array().expect("entries").iter().find(|e| e["subresource"] == "status");
    assert_eq!(own.map(|e| &e["fieldsV1"]), Some(&json!({"f:status": {"f:numberReady": {}}})));

    let others = "/apis/apps/v1/namespaces/default/deployments";
    server.post(&format!("{others}?fieldManager=maker"), &set("Deployment")).await.expect(201);
    let scale =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "x"}, "spec": {"replicas": 4}})
            .to_string();
    let path = format!("{others}/x/scale");
    let refused = apply(&server, &path, "fieldManager=s", &scale).await.expect(409);
    assert_eq!(
        refused["message"],
        "Apply failed with 1 conflict: conflict with \"maker\" using apps/v1: .spec.replicas"
    );
    let scaled = apply(&server, &path, "fieldManager=s&force=true", &scale).await.expect(200);
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(4)));
    let parent = server.get(&format!("{others}/x")).await.expect(200);
    assert!(owners(&parent).contains(&"s Apply scale".to_owned()), "{:?}", owners(&parent));
}
