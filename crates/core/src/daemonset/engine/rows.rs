//! All sets that there are, each a row under a small number.

use std::collections::BTreeMap;

use super::row::Row;
use crate::model::{Key, Uid};

/// The number of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowId(u32);

#[derive(Default)]
pub(super) struct Rows {
    /// Boxed, so that one can be worked on beside the others.
    slots: Vec<Option<Box<Row>>>,
    by_uid: BTreeMap<Uid, RowId>,
    by_key: BTreeMap<Key, RowId>,
    free: Vec<RowId>,
}

impl Rows {
    pub(super) fn id(&self, key: &Key) -> Option<RowId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn id_of_uid(&self, uid: &Uid) -> Option<RowId> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn get(&self, id: RowId) -> Option<&Row> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: RowId) -> Option<&mut Row> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
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
        self.by_uid.insert(row.set.uid.clone(), id);
        self.by_key.insert(row.set.key.clone(), id);
        self.put_back(id, Box::new(row));
        id
    }

    pub(super) fn remove(&mut self, id: RowId) -> Option<Box<Row>> {
        let row = self.take(id)?;
        self.by_uid.remove(&row.set.uid);
        self.by_key.remove(&row.set.key);
        self.free.push(id);
        Some(row)
    }

    /// Takes a row out to work on it.
    pub(super) fn take(&mut self, id: RowId) -> Option<Box<Row>> {
        self.slots.get_mut(id.0 as usize)?.take()
    }

    pub(super) fn put_back(&mut self, id: RowId, row: Box<Row>) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            *slot = Some(row);
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }
}
