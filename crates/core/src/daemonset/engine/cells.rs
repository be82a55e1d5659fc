//! The cells of one set, by the number of their node, and those that are to be assessed.
//!
//! Cells of neighbouring numbers lie side by side in pages, and a page is there when one of its cells is: the cells of a set that
//! runs everywhere are found with one look into a short list, and a set that runs on few nodes is small.
//!
//! Invariant: every cell that has changed since it was assessed is told by [`Cells::take_dirty`]. One that is gone, or has been
//! assessed since, may be told too.

use super::nodes::NodeId;
use crate::daemonset::cell::Cell;

/// Cells of a page.
const PAGE: usize = 8;

type Page = [Option<Cell>; PAGE];

// A cell fills four lines of the processor's caches; what few cells have lies elsewhere.
const _: () = assert!(size_of::<Page>() <= PAGE * 256);

#[derive(Default)]
pub(super) struct Cells {
    pages: Vec<Option<Box<Page>>>,
    dirty: Vec<NodeId>,
}

impl Cells {
    pub(super) fn get(&self, id: NodeId) -> Option<&Cell> {
        self.pages.get(id.at() / PAGE)?.as_ref()?.get(id.at() % PAGE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Cell> {
        self.pages.get_mut(id.at() / PAGE)?.as_mut()?.get_mut(id.at() % PAGE)?.as_mut()
    }

    /// A new cell where there is none, to be assessed.
    pub(super) fn insert(&mut self, id: NodeId, cell: Cell) {
        let at = id.at() / PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        if let Some(page) = self.pages.get_mut(at)
            && let Some(place) = page.get_or_insert_default().get_mut(id.at() % PAGE)
        {
            *place = Some(Cell { is_dirty: true, ..cell });
            self.dirty.push(id);
        }
    }

    pub(super) fn remove(&mut self, id: NodeId) {
        let Some(slot) = self.pages.get_mut(id.at() / PAGE) else { return };
        let Some(page) = slot else { return };
        if let Some(place) = page.get_mut(id.at() % PAGE) {
            *place = None;
        }
        if page.iter().all(Option::is_none) {
            *slot = None;
        }
    }

    /// The cell, to be changed and assessed.
    pub(super) fn touch(&mut self, id: NodeId) -> Option<&mut Cell> {
        let cell = self.pages.get_mut(id.at() / PAGE)?.as_mut()?.get_mut(id.at() % PAGE)?.as_mut()?;
        if !std::mem::replace(&mut cell.is_dirty, true) {
            self.dirty.push(id);
        }
        Some(cell)
    }

    /// All are to be assessed.
    pub(super) fn touch_all(&mut self) {
        let slots = self.pages.iter_mut().enumerate().filter_map(|(at, page)| Some((at, page.as_mut()?)));
        for (page, slots) in slots {
            for (at, slot) in slots.iter_mut().enumerate() {
                if let Some(cell) = slot
                    && !std::mem::replace(&mut cell.is_dirty, true)
                {
                    self.dirty.push(NodeId::of(page * PAGE + at));
                }
            }
        }
    }

    /// One of those that are to be assessed.
    pub(super) fn take_dirty(&mut self) -> Option<NodeId> {
        let id = self.dirty.pop()?;
        if let Some(cell) = self.get_mut(id) {
            cell.is_dirty = false;
        }
        Some(id)
    }

    /// All cells, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Cell)> {
        let pages = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_ref()?)));
        pages.flat_map(|(page, slots)| {
            let cells = slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
            cells.map(move |(at, cell)| (NodeId::of(page * PAGE + at), cell))
        })
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
        assert_eq!(cells.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ids[0], ids[1]]);
    }

    /// A page is there as long as one of its cells.
    #[test]
    fn pages_come_and_go() {
        let ids: Vec<NodeId> = [0, PAGE, 3 * PAGE + 1].map(NodeId::of).into();
        let mut cells = Cells::default();
        for id in &ids {
            cells.insert(*id, Cell::new(Fit::Run));
        }
        assert_eq!(cells.iter().map(|(id, _)| id).collect::<Vec<_>>(), ids);
        assert_eq!(cells.pages.iter().flatten().count(), 3);
        ids.iter().for_each(|id| cells.remove(*id));
        assert_eq!((cells.iter().count(), cells.pages.iter().flatten().count()), (0, 0));
        assert!(cells.touch(NodeId::of(99)).is_none());
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
