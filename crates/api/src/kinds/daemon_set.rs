//! DaemonSet: defaults (R9–R11), the hidden template generation (R7, R14, R15), validation (R22–R27).

use std::num::IntErrorKind;

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, ErrorType, Path};
use crate::kinds::pod::{self, validate::nonnegative};
use crate::kinds::{go_struct, quoted};
use crate::names;
use crate::quote::go_quote;
use crate::strategy::{Context, Strategy};
use crate::value::{Read, same, set, set_default, set_entry};

/// Where the template generation lives on the wire.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The strategy of DaemonSets.
#[derive(Debug)]
pub struct DaemonSet;

/// The one [`DaemonSet`].
pub static DAEMON_SET: DaemonSet = DaemonSet;

impl Strategy for DaemonSet {
    fn readable(&self, set_object: &Object) -> Result<(), String> {
        let Some(text) = set_object.entry("metadata.annotations", TEMPLATE_GENERATION) else { return Ok(()) };
        text.parse::<i64>().map(drop).map_err(|error| {
            let why = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.ParseInt: parsing {}: {why}", go_quote(text))
        })
    }

    fn default(&self, set_object: &mut Object) {
        // A spec that was left out is an empty one, and told so for what it lacks.
        set_default(set_object, "spec", json!({}));
        pod::default_template(set_object, "spec.template");
        let Some(spec) = set_object.get_mut("spec").filter(|s| s.is_object()) else { return };
        if spec.text_or_empty("updateStrategy.type").is_empty() {
            set(spec, "updateStrategy.type", "RollingUpdate");
        }
        if spec.text("updateStrategy.type") == Some("RollingUpdate") {
            set_default(spec, "updateStrategy.rollingUpdate", json!({}));
            set_default(spec, "updateStrategy.rollingUpdate.maxUnavailable", 1);
            set_default(spec, "updateStrategy.rollingUpdate.maxSurge", 0);
        }
        set_default(spec, "revisionHistoryLimit", 10);
        if set_object.entry("metadata.annotations", TEMPLATE_GENERATION).is_none() {
            // The wire form always shows it, so who writes a set owns it (A152).
            set_template_generation(set_object, 0);
        }
    }

    fn prepare_for_create(&self, object: &mut Object, _context: &Context<'_>) {
        let given = template_generation(object).max(1);
        set_template_generation(object, given);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object, context: &Context<'_>) {
        let mut generation = template_generation(old);
        if context.subresource.is_empty() && !same(new.at("spec.template"), old.at("spec.template")) {
            generation += 1;
        }
        set_template_generation(new, generation);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        validate_spec(object, None, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        if subresource == "status" {
            return validate_status(new, old);
        }
        let mut errors = Vec::new();
        if !same(new.at("spec.selector"), old.at("spec.selector")) {
            errors.push(pod::template::selector_immutable(new));
        }
        validate_spec(new, Some(old), &mut errors);
        errors
    }

    fn warnings(&self, new: &Object, old: Option<&Object>, subresource: &str) -> Vec<String> {
        let changed = old.is_none_or(|old| template_generation(old) != template_generation(new));
        if subresource.is_empty() && changed { pod::warnings::of_template(new, "spec.template") } else { Vec::new() }
    }
}

/// The template generation of a set, 0 if it has none.
fn template_generation(object: &Object) -> i64 {
    object.entry("metadata.annotations", TEMPLATE_GENERATION).and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut Object, generation: i64) {
    set_entry(object, "metadata.annotations", TEMPLATE_GENERATION, generation.to_string());
}

fn validate_spec(object: &Object, old: Option<&Object>, errors: &mut Vec<Error>) {
    static NONE: Value = Value::Null;
    let at = Path::new("spec");
    let spec = object.at("spec").unwrap_or(&NONE);
    pod::validate_selector(spec, old.and_then(|old| old.at("spec.selector")), &at, "daemonset", errors);
    let template_at = at.child("template");
    pod::validate::template(spec.at("template").unwrap_or(&NONE), &template_at, errors);
    let pod_at = template_at.child("spec");
    let restart = spec.text_or_empty("template.spec.restartPolicy");
    if restart != "Always" {
        errors.push(Error::not_supported(&pod_at.child("restartPolicy"), restart, &["Always"]));
    }
    if spec.at("template.spec.activeDeadlineSeconds").is_some() {
        let why = "activeDeadlineSeconds in DaemonSet is not Supported";
        errors.push(Error::forbidden(&pod_at.child("activeDeadlineSeconds"), why));
    }
    nonnegative(errors, spec, "minReadySeconds", &at);
    let generation = template_generation(object);
    if generation < 0 {
        let why = "must be greater than or equal to 0";
        errors.push(Error::invalid(&at.child("templateGeneration"), generation, why));
    }
    update_strategy(spec, &at.child("updateStrategy"), errors);
    nonnegative(errors, spec, "revisionHistoryLimit", &at);
}

fn update_strategy(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    match spec.text_or_empty("updateStrategy.type") {
        "OnDelete" => {}
        "RollingUpdate" => match spec.at("updateStrategy.rollingUpdate") {
            Some(rolling) => rolling_update(rolling, &at.child("rollingUpdate"), errors),
            None => errors.push(Error::required(&at.child("rollingUpdate"), "")),
        },
        other => {
            let rolling = spec.at("updateStrategy.rollingUpdate").cloned().unwrap_or(Value::Null);
            let shown = go_struct([("Type", json!(other)), ("RollingUpdate", rolling)].into_iter());
            errors.push(Error {
                kind: ErrorType::NotSupported,
                detail: "supported values: \"RollingUpdate\", \"OnDelete\"".to_owned(),
                ..quoted(at, shown, "")
            });
        }
    }
}

fn rolling_update(rolling: &Value, at: &Path, errors: &mut Vec<Error>) {
    let fields = ["maxUnavailable", "maxSurge"];
    for field in fields {
        positive_or_percent(rolling, field, at, errors);
    }
    for field in fields {
        at_most_whole(rolling, field, at, errors);
    }
    let amount = |field| amount(rolling.get(field));
    match (amount("maxUnavailable") != 0, amount("maxSurge") != 0) {
        (true, true) => {
            let surge = rolling["maxSurge"].clone();
            let why = "may not be set when maxUnavailable is non-zero";
            errors.push(Error::invalid(&at.child("maxSurge"), surge, why));
        }
        (false, false) => {
            errors.push(Error::required(&at.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
        }
        _ => {}
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn positive_or_percent(owner: &Value, member: &str, at: &Path, errors: &mut Vec<Error>) {
    match owner.get(member) {
        Some(Value::String(text)) => {
            pod::validate::invalid(errors, &at.child(member), text, names::percent(text));
        }
        Some(Value::Number(_)) => nonnegative(errors, owner, member, at),
        _ => {}
    }
}

/// A percentage of at most 100.
pub(super) fn at_most_whole(owner: &Value, member: &str, at: &Path, errors: &mut Vec<Error>) {
    let Some(text) = owner.text(member).filter(|t| names::percent(t).is_empty()) else { return };
    if amount(Some(&Value::from(text))) > 100 {
        errors.push(Error::invalid(&at.child(member), text, "must not be greater than 100%"));
    }
}

/// The number, or the percentage's number. A text that is no percentage counts as the number that it spells, or as 0: it has
/// been refused, and is not to be taken for a zero as well.
pub(super) fn amount(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::String(text)) if names::percent(text).is_empty() => {
            text.strip_suffix('%').and_then(|n| n.parse().ok()).unwrap_or(i64::MAX)
        }
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    }
}

fn validate_status(new: &Object, old: &Object) -> Vec<Error> {
    let at = Path::new("status");
    let mut errors = Vec::new();
    let Some(status) = new.at("status") else { return errors };
    for member in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        nonnegative(&mut errors, status, member, &at);
    }
    if let Some(before) = old.int("status.collisionCount") {
        let now = status.int("collisionCount");
        if now.is_none_or(|now| now < before) {
            let shown = now.map_or(Value::Null, Value::from);
            errors.push(Error::invalid(&at.child("collisionCount"), shown, "cannot be decremented"));
        }
    }
    errors
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::tests::CONTEXT;

    #[test]
    fn a_template_change_counts_in_both_generations() {
        // R14, R15, R7.
        let row = crate::registry::find("apps", "v1", "daemonsets").unwrap_or_else(|| panic!("no row"));
        let mut set_object = json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
            "status": {"numberReady": 3}});
        row.strategy.default(&mut set_object);
        assert_eq!(crate::write::before_create(row, &mut set_object, &CONTEXT), Ok(vec![]));
        assert_eq!(set_object["metadata"]["generation"], 1);
        assert_eq!(set_object["metadata"]["annotations"][TEMPLATE_GENERATION], "1");
        assert!(set_object.get("status").is_none());
        let old = set_object.clone();
        let change = |path: &str, value: Value| {
            let mut new = old.clone();
            set(&mut new, path, value);
            set(&mut new, "metadata.annotations", json!({}));
            assert_eq!(crate::write::before_update(row, &mut new, &old, &CONTEXT), Ok(vec![]), "{path}");
            (new["metadata"]["generation"].clone(), new["metadata"]["annotations"][TEMPLATE_GENERATION].clone())
        };
        assert_eq!(change("spec.template.spec.nodeName", json!("n")), (json!(2), json!("2")));
        assert_eq!(change("spec.minReadySeconds", json!(5)), (json!(2), json!("1")));
        assert_eq!(change("metadata.labels", json!({"x": "y"})), (json!(1), json!("1")));
        assert_eq!(change("status", json!({"numberReady": 1})), (json!(1), json!("1")));
    }
}
