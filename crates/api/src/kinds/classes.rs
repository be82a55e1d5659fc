//! PriorityClass and RuntimeClass (A405, A406).

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::{self, invalid};
use crate::names;
use crate::strategy::Strategy;
use crate::value::{Read, same, set};

/// Largest value of a class that a user makes.
const USER_MAX: i64 = 1_000_000_000;
/// The classes of the system: name, value.
pub const SYSTEM_CLASSES: &[(&str, i64, &str)] = &[
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// The strategy of priority classes.
#[derive(Debug)]
pub struct PriorityClass;

/// The one [`PriorityClass`].
pub static PRIORITY_CLASS: PriorityClass = PriorityClass;

impl Strategy for PriorityClass {
    fn metadata_checks(&self) -> usize {
        2
    }

    fn default(&self, object: &mut Object) {
        if object.text_or_empty("preemptionPolicy").is_empty() {
            set(object, "preemptionPolicy", "PreemptLowerPriority");
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let name = object.text_or_empty("metadata.name");
        let value = object.int("value").unwrap_or(0);
        if name.starts_with("system-") {
            let known = SYSTEM_CLASSES.iter().find(|(n, ..)| *n == name);
            let error = match known {
                None => Some(format!("{name} is not a known system priority class")),
                Some((_, expected, _)) if *expected != value => {
                    Some(format!("value of {name} PriorityClass must be {expected}"))
                }
                Some(_) if object.is_true("globalDefault") => {
                    Some(format!("globalDefault of {name} PriorityClass must be false"))
                }
                Some(_) => None,
            };
            if let Some(error) = error {
                let why = "priority class names with 'system-' prefix are reserved for system use only";
                errors.push(Error::forbidden(&Path::new("metadata.name"), format!("{why}. error: {error}")));
            }
        } else if value > USER_MAX {
            let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            errors.push(Error::forbidden(&Path::new("value"), why));
        }
        let policy = object.text_or_empty("preemptionPolicy");
        if !matches!(policy, "PreemptLowerPriority" | "Never") {
            let field = Path::new("preemptionPolicy");
            errors.push(Error::not_supported_in_order(&field, policy, &["PreemptLowerPriority", "Never"]));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        if new.int("value").unwrap_or(0) != old.int("value").unwrap_or(0) {
            errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        if !same(new.get("preemptionPolicy"), old.get("preemptionPolicy")) {
            let policy = new.text_or_empty("preemptionPolicy");
            errors.push(Error::invalid(&Path::new("preemptionPolicy"), policy, "field is immutable"));
        }
        errors
    }
}

/// The strategy of runtime classes.
#[derive(Debug)]
pub struct RuntimeClass;

/// The one [`RuntimeClass`].
pub static RUNTIME_CLASS: RuntimeClass = RuntimeClass;

impl Strategy for RuntimeClass {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let handler = object.text_or_empty("handler");
        invalid(&mut errors, &Path::new("handler"), handler, names::label(handler));
        let at = Path::new("scheduling");
        crate::meta::validate_labels(object.at("scheduling.nodeSelector"), &at.child("nodeSelector"), &mut errors);
        validate::tolerations(object.list("scheduling.tolerations"), &at.child("tolerations"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        if new.text("handler") != old.text("handler") {
            let handler = new.text_or_empty("handler");
            errors.push(Error::invalid(&Path::new("handler"), handler, "field is immutable"));
        }
        errors
    }
}
