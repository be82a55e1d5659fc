//! Lease: heartbeats and locks (A400).

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::nonnegative;
use crate::strategy::{Durability, Strategy};
use crate::value::{Read, remove, same};

/// The strategy of leases.
#[derive(Debug)]
pub struct Lease;

/// The one [`Lease`].
pub static LEASE: Lease = Lease;

impl Strategy for Lease {
    fn metadata_checks(&self) -> usize {
        2
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let at = Path::new("spec");
        let mut errors = Vec::new();
        if let Some(seconds) = object.int("spec.leaseDurationSeconds").filter(|s| *s <= 0) {
            errors.push(Error::invalid(&at.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        if let Some(spec) = object.at("spec") {
            nonnegative(&mut errors, spec, "leaseTransitions", &at);
        }
        errors
    }

    /// A renewal by the same holder is durable lazily.
    fn durability(&self, new: &Object, old: Option<&Object>, _subresource: &str) -> Durability {
        let still = |lease: &Object| {
            let mut lease = lease.clone();
            for path in ["spec.renewTime", "metadata.resourceVersion", "metadata.managedFields"] {
                drop(remove(&mut lease, path));
            }
            lease
        };
        let renewal = old.is_some_and(|old| same(Some(&still(new)), Some(&still(old))));
        if renewal { Durability::Lazy } else { Durability::Now }
    }
}
