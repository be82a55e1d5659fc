//! The taints that follow from a node's conditions, and how fast `NoExecute` may spread (R123, R125).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Millis, Node, NodeName, Tri};
use crate::selector::{Effect, Taint};

/// `Ready` is False.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// `Ready` is Unknown.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Set by people: the machine is really off, so its pods may be removed by force.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions that taint when they are True.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

fn taint(key: &str, effect: Effect, now: Millis) -> Taint {
    Taint { key: key.to_owned(), value: String::new(), effect, added: Some(now) }
}

fn has(taints: &[Taint], key: &str, effect: Effect) -> bool {
    taints.iter().any(|taint| taint.key == key && taint.effect == effect)
}

/// The key that the Ready condition asks for; an absent condition asks for none (A341).
#[must_use]
pub fn ready_key(node: &Node) -> Option<&'static str> {
    match node.condition("Ready")?.status {
        Tri::True => None,
        Tri::False => Some(NOT_READY),
        Tri::Unknown => Some(UNREACHABLE),
    }
}

/// What may be done about `NoExecute` taints of ours ([`Pace`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// None is added.
    Wait,
    /// It is this node's turn.
    Turn,
    /// All zones are down: those that are there go.
    Pardon,
}

/// The whole list of taints that the node should have now, when it differs from what it has.
///
/// `NoSchedule` taints follow at once. `NoExecute` ones go at once, and are swapped for each other at once, but come only
/// when the node's turn has come.
#[must_use]
pub fn wanted(node: &Node, execution: Execution, now: Millis) -> Option<Vec<Taint>> {
    let ready = ready_key(node);
    let mut keys: Vec<&str> = ready.into_iter().collect();
    for (condition, key) in PRESSURES {
        if node.condition(condition).is_some_and(|c| c.status == Tri::True) {
            keys.push(key);
        }
    }
    if node.unschedulable {
        keys.push(UNSCHEDULABLE);
    }
    let ours = |key: &str| {
        [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&key) || PRESSURES.iter().any(|(_, pressure)| *pressure == key)
    };
    let executed = [NOT_READY, UNREACHABLE].iter().any(|key| has(&node.taints, key, Effect::NoExecute));
    let execute = ready.filter(|_| match execution {
        Execution::Wait => executed,
        Execution::Turn => true,
        Execution::Pardon => false,
    });
    let mut taints: Vec<Taint> = node
        .taints
        .iter()
        .filter(|taint| match taint.effect {
            Effect::NoSchedule if ours(&taint.key) => keys.contains(&taint.key.as_str()),
            Effect::NoExecute if [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()) => {
                execute == Some(taint.key.as_str())
            }
            _ => true,
        })
        .cloned()
        .collect();
    for key in keys {
        if !has(&taints, key, Effect::NoSchedule) {
            taints.push(taint(key, Effect::NoSchedule, now));
        }
    }
    if let Some(key) = execute
        && !has(&taints, key, Effect::NoExecute)
    {
        taints.push(taint(key, Effect::NoExecute, now));
    }
    (taints != node.taints).then_some(taints)
}

/// How a zone is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Most of its nodes are well.
    Normal,
    /// At least 55 % and at least three are not.
    Partial,
    /// None is well.
    Full,
}

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    ready: usize,
    silent: usize,
    /// When the next node may be tainted.
    next: Millis,
}

impl Zone {
    fn state(&self) -> ZoneState {
        let all = self.ready + self.silent;
        if self.silent > 0 && self.ready == 0 {
            ZoneState::Full
        } else if self.silent > 2 && self.silent * 100 >= all * 55 {
            ZoneState::Partial
        } else {
            ZoneState::Normal
        }
    }

    /// The time between two nodes; none when tainting stops.
    fn interval(&self) -> Option<Millis> {
        match self.state() {
            ZoneState::Normal | ZoneState::Full => Some(Millis::from_secs(10)),
            ZoneState::Partial if self.ready + self.silent > 50 => Some(Millis::from_secs(100)),
            ZoneState::Partial => None,
        }
    }
}

/// Whose turn it is to get a `NoExecute` taint (R123).
#[derive(Debug, Default)]
pub struct Pace {
    zones: BTreeMap<String, Zone>,
    /// Each node's zone, and whether it is ready.
    nodes: BTreeMap<NodeName, (String, bool)>,
    /// Nodes that wait for the taint.
    waiting: BTreeSet<NodeName>,
}

fn zone_of(node: &Node) -> String {
    let label = |key: &str| node.labels.get(key).map_or("", String::as_str);
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

impl Pace {
    /// Takes the present state of a node.
    pub fn node_is(&mut self, node: &Node) {
        self.node_gone(&node.name);
        let ready = ready_key(node).is_none();
        let name = zone_of(node);
        let zone = self.zones.entry(name.clone()).or_default();
        if ready {
            zone.ready += 1;
        } else {
            zone.silent += 1;
            let tainted = node.taints.iter().any(|taint| {
                taint.effect == Effect::NoExecute && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str())
            });
            if !tainted {
                self.waiting.insert(node.name.clone());
            }
        }
        self.nodes.insert(node.name.clone(), (name, ready));
    }

    /// The node is gone.
    pub fn node_gone(&mut self, name: &NodeName) {
        self.waiting.remove(name);
        let Some((zone, ready)) = self.nodes.remove(name) else { return };
        if let Some(entry) = self.zones.get_mut(&zone) {
            let count = if ready { &mut entry.ready } else { &mut entry.silent };
            *count = count.saturating_sub(1);
        }
    }

    /// No zone has a node that is well: we may be the ones who are cut off, so nothing is evicted.
    #[must_use]
    pub fn all_down(&self) -> bool {
        let mut zones = self.zones.values().filter(|zone| zone.ready + zone.silent > 0).peekable();
        zones.peek().is_some() && zones.all(|zone| zone.state() == ZoneState::Full)
    }

    /// The nodes whose turn has come; each is named once per turn.
    pub fn due(&mut self, now: Millis) -> Vec<NodeName> {
        if self.all_down() {
            return Vec::new();
        }
        let mut due = Vec::new();
        for name in &self.waiting {
            let zone = self.nodes.get(name).and_then(|(zone, _)| self.zones.get_mut(zone));
            if let Some(zone) = zone
                && let Some(interval) = zone.interval()
                && zone.next <= now
            {
                zone.next = now.plus(interval);
                due.push(name.clone());
            }
        }
        for name in &due {
            self.waiting.remove(name);
        }
        due
    }

    /// When somebody's turn comes.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        if self.all_down() {
            return None;
        }
        self.waiting
            .iter()
            .filter_map(|name| self.nodes.get(name))
            .filter_map(|(zone, _)| self.zones.get(zone))
            .filter(|zone| zone.interval().is_some())
            .map(|zone| zone.next)
            .min()
    }
}
