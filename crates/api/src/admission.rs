//! What is added to objects before they are validated, and what is refused although its sender may write it: the pure
//! rules of admission (A225–A247). Each takes what it needs to know as arguments.
//!
//! Not here: where that knowledge comes from and in which order the rules run (`everynode_server::admission`).

pub mod limits;
pub mod node_restriction;
pub mod nodes;
pub mod pod_security;
pub mod priority;
pub mod quota;
pub mod runtime_class;
pub mod service_account;
pub mod tolerations;

use serde_json::Value;

/// Why an object is refused, in the words that follow `… is forbidden: `.
pub type Refusal = String;

/// All containers of a pod spec with the list that each is in.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| items(spec, list).map(move |container| (list, container)))
}

pub(crate) fn items<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(member).and_then(Value::as_array).into_iter().flatten()
}

pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
