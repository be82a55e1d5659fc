//! The catalogue's cases of the API layer (T86–T97), one test each. The recorded sessions 03–05 judge the exact words.

use serde_json::{Value, json};

use crate::codec::{Strictness, json as codec};
use crate::field::Error;
use crate::kinds::daemon_set::TEMPLATE_GENERATION;
use crate::kinds::tests::CONTEXT;
use crate::registry::find;
use crate::resource::{Resource, Verb};
use crate::schema;
use crate::strategy::Context;
use crate::value::{Read, remove, set};
use crate::write::{before_create, before_update};

const MAX_UNAVAILABLE: &str = "spec.updateStrategy.rollingUpdate.maxUnavailable";

fn context(subresource: &'static str) -> Context<'static> {
    Context { subresource, ..CONTEXT }
}

fn row(plural: &str) -> &'static Resource {
    find("apps", "v1", plural).unwrap_or_else(|| panic!("no row {plural}"))
}

fn sent() -> Value {
    json!({"metadata": {"name": "a", "namespace": "ns"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

/// What a client sends, but for some changes; a null takes something away.
fn but(changes: &[(&str, Value)]) -> Value {
    changed(sent(), changes)
}

fn changed(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        if value.is_null() {
            drop(remove(&mut object, path));
        } else {
            set(&mut object, path, value.clone());
        }
    }
    object
}

fn shown(errors: Vec<Error>) -> Vec<String> {
    errors.iter().map(|error| format!("{}: {}", error.field, error.body())).collect()
}

fn created(mut object: Value) -> Result<Value, Vec<String>> {
    row("daemonsets").strategy.default(&mut object);
    before_create(row("daemonsets"), &mut object, &context("")).map_err(shown)?;
    Ok(object)
}

/// The namespace is the request's, whatever the object says.
fn outside_of_a_namespace(plural: &str, mut object: Value) -> Vec<String> {
    drop(remove(&mut object, "metadata.namespace"));
    row(plural).strategy.default(&mut object);
    before_create(row(plural), &mut object, &Context { namespace: "", ..context("") })
        .err()
        .map(shown)
        .unwrap_or_default()
}

fn stored() -> Value {
    created(sent()).expect("a valid set")
}

fn updated(changes: &[(&str, Value)], subresource: &'static str) -> Result<Value, Vec<String>> {
    update(&stored(), changes, subresource)
}

fn update(old: &Value, changes: &[(&str, Value)], subresource: &'static str) -> Result<Value, Vec<String>> {
    let mut new = changed(old.clone(), changes);
    row("daemonsets").strategy.default(&mut new);
    before_update(row("daemonsets"), &mut new, old, &context(subresource)).map_err(shown)?;
    Ok(new)
}

fn first_field(errors: &[String]) -> &str {
    errors.first().and_then(|error| error.split(": ").next()).unwrap_or_default()
}

fn generation(object: &Value) -> (i64, &str) {
    let hidden = object.entry("metadata.annotations", TEMPLATE_GENERATION).unwrap_or_default();
    (object.int("metadata.generation").unwrap_or_default(), hidden)
}

#[test]
fn t86_what_may_be_created_and_changed() {
    assert!(created(sent()).is_ok());
    assert!(created(but(&[("spec.selector", json!({}))])).is_err());
    let mut undefaulted = sent();
    assert!(before_create(row("daemonsets"), &mut undefaulted, &context("")).is_err(), "no strategy");
    assert!(updated(&[("spec.template.spec.nodeSelector", json!({"disk": "ssd"}))], "").is_ok());
    assert!(updated(&[("spec.template.spec.dnsPolicy", json!("Default"))], "").is_ok());
    assert!(updated(&[("metadata.name", json!(""))], "").is_err());
    assert!(updated(&[("spec.template.spec.restartPolicy", json!("OnFailure"))], "").is_err());
}

/// The rest of T87 is every kind's: see `server/tests/it`.
#[test]
fn t87_a_status_write_changes_the_status_and_short_names_are_ds() {
    let row = row("daemonsets");
    assert_eq!(row.short_names, ["ds"]);
    let changes = [("status", json!({"numberReady": 3})), ("spec.minReadySeconds", json!(7))];
    let new = updated(&changes, "status").expect("a status write");
    assert_eq!(new["status"]["numberReady"], 3);
    assert_eq!(new["spec"], stored()["spec"]);
    let new = updated(&changes, "").expect("a write");
    assert_eq!(new.get("status"), stored().get("status"));
    assert_eq!(new["spec"]["minReadySeconds"], 7);
}

#[test]
fn t88_a_selector_stays_and_a_bad_stored_one_may_stay() {
    let other = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]});
    let errors = updated(&[("spec.selector", other)], "").expect_err("immutable");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("spec.selector: Invalid value: ") && errors[0].ends_with(": field is immutable"));
    let bad =
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["-1"]}]});
    let errors = created(but(&[("spec.selector", bad.clone())])).expect_err("a bad value");
    assert_eq!(first_field(&errors), "spec.selector.matchExpressions[0].values[0]");
    let old = changed(stored(), &[("spec.selector", bad)]);
    assert!(update(&old, &[], "").is_ok(), "nothing has changed");
    assert!(update(&old, &[("spec.minReadySeconds", json!(1))], "").is_ok());
}

#[test]
fn t89_valid_updates_and_what_they_count() {
    let more = json!([{"name": "c", "image": "j"}]);
    for (changes, expect) in [
        (vec![], (1, "1")),
        (vec![("spec.template.spec.containers", more)], (2, "2")),
        (vec![("spec.updateStrategy", json!({"type": "OnDelete"}))], (2, "1")),
        (vec![("spec.template.spec.nodeName", json!("n"))], (2, "2")),
        (vec![("spec.template.metadata.labels", json!({"a": "b", "c": "d"}))], (2, "2")),
        (vec![("metadata.labels", json!({"x": "y"}))], (1, "1")),
        (vec![("spec.selector", json!({"matchLabels": {"a": "b"}}))], (1, "1")),
    ] {
        let new = updated(&changes, "").unwrap_or_else(|errors| panic!("{changes:?}: {errors:?}"));
        assert_eq!(generation(&new), expect, "{changes:?}");
    }
}

/// R15: a client's template generation is not looked at, so the three refusals about it cannot be reached.
#[test]
fn t90_updates_that_are_refused_and_with_how_many_errors() {
    let selector = |labels: Value| json!({"matchLabels": labels});
    let bad = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "x", "operator": "Near"}]});
    for (changes, expect) in [
        (
            vec![("spec.selector", selector(json!({"a": "b", "c": "d"})))],
            &["spec.selector", "spec.template.metadata.labels"][..],
        ),
        (vec![("spec.selector", bad)], &["spec.selector", "spec.selector.matchExpressions[0].operator"]),
        (vec![("spec.template.spec.containers", json!([]))], &["spec.template.spec.containers"]),
        (vec![("spec.updateStrategy", json!({"type": "Random"}))], &["spec.updateStrategy"]),
    ] {
        let errors = updated(&changes, "").expect_err("refused");
        let fields: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
        assert_eq!(fields, expect, "{changes:?}: {errors:?}");
    }
    let errors = updated(&[("metadata.name", json!("b"))], "").expect_err("refused");
    assert!(
        errors.iter().all(|error| error == "metadata.name: Invalid value: \"b\": field is immutable"),
        "{errors:?}"
    );
    for given in ["-1", "0", "7"] {
        let marked = json!({TEMPLATE_GENERATION: given});
        let new = updated(&[("metadata.annotations", marked.clone())], "").expect("not looked at");
        assert_eq!(generation(&new), (1, "1"), "{given}");
        let new = updated(&[("metadata.annotations", marked), ("spec.template.spec.nodeName", json!("n"))], "");
        assert_eq!(generation(&new.expect("not looked at")), (2, "2"), "{given}");
    }
}

#[test]
fn t91_a_status_is_not_negative_and_collisions_do_not_go_back() {
    let counters = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    let mut all = json!({});
    for counter in counters {
        let errors = updated(&[("status", json!({counter: -1}))], "status").expect_err("negative");
        let expect = format!("status.{counter}: Invalid value: -1: must be greater than or equal to 0");
        assert_eq!(errors, [expect]);
        all[counter] = json!(-1);
    }
    assert_eq!(updated(&[("status", all)], "status").expect_err("negative").len(), counters.len());
    let status = json!({"numberReady": 1, "desiredNumberScheduled": 2, "collisionCount": 1});
    let old = updated(&[("status", status)], "status").expect("valid");
    for (after, is_valid) in [(json!(0), false), (Value::Null, false), (json!(1), true), (json!(2), true)] {
        let new = update(&old, &[("status.collisionCount", after.clone())], "status");
        assert_eq!(new.is_ok(), is_valid, "{after}");
    }
}

#[test]
fn t92_creations_that_are_refused() {
    let template = |path: &str| format!("spec.template.{path}");
    let spec = |path: &str| format!("spec.template.spec.{path}");
    let guest = json!([{"name": "e", "image": "i"}]);
    for (path, value, field) in [
        ("metadata.name".to_owned(), Value::Null, "metadata.name"),
        ("spec.selector".to_owned(), Value::Null, "spec.template.metadata.labels"),
        ("spec.selector".to_owned(), json!({}), "spec.selector"),
        ("spec.selector".to_owned(), json!({"matchLabels": {"a": "c"}}), "spec.template.metadata.labels"),
        ("spec.template".to_owned(), Value::Null, "spec.template.metadata.labels"),
        ("metadata.labels".to_owned(), json!({"NoUppercaseOrSpecialCharsLike=Equals": "bar"}), "metadata.labels"),
        (
            "metadata.annotations".to_owned(),
            json!({"NoUppercaseOrSpecialCharsLike=Equals": "bar"}),
            "metadata.annotations",
        ),
        (template("metadata.labels"), json!({"a": "b", "no=": "x"}), "spec.template.labels"),
        (spec("restartPolicy"), json!("OnFailure"), "spec.template.spec.restartPolicy"),
        (spec("restartPolicy"), json!("Never"), "spec.template.spec.restartPolicy"),
        (spec("ephemeralContainers"), guest, "spec.template.spec.ephemeralContainers"),
    ] {
        let errors = created(but(&[(path.as_str(), value)])).expect_err(&path);
        assert_eq!(first_field(&errors), field, "{path}: {errors:?}");
    }
    assert_eq!(first_field(&outside_of_a_namespace("daemonsets", sent())), "metadata.namespace");
    assert!(created(but(&[("metadata.name", json!("abc-123"))])).is_ok());
    let ports = json!([{"name": "c", "image": "i", "ports": [{"containerPort": 12345, "protocol": "TCP"}]}]);
    let host = [("spec.template.spec.hostNetwork", json!(true)), ("spec.template.spec.containers", ports)];
    assert!(created(but(&host)).is_ok(), "its ports are the host's by default");
}

#[test]
fn t93_unavailable_and_surge() {
    let at = |member: &str| format!("spec.updateStrategy.rollingUpdate.{member}");
    for (unavailable, surge, refused) in [
        (json!(0), json!(0), "maxUnavailable"),
        (json!("0%"), json!(0), "maxUnavailable"),
        (json!(1), json!(1), "maxSurge"),
        (json!("1%"), json!("1%"), "maxSurge"),
        (json!("101%"), json!(0), "maxUnavailable"),
        (json!(0), json!("101%"), "maxSurge"),
        (json!(-1), json!(0), "maxUnavailable"),
        (json!(0), json!(-1), "maxSurge"),
        (json!("5"), json!(0), "maxUnavailable"),
        (json!("99999999999999999999%"), json!(0), "maxUnavailable"),
        (json!(1), json!(0), ""),
        (json!(0), json!(1), ""),
        (json!("10%"), json!(0), ""),
        (json!(0), json!("100%"), ""),
    ] {
        let rolling = json!({"maxUnavailable": unavailable, "maxSurge": surge});
        let errors = created(but(&[("spec.updateStrategy.rollingUpdate", rolling.clone())])).err().unwrap_or_default();
        let expect = if refused.is_empty() { String::new() } else { at(refused) };
        assert_eq!(first_field(&errors), expect, "{rolling}: {errors:?}");
    }
}

/// R24, R25: a text that is no percentage is refused once, or twice where it spells no number either.
#[test]
fn a_text_counts_as_the_number_it_spells() {
    for (unavailable, errors) in [("5", 1), ("-5", 1), ("-1%", 2), ("1.5%", 2), ("", 2), ("0", 2)] {
        let rolling = json!({"maxUnavailable": unavailable, "maxSurge": 0});
        let got = created(but(&[("spec.updateStrategy.rollingUpdate", rolling)])).err().unwrap_or_default();
        assert_eq!(got.len(), errors, "{unavailable}: {got:?}");
    }
}

/// R9, R23: what is left out is empty, not missing.
#[test]
fn a_set_without_a_spec_is_told_what_it_lacks() {
    let errors = created(but(&[("spec", Value::Null)])).expect_err("nothing in it");
    let expect = [
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        "spec.template.spec.containers: Required value",
    ];
    assert_eq!(errors, expect);
}

/// R7: the hidden field is a number.
#[test]
fn a_template_generation_that_is_no_number_cannot_be_read() {
    for (text, why) in [
        ("7", None),
        ("x", Some("invalid syntax")),
        ("", Some("invalid syntax")),
        ("9999999999999999999", Some("value out of range")),
    ] {
        let marked = but(&[("metadata.annotations", json!({TEMPLATE_GENERATION: text}))]);
        let expect = why.map(|why| format!("strconv.ParseInt: parsing \"{text}\": {why}"));
        assert_eq!(row("daemonsets").strategy.readable(&marked).err(), expect);
    }
}

#[test]
fn t94_what_is_filled_in() {
    let plain = created(but(&[("metadata.labels", Value::Null)])).expect("valid");
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    assert_eq!(plain["spec"]["updateStrategy"], rolling);
    assert_eq!(plain["spec"]["revisionHistoryLimit"], 10);
    assert!(plain["metadata"].get("labels").is_none(), "those of the template are the template's");
    let kept = created(but(&[("spec.revisionHistoryLimit", json!(1))])).expect("valid");
    assert_eq!(kept["spec"]["revisionHistoryLimit"], 1);
    let manual = created(but(&[("spec.updateStrategy", json!({"type": "OnDelete"}))])).expect("valid");
    assert_eq!(manual["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
}

#[test]
fn t95_what_goes_through_the_codec_comes_out() {
    let shape = schema::table().shape("apps.v1.DaemonSet").expect("a shape");
    for amount in [json!(0), json!(2), json!("0%"), json!("25%"), json!("100%")] {
        let surge = if amount == json!(0) || amount == json!("0%") { json!(1) } else { json!(0) };
        let rolling = json!({"maxUnavailable": amount, "maxSurge": surge});
        let set_object = but(&[
            ("spec.updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": rolling})),
            ("metadata.annotations", json!({TEMPLATE_GENERATION: "12"})),
        ]);
        let bytes = codec::encode(&set_object, shape);
        let (back, warnings) = codec::decode(&bytes, shape, Strictness::Strict).expect("decodes");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(back.at(MAX_UNAVAILABLE), Some(&amount));
        assert_eq!(back["spec"]["updateStrategy"], set_object["spec"]["updateStrategy"]);
        // R7, R14: the hidden field is the annotation, and a client may set it out ahead.
        assert_eq!(generation(&created(back).expect("valid")), (1, "12"));
    }
}

#[test]
fn t96_revisions_are_made_and_keep_their_data() {
    let row = row("controllerrevisions");
    assert!(row.namespaced && !row.create_on_update && row.allows(Verb::Create));
    let revision = json!({"metadata": {"name": "r", "namespace": "ns"}, "data": {"spec": {}}, "revision": 1});
    let create = |changes: &[(&str, Value)]| {
        let mut object = changed(revision.clone(), changes);
        before_create(row, &mut object, &context("")).map_err(shown)
    };
    assert!(create(&[]).is_ok());
    for (path, value) in
        [("revision", json!(-1)), ("metadata.name", Value::Null), ("metadata.name", json!("A_")), ("data", Value::Null)]
    {
        let errors = create(&[(path, value.clone())]).expect_err(path);
        assert_eq!(first_field(&errors), path, "{value}: {errors:?}");
    }
    assert_eq!(first_field(&outside_of_a_namespace("controllerrevisions", revision.clone())), "metadata.namespace");
    let update = |changes: &[(&str, Value)]| {
        let mut new = changed(revision.clone(), changes);
        before_update(row, &mut new, &revision, &context("")).map_err(shown)
    };
    assert!(update(&[]).is_ok());
    assert!(update(&[("revision", json!(2))]).is_ok());
    assert_eq!(first_field(&update(&[("data.spec", json!({"a": 1}))]).expect_err("immutable")), "data");
}

/// R150.
#[test]
fn t97_a_set_in_a_table() {
    let status = json!({"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1,
        "updatedNumberScheduled": 2, "numberAvailable": 0});
    let containers = json!([{"name": "one", "image": "a:1"}, {"name": "two", "image": "b:2"}]);
    let object = but(&[
        ("metadata.creationTimestamp", json!("1970-01-01T00:00:00Z")),
        ("spec.selector", json!({"matchLabels": {"foo": "bar"}})),
        ("spec.template.spec.containers", containers),
        ("status", status),
    ]);
    let printer = row("daemonsets").printer;
    let cells = (printer.cells)(&object, jiff::Timestamp::UNIX_EPOCH);
    let expect = json!(["a", 3, 2, 1, 2, 0, "<none>", "0s", "one,two", "a:1,b:2", "foo=bar"]);
    assert_eq!(Value::from(cells), expect);
    let columns: Vec<(&str, bool)> = printer.columns.iter().map(|column| (column.name, column.priority > 0)).collect();
    let narrow = ["Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"];
    let wide = ["Containers", "Images", "Selector"];
    let expect: Vec<_> = narrow.map(|name| (name, false)).into_iter().chain(wide.map(|name| (name, true))).collect();
    assert_eq!(columns, expect);
}
