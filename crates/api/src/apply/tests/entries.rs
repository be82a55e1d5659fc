//! The entries: reading, writing, identity, order.

use super::*;

fn entry(manager: &str, operation: &str, version: &str, time: &str) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": version, "time": time, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {}}})
}

/// A153: applies first, then by time, manager, version.
#[test]
fn a153_entries_have_one_order() {
    let sent = [
        entry("b", "Update", "v1", NOW),
        entry("a", "Update", "v1", LATER),
        entry("z", "Apply", "v1", LATER),
        entry("a", "Update", "v1beta1", NOW),
        entry("a", "Apply", "v1", LATER),
    ];
    let written = Managers::read(&sent).expect("well formed").write();
    let names: Vec<String> =
        written.iter().map(|e| format!("{} {} {}", e["manager"], e["operation"], e["apiVersion"])).collect();
    let expect = ["a Apply v1", "z Apply v1", "a Update v1beta1", "b Update v1", "a Update v1"];
    assert_eq!(
        names,
        expect.map(|text| text.split(' ').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" "))
    );
}

/// A152: the version is part of who an updater is, and not of who an applier is.
#[test]
fn a152_who_an_owner_is() {
    for (operation, count) in [("Apply", 1), ("Update", 2)] {
        let sent = [entry("m", operation, "v1", NOW), entry("m", operation, "v1beta1", NOW)];
        assert_eq!(Managers::read(&sent).expect("well formed").entries.len(), count, "{operation}");
    }
}

/// A157: what is wrong with an entry.
#[test]
fn a157_malformed_entries() {
    for (change, why) in [
        (json!({"operation": ""}), "operation must be `Apply` or `Update`"),
        (json!({"apiVersion": ""}), "apiVersion must not be empty"),
        (json!({"fieldsType": ""}), "missing fieldsType in managed fields entry"),
        (json!({"fieldsType": "FieldsV2"}), "invalid fieldsType \"FieldsV2\" in managed fields entry"),
    ] {
        let mut sent = entry("m", "Apply", "v1", NOW);
        for (name, value) in change.as_object().expect("members") {
            sent[name] = value.clone();
        }
        assert_eq!(Managers::read(&[sent]), Err(why.to_owned()));
    }
}
