//! The work queue in virtual time: of several due times of a key the earliest wins; a retried key waits ever longer (R34, R35).

use std::collections::BTreeMap;

use everynode_core::model::{Key, Millis};

/// First delay of a retried key; it doubles.
const RETRY_FIRST: i64 = 5;
/// Longest delay of a retried key.
const RETRY_MAX: i64 = 1_000_000;

#[derive(Default)]
pub(super) struct Queue {
    due: BTreeMap<Key, Millis>,
    failures: BTreeMap<Key, u32>,
}

impl Queue {
    pub(super) fn add(&mut self, key: Key, at: Millis) {
        let due = self.due.entry(key).or_insert(at);
        *due = at.min(*due);
    }

    pub(super) fn retry(&mut self, key: &Key, now: Millis) {
        let failures = self.failures.entry(key.clone()).or_default();
        let delay = RETRY_FIRST.saturating_mul(1 << (*failures).min(30)).min(RETRY_MAX);
        *failures += 1;
        self.add(key.clone(), now.plus(Millis(delay)));
    }

    /// Forgets the failures of a key.
    pub(super) fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// When the first free key is due.
    pub(super) fn due(&self, is_free: impl Fn(&Key) -> bool) -> Option<Millis> {
        self.due.iter().filter(|(key, _)| is_free(key)).map(|(_, at)| *at).min()
    }

    /// Takes the free key that has been due for longest.
    pub(super) fn next(&mut self, now: Millis, is_free: impl Fn(&Key) -> bool) -> Option<Key> {
        let due = self.due.iter().filter(|(key, at)| **at <= now && is_free(key));
        let key = due.min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())?;
        self.due.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_due_time_wins_and_retries_slow_down() {
        let (key, mut queue) = (Key::new("ns", "a"), Queue::default());
        for at in [9, 5, 7] {
            queue.add(key.clone(), Millis(at));
        }
        assert_eq!(queue.due(|_| true), Some(Millis(5)));
        assert_eq!(queue.next(Millis(4), |_| true), None);
        assert_eq!(queue.next(Millis(5), |_| false), None, "it is in work");
        assert_eq!(queue.next(Millis(5), |_| true), Some(key.clone()));
        for expect in [5, 10, 20] {
            queue.retry(&key, Millis(0));
            assert_eq!(queue.due(|_| true), Some(Millis(expect)));
            queue.next(Millis(expect), |_| true);
        }
    }
}
