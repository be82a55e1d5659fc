//! LimitRange and ResourceQuota (A440, A442). Not here: what they limit (admission).

use serde_json::Value;

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::{self, validate::invalid};
use crate::names;
use crate::strategy::Strategy;
use crate::value::{Read, at_mut, members};

/// The strategy of limit ranges.
#[derive(Debug)]
pub struct LimitRange;

/// The one [`LimitRange`].
pub static LIMIT_RANGE: LimitRange = LimitRange;

impl Strategy for LimitRange {
    fn default(&self, range: &mut Object) {
        for limit in at_mut(range, "spec.limits").and_then(Value::as_array_mut).into_iter().flatten() {
            if limit.text("type") != Some("Container") {
                continue;
            }
            for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
                let Some(source) = limit.map(from).cloned() else { continue };
                let target = members(limit, to);
                for (name, amount) in source {
                    target.entry(name).or_insert(amount);
                }
            }
        }
    }

    fn validate(&self, range: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (i, limit) in range.list("spec.limits").iter().enumerate() {
            let field = Path::new("spec.limits").index(i).child("type");
            let kind = limit.text_or_empty("type");
            invalid(&mut errors, &field, kind, if kind.is_empty() { names::qualified_name(kind) } else { Vec::new() });
            if !seen.insert(kind) {
                errors.push(Error::duplicate(&field, kind));
            }
        }
        errors
    }
}

/// The strategy of resource quotas.
#[derive(Debug)]
pub struct ResourceQuota;

/// The one [`ResourceQuota`].
pub static RESOURCE_QUOTA: ResourceQuota = ResourceQuota;

impl Strategy for ResourceQuota {
    fn validate(&self, quota: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for (name, amount) in quota.map("spec.hard").into_iter().flatten() {
            let at = Path::new("spec.hard").key(name);
            pod::validate::resource_name(name, &at, &mut errors);
            if !name.contains('/') && !counted(name) {
                errors.push(Error::invalid(&at, name.as_str(), "must be a standard resource for quota"));
            }
            let negative =
                amount.as_str().and_then(|t| t.parse::<crate::quantity::Quantity>().ok()).is_some_and(|q| q.sign() < 0);
            if negative {
                errors.push(Error::invalid(&at, amount.clone(), "must be greater than or equal to 0"));
            }
        }
        errors
    }
}

/// Whether a quota can count this resource, of those without a prefix.
fn counted(name: &str) -> bool {
    const COUNTED: &[&str] = &[
        "configmaps",
        "cpu",
        "ephemeral-storage",
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "memory",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
        "requests.storage",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    ];
    COUNTED.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}
