//! How often a failed pod may be replaced on one node (R59): 1 s, doubling to 15 min.

use crate::model::Millis;

const FIRST: Millis = Millis::from_secs(1);
const MAX: Millis = Millis::from_secs(900);
/// A node without failures for this long starts afresh.
const FORGOTTEN: Millis = Millis::from_secs(1800);

/// The record of one set on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The observed generation that failed; another one starts afresh.
    pub generation: i64,
    /// How long to wait from `last`.
    pub delay: Millis,
    /// When a failed pod was last taken away.
    pub last: Millis,
}

impl Backoff {
    /// Until when nothing may be done, if that is still to come.
    #[must_use]
    pub fn until(record: Option<&Self>, generation: i64, now: Millis) -> Option<Millis> {
        let record = record.filter(|record| record.generation == generation)?;
        let until = record.last.plus(record.delay);
        (now < until).then_some(until)
    }

    /// So long ago that the next failure starts afresh.
    #[must_use]
    pub fn is_forgotten(&self, now: Millis) -> bool {
        now.since(self.last) > FORGOTTEN
    }

    /// The record after one more failed pod is taken away at `now`.
    #[must_use]
    pub fn next(record: Option<&Self>, generation: i64, now: Millis) -> Self {
        let known = record.filter(|r| r.generation == generation && !r.is_forgotten(now));
        let delay = known.map_or(FIRST, |record| Millis(record.delay.0.saturating_mul(2)).min(MAX));
        Self { generation, delay, last: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R59, T31: the delay doubles, ends exactly when it is over, and restarts with a new generation or after 30 min.
    #[test]
    fn the_delay_doubles_and_starts_afresh() {
        let now = Millis::from_secs(1000);
        let first = Backoff::next(None, 1, now);
        assert_eq!(first.delay, Millis::from_secs(1));
        assert_eq!(Backoff::until(Some(&first), 1, Millis(now.0 + 999)), Some(Millis(now.0 + 1000)));
        assert_eq!(Backoff::until(Some(&first), 1, Millis(now.0 + 1000)), None);
        assert_eq!(Backoff::until(Some(&first), 2, now), None);
        let second = Backoff::next(Some(&first), 1, now);
        assert_eq!(second.delay, Millis::from_secs(2));
        assert_eq!(Backoff::next(Some(&second), 2, now).delay, Millis::from_secs(1));
        assert_eq!(Backoff::next(Some(&second), 1, Millis::from_secs(2801)).delay, Millis::from_secs(1));
        let long = (0..20).fold(first, |record, _| Backoff::next(Some(&record), 1, now));
        assert_eq!(long.delay, Millis::from_secs(900));
    }
}
