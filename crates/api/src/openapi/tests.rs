//! The documents as their readers need them.

use serde_json::Value;

use super::*;
use crate::schema::table;

fn v3(path: &str) -> Value {
    serde_json::from_slice(&v3::document(path).unwrap()).unwrap()
}

/// All references of a document lead somewhere.
fn check_references(value: &Value, schemas: &Value, base: &str) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get("$ref") {
                let name = to.strip_prefix(base).unwrap_or_else(|| panic!("{to}"));
                assert!(schemas.get(name).is_some(), "{name} is missing");
            }
            members.values().for_each(|v| check_references(v, schemas, base));
        }
        Value::Array(items) => items.iter().for_each(|v| check_references(v, schemas, base)),
        _ => {}
    }
}

#[test]
fn every_version_has_a_document_whose_references_hold() {
    let paths = v3::paths();
    for wanted in ["api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1", "version"] {
        assert!(paths.iter().any(|p| p == wanted), "{wanted}");
    }
    for path in &paths {
        let document = v3(path);
        check_references(&document, &document["components"]["schemas"], "#/components/schemas/");
        let hash = v3::hash(path);
        assert!(hash.len() == 128 && hash.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()));
    }
    assert_ne!(v3::hash("api/v1"), v3::hash("apis/apps/v1"));
    assert_eq!(v3::document("apis/nope/v1"), None);
}

#[test]
fn kubectl_finds_server_side_validation_and_patch_keys() {
    // A35, A36, A-T29.
    let apps = v3("apis/apps/v1");
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        serde_json::json!({"group": "apps", "version": "v1", "kind": "DaemonSet"})
    );
    assert_eq!(patch["x-kubernetes-action"], "patch");
    for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
        let found = patch["parameters"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap();
        assert_eq!(found["in"], "query");
    }
    let body = &patch["requestBody"]["content"]["application/strategic-merge-patch+json"]["schema"]["$ref"];
    assert_eq!(body, "#/components/schemas/io.k8s.api.apps.v1.DaemonSet");
    let spec = &apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(spec["containers"]["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(spec["containers"]["x-kubernetes-list-map-keys"], serde_json::json!(["name"]));
    assert_eq!(spec["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(spec["nodeSelector"]["x-kubernetes-map-type"], "atomic");
}

#[test]
fn explain_finds_kinds_types_and_words() {
    // A37.
    let apps = v3("apis/apps/v1");
    let schemas = &apps["components"]["schemas"];
    let ds = &schemas["io.k8s.api.apps.v1.DaemonSet"];
    assert_eq!(
        ds["x-kubernetes-group-version-kind"],
        serde_json::json!([{"group": "apps", "version": "v1", "kind": "DaemonSet"}])
    );
    assert!(ds["description"].as_str().unwrap().starts_with("A DaemonSet"));
    assert_eq!(ds["properties"]["spec"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.apps.v1.DaemonSetSpec");
    assert_eq!(ds["properties"]["kind"]["type"], "string");
    assert_eq!(schemas["io.k8s.api.apps.v1.DaemonSetSpec"]["required"], serde_json::json!(["selector", "template"]));
    let strategy = &schemas["io.k8s.api.apps.v1.DaemonSetUpdateStrategy"]["properties"]["type"];
    assert_eq!(strategy["enum"], serde_json::json!(["OnDelete", "RollingUpdate"]));
    assert_eq!(schemas["io.k8s.api.apps.v1.DaemonSetSpec"]["properties"]["minReadySeconds"]["format"], "int32");
}

#[test]
fn the_one_document_of_version_two_holds_everything() {
    // A38.
    let document: Value = serde_json::from_slice(&v2::document()).unwrap();
    assert_eq!(document["swagger"], "2.0");
    check_references(&document, &document["definitions"], "#/definitions/");
    assert_eq!(
        document["definitions"]["io.k8s.api.core.v1.Container"]["properties"]["env"]["x-kubernetes-patch-merge-key"],
        "name"
    );
    assert!(document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]["consumes"].is_array());
}

#[test]
fn every_word_is_about_something() {
    for line in words::TEXT.lines() {
        let (key, text) = line.split_once(' ').unwrap();
        let known = table().shape(key).is_some()
            || key
                .rsplit_once('.')
                .is_some_and(|(shape, field)| table().shape(shape).is_some_and(|s| s.member(field).is_some()));
        assert!(known, "{key}");
        assert!(text.ends_with('.') || text.ends_with(')'), "{line}");
    }
}

#[test]
fn the_message_of_version_two_holds_the_definitions() {
    // A38: swagger 1, info 2, paths 8, definitions 9 {NamedSchema 1 {name 1, schema 2}}.
    let message = v2::document_message();
    assert!(message.starts_with(b"\x0a\x032.0\x12"));
    let find = |text: &str| message.windows(text.len()).any(|w| w == text.as_bytes());
    for text in [
        "io.k8s.api.apps.v1.DaemonSet",
        "x-kubernetes-patch-merge-key",
        "- group: apps\n  kind: DaemonSet\n  version: v1\n",
        "#/definitions/io.k8s.api.core.v1.PodSpec",
    ] {
        assert!(find(text), "{text}");
    }
}
