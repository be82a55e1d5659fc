//! Node: what a machine says of itself and what others mark on it (A340–A345).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, ErrorType, Path};
use crate::kinds::pod::validate::{EFFECTS, amount_of, invalid};
use crate::kinds::{go_struct, quoted};
use crate::names;
use crate::strategy::{Context, Durability, Strategy};
use crate::value::{Read, remove, same, set};

/// The strategy of nodes.
#[derive(Debug)]
pub struct Node;

/// The one [`Node`].
pub static NODE: Node = Node;

impl Strategy for Node {
    fn default(&self, node: &mut Object) {
        if node.at("status.allocatable").is_none()
            && let Some(capacity) = node.at("status.capacity").cloned()
        {
            set(node, "status.allocatable", capacity);
        }
        for list in ["capacity", "allocatable"] {
            crate::kinds::pod::defaults::round_up(node.pointer_mut(&format!("/status/{list}")));
        }
        let first = node.list("spec.podCIDRs").first().cloned();
        match (node.text_or_empty("spec.podCIDR").to_owned(), first) {
            (given, Some(first)) if given.is_empty() => set(node, "spec.podCIDR", first),
            (given, first) if !given.is_empty() && first.as_ref().and_then(Value::as_str) != Some(&given) => {
                // The field that holds one is what was meant where the two disagree.
                set(node, "spec.podCIDRs", json!([given]));
            }
            _ => {}
        }
    }

    fn prepare_for_update(&self, new: &mut Object, _old: &Object, context: &Context<'_>) {
        if context.subresource.is_empty() {
            drop(remove(new, "spec.configSource"));
        }
    }

    fn validate(&self, node: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        taints(node, &mut errors);
        amounts(node, &mut errors);
        cidrs(node, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = self.validate(new);
        // Upstream checks the taints of an update twice.
        taints(new, &mut errors);
        addresses(new, &mut errors);
        let at = Path::new("spec");
        let changed_once = |member: &str| {
            let path = format!("spec.{member}");
            old.at(&path).is_some_and(|old| !crate::value::is_zero(old)) && !same(new.at(&path), old.at(&path))
        };
        if changed_once("podCIDRs") {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(Error::forbidden(&at.child("podCIDRs"), why));
        }
        if changed_once("providerID") {
            let why = "node updates may not change providerID except from \"\" to valid";
            errors.push(Error::forbidden(&at.child("providerID"), why));
        }
        if changed_once("externalID") {
            errors.push(Error::forbidden(&at.child("externalID"), "may not be updated"));
        }
        errors
    }

    fn select(&self, node: &Object, field: &str) -> Option<String> {
        (field == "spec.unschedulable").then(|| node.is_true("spec.unschedulable").to_string())
    }

    /// A heartbeat that changes nothing but its own times is durable lazily.
    fn durability(&self, new: &Object, old: Option<&Object>, subresource: &str) -> Durability {
        let heartbeat = subresource == "status" && old.is_some_and(|old| same(Some(&still(new)), Some(&still(old))));
        if heartbeat { Durability::Lazy } else { Durability::Now }
    }
}

/// The node without what every heartbeat changes.
fn still(node: &Object) -> Object {
    let mut node = node.clone();
    for condition in node.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        drop(remove(condition, "lastHeartbeatTime"));
    }
    for member in ["resourceVersion", "managedFields"] {
        drop(remove(&mut node, &format!("metadata.{member}")));
    }
    node
}

/// Upstream reports taints at `metadata.taints`.
fn taints(node: &Object, errors: &mut Vec<Error>) {
    let at = Path::new("metadata.taints");
    let mut seen = BTreeSet::new();
    for (i, taint) in node.list("spec.taints").iter().enumerate() {
        let at = at.index(i);
        let (key, value, effect) =
            (taint.text_or_empty("key"), taint.text_or_empty("value"), taint.text_or_empty("effect"));
        invalid(errors, &at.child("key"), key, names::label_key(key));
        let texts = names::label_value(value);
        if !texts.is_empty() {
            errors.push(Error::invalid(&at.child("value"), value, texts.join(";")));
        }
        match effect {
            "" => errors.push(Error::required(&at.child("effect"), "")),
            effect if EFFECTS.contains(&effect) => {}
            effect => errors.push(Error::not_supported_in_order(&at.child("effect"), effect, EFFECTS)),
        }
        if !seen.insert((key, effect)) {
            let time = taint.get("timeAdded").cloned().unwrap_or(Value::Null);
            let members =
                [("Key", json!(key)), ("Value", json!(value)), ("Effect", json!(effect)), ("TimeAdded", time)];
            let why = "taints must be unique by key and effect pair";
            let shown = quoted(&at, go_struct(members.into_iter()), why);
            errors.push(Error { kind: ErrorType::Duplicate, ..shown });
        }
    }
}

fn amounts(node: &Object, errors: &mut Vec<Error>) {
    for list in ["capacity", "allocatable"] {
        let at = Path::new("status").child(list);
        for (name, amount) in node.map(&format!("status.{list}")).into_iter().flatten() {
            amount_of(name, amount, &at.key(name), errors);
        }
    }
}

fn cidrs(node: &Object, errors: &mut Vec<Error>) {
    let at = Path::new("spec.podCIDRs");
    let list = node.list("spec.podCIDRs");
    for (i, cidr) in list.iter().filter_map(Value::as_str).enumerate() {
        invalid(errors, &at.index(i), cidr, names::cidr(cidr));
    }
    let sixes = list.iter().filter_map(Value::as_str).filter(|c| c.contains(':')).count();
    if list.len() > 2 || (list.len() == 2 && sixes != 1) {
        let why = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(&at, Value::from(list), why));
    }
}

fn addresses(node: &Object, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, address) in node.list("status.addresses").iter().enumerate() {
        if !seen.insert((address.text_or_empty("type"), address.text_or_empty("address"))) {
            errors.push(Error::duplicate(&Path::new("status.addresses").index(i), address.clone()));
        }
    }
}
