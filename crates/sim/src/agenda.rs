//! What is to happen, and when: time moves from one entry to the next.

use std::collections::BTreeMap;

use everynode_core::model::Millis;

/// Entries in the order of their time; those of one time in the order in which they were put.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    entries: BTreeMap<(Millis, u64), E>,
    serial: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), serial: 0 }
    }
}

impl<E> Agenda<E> {
    pub(crate) fn put(&mut self, at: Millis, entry: E) {
        self.serial += 1;
        self.entries.insert((at, self.serial), entry);
    }

    /// The first entry, if its time is not after `until`.
    pub(crate) fn next(&mut self, until: Millis) -> Option<(Millis, E)> {
        let first = self.entries.first_entry()?;
        let at = first.key().0;
        (at <= until).then(|| (at, first.remove()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_order() {
        let mut agenda = Agenda::default();
        for (at, entry) in [(5, 'c'), (1, 'a'), (1, 'b'), (9, 'd')] {
            agenda.put(Millis(at), entry);
        }
        let taken: Vec<char> = std::iter::from_fn(|| agenda.next(Millis(5)).map(|(_, entry)| entry)).collect();
        assert_eq!(taken, ['a', 'b', 'c']);
    }
}
