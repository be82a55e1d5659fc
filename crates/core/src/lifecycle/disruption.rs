//! How many pods of a budget may be disturbed (A434).

use std::collections::BTreeMap;

use crate::model::{IntOrPercent, Millis, Pod};

/// An evicted pod counts as disturbed for this long after the eviction, or until it is seen to go.
pub const DISRUPTED_MAX: Millis = Millis::from_secs(120);

/// What a `PodDisruptionBudget` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This many must stay healthy.
    MinAvailable(IntOrPercent),
    /// This many may be unhealthy.
    MaxUnavailable(IntOrPercent),
}

/// Why a budget cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The controllers of these pods do not say how many there should be.
    NoScale(String),
    /// A pod without a controller.
    NoController(String),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoScale(resource) => write!(f, "{resource} does not implement the scale subresource"),
            Self::NoController(pod) => write!(f, "found no controller ref for pod {pod:?}"),
        }
    }
}

/// The numbers of a budget's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// `expectedPods`
    pub expected: i32,
    /// `desiredHealthy`
    pub desired: i32,
    /// `currentHealthy`
    pub healthy: i32,
    /// `disruptionsAllowed`
    pub allowed: i32,
    /// `disruptedPods`: those still expected to go, with the time of their eviction.
    pub disrupted: BTreeMap<String, Millis>,
}

/// Counts. `pods` are those that the budget selects; `disrupted` is what the status says so far.
pub fn count<'a>(
    wanted: Wanted,
    pods: impl Iterator<Item = &'a Pod> + Clone,
    disrupted: &BTreeMap<String, Millis>,
    now: Millis,
) -> Result<Count, Problem> {
    let all = i32::try_from(pods.clone().count()).unwrap_or(i32::MAX);
    let (expected, desired) = match wanted {
        Wanted::MinAvailable(IntOrPercent::Int(least)) => (all, least),
        // Without pods there is nothing whose scale could be asked for.
        Wanted::MinAvailable(_) | Wanted::MaxUnavailable(_) if all == 0 => (0, 0),
        Wanted::MinAvailable(_) | Wanted::MaxUnavailable(_) => return Err(unscaled(pods)),
    };
    let still: BTreeMap<String, Millis> = disrupted
        .iter()
        .filter(|(name, since)| {
            now.since(**since) < DISRUPTED_MAX
                && pods.clone().any(|pod| *pod.key.name == ***name && !pod.is_terminating())
        })
        .map(|(name, since)| (name.clone(), *since))
        .collect();
    let is_healthy = |pod: &&Pod| pod.ready.is && !pod.is_terminating() && !still.contains_key(&*pod.key.name);
    let healthy = i32::try_from(pods.clone().filter(is_healthy).count()).unwrap_or(i32::MAX);
    let allowed = if expected <= 0 { 0 } else { healthy.saturating_sub(desired).max(0) };
    Ok(Count { expected, desired, healthy, allowed, disrupted: still })
}

fn unscaled<'a>(mut pods: impl Iterator<Item = &'a Pod>) -> Problem {
    let Some(pod) = pods.next() else { return Problem::NoController(String::new()) };
    match &pod.owner {
        None => Problem::NoController(pod.key.name.to_string()),
        Some(owner) if &*owner.kind == "DaemonSet" => Problem::NoScale("daemonsets.apps".to_owned()),
        Some(owner) => Problem::NoScale(format!("{}s", owner.kind.to_lowercase())),
    }
}
