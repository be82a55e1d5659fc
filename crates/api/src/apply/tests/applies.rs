//! Applies: conflicts, force, sharing, letting go, refusals.

use super::*;
use crate::value::set;

fn refusal(result: Result<(), Status>) -> (u16, String) {
    let status = result.expect_err("a refusal");
    (status.code(), status.message().to_owned())
}

/// A150: one conflict in one line, several by manager; an update names its version; the causes have the fields.
#[test]
fn a150_conflicts_name_owners_and_fields() {
    let mut live = Live::config_map();
    live.apply("bob", &data(&json!({"a": "1", "b": "1"})), false).expect("made");
    live.update("al", |object| set(object, "data.c", "1"));
    live.update_through("ctl", "status", |object| set(object, "data.d", "1"));
    let one = refusal(live.apply("x", &data(&json!({"a": "2"})), false));
    assert_eq!(one, (409, "Apply failed with 1 conflict: conflict with \"bob\": .data.a".to_owned()));
    let status =
        live.apply("x", &data(&json!({"a": "2", "b": "2", "c": "2", "d": "2"})), false).expect_err("conflicts");
    assert_eq!(
        status.message(),
        "Apply failed with 4 conflicts: conflicts with \"al\" using v1:\n- .data.c\nconflicts with \"bob\":\n- .data.a\n- .data.b\n\
         conflicts with \"ctl\" with subresource \"status\" using v1:\n- .data.d"
    );
    let causes = &status.details().expect("details").causes;
    assert_eq!(causes.len(), 4);
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!((causes[1].message.as_str(), causes[1].field.as_str()), ("conflict with \"bob\"", ".data.a"));
}

/// A150, A151: force takes the fields from their owners; an owner of nothing disappears.
#[test]
fn a151_force_takes() {
    let mut live = Live::config_map();
    live.apply("m1", &data(&json!({"a": "1", "b": "1"})), false).expect("made");
    live.apply("m2", &data(&json!({"a": "2"})), true).expect("forced");
    assert_eq!(live.at("data"), json!({"a": "2", "b": "1"}));
    assert_eq!(live.fields_of("m1 Apply"), json!({"f:data": {"f:b": {}}}));
    assert_eq!(live.fields_of("m2 Apply"), json!({"f:data": {"f:a": {}}}));
    live.apply("m2", &data(&json!({"a": "2", "b": "3"})), true).expect("forced");
    assert_eq!(live.owners().len(), 1);
}

/// A151: what a manager applies no more goes if nobody else owns it, and stays for who does.
#[test]
fn a151_what_is_let_go_goes_unless_shared() {
    let mut live = Live::config_map();
    live.apply("m1", &data(&json!({"mine": "1", "shared": "1"})), false).expect("made");
    live.apply("m2", &data(&json!({"shared": "1", "theirs": "1"})), false).expect("shared");
    live.update("kept", |object| set(object, "data.kept", "1"));
    live.apply("m1", &data(&json!({})), false).expect("let go");
    assert_eq!(live.at("data"), json!({"shared": "1", "theirs": "1", "kept": "1"}));
    live.apply("m2", &json!({"apiVersion": "v1", "kind": "ConfigMap"}), false).expect("let go");
    assert_eq!(live.at("data"), json!({"kept": "1"}));
}

/// A151: a keyed element goes with its last owner, and only then.
#[test]
fn a151_elements_live_as_long_as_they_are_owned() {
    let mut live = Live::daemon_set();
    let env = |names: &[&str]| {
        let env: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "v"})).collect();
        containers(&json!([{"name": "main", "env": env}]))
    };
    live.apply("alice", &env(&["A", "S"]), false).expect("made");
    live.apply("bob", &env(&["B", "S"]), false).expect("beside");
    let names = |live: &Live| -> Vec<String> {
        let containers = live.at("spec.template.spec.containers");
        containers[0].list("env").iter().map(|e| e.text_or_empty("name").to_owned()).collect()
    };
    // The live order stands, new elements follow.
    assert_eq!(names(&live), ["A", "B", "S"]);
    live.apply("alice", &env(&[]), false).expect("let go");
    assert_eq!(names(&live), ["B", "S"]);
    live.apply("bob", &containers(&json!([])), false).expect("let go");
    assert_eq!(live.at("spec.template.spec.containers"), json!([{"name": "main"}]), "alice still claims the container");
}

/// A140, A151: the order of merged lists. Live first; where both disagree about what they share, the intent's order.
#[test]
fn a151_merged_lists_keep_an_order() {
    for (live, wanted, merged) in [
        ("", "ab", "ab"),
        ("ab", "", "ab"),
        ("ab", "c", "abc"),
        ("ab", "b", "ab"),
        ("ab", "ba", "ba"),
        ("abc", "xb", "axbc"),
        ("abc", "cb", "acb"),
        ("abcd", "dxa", "bcdxa"),
    ] {
        let list = |names: &str| -> Value {
            let items: Vec<Value> = names.chars().map(|n| json!(format!("x/{n}"))).collect();
            json!({"metadata": {"finalizers": items}})
        };
        let result = super::super::merge::merge(shape("core.v1.ConfigMap"), &list(live), &list(wanted));
        let got: String =
            result.list("metadata.finalizers").iter().filter_map(|v| v.as_str()?.chars().last()).collect();
        assert_eq!(got, merged, "{live} and {wanted}");
    }
}

/// A151, A153: the time moves when the object changes by this manager's doing, and is unknown if it never did.
#[test]
fn a153_times_say_when_the_object_changed() {
    let mut live = Live::config_map();
    let time = |live: &Live, manager: &str| {
        let entries = live.at("metadata.managedFields");
        entries.as_array().into_iter().flatten().find(|e| e["manager"] == manager).map(|e| e["time"].clone())
    };
    live.apply("m1", &data(&json!({"a": "1"})), false).expect("made");
    live.now = LATER;
    live.apply("m2", &data(&json!({"a": "1"})), false).expect("agrees");
    live.apply("m1", &data(&json!({"a": "1"})), false).expect("again");
    assert_eq!((time(&live, "m1"), time(&live, "m2")), (Some(json!(NOW)), Some(Value::Null)));
    live.apply("m1", &data(&json!({"a": "1", "b": "1"})), false).expect("more");
    assert_eq!(time(&live, "m1"), Some(json!(LATER)));
    // Who has no time comes first.
    assert_eq!(live.owners()[0].0, "m2 Apply");
}

/// A156: what the endpoint resets is neither owned nor in conflict.
#[test]
fn a156_reset_fields_leave_no_trace() {
    let mut live = Live::daemon_set();
    let mut with_status = containers(&json!([{"name": "main"}]));
    set(&mut with_status, "status.numberReady", 3);
    live.apply("m1", &with_status, false).expect("made");
    assert!(live.fields_of("m1 Apply").get("f:status").is_none());
    let mut only_status = set_of(&json!({}));
    set(&mut only_status, "status.numberReady", 4);
    live.apply("m2", &only_status, false).expect("no conflict");
    assert_eq!(live.fields_of("m2 Apply"), json!({"f:spec": {}}));
}

/// A146, A149: refusals, with upstream's codes and words.
#[test]
fn a149_misfits_are_refused() {
    let of = |spec: Value| set_of(&spec);
    let failed = "failed to create typed patch object (/web; apps/v1, Kind=DaemonSet): ";
    let cases = [
        (json!({}), 400, "invalid object type: /, Kind=".to_owned()),
        (json!({"apiVersion": "v1", "kind": "Pod"}), 400, "invalid object type: /v1, Kind=Pod".to_owned()),
        (
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"managedFields": []}}),
            400,
            "metadata.managedFields must be nil".to_owned(),
        ),
        (of(json!({"foo": 1})), 500, format!("{failed}.spec.foo: field not declared in schema")),
        (
            of(json!({"minReadySeconds": "x"})),
            500,
            format!("{failed}.spec.minReadySeconds: expected numeric (int or float), got string"),
        ),
        (
            of(json!({"template": {"spec": {"hostNetwork": "yes"}}})),
            500,
            format!("{failed}.spec.template.spec.hostNetwork: expected boolean, got &{{yes}}"),
        ),
        (
            of(json!({"template": {"spec": {"dnsPolicy": 1}}})),
            500,
            format!("{failed}.spec.template.spec.dnsPolicy: expected string, got &value.valueUnstructured{{Value:1}}"),
        ),
        (
            containers(&json!({"a": 1})),
            500,
            format!("{failed}.spec.template.spec.containers: expected list, got &{{map[a:1]}}"),
        ),
        (
            containers(&json!([{"name": "c"}, {"name": "c"}])),
            500,
            format!("{failed}.spec.template.spec.containers: duplicate entries for key [name=\"c\"]"),
        ),
        (
            containers(&json!([{"image": "i"}])),
            500,
            format!(
                "{failed}.spec.template.spec.containers: element 0: associative list with keys has an element that omits key field \"name\" \
                 (and doesn't have default value)"
            ),
        ),
        (
            of(json!({"minReadySeconds": "x", "revisionHistoryLimit": true})),
            500,
            format!(
                "{failed}errors:\n  .spec.minReadySeconds: expected numeric (int or float), got string\n  .spec.revisionHistoryLimit: \
                 expected numeric (int or float), got bool"
            ),
        ),
    ];
    for (intent, code, message) in cases {
        assert_eq!(refusal(Live::daemon_set().apply("m", &intent, false)), (code, message), "{intent}");
    }
}

/// A157: the first apply to an object that nobody tracks gives what is there to nobody in particular.
#[test]
fn a157_what_was_there_before() {
    let mut live = Live::config_map();
    live.store(&data(&json!({"a": "1", "b": "1"})));
    live.apply("m", &data(&json!({"a": "1"})), false).expect("applied");
    assert_eq!(live.fields_of("m Apply"), json!({"f:data": {"f:a": {}}}));
    assert_eq!(live.fields_of("before-first-apply Update"), json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
}

/// A158: what kubectl applied on the client's side is its own, as long as nobody changed it; the annotation follows.
#[test]
fn a158_kubectl_takes_its_past_along() {
    const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let mut live = Live::config_map();
    let past =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "1"}});
    live.update("kubectl-client-side-apply", |object| {
        *object = past.clone();
        crate::value::set_entry(object, "metadata.annotations", LAST, past.to_string());
    });
    let wanted = data(&json!({"a": "2", "b": "2"}));
    assert_eq!(refusal(live.apply("helm", &wanted, false)).0, 409, "others have no such past");
    live.update("other", |object| set(object, "data.b", "x"));
    let (_, message) = refusal(live.apply("kubectl", &wanted, false));
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"other\" using v1: .data.b");
    live.apply("kubectl", &data(&json!({"a": "2"})), false).expect("its own");
    assert_eq!(live.at("data"), json!({"a": "2", "b": "x"}));
    let annotation = live.at("metadata.annotations")[LAST].as_str().map(str::to_owned);
    let expect =
        "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}\n";
    assert_eq!(annotation.as_deref(), Some(expect));
}

/// A159: a null is an intent: the field is claimed and unset.
#[test]
fn a159_null_is_an_intent() {
    let mut live = Live::daemon_set();
    live.update("u", |object| *object = set_of(&json!({"minReadySeconds": 5})));
    assert_eq!(refusal(live.apply("m", &set_of(&json!({"minReadySeconds": null})), false)).0, 409);
    live.apply("m", &set_of(&json!({"minReadySeconds": null})), true).expect("forced");
    assert_eq!(live.at("spec.minReadySeconds"), Value::Null);
    assert_eq!(live.fields_of("m Apply"), json!({"f:spec": {"f:minReadySeconds": {}}}));
}
