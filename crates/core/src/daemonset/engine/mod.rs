//! The engine: keeps, per set and node, what follows from all that was observed; work in proportion to what changed.
//!
//! ```text
//! observe: pod event ─> one cell dirty; node event ─> its cell per set, none for a heartbeat; set event ─> its own row
//! decide:  dirty cells ─> counters and queues ─> plan: heads of the queues, as far as the budget goes
//! settle:  what became of a step ─> the cell that asked for it
//! ```
//! Invariants:
//! * counters and queues of a row are the sums over its cells as last assessed;
//! * at most one create per cell is out at a time, always under one name until its fate is known;
//! * nothing is decided for a set while its claims or revisions are in flight.
//!
//! Not here: how events are got and steps carried out. [`super::reference`] says the same more simply and slowly.

mod decide;
mod judge;
mod observe;
mod revisions;
mod row;
mod settle;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use row::Rollout;
pub use view::{Blocker, CellView, PodView, Spent};

use self::row::Row;
use crate::model::{Key, Node, NodeName, Pod, Revision, Uid, Version};

/// Ranks nodes as rollout candidates: lower goes first, ties by name.
pub type Order = fn(&Node) -> u64;

fn by_name(_: &Node) -> u64 {
    0
}

/// Where a pod was put.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    uid: Uid,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// No controller.
    Orphans,
    /// Controlled by this set; grouped under a node if that can be told.
    Set(Uid, Option<NodeName>),
    /// Controlled by something that is no business of ours.
    Elsewhere,
}

/// What the engine has done so far, in numbers that do not depend on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Times that a set was judged on a node.
    pub judged: u64,
    /// Times that a cell was assessed.
    pub assessed: u64,
}

/// All sets, nodes and their pods.
pub struct Engine {
    nodes: BTreeMap<NodeName, Arc<Node>>,
    rows: BTreeMap<Uid, Row>,
    uids: BTreeMap<Key, Uid>,
    homes: BTreeMap<Key, Home>,
    orphans: BTreeMap<Key, Arc<Pod>>,
    /// Pods whose set has not been seen.
    waiting: BTreeMap<Uid, BTreeMap<Key, Arc<Pod>>>,
    revisions: BTreeMap<Key, Arc<Revision>>,
    pods_seen: Version,
    revisions_seen: Version,
    /// Creates that are made and to be seen once the pods' view has come so far.
    made: BTreeSet<(Version, Uid, NodeName)>,
    /// Sets with a gate.
    gated: BTreeSet<Uid>,
    changed: BTreeSet<Key>,
    order: Order,
    seed: u64,
    serial: u64,
    work: Work,
}

impl Engine {
    /// An engine that has seen nothing. Names of pods follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: BTreeMap::new(),
            rows: BTreeMap::new(),
            uids: BTreeMap::new(),
            homes: BTreeMap::new(),
            orphans: BTreeMap::new(),
            waiting: BTreeMap::new(),
            revisions: BTreeMap::new(),
            pods_seen: Version(0),
            revisions_seen: Version(0),
            made: BTreeSet::new(),
            gated: BTreeSet::new(),
            changed: BTreeSet::new(),
            order: by_name,
            seed,
            serial: 0,
            work: Work::default(),
        }
    }

    /// The same with another order of rollout candidates.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The sets that may have something to decide since this was last asked.
    pub fn take_changed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changed)
    }

    /// How much was done so far: the cost of an event is the difference.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    fn row(&mut self, key: &Key) -> Option<&mut Row> {
        self.rows.get_mut(self.uids.get(key)?)
    }
}
