//! The cells of one set that something is to be done with, each queue in the order in which that happens.
//!
//! Invariant: a cell is in the queues that its [`Counted`] names, at its node's present turn.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::nodes::{NodeId, Nodes, Seat, Turn};
use crate::daemonset::cell::{Counted, Roll};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Queues {
    /// Something is to be done at once.
    pub(super) urgent: BTreeSet<Seat>,
    /// The rolling update may act without budget.
    pub(super) free: BTreeSet<Seat>,
    /// A second pod is to be asked for once more.
    pub(super) again: BTreeSet<Turn>,
    /// The rolling update may act within its budget.
    pub(super) candidates: BTreeSet<Turn>,
    /// Candidates that are ready, but not available.
    pub(super) young: BTreeSet<Turn>,
    /// What goes when enough others are available.
    pub(super) sunset: BTreeSet<Turn>,
}

/// The next in a queue: it may change between two steps.
pub(super) fn after(queue: &BTreeSet<Seat>, last: Option<Seat>) -> Option<Seat> {
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    queue.range((from, Bound::Unbounded)).next().copied()
}

fn shift<T: Ord>(queue: &mut BTreeSet<T>, place: T, was_in: bool, is_in: bool) {
    match (was_in, is_in) {
        (true, false) => drop(queue.remove(&place)),
        (false, true) => drop(queue.insert(place)),
        (true, true) | (false, false) => {}
    }
}

impl Queues {
    /// A cell counts otherwise than before.
    pub(super) fn recount(&mut self, turn: Turn, old: &Counted, new: &Counted) {
        let is_free = |counted: &Counted| matches!(counted.roll, Roll::Free(_));
        shift(&mut self.urgent, turn.1, old.urgent, new.urgent);
        shift(&mut self.free, turn.1, is_free(old), is_free(new));
        for (queue, roll) in [
            (&mut self.again, Roll::Again),
            (&mut self.candidates, Roll::Candidate),
            (&mut self.young, Roll::Young),
            (&mut self.sunset, Roll::Sunset),
        ] {
            shift(queue, turn, old.roll == roll, new.roll == roll);
        }
    }

    fn by_turn(&mut self) -> [&mut BTreeSet<Turn>; 4] {
        [&mut self.again, &mut self.candidates, &mut self.young, &mut self.sunset]
    }

    /// The rank of a node has changed.
    pub(super) fn rerank(&mut self, old: Turn, new: Turn) {
        for queue in self.by_turn() {
            if queue.remove(&old) {
                queue.insert(new);
            }
        }
    }

    /// All seats have changed.
    pub(super) fn reseat(&mut self, nodes: &Nodes) {
        let turn = |id: NodeId| nodes.turn(id);
        for queue in [&mut self.urgent, &mut self.free] {
            *queue = queue.iter().filter_map(|seat| turn(seat.id)).map(|(_, seat)| seat).collect();
        }
        for queue in self.by_turn() {
            *queue = queue.iter().filter_map(|(_, seat)| turn(seat.id)).collect();
        }
    }
}
