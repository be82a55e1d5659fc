//! Binding a pod to a node: the effect of `POST …/pods/⟨name⟩/binding` (A324).

use serde_json::json;

use crate::Object;
use crate::field::{Error, Path};
use crate::value::{Read, list_mut, remove, set, set_entry};

/// What is wrong with the body of a Binding.
pub fn validate(binding: &Object) -> Vec<Error> {
    let at = Path::new("target");
    let mut errors = Vec::new();
    let kind = binding.text_or_empty("target.kind");
    if !matches!(kind, "" | "Node") {
        errors.push(Error::not_supported_in_order(&at.child("kind"), kind, &["Node", "<empty>"]));
    }
    if binding.text_or_empty("target.name").is_empty() {
        errors.push(Error::required(&at.child("name"), ""));
    }
    errors
}

/// Puts the node into the pod. The error is the reason of a 409 on `pods/binding`.
pub fn apply(pod: &mut Object, binding: &Object, now: jiff::Timestamp) -> Result<(), String> {
    let name = pod.text_or_empty("metadata.name").to_owned();
    if pod.at("metadata.deletionTimestamp").is_some() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = pod.text_or_empty("spec.nodeName");
    if !node.is_empty() {
        return Err(format!("pod {name} is already assigned to node {}", crate::quote::go_quote(node)));
    }
    if !pod.list("spec.schedulingGates").is_empty() {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    set(pod, "spec.nodeName", binding.text_or_empty("target.name"));
    for map in ["metadata.annotations", "metadata.labels"] {
        for (key, value) in binding.map(map).into_iter().flatten() {
            set_entry(pod, map, key, value.clone());
        }
    }
    drop(remove(pod, "status.nominatedNodeName"));
    set_condition(pod, now);
    Ok(())
}

fn set_condition(pod: &mut Object, now: jiff::Timestamp) {
    let conditions = list_mut(pod, "status.conditions");
    let fresh = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": crate::time::format(now)});
    match conditions.iter_mut().find(|c| c.text("type") == Some("PodScheduled")) {
        Some(condition) if condition.text("status") == Some("True") => {}
        Some(condition) => *condition = fresh,
        None => conditions.push(fresh),
    }
}
