//! When a node has gone silent, and what its conditions become then (R123, R124, R126).
//!
//! Time is counted on our own clock from the moment a sign of life was *seen*, so clocks of nodes do not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Millis, Node, NodeName, Tri, Uid};

/// How often silence is looked for.
pub const MONITOR_PERIOD: Millis = Millis::from_secs(5);
/// A node that says nothing for this long is unknown.
pub const GRACE: Millis = Millis::from_secs(50);
/// A node that never said anything gets this long from its creation.
pub const STARTUP_GRACE: Millis = Millis::from_secs(60);

/// The conditions that a silent node loses, in the order they are appended when absent.
const KUBELET_CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// A condition to write on a silent node; its status is always `Unknown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which condition.
    pub kind: &'static str,
    /// `NodeStatusUnknown`, or `NodeStatusNeverUpdated` when the condition was absent.
    pub reason: &'static str,
    /// The words for people.
    pub message: &'static str,
    /// `lastHeartbeatTime` for an absent condition: the node's creation. Present ones keep theirs.
    pub heartbeat: Option<Millis>,
}

/// A node that must be declared silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The conditions to write.
    pub conditions: Vec<Lost>,
    /// It was Ready until now: its pods become not ready, and an event says so (R126).
    pub was_ready: bool,
}

#[derive(Clone, Debug)]
struct Pulse {
    uid: Uid,
    /// What the last sign of life looked like; a change is a new sign.
    renewed: Option<Arc<str>>,
    beats: Vec<(Tri, Option<Millis>)>,
    /// When it was seen.
    at: Millis,
}

/// Remembers when each node last gave a sign of life.
#[derive(Debug, Default)]
pub struct Watchman {
    pulses: BTreeMap<NodeName, Pulse>,
}

impl Watchman {
    /// Takes the present state of a node. A node seen for the first time gets the whole grace.
    pub fn node_is(&mut self, node: &Node, now: Millis) {
        let beats: Vec<_> = node.conditions.iter().map(|c| (c.status, c.heartbeat)).collect();
        match self.pulses.get_mut(&node.name) {
            Some(pulse) if pulse.uid == node.uid => {
                // Our own `Unknown` changes statuses but no heartbeat, and is no sign of life.
                let alive = beats.iter().zip(&pulse.beats).any(|(new, old)| new.1 != old.1)
                    || (beats.len() != pulse.beats.len() && node.ready() != Tri::Unknown);
                if alive {
                    pulse.at = now;
                }
                pulse.beats = beats;
            }
            _ => {
                let renewed = self.pulses.remove(&node.name).and_then(|pulse| pulse.renewed);
                let at = if node.condition("Ready").is_none() { node.created } else { now };
                self.pulses.insert(node.name.clone(), Pulse { uid: node.uid.clone(), renewed, beats, at });
            }
        }
    }

    /// The node is gone.
    pub fn node_gone(&mut self, name: &NodeName) {
        self.pulses.remove(name);
    }

    /// Takes the `renewTime` of a node's lease, as written: a fresh lease alone keeps a node healthy.
    pub fn lease_is(&mut self, name: &NodeName, renewed: &str, now: Millis) {
        if let Some(pulse) = self.pulses.get_mut(name)
            && pulse.renewed.as_deref() != Some(renewed)
        {
            pulse.renewed = Some(renewed.into());
            pulse.at = now;
        }
    }

    /// The names of nodes whose silence may have to be declared; [`Watchman::judge`] decides.
    pub fn quiet(&self, now: Millis) -> impl Iterator<Item = &NodeName> {
        self.pulses.iter().filter(move |(_, pulse)| now.since(pulse.at) > GRACE).map(|(name, _)| name)
    }

    /// R124: what to write, if anything is to be written.
    #[must_use]
    pub fn judge(&self, node: &Node, now: Millis) -> Option<Silence> {
        let pulse = self.pulses.get(&node.name)?;
        let grace = if node.condition("Ready").is_none() { STARTUP_GRACE } else { GRACE };
        if now.since(pulse.at) <= grace {
            return None;
        }
        let conditions: Vec<Lost> = KUBELET_CONDITIONS
            .into_iter()
            .filter_map(|kind| match node.condition(kind) {
                None => Some(Lost {
                    kind,
                    reason: "NodeStatusNeverUpdated",
                    message: "Kubelet never posted node status.",
                    heartbeat: Some(node.created),
                }),
                Some(condition) if condition.status == Tri::Unknown => None,
                Some(_) => Some(Lost {
                    kind,
                    reason: "NodeStatusUnknown",
                    message: "Kubelet stopped posting node status.",
                    heartbeat: None,
                }),
            })
            .collect();
        let was_ready = node.ready() == Tri::True;
        (!conditions.is_empty()).then_some(Silence { conditions, was_ready })
    }
}
