//! What one node has given away.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{HostPort, Key, Millis, Node, Pod, Scheduling, Uid};
use crate::selector::Resources;

/// A pod that takes room on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Namespace and name.
    pub key: Key,
    /// What it takes, and its priority.
    pub scheduling: Arc<Scheduling>,
    /// Since when it exists.
    pub created: Millis,
    /// It is on its way out.
    pub terminating: bool,
}

/// One node's account. It exists as soon as a node or a pod names it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    pub(super) node: Option<Arc<Node>>,
    pub(super) pods: BTreeMap<Uid, Held>,
    pub(super) used: Resources,
    /// Taken ports; a pod's own entries leave with it.
    ports: Vec<(HostPort, Uid)>,
    /// Pods for which others are making room here, with their claims.
    pub(super) nominated: BTreeMap<Uid, Arc<Scheduling>>,
}

impl Seat {
    pub(super) fn put(&mut self, uid: Uid, held: Held) {
        self.take(&uid);
        self.used.add(&held.scheduling.requests);
        self.ports.extend(held.scheduling.host_ports.iter().map(|port| (port.clone(), uid.clone())));
        self.pods.insert(uid, held);
    }

    pub(super) fn take(&mut self, uid: &Uid) -> Option<Held> {
        let held = self.pods.remove(uid)?;
        self.used.subtract(&held.scheduling.requests);
        self.ports.retain(|(_, owner)| owner != uid);
        Some(held)
    }

    pub(super) fn is_unused(&self) -> bool {
        self.node.is_none() && self.pods.is_empty() && self.nominated.is_empty()
    }

    /// Claims of pods that come before this one.
    fn claims<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Arc<Scheduling>> {
        self.nominated
            .iter()
            .filter(|(uid, claim)| **uid != pod.uid && claim.priority >= pod.scheduling.priority)
            .map(|(_, claim)| claim)
    }

    pub(super) fn has_port_conflict(&self, pod: &Pod) -> bool {
        pod.scheduling.host_ports.iter().any(|wanted| {
            self.ports.iter().any(|(taken, owner)| *owner != pod.uid && ports_conflict(taken, wanted))
                || self.claims(pod).any(|claim| claim.host_ports.iter().any(|taken| ports_conflict(taken, wanted)))
        })
    }

    /// What is used as far as this pod is concerned, and by how many pods.
    pub(super) fn used_against<'a>(&'a self, pod: &'a Pod) -> (Cow<'a, Resources>, usize) {
        let mut used = Cow::Borrowed(&self.used);
        let mut pods = self.pods.len();
        for claim in self.claims(pod) {
            used.to_mut().add(&claim.requests);
            pods += 1;
        }
        if let Some(own) = self.pods.get(&pod.uid) {
            used.to_mut().subtract(&own.scheduling.requests);
            pods -= 1;
        }
        (used, pods)
    }
}

/// R137: same protocol and port, and the same address or one that means all.
fn ports_conflict(one: &HostPort, other: &HostPort) -> bool {
    let all = |port: &HostPort| port.ip.is_empty() || &*port.ip == "0.0.0.0";
    one.port == other.port && one.protocol == other.protocol && (all(one) || all(other) || one.ip == other.ip)
}
