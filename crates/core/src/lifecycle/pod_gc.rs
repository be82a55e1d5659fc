//! Pods that nobody will finish: their node is gone, or will not come back (R132, R133).

use std::collections::BTreeMap;

use crate::model::{Millis, NodeName, Pod, Uid};

/// How often pods are looked over.
pub const PERIOD: Millis = Millis::from_secs(20);
/// How long a pod's node must be missing. Upstream waits 40 s, because it looks every 20 s and at a cache; here the deletion
/// itself starts the clock and a live read confirms it, so a few seconds for a node that is put back are enough.
pub const QUARANTINE: Millis = Millis::from_secs(5);
/// Terminal pods kept in the whole cluster.
pub const TERMINAL_MAX: usize = 12_500;

/// What is known of a pod's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not bound to a node.
    Unbound,
    /// Its node exists.
    Present {
        /// Not ready and tainted `node.kubernetes.io/out-of-service`.
        out_of_service: bool,
    },
    /// No such node.
    Missing,
}

/// Why a pod is removed by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Terminating on a node that is out of service.
    OutOfService,
    /// Its node is missing; confirm with a live read, then mark it with `DisruptionTarget`.
    NodeGone,
    /// Terminating and never bound.
    Unscheduled,
}

/// Missing nodes, and since when.
#[derive(Debug, Default)]
pub struct Quarantine {
    since: BTreeMap<NodeName, Millis>,
}

impl Quarantine {
    /// A pod names this node and it is missing. True when it has been missing for long enough.
    pub fn is_over(&mut self, node: &NodeName, now: Millis) -> bool {
        let since = *self.since.entry(node.clone()).or_insert(now);
        now.since(since) >= QUARANTINE
    }

    /// The node is back, or its last pod is gone.
    pub fn release(&mut self, node: &NodeName) {
        self.since.remove(node);
    }

    /// When the next quarantine ends.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        self.since.values().min().map(|since| since.plus(QUARANTINE))
    }

    /// The quarantined nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.since.keys()
    }
}

/// R132: whether this pod must go. `Missing` nodes are the quarantine's business first.
#[must_use]
pub fn judge(pod: &Pod, place: Place) -> Option<Cause> {
    match place {
        Place::Unbound if pod.is_terminating() => Some(Cause::Unscheduled),
        Place::Present { out_of_service: true } if pod.is_terminating() => Some(Cause::OutOfService),
        Place::Missing => Some(Cause::NodeGone),
        Place::Unbound | Place::Present { .. } => None,
    }
}

/// R132 (1): the terminal pods beyond the limit, oldest first.
pub fn excess<'a>(terminal: impl Iterator<Item = &'a Pod>, limit: usize) -> Vec<(Millis, Uid)> {
    let mut pods: Vec<(Millis, Uid)> = terminal.map(|pod| (pod.created, pod.uid.clone())).collect();
    let excess = pods.len().saturating_sub(limit);
    if excess == 0 {
        return Vec::new();
    }
    pods.sort();
    pods.truncate(excess);
    pods
}
