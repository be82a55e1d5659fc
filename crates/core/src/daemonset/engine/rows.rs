//! All sets that there are, each a row under a small number, and which of them have changed.

use super::index::Index;
use super::row::Row;
use crate::model::{Key, Uid};

/// The number of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowId(u32);

impl RowId {
    fn at(self) -> usize {
        self.0 as usize
    }
}

struct Slot {
    key: Key,
    uid: Uid,
    /// Boxed, so that one can be worked on beside the others.
    row: Option<Box<Row>>,
}

pub(super) struct Rows {
    slots: Vec<Option<Slot>>,
    by_uid: Index<RowId>,
    by_key: Index<RowId>,
    free: Vec<RowId>,
}

impl Rows {
    pub(super) fn new(seed: u64) -> Self {
        let (by_uid, by_key) = (Index::new(seed), Index::new(seed));
        Self { slots: Vec::new(), by_uid, by_key, free: Vec::new() }
    }

    fn slot(&self, id: RowId) -> Option<&Slot> {
        self.slots.get(id.at())?.as_ref()
    }

    fn slot_mut(&mut self, id: RowId) -> Option<&mut Slot> {
        self.slots.get_mut(id.at())?.as_mut()
    }

    pub(super) fn id(&self, key: &Key) -> Option<RowId> {
        let hash = self.by_key.hash(&[&key.namespace, &key.name]);
        self.by_key.find(hash, |id| self.key(id) == Some(key))
    }

    pub(super) fn id_of_uid(&self, uid: &Uid) -> Option<RowId> {
        let hash = self.by_uid.hash(&[uid.as_str()]);
        self.by_uid.find(hash, |id| self.slot(id).is_some_and(|slot| slot.uid == *uid))
    }

    pub(super) fn key(&self, id: RowId) -> Option<&Key> {
        Some(&self.slot(id)?.key)
    }

    pub(super) fn get(&self, id: RowId) -> Option<&Row> {
        self.slot(id)?.row.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: RowId) -> Option<&mut Row> {
        self.slot_mut(id)?.row.as_deref_mut()
    }

    pub(super) fn of(&self, key: &Key) -> Option<&Row> {
        self.get(self.id(key)?)
    }

    /// A row for a set whose key and uid have none.
    pub(super) fn insert(&mut self, row: Row) -> RowId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            RowId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        let (key, uid) = (row.set.key.clone(), row.set.uid.clone());
        self.by_uid.insert(self.by_uid.hash(&[uid.as_str()]), id);
        self.by_key.insert(self.by_key.hash(&[&key.namespace, &key.name]), id);
        if let Some(slot) = self.slots.get_mut(id.at()) {
            *slot = Some(Slot { key, uid, row: Some(Box::new(row)) });
        }
        id
    }

    pub(super) fn remove(&mut self, id: RowId) -> Option<Box<Row>> {
        let Slot { key, uid, row } = self.slots.get_mut(id.at())?.take()?;
        self.by_uid.remove(self.by_uid.hash(&[uid.as_str()]), id);
        self.by_key.remove(self.by_key.hash(&[&key.namespace, &key.name]), id);
        self.free.push(id);
        row
    }

    /// Takes a row out to work on it.
    pub(super) fn take(&mut self, id: RowId) -> Option<Box<Row>> {
        self.slot_mut(id)?.row.take()
    }

    pub(super) fn put_back(&mut self, id: RowId, row: Box<Row>) {
        if let Some(slot) = self.slot_mut(id) {
            slot.row = Some(row);
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.slots.iter().flatten().filter_map(|slot| slot.row.as_deref())
    }

    /// All, with their numbers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (RowId, &mut Row)> {
        let slots = self.slots.iter_mut().zip(0..).filter_map(|(slot, at)| Some((RowId(at), slot.as_mut()?)));
        slots.filter_map(|(id, slot)| Some((id, slot.row.as_deref_mut()?)))
    }
}

/// Numbers of sets, each once.
#[derive(Default)]
pub(super) struct RowSet {
    /// A bit for each.
    words: Vec<u64>,
}

impl RowSet {
    pub(super) fn insert(&mut self, id: RowId) {
        let at = id.at() / 64;
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (id.0 % 64);
        }
    }

    /// Takes all out, in the order of their numbers.
    pub(super) fn take(&mut self, mut each: impl FnMut(RowId)) {
        for (word, base) in self.words.iter_mut().zip((0..).step_by(64)) {
            let mut rest = std::mem::take(word);
            while rest != 0 {
                each(RowId(base + rest.trailing_zeros()));
                rest &= rest - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_rows_holds_each_once() {
        let mut set = RowSet::default();
        let taken = |set: &mut RowSet| {
            let mut ids = Vec::new();
            set.take(|id| ids.push(id.0));
            ids
        };
        for id in [70, 3, 0, 3, 63, 64] {
            set.insert(RowId(id));
        }
        assert_eq!(taken(&mut set), [0, 3, 63, 64, 70]);
        assert_eq!(taken(&mut set), []);
    }
}
