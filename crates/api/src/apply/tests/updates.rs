//! Ownership under writes that are no applies.

use super::*;
use crate::value::{remove, set};

/// A152: the creator owns what it set, defaults and containers included, but not who the object is.
#[test]
fn a152_the_creator_owns_all_that_it_set() {
    let mut live = Live::daemon_set();
    live.update("creator", |object| {
        *object = set_of(&json!({"selector": {"matchLabels": {"a": "b"}}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}));
        set(object, "metadata.generateName", "web-");
        set(object, "metadata.uid", "u");
    });
    assert_eq!(
        live.owners(),
        [(
            "creator Update".to_owned(),
            json!({
            "f:metadata": {"f:generateName": {}},
            "f:spec": {"f:selector": {}, "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}}}},
                "f:updateStrategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}}}})
        )]
    );
}

/// A152: who changes a field takes it from everybody; what goes leaves all sets; what stays the same stays owned.
#[test]
fn a152_who_changes_owns() {
    let mut live = Live::config_map();
    live.apply("applier", &data(&json!({"a": "1", "b": "1", "c": "1"})), false).expect("made");
    live.update("editor", |object| {
        set(object, "data.a", "2");
        drop(remove(object, "data.b"));
    });
    assert_eq!(live.fields_of("applier Apply"), json!({"f:data": {"f:c": {}}}));
    assert_eq!(live.fields_of("editor Update"), json!({"f:data": {"f:a": {}}}));
    live.update("second", |object| set(object, "data.a", "3"));
    assert_eq!(live.fields_of("editor Update"), Value::Null, "owns nothing any more");
}

/// A64, A152: each subresource has an entry of its own.
#[test]
fn a152_subresources_have_their_own_entries() {
    let mut live = Live::daemon_set();
    live.update("m", |object| *object = set_of(&json!({"minReadySeconds": 1})));
    live.resets = Set::of_paths([&["spec"] as &[&str]]);
    live.update_through("m", "status", |object| {
        set(object, "status.numberReady", 2);
        set(object, "spec.minReadySeconds", 9);
    });
    let names: Vec<String> = live.owners().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["m Update", "m Update status"]);
    assert_eq!(live.fields_of("m Update status"), json!({"f:status": {"f:numberReady": {}}}));
}

/// A69, A153: nothing changed, nothing moves; a heartbeat moves a time and no set.
#[test]
fn a153_a_heartbeat_moves_a_time() {
    let target =
        Target { shape: shape("coordination.v1.Lease"), group: "coordination.k8s.io", version: "v1", kind: "Lease" };
    let mut live =
        Live { target, api_version: "coordination.k8s.io/v1", resets: Set::default(), object: None, now: NOW };
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n"}, "spec": {
        "holderIdentity": "n", "renewTime": "2026-11-21T10:00:00.000000Z"}});
    live.update("kubelet", |object| *object = lease.clone());
    let before = live.object.clone();
    live.now = LATER;
    live.update("kubelet", |_| {});
    assert_eq!(live.object, before);
    live.update("kubelet", |object| set(object, "spec.renewTime", "2026-11-21T10:00:09.000000Z"));
    let (now, before) = (live.object.clone().expect("there"), before.expect("there"));
    assert!(same_but_times(&now, &before) && now["metadata"] != before["metadata"]);
    assert_eq!(live.at("metadata.managedFields")[0]["time"], LATER);
}

/// A155: of more than ten updaters the oldest of a version become one; applies do not count.
#[test]
fn a155_the_oldest_updaters_are_merged() {
    let mut live = Live::config_map();
    live.apply("applier", &data(&json!({"applied": "1"})), false).expect("made");
    for i in 0..12 {
        live.now = ["2026-11-21T10:00:00Z", "2026-11-21T10:00:01Z"][usize::from(i > 5)];
        live.update(&format!("u{i:02}"), |object| set(object, &format!("data.k{i:02}"), "1"));
    }
    let names: Vec<String> = live.owners().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 11);
    assert_eq!(names[0], "applier Apply");
    assert_eq!(live.fields_of("ancient-changes Update"), json!({"f:data": {"f:k00": {}, "f:k01": {}, "f:k02": {}}}));
    assert!(!names.contains(&"u02 Update".to_owned()) && names.contains(&"u03 Update".to_owned()));
}

/// A157: clearing stops the tracking; what is absent, null or malformed keeps what is stored; what is well formed replaces it.
#[test]
fn a157_clients_may_rewrite_the_entries() {
    let entry = |manager: &str, operation: &str, fields: &Value| json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields});
    let mine = json!({"f:data": {"f:a": {}}});
    let tracked = ["m Update"].as_slice();
    for (name, sent, owners) in [
        ("empty", json!([]), [].as_slice()),
        ("one empty entry", json!([{}]), &[]),
        ("null", Value::Null, tracked),
        ("a bad operation", json!([entry("x", "Patch", &mine)]), tracked),
        ("bad fields", json!([entry("x", "Apply", &json!({"nonsense": {}}))]), tracked),
        ("another list", json!([entry("x", "Apply", &mine), entry("a", "Update", &mine)]), &["x Apply", "a Update"]),
    ] {
        let mut live = Live::config_map();
        live.update("m", |object| *object = data(&json!({"a": "1"})));
        live.update("m", |object| set(object, "metadata.managedFields", sent));
        let names: Vec<String> = live.owners().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, owners, "{name}");
        if owners.is_empty() {
            live.update("m", |object| set(object, "data.a", "2"));
            assert!(live.owners().is_empty(), "{name}: an update starts nothing");
        }
        // Through a subresource nothing of it counts.
        live.update_through("m", "status", |object| set(object, "metadata.managedFields", json!([])));
        assert_eq!(live.owners().len(), owners.len(), "{name}");
    }
}

/// A156: which endpoint resets what.
#[test]
fn a156_endpoints_reset_fields() {
    for (group, version, plural, subresource, expect) in [
        ("apps", "v1", "daemonsets", "", json!({"f:status": {}})),
        ("apps", "v1", "daemonsets", "status", json!({"f:spec": {}})),
        (
            "",
            "v1",
            "pods",
            "status",
            json!({"f:spec": {}, "f:metadata": {"f:deletionTimestamp": {}, "f:ownerReferences": {}}}),
        ),
        ("", "v1", "nodes", "status", json!({"f:spec": {}})),
        ("", "v1", "configmaps", "", json!({})),
        ("apps", "v1", "deployments", "scale", json!({})),
    ] {
        let row = crate::registry::find(group, version, plural).expect("a row");
        assert_eq!(write_fields(&resets(row, subresource)), expect, "{plural} {subresource}");
    }
}
