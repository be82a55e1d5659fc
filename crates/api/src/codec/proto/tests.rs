//! Known bytes, round trips of random objects of every shape, and broken input.

use proptest::{prelude::*, test_runner::TestRng};
use serde_json::{Map, json};

use super::*;
use crate::{
    codec::{Strictness, json},
    schema::{Body, FieldDef, Special, Type, table},
};

fn shape(name: &str) -> &'static Shape {
    table().shape(name).unwrap()
}

#[test]
fn a_config_map_as_kubectl_sends_it() {
    // A190, A-T110: envelope {typeMeta, raw, "", ""}; ConfigMap {metadata 1, data 2}.
    let mut body = MAGIC.to_vec();
    body.extend_from_slice(b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap");
    body.extend_from_slice(b"\x12\x12\x0a\x08\x0a\x01c\x12\x00\x1a\x01n\x12\x06\x0a\x01a\x12\x01b");
    body.extend_from_slice(b"\x1a\x00\x22\x00");
    let envelope = open(&body).unwrap();
    assert_eq!((envelope.api_version, envelope.kind), ("v1", "ConfigMap"));
    let object = decode(envelope.raw, shape("core.v1.ConfigMap")).unwrap();
    assert_eq!(object, json!({"metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}}));
}

#[test]
fn all_special_types_survive_the_round_trip() {
    let rows = [
        (
            "core.v1.Pod",
            json!({"metadata": {"name": "p", "creationTimestamp": "2026-11-21T09:13:17Z", "finalizers": ["a", "b"], "labels": {"x": "", "y": "z"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}}, "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 3}, "readinessProbe": {"tcpSocket": {"port": 81}}}],
                "volumes": [{"name": "v", "hostPath": {"path": "/x", "type": ""}}], "terminationGracePeriodSeconds": 0, "hostPID": true}}),
        ),
        ("core.v1.Secret", json!({"metadata": {"name": "s"}, "data": {"a": "AAEC", "b": ""}, "type": "Opaque"})),
        (
            "coordination.v1.Lease",
            json!({"spec": {"renewTime": "2026-11-21T09:00:00.000120Z", "leaseDurationSeconds": 40}}),
        ),
        ("apps.v1.ControllerRevision", json!({"data": {"spec": {"a": [1, "x", null]}}, "revision": 7})),
        ("authentication.v1.TokenReview", json!({"status": {"user": {"username": "u", "extra": {"k": ["a", "b"]}}}})),
        (
            "apiextensions.v1.JSONSchemaProps",
            json!({"minimum": 1.5, "items": {"type": "string"}, "additionalProperties": false, "default": {"a": 1},
            "properties": {"p": {"additionalProperties": {"type": "x"}, "dependencies": {"d": ["e"], "f": {"type": "y"}}}}}),
        ),
        ("resource.v1.DeviceRequest", json!({"name": "n"})),
    ];
    for (name, object) in rows {
        let bytes = encode_message(&object, shape(name));
        assert_eq!(decode(&bytes, shape(name)).unwrap(), object, "{name}");
    }
}

#[test]
fn envelopes_within_raw_fields_are_opened() {
    let inner = encode(
        &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}),
        shape("core.v1.ConfigMap"),
    );
    let mut event = Vec::new();
    wire::string(&mut event, 1, "ADDED");
    let mut raw = Vec::new();
    wire::bytes(&mut raw, 1, &inner);
    wire::bytes(&mut event, 2, &raw);
    let decoded = decode(&event, shape("meta.v1.WatchEvent")).unwrap();
    assert_eq!(decoded["object"]["metadata"]["name"], "x");
    assert_eq!(decoded["object"]["kind"], "ConfigMap");
}

#[test]
fn broken_bodies_are_refused() {
    assert_eq!(open(b"{}"), Err(ProtoError::Magic));
    assert_eq!(open(b"k8s\0\x12\x05ab"), Err(ProtoError::Truncated));
    assert_eq!(decode(b"\x0a\x02\x08\x01", shape("core.v1.ConfigMap")), Err(ProtoError::WireType(0)));
    // Unknown numbers are skipped.
    assert_eq!(decode(b"\xf8\x07\x01\xfa\x07\x01x", shape("core.v1.ConfigMap")), Ok(json!({})));
}

/// A random value of a type; small, so that thousands fit in a second.
fn random(rng: &mut TestRng, ty: Type, depth: usize) -> Value {
    let count = 1 + rng.next_u32() % 2;
    match ty {
        Type::Pointer(inner) => random(rng, *inner, depth),
        Type::Bool => (rng.next_u32() % 2 == 1).into(),
        Type::Int32 => i32::from_le_bytes(rng.next_u32().to_le_bytes()).into(),
        Type::Int64 => i64::from_le_bytes(rng.next_u64().to_le_bytes()).into(),
        Type::Uint8 => (rng.next_u32() % 256).into(),
        Type::Float64 => 0.5.into(),
        Type::String => ["", "a", "Ü<&>"][rng.next_u32() as usize % 3].into(),
        Type::Bytes => ["", "AA==", "AAEC"][rng.next_u32() as usize % 3].into(),
        Type::Any => json!({"a": [1, null]}),
        Type::List(inner) => (0..count).map(|_| random(rng, *inner, depth + 1)).collect(),
        Type::Map(map) => {
            (0..count).map(|i| (format!("k{i}"), random(rng, map.value, depth + 1))).collect::<Map<_, _>>().into()
        }
        Type::Shape(id) => match id.get().body {
            Body::Alias(to) => random(rng, to, depth),
            Body::Special(special) => match special {
                Special::Time => "2026-11-21T09:13:17Z".into(),
                Special::MicroTime => "2026-11-21T09:13:17.000120Z".into(),
                Special::Duration => "1m30s".into(),
                Special::Quantity => ["0", "1500m", "1Gi"][rng.next_u32() as usize % 3].into(),
                Special::IntOrString => {
                    [json!(0), json!(8080), json!("10%"), json!("")][rng.next_u32() as usize % 4].clone()
                }
                Special::Fields | Special::Raw => json!({"f:x": {".": {}}}),
                Special::SchemaOrBool => false.into(),
                Special::SchemaOrArray => json!([{"type": "a"}]),
                Special::SchemaOrStringArray => json!(["a"]),
            },
            Body::Struct => random_object(rng, id.get(), depth + 1),
        },
    }
}

fn random_object(rng: &mut TestRng, shape: &Shape, depth: usize) -> Value {
    let mut object = Map::new();
    let on_wire = |f: &&FieldDef| f.proto != 0 && f.name != "-";
    for field in shape.fields.iter().filter(on_wire) {
        if field.inline {
            if let Some(inner) = field.ty.as_struct() {
                object.extend(random_object(rng, inner, depth).as_object().cloned().unwrap_or_default());
            }
        } else if rng.next_u32().is_multiple_of(if depth < 4 { 3 } else { 40 }) && depth < 9 {
            object.insert(field.name.to_owned(), random(rng, field.ty, depth));
        }
    }
    Value::Object(object)
}

/// Empty lists and maps do not exist on the protobuf wire.
fn without_empty(value: Value, shape: &Shape) -> Value {
    let bytes = json::encode(&value, shape);
    fn strip(v: &mut Value) {
        match v {
            Value::Object(m) => {
                m.values_mut().for_each(strip);
                m.retain(|_, v| *v != Value::Array(Vec::new()));
            }
            Value::Array(a) => a.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = json::decode(&bytes, shape, Strictness::Strict).unwrap().0;
    strip(&mut value);
    normalise(&mut value, shape);
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn objects_of_every_shape_survive_both_wires(pick in any::<prop::sample::Index>(), seed in any::<[u8; 32]>()) {
        let shapes: Vec<&Shape> = table().shapes().iter().filter(|s| s.body == Body::Struct).collect();
        let shape = shapes[pick.index(shapes.len())];
        let mut rng = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        let object = without_empty(random_object(&mut rng, shape, 0), shape);
        let back = decode(&encode_message(&object, shape), shape).unwrap();
        prop_assert_eq!(without_empty(back, shape), object, "{}", shape.name);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80), pick in any::<prop::sample::Index>()) {
        let shapes = table().shapes();
        let shape = &shapes[pick.index(shapes.len())];
        let _ = open(&bytes);
        if let Ok(object) = decode(&bytes, shape) {
            let _ = encode_message(&object, shape);
            let _ = json::encode(&object, shape);
        }
    }
}
