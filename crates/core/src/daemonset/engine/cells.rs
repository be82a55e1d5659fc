//! The cells of one set, by the number of their node, and those that are to be assessed.
//!
//! Cells lie side by side in a vector; another one says where each is, so that a set which runs on few nodes is small.
//!
//! Invariant: every cell that has changed since it was assessed is told by [`Cells::take_dirty`]. One that is gone, or has been
//! assessed since, may be told too.

use super::nodes::NodeId;
use crate::daemonset::cell::Cell;

struct Kept {
    id: NodeId,
    is_dirty: bool,
    cell: Cell,
}

#[derive(Default)]
pub(super) struct Cells {
    /// Where the cell of a node is, plus one; 0 where there is none.
    places: Vec<u32>,
    kept: Vec<Option<Kept>>,
    free: Vec<u32>,
    dirty: Vec<NodeId>,
}

impl Cells {
    fn place(&self, id: NodeId) -> Option<usize> {
        (self.places.get(id.at())?.checked_sub(1)).map(|place| place as usize)
    }

    fn kept_mut(&mut self, id: NodeId) -> Option<&mut Kept> {
        let place = self.place(id)?;
        self.kept.get_mut(place)?.as_mut()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Cell> {
        Some(&self.kept.get(self.place(id)?)?.as_ref()?.cell)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Cell> {
        Some(&mut self.kept_mut(id)?.cell)
    }

    /// A new cell where there is none, to be assessed.
    pub(super) fn insert(&mut self, id: NodeId, cell: Cell) {
        let kept = Some(Kept { id, is_dirty: true, cell });
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.kept.get_mut(place as usize) {
                    *slot = kept;
                }
                place
            }
            None => {
                self.kept.push(kept);
                u32::try_from(self.kept.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if self.places.len() <= id.at() {
            self.places.resize(id.at() + 1, 0);
        }
        if let Some(slot) = self.places.get_mut(id.at()) {
            *slot = place + 1;
        }
        self.dirty.push(id);
    }

    pub(super) fn remove(&mut self, id: NodeId) {
        let Some(slot) = self.places.get_mut(id.at()) else { return };
        let Some(place) = std::mem::take(slot).checked_sub(1) else { return };
        if let Some(slot) = self.kept.get_mut(place as usize) {
            *slot = None;
        }
        self.free.push(place);
    }

    /// The cell, to be changed and assessed.
    pub(super) fn touch(&mut self, id: NodeId) -> Option<&mut Cell> {
        let place = self.place(id)?;
        let kept = self.kept.get_mut(place)?.as_mut()?;
        if !std::mem::replace(&mut kept.is_dirty, true) {
            self.dirty.push(id);
        }
        Some(&mut kept.cell)
    }

    /// All are to be assessed.
    pub(super) fn touch_all(&mut self) {
        for kept in self.kept.iter_mut().flatten() {
            if !std::mem::replace(&mut kept.is_dirty, true) {
                self.dirty.push(kept.id);
            }
        }
    }

    /// One of those that are to be assessed.
    pub(super) fn take_dirty(&mut self) -> Option<NodeId> {
        let id = self.dirty.pop()?;
        if let Some(kept) = self.kept_mut(id) {
            kept.is_dirty = false;
        }
        Some(id)
    }

    /// All cells, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Cell)> {
        self.kept.iter().flatten().map(|kept| (kept.id, &kept.cell))
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::Nodes;
    use super::*;
    use crate::daemonset::cell::Fit;

    #[test]
    fn cells_are_kept_by_node() {
        let mut nodes = Nodes::new(1, |_| 0);
        let ids: Vec<NodeId> = ["a", "b", "c"].iter().map(|name| nodes.seat_of(&(*name).into()).0).collect();
        let mut cells = Cells::default();
        cells.insert(ids[2], Cell::new(Fit::Keep));
        cells.insert(ids[0], Cell::new(Fit::Run));
        assert_eq!(cells.get(ids[2]).map(|cell| cell.fit), Some(Fit::Keep));
        assert!(cells.get(ids[1]).is_none());
        cells.remove(ids[2]);
        assert!(cells.get(ids[2]).is_none());
        cells.insert(ids[1], Cell::new(Fit::Forbid));
        assert_eq!(cells.get(ids[1]).map(|cell| cell.fit), Some(Fit::Forbid));
        assert_eq!(cells.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ids[1], ids[0]], "places are used again");
    }

    #[test]
    fn what_was_touched_is_told_once() {
        let mut nodes = Nodes::new(1, |_| 0);
        let (id, _) = nodes.seat_of(&"a".into());
        let mut cells = Cells::default();
        cells.insert(id, Cell::new(Fit::Run));
        assert_eq!((cells.take_dirty(), cells.take_dirty()), (Some(id), None));
        assert!(cells.touch(id).is_some() && cells.touch(id).is_some());
        cells.touch_all();
        assert_eq!((cells.take_dirty(), cells.take_dirty()), (Some(id), None));
    }
}
