//! Where a pod may go: affinity, tolerations, spread.

use std::collections::BTreeSet;

use serde_json::Value;

use super::invalid;
use super::security::supported;
use crate::field::{Error, Path};
use crate::kinds::{go_struct, quoted};
use crate::names;
use crate::selector::structured;
use crate::value::Read;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The effects of taints, in upstream's order.
pub const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `affinity` of a pod spec.
pub(super) fn affinity(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("affinity");
    if let Some(node) = spec.at("affinity.nodeAffinity") {
        node_affinity(node, &at.child("nodeAffinity"), errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = spec.at(&format!("affinity.{kind}")) {
            pod_affinity(pods, &at.child(kind), errors);
        }
    }
}

fn weight(term: &Value, at: &Path, errors: &mut Vec<Error>) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(&at.child("weight"), weight, "must be in the range 1-100"));
    }
}

fn node_affinity(affinity: &Value, at: &Path, errors: &mut Vec<Error>) {
    if let Some(required) = affinity.at(REQUIRED) {
        let at = at.child(REQUIRED).child("nodeSelectorTerms");
        let terms = required.list("nodeSelectorTerms");
        if terms.is_empty() {
            errors.push(Error::required(&at, "must have at least one node selector term"));
        }
        for (i, term) in terms.iter().enumerate() {
            validate_node_selector_term(term, &at.index(i), errors);
        }
    }
    for (i, term) in affinity.list(PREFERRED).iter().enumerate() {
        let at = at.child(PREFERRED).index(i);
        weight(term, &at, errors);
        if let Some(preference) = term.at("preference") {
            // Values that are none may stand here: such a term weighs nothing.
            node_selector_term(preference, false, &at.child("preference"), errors);
        }
    }
}

/// One term of a node selector.
pub fn validate_node_selector_term(term: &Value, at: &Path, errors: &mut Vec<Error>) {
    node_selector_term(term, true, at, errors);
}

fn node_selector_term(term: &Value, values_too: bool, at: &Path, errors: &mut Vec<Error>) {
    for (i, requirement) in term.list("matchExpressions").iter().enumerate() {
        let at = at.child("matchExpressions").index(i);
        let values = requirement.list("values");
        match requirement.text_or_empty("operator") {
            "In" | "NotIn" if values.is_empty() => {
                errors
                    .push(Error::required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(Error::forbidden(&at.child("values"), why));
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(Error::required(&at.child("values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.push(Error::invalid(&at.child("operator"), other, "not a valid selector operator")),
        }
        let key = requirement.text_or_empty("key");
        invalid(errors, &at.child("key"), key, names::label_key(key));
        for (j, value) in values.iter().filter_map(Value::as_str).enumerate().filter(|_| values_too) {
            invalid(errors, &at.child("values").index(j), value, names::label_value(value));
        }
    }
    for (i, requirement) in term.list("matchFields").iter().enumerate() {
        match_field(requirement, &at.child("matchFields").index(i), errors);
    }
}

fn match_field(requirement: &Value, at: &Path, errors: &mut Vec<Error>) {
    let values = requirement.list("values");
    match requirement.text_or_empty("operator") {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(Error::required(&at.child("values"), why));
            }
        }
        other => errors.push(Error::invalid(&at.child("operator"), other, "not a valid selector operator")),
    }
    let key = requirement.text_or_empty("key");
    if key != "metadata.name" {
        errors.push(Error::invalid(&at.child("key"), key, "not a valid field selector key"));
        return;
    }
    for (i, name) in values.iter().filter_map(Value::as_str).enumerate() {
        invalid(errors, &at.child("values").index(i), name, names::subdomain(name));
    }
}

fn pod_affinity(affinity: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, term) in affinity.list(REQUIRED).iter().enumerate() {
        pod_affinity_term(term, &at.child(REQUIRED).index(i), errors);
    }
    for (i, term) in affinity.list(PREFERRED).iter().enumerate() {
        let at = at.child(PREFERRED).index(i);
        weight(term, &at, errors);
        if let Some(term) = term.at("podAffinityTerm") {
            pod_affinity_term(term, &at.child("podAffinityTerm"), errors);
        }
    }
}

fn pod_affinity_term(term: &Value, at: &Path, errors: &mut Vec<Error>) {
    for selector in ["labelSelector", "namespaceSelector"] {
        if let Some(value) = term.at(selector) {
            structured::validate(value, &at.child(selector), errors);
        }
    }
    for name in term.list("namespaces").iter().filter_map(Value::as_str) {
        invalid(errors, &at.child("namespace"), name, names::label(name));
    }
    label_keys(term, at, errors);
    let key = term.text_or_empty("topologyKey");
    if key.is_empty() {
        errors.push(Error::required(&at.child("topologyKey"), "can not be empty"));
    }
    invalid(errors, &at.child("topologyKey"), key, names::label_key(key));
}

/// Keys whose values a pod brings itself; they need a selector to go into.
fn label_keys(term: &Value, at: &Path, errors: &mut Vec<Error>) {
    let keys = |member: &str| term.list(member).iter().filter_map(Value::as_str);
    for member in ["matchLabelKeys", "mismatchLabelKeys"] {
        let field = at.child(member);
        if term.at("labelSelector").is_none() {
            if keys(member).next().is_some() {
                errors.push(Error::forbidden(&field, "must not be specified when labelSelector is not set"));
            }
            continue;
        }
        for (i, key) in keys(member).enumerate() {
            invalid(errors, &field.index(i), key, names::label_key(key));
        }
    }
    let mut selected: BTreeSet<&str> =
        term.map("labelSelector.matchLabels").into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    for key in term.list("labelSelector.matchExpressions").iter().map(|e| e.text_or_empty("key")) {
        if let Some(i) = keys("matchLabelKeys").position(|k| k == key).filter(|_| selected.contains(key)) {
            // The index stands behind the term's own: as upstream has it.
            errors.push(Error::invalid(&at.index(i), key, "exists in both matchLabelKeys and labelSelector"));
        }
        selected.insert(key);
    }
    for (i, key) in keys("matchLabelKeys").enumerate().filter(|(_, key)| keys("mismatchLabelKeys").any(|k| k == *key)) {
        let why = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(Error::invalid(&at.child("matchLabelKeys").index(i), key, why));
    }
}

/// `tolerations` of a pod spec or a runtime class.
pub(in crate::kinds) fn tolerations(tolerations: &[Value], at: &Path, errors: &mut Vec<Error>) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let at = at.index(i);
        let text = |member: &str| toleration.text_or_empty(member);
        let (key, operator, value, effect) = (text("key"), text("operator"), text("value"), text("effect"));
        if !key.is_empty() {
            invalid(errors, &at.child("key"), key, names::label_key(key));
        } else if operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&at.child("operator"), operator, why));
        }
        if toleration.at("tolerationSeconds").is_some() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&at.child("effect"), effect, why));
        }
        match operator {
            "Equal" | "" => {
                let texts = names::label_value(value);
                if !texts.is_empty() {
                    errors.push(Error::invalid(&at.child("operator"), value, texts.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let why = "value must be empty when `operator` is 'Exists'";
                    errors.push(quoted(&at.child("operator"), internal(toleration), why));
                }
            }
            other => errors.push(Error::not_supported_in_order(&at.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.push(Error::not_supported_in_order(&at.child("effect"), effect, EFFECTS));
        }
    }
}

/// A toleration as upstream quotes it: the members of its internal type.
fn internal(toleration: &Value) -> String {
    let text = |member: &str| Value::from(toleration.text_or_empty(member));
    let seconds = toleration.get("tolerationSeconds").cloned().unwrap_or(Value::Null);
    let members =
        [("Key", text("key")), ("Operator", text("operator")), ("Value", text("value")), ("Effect", text("effect"))];
    go_struct(members.into_iter().chain([("TolerationSeconds", seconds)]))
}

/// `topologySpreadConstraints`.
pub(super) fn spread(constraints: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let kind = |constraint: &Value| {
        (constraint.text_or_empty("topologyKey").to_owned(), constraint.text_or_empty("whenUnsatisfiable").to_owned())
    };
    for (i, constraint) in constraints.iter().enumerate() {
        let at = at.index(i);
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(Error::invalid(&at.child("maxSkew"), skew, "must be greater than zero"));
        }
        let (key, when) = (constraint.text_or_empty("topologyKey"), constraint.text_or_empty("whenUnsatisfiable"));
        if key.is_empty() {
            errors.push(Error::required(&at.child("topologyKey"), "can not be empty"));
        }
        if !matches!(when, "DoNotSchedule" | "ScheduleAnyway") {
            let supported = &["DoNotSchedule", "ScheduleAnyway"];
            errors.push(Error::not_supported(&at.child("whenUnsatisfiable"), when, supported));
        }
        // It is the first of two alike that is reported.
        if constraints[i + 1..].iter().any(|later| kind(later) == kind(constraint)) {
            let pair = format!("{{{key}, {when}}}");
            errors.push(Error::duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), pair));
        }
        if let Some(domains) = constraint.int("minDomains") {
            let field = at.child("minDomains");
            if domains <= 0 {
                errors.push(Error::invalid(&field, domains, "must be greater than zero"));
            }
            if when != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.push(Error::invalid(&field, domains, why));
            }
        }
        supported(errors, constraint, "nodeAffinityPolicy", &at, &["Honor", "Ignore"]);
        supported(errors, constraint, "nodeTaintsPolicy", &at, &["Honor", "Ignore"]);
        let keys = constraint.list("matchLabelKeys");
        let field = at.child("matchLabelKeys");
        if !keys.is_empty() && constraint.at("labelSelector").is_none() {
            errors.push(Error::forbidden(&field, "must not be specified when labelSelector is not set"));
        }
        for (j, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            invalid(errors, &field.index(j), key, names::label_key(key));
        }
        if let Some(selector) = constraint.at("labelSelector") {
            structured::validate(selector, &at.child("labelSelector"), errors);
        }
    }
}
