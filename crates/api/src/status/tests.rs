//! Bodies as recorded.

use super::*;

#[test]
fn bodies_are_as_recorded() {
    // A114–A134, golden http/13, http/14.
    let unsupported = field::Error::not_supported(&"dryRun".into(), json!(["Some"]), &["All"]);
    let rows = [
        (
            Status::not_found("apps", "daemonsets", "nope"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"daemonsets.apps \"nope\" not found","reason":"NotFound","details":{"name":"nope","group":"apps","kind":"daemonsets"},"code":404}"#,
        ),
        (
            Status::no_such_resource(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#,
        ),
        (
            Status::unclassified("resourceVersion should not be set on objects to be created"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"resourceVersion should not be set on objects to be created","code":500}"#,
        ),
        (
            Status::deleted("", "configmaps", "x", "u-1"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"x","kind":"configmaps","uid":"u-1"}}"#,
        ),
        (Status::created(), r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#),
        (
            Status::invalid_options("CreateOptions", vec![unsupported]),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"CreateOptions","causes":[{"reason":"FieldValueNotSupported","message":"Unsupported value: [\"Some\"]: supported values: \"All\"","field":"dryRun"}]},"code":422}"#,
        ),
        (
            Status::invalid_patch("map[dataa:map[a:2]]", "strict decoding error: unknown field \"dataa\""),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":" \"\" is invalid: patch: Invalid value: \"map[dataa:map[a:2]]\": strict decoding error: unknown field \"dataa\"","reason":"Invalid","details":{"causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"map[dataa:map[a:2]]\": strict decoding error: unknown field \"dataa\"","field":"patch"}]},"code":422}"#,
        ),
        (
            Status::internal("boom"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: boom","reason":"InternalError","details":{"causes":[{"message":"boom"}]},"code":500}"#,
        ),
    ];
    for (status, expect) in rows {
        assert_eq!(String::from_utf8(status.to_bytes()).unwrap(), expect);
    }
}

#[test]
fn repeated_errors_stand_once_in_the_message() {
    // A57.
    let e = field::Error::invalid(&"metadata.uid".into(), "x", "field is immutable");
    let status = Status::invalid("apps", "DaemonSet", "d", vec![e.clone(), e]);
    assert_eq!(
        status.message(),
        "DaemonSet.apps \"d\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable"
    );
    assert_eq!(status.details().unwrap().causes.len(), 2);
}

#[test]
fn names_and_waiting_times() {
    assert_eq!(Status::forbidden("", "configmaps", "", "no").message(), "configmaps is forbidden: no");
    assert_eq!(Status::forbidden("apps", "daemonsets", "d", "no").message(), "daemonsets.apps \"d\" is forbidden: no");
    assert_eq!(Status::no_unique_name("", "pods", "p").retry_after(), Some(1));
    assert_eq!(Status::bad_request("x").retry_after(), None);
    let gone = Status::continue_expired("tok").to_object();
    assert_eq!(gone["metadata"]["continue"], "tok");
}
