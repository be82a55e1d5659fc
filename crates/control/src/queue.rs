//! A work queue: keys are deduplicated, may be due later, and are retried ever more slowly (R34, R35).
//!
//! Invariants:
//! * one key is never handed to two takers at once; what arrives meanwhile causes exactly one further run;
//! * of several due times of a key the earliest wins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::QueueMetrics;

/// First delay of a retried key; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// Longest delay of a retried key.
const RETRY_MAX: Duration = Duration::from_secs(1000);

/// A deduplicating, delaying queue.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    metrics: QueueMetrics,
    ready: VecDeque<K>,
    /// In `ready`, or to be put there once its taker is done; since when.
    wanted: BTreeMap<K, Instant>,
    /// Since when.
    taken: BTreeMap<K, Instant>,
    due: BTreeSet<(Instant, K)>,
    due_of: BTreeMap<K, Instant>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new(metrics: QueueMetrics) -> Self {
        Self {
            state: Mutex::new(State {
                metrics,
                ready: VecDeque::new(),
                wanted: BTreeMap::new(),
                taken: BTreeMap::new(),
                due: BTreeSet::new(),
                due_of: BTreeMap::new(),
                failures: BTreeMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // The state is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants `key` now.
    pub fn add(&self, key: K) {
        self.lock().add(key, Instant::now());
        self.changed.notify_one();
    }

    /// Wants `key` at `at`, unless it is due earlier already.
    pub fn add_at(&self, key: K, at: Instant) {
        self.lock().add_at(key, at);
        self.changed.notify_one();
    }

    /// Wants `key` after a while.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.add_at(key, Instant::now() + delay);
    }

    /// Wants `key` again after a failure: 5 ms, doubling to 1000 s (R31).
    pub fn retry(&self, key: K) {
        let mut state = self.lock();
        let failures = state.failures.entry(key.clone()).or_default();
        let delay = RETRY_FIRST.saturating_mul(2u32.saturating_pow(*failures)).min(RETRY_MAX);
        *failures = failures.saturating_add(1);
        state.metrics.retried();
        state.add_at(key, Instant::now() + delay);
        drop(state);
        self.changed.notify_one();
    }

    /// Forgets the failures of `key`.
    pub fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// Takes the next key; hand it back with [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let (key, sleep_until) = self.lock().take(Instant::now());
            if let Some(key) = key {
                return key;
            }
            match sleep_until {
                Some(at) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Hands back a taken key; if it was wanted meanwhile it is ready again.
    pub fn done(&self, key: &K) {
        self.lock().done(key, Instant::now());
        self.changed.notify_one();
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K, now: Instant) {
        if let Some(at) = self.due_of.remove(&key) {
            self.due.remove(&(at, key.clone()));
        }
        if self.wanted.contains_key(&key) {
            return;
        }
        self.wanted.insert(key.clone(), now);
        self.metrics.added();
        if !self.taken.contains_key(&key) {
            self.ready.push_back(key);
            self.metrics.deep(self.ready.len());
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if let Some(&before) = self.due_of.get(&key) {
            if before <= at {
                return;
            }
            self.due.remove(&(before, key.clone()));
        }
        self.due_of.insert(key.clone(), at);
        self.due.insert((at, key));
    }

    fn take(&mut self, now: Instant) -> (Option<K>, Option<Instant>) {
        while let Some((at, _)) = self.due.first() {
            if *at > now {
                break;
            }
            if let Some((_, key)) = self.due.pop_first() {
                self.due_of.remove(&key);
                self.add(key, now);
            }
        }
        let key = self.ready.pop_front();
        if let Some(key) = &key {
            let since = self.wanted.remove(key).unwrap_or(now);
            self.metrics.taken(now.saturating_duration_since(since));
            self.metrics.deep(self.ready.len());
            self.taken.insert(key.clone(), now);
        }
        (key, self.due.first().map(|(at, _)| *at))
    }

    fn done(&mut self, key: &K, now: Instant) {
        if let Some(since) = self.taken.remove(key) {
            self.metrics.done(now.saturating_duration_since(since));
        }
        if self.wanted.contains_key(key) {
            self.ready.push_back(key.clone());
            self.metrics.deep(self.ready.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn state() -> State<u8> {
        let queue = Queue::new(Metrics::default().queue("test"));
        queue.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_key_is_handed_out_once_and_again_when_wanted_meanwhile() {
        let now = Instant::now();
        let mut state = state();
        state.add(1, now);
        state.add(1, now);
        state.add(2, now);
        assert_eq!(state.take(now).0, Some(1));
        state.add(1, now);
        state.add(1, now);
        assert_eq!(state.take(now).0, Some(2));
        assert_eq!(state.take(now).0, None, "1 is still taken");
        state.done(&1, now);
        assert_eq!(state.take(now).0, Some(1));
        state.done(&1, now);
        state.done(&2, now);
        assert_eq!(state.take(now), (None, None));
    }

    /// R35: of several delays the earliest wins; an immediate add overtakes.
    #[test]
    fn the_earliest_due_time_wins() {
        let now = Instant::now();
        let later = |secs| now + Duration::from_secs(secs);
        let mut state = state();
        state.add_at(1, later(9));
        state.add_at(1, later(5));
        state.add_at(1, later(7));
        assert_eq!(state.take(now), (None, Some(later(5))));
        assert_eq!(state.take(later(5)), (Some(1), None));
        state.done(&1, now);
        state.add_at(1, later(9));
        state.add(1, now);
        assert_eq!(state.take(now), (Some(1), None));
    }
}
