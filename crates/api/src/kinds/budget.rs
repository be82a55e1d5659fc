//! PodDisruptionBudget (A430).

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::daemon_set::{at_most_whole, positive_or_percent};
use crate::kinds::pod::validate::nonnegative;
use crate::kinds::{go_struct, quoted};
use crate::selector::structured;
use crate::strategy::Strategy;
use crate::value::Read;

/// The strategy of disruption budgets.
#[derive(Debug)]
pub struct Budget;

/// The one [`Budget`].
pub static BUDGET: Budget = Budget;

impl Strategy for Budget {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        let Some(spec) = object.at("spec") else { return errors };
        let member = |name: &str| spec.get(name).cloned().unwrap_or(Value::Null);
        if !member("minAvailable").is_null() && !member("maxUnavailable").is_null() {
            let shown = go_struct(
                [
                    ("MinAvailable", member("minAvailable")),
                    ("Selector", member("selector")),
                    ("MaxUnavailable", member("maxUnavailable")),
                    ("UnhealthyPodEvictionPolicy", member("unhealthyPodEvictionPolicy")),
                ]
                .into_iter(),
            );
            errors.push(quoted(&at, shown, "minAvailable and maxUnavailable cannot be both set"));
        }
        for bound in ["minAvailable", "maxUnavailable"] {
            positive_or_percent(spec, bound, &at, &mut errors);
            at_most_whole(spec, bound, &at, &mut errors);
        }
        if let Some(selector) = spec.at("selector") {
            structured::validate(selector, &at.child("selector"), &mut errors);
        }
        let policy = spec.text_or_empty("unhealthyPodEvictionPolicy");
        let policies = &["AlwaysAllow", "IfHealthyBudget"];
        if !policy.is_empty() && !policies.contains(&policy) {
            errors.push(Error::not_supported(&at.child("unhealthyPodEvictionPolicy"), json!(policy), policies));
        }
        errors
    }

    fn validate_update(&self, new: &Object, _old: &Object, subresource: &str) -> Vec<Error> {
        if subresource != "status" {
            return self.validate(new);
        }
        let at = Path::new("status");
        let mut errors = Vec::new();
        for member in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            if let Some(status) = new.at("status") {
                nonnegative(&mut errors, status, member, &at);
            }
        }
        errors
    }
}
