//! What a set wants of every cell, whatever its node.

use std::sync::Arc;

use super::budget;
use crate::model::{Millis, Set, Strategy};

/// What a set wants of every cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The strategy is RollingUpdate.
    pub(crate) rolls: bool,
    /// R63
    pub(crate) surges: bool,
    /// `minReadySeconds`
    pub(crate) min_ready: Millis,
    /// Hash label of the current revision, once there is one.
    pub(crate) hash: Option<Arc<str>>,
    /// The template's generation.
    pub(crate) generation: Option<i64>,
    /// When the set was made: generations of pods that are not younger were counted by another set of its name (R190).
    pub(crate) born: Millis,
    /// `status.observedGeneration`, part of the back-off's key.
    pub(crate) observed: i64,
}

impl Policy {
    /// What this set wants, whose current revision has this hash.
    pub(crate) fn of(set: &Set, hash: Option<Arc<str>>) -> Self {
        Self {
            rolls: matches!(set.strategy, Strategy::RollingUpdate { .. }),
            surges: budget::surges(&set.strategy),
            min_ready: Millis::from_secs(i64::from(set.min_ready_seconds)),
            hash,
            generation: set.template_generation,
            born: set.created,
            observed: set.status.observed_generation,
        }
    }
}
