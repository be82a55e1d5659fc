//! What each node has given away, kept pod by pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::{self, Judgement, Reason, Refusal};
use super::seat::{Held, Seat};
use crate::model::{Node, NodeName, Pod, Uid};
use crate::selector::{Effect, untolerated};

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// To this node.
    On(NodeName),
    /// To none, for these reasons.
    Nowhere(Refusal),
}

/// All nodes with what they have given away.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) seats: BTreeMap<NodeName, Seat>,
    /// Where each counted pod sits.
    pods: BTreeMap<Uid, NodeName>,
    nominations: BTreeMap<Uid, NodeName>,
    nodes: usize,
}

impl Ledger {
    /// Takes the present state of a node. True when it may take pods that it did not take before.
    pub fn node_is(&mut self, node: Arc<Node>) -> bool {
        let seat = self.seats.entry(node.name.clone()).or_default();
        let changed = seat.node.as_ref().is_none_or(|before| {
            before.labels != node.labels
                || before.taints != node.taints
                || before.unschedulable != node.unschedulable
                || before.allocatable != node.allocatable
        });
        self.nodes += usize::from(seat.node.is_none());
        seat.node = Some(node);
        changed
    }

    /// The node is gone; its pods stay counted until they are gone too.
    pub fn node_gone(&mut self, name: &NodeName) {
        if let Some(seat) = self.seats.get_mut(name)
            && seat.node.take().is_some()
        {
            self.nodes -= 1;
        }
        self.drop_unused(name);
    }

    /// Takes the present state of a pod: bound and not ended, it takes room. Returns the node on which room became free.
    pub fn pod_is(&mut self, pod: &Pod) -> Option<NodeName> {
        let node = pod.node.as_ref().filter(|_| !pod.is_terminal());
        let Some(node) = node else {
            // An unbound pod may have been assumed on a node: the binding's event is still to come.
            return if pod.node.is_some() { self.pod_gone(&pod.uid) } else { None };
        };
        self.assume(pod, &node.clone())
    }

    /// Counts a pod on a node before its binding is seen. Returns the node on which room became free.
    pub fn assume(&mut self, pod: &Pod, node: &NodeName) -> Option<NodeName> {
        self.clear_nomination(&pod.uid);
        let before = self.pods.get(&pod.uid).cloned();
        let same = before.as_ref() == Some(node);
        if !same {
            if let Some(before) = &before {
                self.release(&pod.uid, before);
            }
            self.pods.insert(pod.uid.clone(), node.clone());
        }
        let held = Held {
            key: pod.key.clone(),
            scheduling: pod.scheduling.clone(),
            created: pod.created,
            terminating: pod.is_terminating(),
        };
        let seat = self.seats.entry(node.clone()).or_default();
        match seat.pods.get_mut(&pod.uid) {
            Some(counted) if counted.scheduling == held.scheduling => *counted = held,
            _ => seat.put(pod.uid.clone(), held),
        }
        before.filter(|_| !same)
    }

    /// The pod is gone, or its binding failed. Returns the node on which room became free.
    pub fn pod_gone(&mut self, uid: &Uid) -> Option<NodeName> {
        self.clear_nomination(uid);
        let node = self.pods.remove(uid)?;
        self.release(uid, &node);
        Some(node)
    }

    /// Keeps the room that victims free on `node` for this pod, against pods of lower priority.
    pub fn nominate(&mut self, pod: &Pod, node: &NodeName) {
        self.clear_nomination(&pod.uid);
        self.nominations.insert(pod.uid.clone(), node.clone());
        let seat = self.seats.entry(node.clone()).or_default();
        seat.nominated.insert(pod.uid.clone(), pod.scheduling.clone());
    }

    /// The node where room is being made for this pod.
    #[must_use]
    pub fn nominated(&self, uid: &Uid) -> Option<&NodeName> {
        self.nominations.get(uid)
    }

    fn clear_nomination(&mut self, uid: &Uid) {
        if let Some(node) = self.nominations.remove(uid) {
            if let Some(seat) = self.seats.get_mut(&node) {
                seat.nominated.remove(uid);
            }
            self.drop_unused(&node);
        }
    }

    fn release(&mut self, uid: &Uid, node: &NodeName) {
        if let Some(seat) = self.seats.get_mut(node) {
            seat.take(uid);
        }
        self.drop_unused(node);
    }

    fn drop_unused(&mut self, node: &NodeName) {
        if self.seats.get(node).is_some_and(Seat::is_unused) {
            self.seats.remove(node);
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Finds a node for a pod. A pod that names its nodes is judged on those alone, so its cost does not grow with the
    /// fleet (R135).
    #[must_use]
    pub fn place(&self, pod: &Pod) -> Placement {
        let mut refusal = Refusal { nodes: self.nodes, ..Refusal::default() };
        if let Some(names) = filter::named(pod) {
            let mut looked = 0;
            let mut best = None;
            for name in &names {
                let Some((node, seat)) = self.node(name) else {
                    continue;
                };
                looked += 1;
                consider(pod, node, seat, &mut best, &mut refusal);
            }
            if let Some((_, node)) = best {
                return Placement::On(node.name.clone());
            }
            if looked < self.nodes {
                refusal.reasons.insert(Reason::NotNamed, self.nodes - looked);
            }
            return Placement::Nowhere(refusal);
        }
        let mut best = None;
        for seat in self.seats.values() {
            if let Some(node) = &seat.node {
                consider(pod, node, seat, &mut best, &mut refusal);
            }
        }
        match best {
            Some((_, node)) => Placement::On(node.name.clone()),
            None => Placement::Nowhere(refusal),
        }
    }

    pub(super) fn node(&self, name: &NodeName) -> Option<(&Arc<Node>, &Seat)> {
        let seat = self.seats.get(name)?;
        Some((seat.node.as_ref()?, seat))
    }
}

/// Less is better: disliked taints, then how full the node would be in per mille, then pods.
type Score = (usize, i64, usize);

fn consider<'a>(
    pod: &Pod,
    node: &'a Arc<Node>,
    seat: &Seat,
    best: &mut Option<(Score, &'a Arc<Node>)>,
    refusal: &mut Refusal,
) {
    let judgement: Judgement = filter::judge(pod, node, seat);
    if !judgement.reasons.is_empty() {
        refusal.add(&node.name, judgement);
        return;
    }
    let score = score(pod, node, seat);
    if best.as_ref().is_none_or(|(least, _)| score < *least) {
        *best = Some((score, node));
    }
}

fn score(pod: &Pod, node: &Node, seat: &Seat) -> Score {
    let disliked = untolerated(&node.taints, &pod.scheduling.tolerations, &[Effect::PreferNoSchedule]);
    let fullest = ["cpu", "memory"]
        .into_iter()
        .map(|resource| {
            let used = seat.used.get(resource).saturating_add(pod.scheduling.requests.get(resource));
            used.saturating_mul(1000) / node.allocatable.get(resource).max(1)
        })
        .max();
    (usize::from(disliked.is_some()), fullest.unwrap_or(0), seat.pods.len())
}
