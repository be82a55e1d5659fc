//! The engine: keeps, per set and node, what follows from all that was observed; work in proportion to what changed.
//!
//! ```text
//! observe: pod event ─> one cell dirty; node event ─> its cell per set, none for a heartbeat; set event ─> its own row
//! decide:  dirty cells ─> counters and queues ─> plan: heads of the queues, as far as the budget goes
//! settle:  what became of a step ─> the cell that asked for it
//! ```
//! Invariants:
//! * counters and queues of a row are the sums over its cells as last assessed;
//! * what is kept per cell is reached by the numbers of its set and node: no path of an event walks over nodes or pods;
//! * at most one create per cell is out at a time, always under one name until its fate is known;
//! * nothing is decided for a set while its claims or revisions are in flight.
//!
//! In a large fleet most of an event's time is spent waiting for memory. So whatever an event compares lies in the two places that
//! it has to look at anyway, the slot of its node (`nodes`) and its cells (`cells`); what is the same as before is not written, and
//! nothing far away is freed.
//!
//! Not here: how events are got and steps carried out. [`super::reference`] says the same more simply and slowly.

#[cfg(test)]
mod audit;
mod cells;
mod decide;
mod homes;
mod index;
mod judge;
mod nodes;
mod observe;
mod packed;
mod queues;
mod revisions;
mod row;
mod rows;
mod settle;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use row::Rollout;
pub use view::{Blocker, CellView, PodView, Spent};

use self::homes::{Home, Waiting};
use self::index::Index;
use self::nodes::{NodeId, Nodes};
use self::rows::{RowId, RowSet, Rows};
use crate::daemonset::cell::Fit;
use crate::model::{Key, Node, Pod, Revision, Version};

/// Ranks nodes as rollout candidates: lower goes first, ties by name.
pub type Order = fn(&Node) -> u64;

fn by_name(_: &Node) -> u64 {
    0
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
    nodes: Nodes,
    rows: Rows,
    homes: Index<Home>,
    orphans: BTreeMap<Key, Arc<Pod>>,
    waiting: Waiting,
    revisions: BTreeMap<Key, Arc<Revision>>,
    pods_seen: Version,
    revisions_seen: Version,
    /// Creates that are made and to be seen once the pods' view has come so far.
    made: BTreeSet<(Version, RowId, NodeId)>,
    /// Sets with a gate.
    gated: BTreeSet<RowId>,
    changed: RowSet,
    /// Keys of sets that are gone, and have changed in that.
    gone: BTreeSet<Key>,
    /// Room for what a node is to each set, while it is told.
    fits: Vec<(RowId, Fit)>,
    seed: u64,
    serial: u64,
    work: Work,
}

impl Engine {
    /// An engine that has seen nothing. Names of pods follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: Nodes::new(seed, by_name),
            rows: Rows::new(seed),
            homes: Index::new(seed),
            orphans: BTreeMap::new(),
            waiting: Waiting::default(),
            revisions: BTreeMap::new(),
            pods_seen: Version(0),
            revisions_seen: Version(0),
            made: BTreeSet::new(),
            gated: BTreeSet::new(),
            changed: RowSet::default(),
            gone: BTreeSet::new(),
            fits: Vec::new(),
            seed,
            serial: 0,
            work: Work::default(),
        }
    }

    /// The same with another order of rollout candidates.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.nodes.set_order(order);
        self
    }

    /// The sets that may have something to decide since this was last asked, each once, in order.
    pub fn take_changed(&mut self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        keys.extend(std::iter::from_fn(|| self.gone.pop_first()));
        let rows = &self.rows;
        self.changed.take(|id| keys.extend(rows.key(id).cloned()));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// How much was done so far: the cost of an event is the difference.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }
}
