//! JSON in and out: normal form, strict findings, canonical bytes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::table;

fn shape(name: &str) -> &'static Shape {
    table().shape(name).unwrap()
}

fn decoded(name: &str, text: &str) -> Result<(Object, Vec<String>), DecodeError> {
    decode(text.as_bytes(), shape(name), Strictness::Warn)
}

fn message(name: &str, text: &str) -> String {
    decoded(name, text).unwrap_err().to_string()
}

fn recoded(name: &str, text: &str) -> String {
    let (object, _) = decoded(name, text).unwrap();
    String::from_utf8(encode(&object, shape(name))).unwrap()
}

#[test]
fn unknown_and_repeated_fields_are_found_in_document_order() {
    // A75, A-T52 and golden http/14.
    let text = r#"{"spec":{"template":{"spec":{"containers":[{"name":"main","imagePulPolicy":"Always"}]}},"replicas":3,
        "minReadySeconds":1,"minReadySeconds":2},"Spec":{},"metadata":{"name":"x","name":"y","labels":{"a":"1","a":"2"}}}"#;
    let (object, findings) = decoded("apps.v1.DaemonSet", text).unwrap();
    assert_eq!(
        findings,
        [
            "unknown field \"spec.template.spec.containers[0].imagePulPolicy\"",
            "unknown field \"spec.replicas\"",
            "duplicate field \"spec.minReadySeconds\"",
            "unknown field \"Spec\"",
            "duplicate field \"metadata.name\"",
            "duplicate field \"metadata.labels.a\"",
        ]
    );
    assert_eq!(object["spec"]["minReadySeconds"], 2);
    assert_eq!(object["metadata"]["name"], "y");
    let strict = decode(text.as_bytes(), shape("apps.v1.DaemonSet"), Strictness::Strict).unwrap_err();
    assert!(strict.to_string().starts_with("strict decoding error: unknown field \"spec.template"), "{strict}");
    let (_, none) = decode(text.as_bytes(), shape("apps.v1.DaemonSet"), Strictness::Ignore).unwrap();
    assert!(none.is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn wrong_types_are_refused_in_upstreams_words() {
    // A117, golden http/13, http/04, http/11.
    let ds = "apps.v1.DaemonSet";
    let rows = [
        (
            ds,
            r#"{"spec":{"minReadySeconds":"soon"}}"#,
            "json: cannot unmarshal string into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32",
        ),
        (
            ds,
            r#"{"spec":{"minReadySeconds":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32",
        ),
        (
            ds,
            r#"{"spec":{"minReadySeconds":99999999999}}"#,
            "json: cannot unmarshal number 99999999999 into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32",
        ),
        (
            ds,
            r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            ds,
            r#"{"spec":{"template":{"spec":{"containers":[{"name":5}]}}}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string",
        ),
        (
            ds,
            r#"{"spec":[]}"#,
            "json: cannot unmarshal array into Go struct field DaemonSet.spec of type v1.DaemonSetSpec",
        ),
        (
            ds,
            r#"{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":true}}}}"#,
            "json: cannot unmarshal bool into Go struct field RollingUpdateDaemonSet.spec.updateStrategy.rollingUpdate.maxUnavailable of type int32",
        ),
        (
            ds,
            r#"{"spec":{"template":{"spec":{"hostPID":"yes"}}}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.hostPID of type bool",
        ),
        (ds, "[]", "json: cannot unmarshal array into Go value of type v1.DaemonSet"),
        (
            "core.v1.ConfigMap",
            r#"{"data":{"a":{"b":"c"}}}"#,
            "json: cannot unmarshal object into Go struct field ConfigMap.data of type string",
        ),
        (
            "core.v1.ConfigMap",
            r#"{"data":[]}"#,
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        ),
        ("core.v1.Secret", r#"{"data":{"a":"***"}}"#, "illegal base64 data at input byte 0"),
        (
            "core.v1.Pod",
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            "coordination.v1.Lease",
            r#"{"spec":{"renewTime":"2026-11-21T09:00:00Z"}}"#,
            "parsing time \"2026-11-21T09:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
        ),
        (
            "core.v1.Pod",
            r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "core.v1.Pod",
            r#"{"spec":{"hostPID":1,"containers":[{"resources":{"limits":{"cpu":"lots"}}}]}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ];
    for (name, text, expect) in rows {
        assert_eq!(message(name, text), expect, "{text}");
    }
}

#[test]
fn the_canonical_form_drops_and_writes_as_upstream() {
    // A60, A303b.
    assert_eq!(
        recoded(
            "apps.v1.DaemonSet",
            r#"{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{}}"#
        ),
        r#"{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":{"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"updateStrategy":{}},"status":{"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":0,"numberReady":0}}"#
    );
    assert_eq!(
        recoded(
            "core.v1.Pod",
            r#"{"metadata":{"creationTimestamp":null},"spec":{"hostPID":false,"hostNetwork":true,"volumes":[],"automountServiceAccountToken":false,
            "containers":[{"name":"c","env":[],"volumeMounts":null,"resources":{"limits":{"cpu":"2000m","memory":1048576}},"ports":[{"containerPort":80,"hostPort":0}],
            "livenessProbe":{"httpGet":{"port":80,"path":""}}}],"terminationGracePeriodSeconds":0}}"#
        ),
        r#"{"metadata":{},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"2","memory":"1048576"}},"livenessProbe":{"httpGet":{"port":80}}}],"terminationGracePeriodSeconds":0,"automountServiceAccountToken":false,"hostNetwork":true},"status":{}}"#
    );
    assert_eq!(
        recoded("core.v1.ConfigMap", r#"{"data":{"z":"<a>&\u2028\u0001\t","a":null},"binaryData":{}}"#),
        "{\"metadata\":{},\"data\":{\"a\":\"\",\"z\":\"\\u003ca\\u003e\\u0026\\u2028\\u0001\\t\"}}"
    );
    assert_eq!(
        recoded(
            "core.v1.Node",
            r#"{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-11-21T11:00:00.5+02:00"}]}}"#
        ),
        r#"{"metadata":{},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-11-21T09:00:00Z","lastTransitionTime":null}],"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"","kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"","operatingSystem":"","architecture":""}}}"#
    );
    assert_eq!(
        recoded("apps.v1.ControllerRevision", r#"{"data":{"spec":{"b":1,"a":"<"}},"revision":3}"#),
        r#"{"metadata":{},"data":{"spec":{"a":"\u003c","b":1}},"revision":3}"#
    );
    assert_eq!(recoded("apps.v1.ControllerRevision", "{}"), r#"{"metadata":{},"data":null,"revision":0}"#);
}

#[test]
fn a_request_and_stored_bytes_have_one_normal_form() {
    let text = r#"{"metadata":{"name":"p","creationTimestamp":null},"spec":{"containers":[{"name":"c","image":"i","resources":{},"env":[
        {"name":"E","value":"","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"0"}}}]}],"hostPID":false,"securityContext":{}},"status":{}}"#;
    let (object, _) = decoded("core.v1.Pod", text).unwrap();
    assert_eq!(
        object,
        json!({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"E","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}]}],"securityContext":{}}})
    );
    let stored = encode(&object, shape("core.v1.Pod"));
    assert_eq!(decode(&stored, shape("core.v1.Pod"), Strictness::Strict).unwrap().0, object);
    assert_eq!(full(&object, shape("core.v1.Pod"))["spec"]["containers"][0]["resources"], json!({}));
}

#[test]
fn schemas_of_custom_resources_keep_their_shape() {
    let text = r#"{"type":"object","properties":{"a":{"items":{"type":"string"},"additionalProperties":false,"minimum":1.5,"default":{"x":[1,2.0]}}}}"#;
    assert_eq!(
        recoded("apiextensions.v1.JSONSchemaProps", text),
        r#"{"type":"object","properties":{"a":{"default":{"x":[1,2.0]},"minimum":1.5,"items":{"type":"string"},"additionalProperties":false}}}"#
    );
}

#[test]
fn objects_without_a_shape_are_sorted() {
    // A60: custom resources.
    let (object, findings) = decode_any(
        br#"{"spec":{"b":1.0,"a":1e21},"kind":"Foo","apiVersion":"x/v1","spec":{"c":null}}"#,
        Strictness::Warn,
    )
    .unwrap();
    assert_eq!(findings, ["duplicate field \"spec\""]);
    assert_eq!(encode_any(&object), br#"{"apiVersion":"x/v1","kind":"Foo","spec":{"c":null}}"#);
    assert_eq!(
        encode_any(&json!([1.0, 1e21, 1e-7, 0.5, 100_000_000_000_000_000_000_f64])),
        b"[1,1e+21,1e-7,0.5,100000000000000000000]"
    );
}

#[test]
fn pretty_printing_indents_by_two() {
    // A61.
    assert_eq!(
        pretty(br#"{"a":{},"b":[1,{"c":"x\",{"}],"d":[]}"#),
        b"{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"c\": \"x\\\",{\"\n    }\n  ],\n  \"d\": []\n}"
    );
}

#[test]
fn all_shapes_encode_what_they_decode() {
    // The normal form of what says nothing is empty, whatever the encoder writes for it.
    for shape in table().shapes().iter().filter(|s| s.body == crate::schema::Body::Struct) {
        let (object, _) = decode(b"{}", shape, Strictness::Strict).unwrap();
        let bytes = encode(&object, shape);
        let (again, findings) =
            decode(&bytes, shape, Strictness::Strict).unwrap_or_else(|e| panic!("{}: {e}", shape.name));
        assert!(findings.is_empty());
        assert_eq!(object, again, "{}", shape.name);
        assert_eq!(object, json!({}), "{}", shape.name);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-z0-9.:Z-]{0,6}".prop_map(Into::into),
    ];
    let names = prop_oneof![
        Just("spec"),
        Just("metadata"),
        Just("name"),
        Just("template"),
        Just("containers"),
        Just("status"),
        Just("labels"),
        Just("data"),
        Just("resources"),
        Just("limits"),
        Just("kind"),
        Just("items"),
        Just("creationTimestamp"),
        Just("updateStrategy"),
        Just("x"),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_survived_by_every_shape(value in any_json(), pick in 0usize..1000) {
        let shapes = table().shapes();
        let shape = &shapes[pick % shapes.len()];
        if let Ok((object, _)) = decode(&encode_any(&value), shape, Strictness::Warn) {
            let bytes = encode(&object, shape);
            let (again, findings) = decode(&bytes, shape, Strictness::Strict).unwrap();
            prop_assert!(findings.is_empty());
            prop_assert_eq!(again, object);
        }
    }
}
