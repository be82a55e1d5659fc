//! Each kind of patch against the rules, and against the recorded sessions.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    codec::json::{encode, full},
    schema::table,
};

fn daemon_set() -> Expected<'static> {
    Expected { group: "apps", version: "v1", kind: "DaemonSet", shape: table().kind("apps", "v1", "DaemonSet") }
}

fn current(object: Value) -> Value {
    let mut object = full(&object, daemon_set().shape.unwrap());
    object["kind"] = "DaemonSet".into();
    object["apiVersion"] = "apps/v1".into();
    object
}

fn with_containers(containers: Value) -> Value {
    current(json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": containers}}}}))
}

fn try_patch(kind: Kind, current: &Value, patch: &Value) -> Result<Decoded, Status> {
    apply(kind, current, patch.to_string().as_bytes(), &daemon_set(), Strictness::Warn)
}

/// The pod spec after a strategic merge patch of the pod spec.
fn merged(containers: Value, patch: Value) -> Value {
    let patch = json!({"spec": {"template": {"spec": patch}}});
    let patched = try_patch(Kind::Strategic, &with_containers(containers), &patch).unwrap();
    patched.object["spec"]["template"]["spec"].clone()
}

fn refused(patch: Value) -> (u16, String) {
    let containers = json!([{"name": "c", "image": "i"}]);
    let patch = json!({"spec": {"template": {"spec": patch}}});
    let status = try_patch(Kind::Strategic, &with_containers(containers), &patch).unwrap_err();
    (status.code(), status.message().to_owned())
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

#[test]
fn strategic_lists_merge_by_key() {
    // A139, A140, A-T79, A-T81.
    let two = || json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]);
    let rows = [
        (json!({"containers": [{"name": "new", "image": "3"}]}), vec!["new", "a", "b"]),
        (json!({"containers": [{"name": "b", "$patch": "delete"}]}), vec!["a"]),
        (json!({"containers": [{"name": "ghost", "$patch": "delete"}]}), vec!["a", "b"]),
        (json!({"containers": [{"$patch": "replace"}, {"name": "only", "image": "3"}]}), vec!["only"]),
        (json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}), vec!["b", "a"]),
        (
            json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "n"}], "containers": [{"name": "n", "image": "3"}]}),
            vec!["a", "n", "b"],
        ),
        (
            json!({"$setElementOrder/containers": [{"name": "n"}, {"name": "b"}], "containers": [{"name": "n"}, {"name": "a", "$patch": "delete"}]}),
            vec!["n", "b"],
        ),
    ];
    for (patch, expect) in rows {
        assert_eq!(names(&merged(two(), patch.clone())["containers"]), expect, "{patch}");
    }
    let spec = merged(
        two(),
        json!({"containers": [{"name": "b", "image": "9", "args": ["x"]}], "tolerations": [{"key": "k"}]}),
    );
    assert_eq!(spec["containers"][0], json!({"name": "a", "image": "1"}));
    assert_eq!(spec["containers"][1], json!({"name": "b", "image": "9", "args": ["x"]}));
}

#[test]
fn strategic_directives_in_maps_and_sets() {
    // A140, A141.
    let object = current(
        json!({"metadata": {"name": "d", "labels": {"a": "1", "b": "2"}, "annotations": {"x": "y"}, "finalizers": ["f/1", "f/2"]},
        "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}}}),
    );
    let patch = json!({
        "metadata": {"labels": {"$patch": "replace", "only": "this"}, "annotations": {"$patch": "delete"},
            "finalizers": ["f/3"], "$deleteFromPrimitiveList/finalizers": ["f/1"], "$setElementOrder/finalizers": ["f/3", "f/2"]},
        "spec": {"updateStrategy": {"$retainKeys": ["type"], "type": "OnDelete"},
            "template": {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/n"}}]}}}});
    let patched = try_patch(Kind::Strategic, &object, &patch).unwrap().object;
    assert_eq!(patched["metadata"], json!({"name": "d", "labels": {"only": "this"}, "finalizers": ["f/3", "f/2"]}));
    assert_eq!(patched["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
    assert_eq!(patched["spec"]["template"]["spec"]["volumes"], json!([{"name": "v", "hostPath": {"path": "/n"}}]));
    // Rollout undo (A141) replaces the whole template.
    let undo = json!({"spec": {"template": {"$patch": "replace", "spec": {"containers": [{"name": "z"}]}}}});
    let patched = try_patch(Kind::Strategic, &object, &undo).unwrap().object;
    assert_eq!(patched["spec"]["template"], json!({"spec": {"containers": [{"name": "z"}]}}));
}

#[test]
fn strategic_refusals_are_as_recorded() {
    // A140, A-T80, golden http/16.
    let rows = [
        (
            json!({"containers": [{"name": "c2", "$patch": "foo"}]}),
            500,
            "unknown patch type: foo in map: map[$patch:foo name:c2]",
        ),
        (json!({"containers": [{"image": "i"}]}), 500, "map: map[image:i] does not contain declared merge key: name"),
        (
            json!({"$setElementOrder/containers": [{"name": "k"}], "containers": [{"name": "c", "image": "m"}]}),
            500,
            "The order in patch list:\n[map[image:m name:c]]\n doesn't match $setElementOrder list:\n[map[name:k]]\n",
        ),
        (
            json!({"containers": [{"name": "c", "$retainKeys": ["name"], "image": "x"}]}),
            400,
            "invalid patch format of retainKeys",
        ),
        (json!({"$setElementOrder": []}), 400, "invalid patch format of setElementOrder list"),
        (json!({"$deleteFromPrimitiveList": []}), 400, "invalid patch format of primitive list"),
        (json!({"containers": [[1]]}), 422, "the server rejected our request due to an error in our request"),
        (
            json!({"containers": "x"}),
            422,
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[template:map[spec:map[containers:x]]]]\": cannot restore slice from string",
        ),
    ];
    for (patch, code, expect) in rows {
        assert_eq!(refused(patch), (code, expect.to_owned()));
    }
    let not_json =
        apply(Kind::Strategic, &with_containers(json!([])), b"abc", &daemon_set(), Strictness::Warn).unwrap_err();
    assert_eq!((not_json.code(), not_json.message()), (400, "invalid character 'a' looking for beginning of value"));
    let unknown =
        apply(Kind::Strategic, &with_containers(json!([])), br#"{"spec":{"fo":1}}"#, &daemon_set(), Strictness::Strict)
            .unwrap_err();
    assert_eq!(
        unknown.message(),
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[fo:1]]\": strict decoding error: unknown field \"spec.fo\""
    );
}

#[test]
fn json_patches_apply_and_are_refused() {
    // A137, A-T76, A-T77, A-T78, golden http/15.
    let object = with_containers(json!([{"name": "c", "args": ["a", "b"]}]));
    let args = |patch: Value| {
        let patched = try_patch(Kind::Json, &object, &patch).map_err(|s| (s.code(), s.message().to_owned()))?;
        Ok::<_, (u16, String)>(patched.object["spec"]["template"]["spec"]["containers"][0]["args"].clone())
    };
    let at = |rest: &str| format!("/spec/template/spec/containers/0/args{rest}");
    let rejected = Err((422, "the server rejected our request due to an error in our request".to_owned()));
    let rows = [
        (json!([]), Ok(json!(["a", "b"]))),
        (json!([{"op": "add", "path": at("/-"), "value": "c"}]), Ok(json!(["a", "b", "c"]))),
        (json!([{"op": "add", "path": at("/0"), "value": "c"}]), Ok(json!(["c", "a", "b"]))),
        (json!([{"op": "remove", "path": at("/0")}]), Ok(json!(["b"]))),
        (
            json!([{"op": "test", "path": at("/0"), "value": "a"}, {"op": "replace", "path": at("/0"), "value": "z"}]),
            Ok(json!(["z", "b"])),
        ),
        (json!([{"op": "move", "from": at("/0"), "path": at("/1")}]), Ok(json!(["b", "a"]))),
        (json!([{"op": "copy", "from": at("/0"), "path": at("/-")}]), Ok(json!(["a", "b", "a"]))),
        (json!([{"op": "add", "path": at("/9"), "value": "c"}]), rejected.clone()),
        (json!([{"op": "remove", "path": "/metadata/labels/none"}]), rejected.clone()),
        (json!([{"op": "replace", "path": "/spec/nope/deeper", "value": 1}]), rejected.clone()),
        (json!([{"op": "replace", "path": "/spec/minReadySeconds", "value": 1}]), Ok(json!(["a", "b"]))),
        (json!([{"op": "test", "path": at("/0"), "value": "no"}]), rejected.clone()),
        (json!([{"op": "copy", "from": "/metadata/nope", "path": "/metadata/labels"}]), Ok(json!(["a", "b"]))),
        (json!([{"op": "test", "path": "/metadata/nope", "value": null}]), Ok(json!(["a", "b"]))),
        (json!([{"op": "test", "path": "/nope/deeper", "value": null}]), rejected.clone()),
        (json!([{"op": "replace", "value": {}}]), rejected.clone()),
        (json!([{"op": "frobnicate", "path": "/metadata"}]), rejected.clone()),
        (json!([{"op": "add", "path": "metadata", "value": 1}]), rejected),
        (
            json!({"op": "add"}),
            Err((
                400,
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
                    .into(),
            )),
        ),
        (
            json!(vec![json!({}); 10_001]),
            Err((
                413,
                "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001".into(),
            )),
        ),
    ];
    for (patch, expect) in rows {
        assert_eq!(args(patch.clone()), expect, "{}", &patch.to_string()[..patch.to_string().len().min(200)]);
    }
    let grow = json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "x".repeat(1 << 20)}},
        {"op": "copy", "from": "/metadata/annotations/a", "path": "/metadata/annotations/b"}, {"op": "copy", "from": "/metadata/annotations/a", "path": "/metadata/annotations/c"},
        {"op": "copy", "from": "/metadata/annotations/a", "path": "/metadata/annotations/d"}]);
    assert_eq!(args(grow).unwrap_err().0, 422);
}

#[test]
fn merge_patches_apply_and_are_refused() {
    // A138, golden http/15.
    let object =
        current(json!({"metadata": {"name": "d", "labels": {"a": "1", "b": "2"}}, "spec": {"minReadySeconds": 5}}));
    let patched = try_patch(
        Kind::Merge,
        &object,
        &json!({"metadata": {"labels": {"a": null, "c": "3"}}, "spec": {"minReadySeconds": null}}),
    )
    .unwrap();
    assert_eq!(patched.object["metadata"]["labels"], json!({"b": "2", "c": "3"}));
    assert_eq!(patched.object.get("spec"), None);
    let say = |patch: &[u8], strictness| {
        let status = apply(Kind::Merge, &object, patch, &daemon_set(), strictness).unwrap_err();
        (
            status.code(),
            status.message().replace(
                &String::from_utf8(crate::codec::json::encode_any(&object)).unwrap().replace('"', "\\\""),
                "OBJECT",
            ),
        )
    };
    assert_eq!(
        say(b"{nope", Strictness::Warn),
        (400, "error decoding patch: invalid character 'n' looking for beginning of object key string".into())
    );
    assert_eq!(
        say(b"[]", Strictness::Warn),
        (
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}".into()
        )
    );
    assert_eq!(say(b"", Strictness::Warn), (400, "error decoding patch: unexpected end of JSON input".into()));
    let (code, kind) = say(br#"{"kind":"Deployment"}"#, Strictness::Warn);
    assert!(
        code == 422
            && kind.starts_with(" \"\" is invalid: patch: Invalid value: \"{")
            && kind.ends_with("\": converting (v1.Deployment) to (apps.DaemonSet): unknown conversion"),
        "{kind}"
    );
    let (_, version) = say(br#"{"apiVersion":"apps/v2"}"#, Strictness::Warn);
    assert!(version.contains("no kind \"DaemonSet\" is registered for version \"apps/v2\" in scheme"), "{version}");
    let (_, wrong) = say(br#"{"spec":{"minReadySeconds":"soon"}}"#, Strictness::Warn);
    assert!(
        wrong.ends_with(
            "json: cannot unmarshal string into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32"
        ),
        "{wrong}"
    );
    let twice = br#"{"spec":{"minReadySeconds":1,"minReadySeconds":2}}"#;
    let (_, strict) = say(twice, Strictness::Strict);
    assert!(strict.ends_with("strict decoding error: duplicate field \"spec.minReadySeconds\""), "{strict}");
    let warned = apply(Kind::Merge, &object, twice, &daemon_set(), Strictness::Warn).unwrap();
    assert_eq!(warned.warnings, ["duplicate field \"spec.minReadySeconds\""]);
}

#[test]
fn what_is_quoted_of_a_strategic_patch_has_lost_its_ordered_lists() {
    // Golden kubectl/02: the patch is printed as merging left it.
    let patch = json!({"spec": {"replicas": 3, "x": null, "template": {"spec": {
        "$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "c", "image": "n"}]}}}});
    let object = with_containers(json!([{"name": "c", "image": "i"}]));
    let status =
        apply(Kind::Strategic, &object, patch.to_string().as_bytes(), &daemon_set(), Strictness::Strict).unwrap_err();
    assert_eq!(
        status.message(),
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[replicas:3 template:map[spec:map[]] x:<nil>]]\": strict decoding error: unknown field \"spec.replicas\""
    );
}

const SESSION: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/http/16-strategic-merge-patch.jsonl"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/golden/http/16-strategic-merge-patch.jsonl"),
];

/// The recorded session patches one DaemonSet again and again with `dryRun`: what is left of defaulting is the same on both sides.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_recorded_strategic_patches_give_the_recorded_objects() {
    let Some(session) = SESSION.iter().find_map(|p| std::fs::read_to_string(p).ok()) else {
        eprintln!("SKIPPED: ../shared/golden/http/16-strategic-merge-patch.jsonl is not there");
        return;
    };
    let shape = daemon_set().shape.unwrap();
    let mut object = Value::Null;
    let mut compared = 0;
    let session = session.replace("<time>", "2026-01-02T03:04:05Z").replace("<ip>", "10.1.1.1");
    for record in session.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()) {
        let (request, response) = (&record["request"], &record["response"]);
        if request["method"] == "POST" && response["body"]["kind"] == "DaemonSet" {
            object = response["body"].clone();
        }
        if request["method"] != "PATCH" || response["status"] != 200 {
            continue;
        }
        let patched = try_patch(Kind::Strategic, &object, &request["body"]).unwrap();
        let mut got: Value = serde_json::from_slice(&encode(&patched.object, shape)).unwrap();
        let mut expect = response["body"].clone();
        // Generation, its annotation and defaults of what is new come later than patching.
        for side in [&mut got, &mut expect] {
            side["metadata"]["generation"] = Value::Null;
            side["metadata"]["annotations"] = Value::Null;
            side["status"] = Value::Null;
            strip_defaults(&mut side["spec"]);
        }
        assert_eq!(got, expect, "{}", record["name"]);
        compared += 1;
    }
    assert!(compared >= 28, "{compared} records were compared");
}

/// Takes away what defaulting adds, wherever it stands.
fn strip_defaults(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for key in [
                "imagePullPolicy",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "protocol",
                "apiVersion",
                "rollingUpdate",
                "terminationGracePeriodSeconds",
                "serviceAccount",
            ] {
                members.remove(key);
            }
            members.retain(|key, value| key != "type" || value != "");
            // A limit becomes the request of the same name when there was none.
            members.remove("requests");
            members.values_mut().for_each(strip_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_defaults),
        _ => {}
    }
}

fn any_patch() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("spec"),
        Just("template"),
        Just("containers"),
        Just("name"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("metadata"),
        Just("finalizers"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/finalizers"),
        Just("$setElementOrder/finalizers"),
        Just("labels"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("delete")),
        Just(json!("replace")),
        Just(json!("a")),
        Just(json!(1)),
        Just(json!([])),
        Just(json!({})),
    ];
    leaf.prop_recursive(6, 30, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_patch_is_survived(patch in any_patch(), pick in 0usize..3) {
        let object = current(json!({"metadata": {"name": "d", "finalizers": ["a/b"], "labels": {"x": "y"}}, "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}));
        let kind = [Kind::Json, Kind::Merge, Kind::Strategic][pick];
        if let Ok(patched) = try_patch(kind, &object, &patch) {
            prop_assert!(!String::from_utf8(encode(&patched.object, daemon_set().shape.unwrap())).unwrap().contains("\"$"));
        }
    }

    #[test]
    fn any_json_patch_is_survived(ops in prop::collection::vec(("add|remove|replace|move|copy|test|x", "(/[a-z0-9~-]{0,3}){0,4}", "(/[a-z0-9-]{0,3}){0,3}"), 0..6)) {
        let patch: Value = ops.iter().map(|(op, path, from)| json!({"op": op, "path": path, "from": from, "value": {"a": [1]}})).collect();
        let _ = try_patch(Kind::Json, &with_containers(json!([{"name": "a"}])), &patch);
    }
}
