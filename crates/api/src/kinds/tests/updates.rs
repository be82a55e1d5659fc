//! One row per refusal of a change: what is stored, what is changed, and the words for it.

use serde_json::{Value, json};

use super::CONTEXT;
use crate::registry::find;
use crate::strategy::Context;
use crate::value::set;
use crate::write::{before_create, before_update};

/// The errors of one change of a stored object.
fn refusals(plural: &str, mut old: Value, subresource: &'static str, path: &str, value: &Value) -> Vec<String> {
    let row = find("", "v1", plural).unwrap_or_else(|| panic!("no row {plural}"));
    row.strategy.default(&mut old);
    before_create(row, &mut old, &CONTEXT).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut new = old.clone();
    set(&mut new, path, value.clone());
    row.strategy.default(&mut new);
    let errors = before_update(row, &mut new, &old, &Context { subresource, ..CONTEXT }).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn gated() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}], "schedulingGates": [{"name": "g"}],
        "nodeSelector": {"x": "y"}, "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}}}}})
}

#[test]
fn a_pod_at_its_gates_is_only_sent_to_fewer_nodes() {
    // A320.
    let terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (k, l) = (json!({"key": "k", "operator": "Exists"}), json!({"key": "l", "operator": "Exists"}));
    let rows: Vec<(&str, Value, Vec<String>)> = vec![
        ("spec.nodeSelector", json!({"x": "y", "z": "w"}), vec![]),
        (
            "spec.nodeSelector",
            json!({"x": "q"}),
            vec!["spec.nodeSelector: Invalid value: {\"x\":\"q\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)".to_owned()],
        ),
        (terms, json!([{"matchExpressions": [k, l]}]), vec![]),
        (
            terms,
            json!([{"matchExpressions": [l]}]),
            vec![format!("{terms}[0]: Invalid value: {{\"matchExpressions\":[{{\"key\":\"l\",\"operator\":\"Exists\"}}]}}: only additions are allowed (no mutations or deletions)")],
        ),
        (
            terms,
            json!([]),
            vec![
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Invalid value: []: no additions/deletions to non-empty NodeSelectorTerms list are allowed".to_owned(),
            ],
        ),
        (
            "spec.schedulingGates",
            json!([{"name": "h"}]),
            vec!["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'h'".to_owned()],
        ),
    ];
    for (path, value, expect) in rows {
        assert_eq!(refusals("pods", gated(), "", path, &value), expect, "{path}: {value}");
    }
}

#[test]
fn addresses_are_one_of_each_family() {
    // A322, A387: (kind, stored, subresource, path, value, the one error).
    let service = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
    let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}});
    for (plural, old, subresource, path, value, expect) in [
        (
            "pods",
            gated(),
            "status",
            "status.podIPs",
            json!([{"ip": "1.2.3.4"}, {"ip": "1.2.3.5"}]),
            "status.podIPs: Invalid value: [{\"IP\":\"1.2.3.4\"},{\"IP\":\"1.2.3.5\"}]: may specify no more than one IP for each IP family",
        ),
        (
            "pods",
            gated(),
            "status",
            "status.podIPs",
            json!([{"ip": "x"}]),
            "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            "services",
            service.clone(),
            "",
            "spec.clusterIP",
            json!("10.96.0.2"),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set",
        ),
        (
            "services",
            service,
            "",
            "spec.externalIPs",
            json!(["127.0.0.1"]),
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            "nodes",
            node.clone(),
            "",
            "spec.podCIDR",
            json!("10.0.1.0/24"),
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
        ),
        (
            "nodes",
            node,
            "status",
            "status.capacity",
            json!({"example.com/x": "1500m"}),
            "status.capacity[example.com/x]: Invalid value: \"1500m\": must be an integer",
        ),
    ] {
        let errors = refusals(plural, old, subresource, path, &value);
        assert_eq!(errors.first().map(String::as_str), Some(expect), "{plural} {path}: {value}");
    }
}
