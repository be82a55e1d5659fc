//! Request bodies in three forms, and what is said of wrong ones.

use serde_json::json;

use super::*;

fn expected(group: &'static str, version: &'static str, kind: &'static str) -> Expected<'static> {
    Expected { group, version, kind, shape: table().kind(group, version, kind) }
}

fn config_map() -> Expected<'static> {
    expected("", "v1", "ConfigMap")
}

fn message(body: &str, expected: &Expected<'_>) -> String {
    let status = decode(body.as_bytes(), Media::Json, expected, Strictness::Strict).unwrap_err();
    assert_eq!(status.code(), 400);
    assert_eq!(status.details(), None);
    status.message().to_owned()
}

#[test]
fn refusals_are_in_upstreams_words() {
    // A117, A-T15, A-T16, A-T17, golden http/13, http/14.
    let cm = config_map();
    let rows = [
        (
            "{nope",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key string ({nope)",
        ),
        (
            "",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
        ),
        (
            "abc",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'a' looking for beginning of value (616263)",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}"#,
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            r#"{"apiVersion":"v7","kind":"ConfigMap"}"#,
            "ConfigMap in version \"v7\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v7\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Foo"}"#,
            "Foo in version \"v1\" cannot be handled as a ConfigMap: no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","name":"y"}}"#,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"metadata.name\"",
        ),
        (
            r#"{"apiVersion":"v1","kind":"List","items":[]}"#,
            "List in version \"v1\" cannot be handled as a ConfigMap: converting (v1.List) to (core.ConfigMap): unknown conversion",
        ),
    ];
    for (body, expect) in rows {
        assert_eq!(message(body, &cm), expect);
    }
    let ds = expected("apps", "v1", "DaemonSet");
    assert_eq!(
        message(r#"{"apiVersion":"apps/v1","kind":"DaemonSet","spec":{"minReadySeconds":"a"}}"#, &ds),
        "DaemonSet in version \"v1\" cannot be handled as a DaemonSet: json: cannot unmarshal string into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32"
    );
    assert_eq!(
        message(r#"{"apiVersion":"apps/v1beta2","kind":"DaemonSet"}"#, &ds),
        "the API version in the data (apps/v1beta2) does not match the expected API version (apps/v1)"
    );
}

#[test]
fn kind_and_version_may_be_left_to_the_url() {
    // A58, golden http/13.
    let body = br#"{"metadata":{"name":"bare"},"data":{"a":"b"},"x":1}"#;
    let decoded = decode(body, Media::Json, &config_map(), Strictness::Warn).unwrap();
    assert_eq!(
        decoded.object,
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "bare"}, "data": {"a": "b"}})
    );
    assert_eq!(decoded.warnings, ["unknown field \"x\""]);
    let custom = Expected { group: "x.io", version: "v1", kind: "Foo", shape: None };
    assert!(
        message("{}", &custom)
            .starts_with("the object provided is unrecognized (must be of type Foo): Object 'Kind' is missing in '{}'")
    );
    let given = br#"{"kind":"Foo","apiVersion":"x.io/v1","spec":{"a":null}}"#;
    assert_eq!(decode(given, Media::Json, &custom, Strictness::Strict).unwrap().object["spec"], json!({"a": null}));
}

#[test]
fn all_three_forms_give_one_object() {
    let ds = expected("apps", "v1", "DaemonSet");
    let yaml = b"apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: yaml\nspec:\n  selector:\n    matchLabels: {app: yaml}\n";
    let from_yaml = decode(yaml, Media::Yaml, &ds, Strictness::Strict).unwrap().object;
    let bytes = json::encode(&from_yaml, ds.shape.unwrap());
    assert_eq!(decode(&bytes, Media::Json, &ds, Strictness::Strict).unwrap().object, from_yaml);
    let message = proto::encode(&from_yaml, ds.shape.unwrap());
    assert_eq!(decode(&message, Media::Protobuf, &ds, Strictness::Strict).unwrap().object, from_yaml);
    let wrong = decode(b"{}", Media::Protobuf, &ds, Strictness::Strict).unwrap_err();
    assert!(
        wrong.message().contains("(must be of type DaemonSet): provided data does not appear to be a protobuf message"),
        "{wrong}"
    );
}

#[test]
fn delete_options_are_read_generously() {
    // A76.
    let read = |body: &str| decode_delete_options(body.as_bytes(), Media::Json);
    assert_eq!(read(""), Ok(None));
    let options = read(
        r#"{"apiVersion":"apps/v1","kind":"DeleteOptions","propagationPolicy":"Orphan","gracePeriodSeconds":0,"foo":1}"#,
    );
    assert_eq!(options.unwrap().unwrap()["propagationPolicy"], "Orphan");
    assert_eq!(
        read(r#"{"apiVersion":"v1","kind":"Pod"}"#).unwrap_err().message(),
        "no kind \"Pod\" is registered for version \"v1\" in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
    );
}
