//! The nodes, and the names that stand for nodes: each a small number, so that cells lie in a vector and queues hold no texts.
//!
//! Invariants:
//! * a name has a number as long as there is such a node or a cell of any set; then the number goes to another name;
//! * seats are ordered as names are. A new name gets a place between its neighbours; when there is none left, all are
//!   seated anew and whoever keeps seats has to ask again ([`Nodes::seat_of`] tells).

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Bound;

use super::Order;
use super::index::Index;
use super::packed::Packed;
use crate::daemonset::eligibility::Site;
use crate::daemonset::text::Text;
use crate::model::{Node, NodeName};
use crate::selector::{Labelled, Taint};

/// The number of a name, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    /// What is kept for it lies here in a vector.
    pub(super) fn at(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The number of what lies there.
    pub(super) fn of(at: usize) -> Self {
        Self(u32::try_from(at + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }
}

impl Default for NodeId {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

/// A name's place in the order of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    place: u64,
    /// Whose it is.
    pub(super) id: NodeId,
}

/// A seat in the order of rollouts: by rank, then by name.
pub(super) type Turn = (u64, Seat);

/// A name, and what is kept of its node: an event reads little else, so it lies in two lines of the processor's caches.
#[repr(align(64))]
pub(super) struct Slot {
    /// The name to compare with.
    text: Text<54>,
    /// The name to hand out.
    name: NodeName,
    place: u64,
    rank: u64,
    labels: Packed,
    taints: Box<[Taint]>,
    /// Cells of all sets.
    cells: u32,
    /// There is such a node.
    is_there: bool,
    is_ready: bool,
}

const _: () = assert!(size_of::<Option<Slot>>() <= 128);

impl Site for Slot {
    fn name(&self) -> &NodeName {
        &self.name
    }

    fn labels(&self) -> &impl Labelled {
        &self.labels
    }

    fn taints(&self) -> &[Taint] {
        &self.taints
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

/// What became of the order when a name or a node came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seated {
    /// Nobody else moved.
    Well,
    /// All have new seats.
    Anew,
}

pub(super) struct Nodes {
    order: Order,
    /// By name, in order.
    ids: BTreeMap<NodeName, NodeId>,
    /// By name, quickly.
    index: Index<NodeId>,
    slots: Vec<Option<Slot>>,
    free: Vec<NodeId>,
    /// The name that came last, if it came between others: names often come in order, up or down, and then the next one is
    /// its neighbour.
    last: Option<NodeId>,
}

/// How far apart names are seated at the ends; and how near to the last one in a row.
const STRIDE: u64 = 1 << 32;
const STEP: u64 = 1 << 16;

impl Nodes {
    pub(super) fn new(seed: u64, order: Order) -> Self {
        let (ids, index) = (BTreeMap::new(), Index::new(seed));
        Self { order, ids, index, slots: Vec::new(), free: Vec::new(), last: None }
    }

    pub(super) fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    fn slot(&self, id: NodeId) -> Option<&Slot> {
        self.slots.get(id.at())?.as_ref()
    }

    fn slot_mut(&mut self, id: NodeId) -> Option<&mut Slot> {
        self.slots.get_mut(id.at())?.as_mut()
    }

    pub(super) fn name(&self, id: NodeId) -> Option<&NodeName> {
        Some(&self.slot(id)?.name)
    }

    pub(super) fn is_named(&self, id: NodeId, name: &NodeName) -> bool {
        self.slot(id).is_some_and(|slot| slot.text.is(name.as_str()))
    }

    /// There is no such node, or it is ready.
    pub(super) fn is_ready(&self, id: NodeId) -> bool {
        self.node(id).is_none_or(|slot| slot.is_ready)
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Slot> {
        self.slot(id).filter(|slot| slot.is_there)
    }

    /// Nothing that is kept of a node differs from this.
    pub(super) fn is_as_kept(&self, id: NodeId, node: &Node) -> bool {
        self.node(id).is_some_and(|slot| {
            slot.is_ready == node.is_ready() && *slot.taints == *node.taints && slot.labels.is(&node.labels)
        })
    }

    pub(super) fn turn(&self, id: NodeId) -> Option<Turn> {
        self.slot(id).map(|slot| (slot.rank, Seat { place: slot.place, id }))
    }

    /// All names in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.ids.values().copied()
    }

    pub(super) fn find(&self, name: &NodeName) -> Option<NodeId> {
        self.index.find(self.index.hash(&[name.as_str()]), |id| self.is_named(id, name))
    }

    /// The number of a name, which needs a node or a cell from now on.
    pub(super) fn seat_of(&mut self, name: &NodeName) -> (NodeId, Seated) {
        if let Some(id) = self.find(name) {
            return (id, Seated::Well);
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            NodeId::of(self.slots.len() - 1)
        });
        let (place, is_between) = self.place_of(name);
        self.last = is_between.then_some(id);
        self.ids.insert(name.clone(), id);
        self.index.insert(self.index.hash(&[name.as_str()]), id);
        let slot = Slot {
            name: name.clone(),
            text: Text::new(name.shared()),
            place: place.unwrap_or_default(),
            rank: 0,
            labels: Packed::default(),
            taints: Box::default(),
            cells: 0,
            is_there: false,
            is_ready: false,
        };
        if let Some(free) = self.slots.get_mut(id.at()) {
            *free = Some(slot);
        }
        if place.is_some() {
            return (id, Seated::Well);
        }
        self.seat_anew();
        (id, Seated::Anew)
    }

    /// A place for a new name, and whether that is between two others.
    fn place_of(&self, name: &NodeName) -> (Option<u64>, bool) {
        let place = |id: &NodeId| self.slot(*id).map(|slot| slot.place);
        let below = self.ids.range::<NodeName, _>((Bound::Unbounded, Bound::Excluded(name))).next_back();
        let above = self.ids.range::<NodeName, _>((Bound::Excluded(name), Bound::Unbounded)).next();
        let (below, above) = (below.map(|(_, id)| id), above.map(|(_, id)| id));
        match (below.and_then(place), above.and_then(place)) {
            (None, None) => (Some(1 << 63), false),
            (Some(low), None) => (low.checked_add(STRIDE), false),
            (None, Some(high)) => (high.checked_sub(STRIDE), false),
            (Some(low), Some(high)) => {
                let half = (high - low) / 2;
                let place = if below.copied() == self.last {
                    low + half.min(STEP)
                } else if above.copied() == self.last {
                    high - half.min(STEP)
                } else {
                    low + half
                };
                ((half > 0).then_some(place), true)
            }
        }
    }

    fn seat_anew(&mut self) {
        let gap = u64::MAX / (self.ids.len() as u64 + 1);
        let mut place = 0;
        for id in self.ids.values() {
            place += gap;
            if let Some(Some(slot)) = self.slots.get_mut(id.at()) {
                slot.place = place;
            }
        }
    }

    /// Keeps what sets look at of a node, or that there is none.
    pub(super) fn put(&mut self, id: NodeId, node: Option<&Node>) {
        let rank = node.map_or(0, self.order);
        let Some(slot) = self.slot_mut(id) else { return };
        (slot.rank, slot.is_there) = (rank, node.is_some());
        match node {
            Some(node) => {
                slot.is_ready = node.is_ready();
                slot.taints = node.taints.as_slice().into();
                if !slot.labels.is(&node.labels) {
                    slot.labels = Packed::new(&node.labels);
                }
            }
            None => (slot.labels, slot.taints) = (Packed::default(), Box::default()),
        }
        self.free_if_unused(id);
    }

    /// There is one more cell.
    pub(super) fn hold(&mut self, id: NodeId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.cells += 1;
        }
    }

    /// There is one less.
    pub(super) fn release(&mut self, id: NodeId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.cells = slot.cells.saturating_sub(1);
            self.free_if_unused(id);
        }
    }

    fn free_if_unused(&mut self, id: NodeId) {
        if self.slot(id).is_some_and(|slot| !slot.is_there && slot.cells == 0)
            && let Some(slot) = self.slots.get_mut(id.at()).and_then(Option::take)
        {
            self.ids.remove(&slot.name);
            self.index.remove(self.index.hash(&[slot.name.as_str()]), id);
            self.free.push(id);
        }
    }

    /// How many cells are held on a name.
    #[cfg(test)]
    pub(super) fn held(&self, id: NodeId) -> u32 {
        self.slot(id).map_or(0, |slot| slot.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Nodes {
        Nodes::new(1, |_| 0)
    }

    fn is_in_order(nodes: &Nodes) -> bool {
        let turns: Vec<_> = nodes.ids().map(|id| nodes.turn(id).expect("it has a seat")).collect();
        turns.is_sorted()
    }

    /// Names in any order of coming are seated by name; only a long zigzag makes all move.
    #[test]
    fn seats_follow_names() {
        let up: Vec<u32> = (0..300).collect();
        let down: Vec<u32> = (0..300).rev().collect();
        let inwards: Vec<u32> = (0..150).flat_map(|n| [n, 299 - n]).collect();
        for (numbers, moves) in [(up, false), (down, false), (inwards, true)] {
            let mut nodes = nodes();
            let mut has_moved = false;
            for name in ["a", "z"] {
                let (id, _) = nodes.seat_of(&name.into());
                nodes.hold(id);
            }
            for number in &numbers {
                let (id, seated) = nodes.seat_of(&format!("n{number:03}").into());
                nodes.hold(id);
                has_moved |= seated == Seated::Anew;
                assert!(is_in_order(&nodes), "after {number}");
            }
            assert_eq!(has_moved, moves);
        }
    }

    /// A number is kept while there is a node or a cell, and no longer.
    #[test]
    fn numbers_are_used_again() {
        let mut nodes = nodes();
        let name = NodeName::from("a");
        let (id, _) = nodes.seat_of(&name);
        nodes.hold(id);
        nodes.put(id, Some(&crate::daemonset::mk::node("a")));
        nodes.put(id, None);
        assert_eq!(nodes.find(&name), Some(id), "there is a cell");
        nodes.release(id);
        assert_eq!(nodes.find(&name), None);
        assert_eq!(nodes.seat_of(&"b".into()).0, id);
    }
}
