//! How often a pod that ended may be replaced on one node (R59): 1 s, doubling to 15 min; and how often a create that was
//! refused may be asked for again.
//!
//! The record of a running controller is kept per node. It outlives the controller on the pods themselves: a pod that stands in
//! for one that ended carries the number of those that ended before it ([`FAILURES_ANNOTATION`]), and [`Backoff::resumed`] reads
//! the record back from it.
//!
//! [`FAILURES_ANNOTATION`]: crate::model::FAILURES_ANNOTATION

use crate::model::Millis;

const FIRST: Millis = Millis::from_secs(1);
const MAX: Millis = Millis::from_secs(900);
/// A refusal may be over at any time (a quota is raised, a webhook mended), and asking costs nobody a pod.
const MAX_REFUSED: Millis = Millis::from_secs(60);
/// A node without failures for this long starts afresh.
const FORGOTTEN: Millis = Millis::from_secs(1800);

/// The record of one set on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The observed generation that failed; another one starts afresh.
    pub generation: i64,
    /// How often it went wrong, at least once.
    pub attempts: u32,
    /// When it last went wrong: a pod that had ended was taken away, or a create was refused.
    pub last: Millis,
}

impl Backoff {
    /// How long to wait from `last`.
    #[must_use]
    pub fn delay(&self) -> Millis {
        let doublings = self.attempts.saturating_sub(1).min(20);
        Millis(FIRST.0 << doublings).min(MAX)
    }

    /// Until when nothing may be done, if that is still to come.
    #[must_use]
    pub fn until(record: Option<&Self>, generation: i64, now: Millis) -> Option<Millis> {
        let record = record.filter(|record| record.generation == generation)?;
        let until = record.last.plus(record.delay());
        (now < until).then_some(until)
    }

    /// The same for a create that was refused.
    #[must_use]
    pub fn until_asked_again(record: Option<&Self>, generation: i64, now: Millis) -> Option<Millis> {
        let record = record.filter(|record| record.generation == generation)?;
        let until = record.last.plus(record.delay().min(MAX_REFUSED));
        (now < until).then_some(until)
    }

    /// So long ago that the next failure starts afresh.
    #[must_use]
    pub fn is_forgotten(&self, now: Millis) -> bool {
        now.since(self.last) > FORGOTTEN
    }

    /// The record after it went wrong once more, at `now`.
    #[must_use]
    pub fn next(record: Option<&Self>, generation: i64, now: Millis) -> Self {
        let attempts = Self::attempts(record, generation, now).saturating_add(1);
        Self { generation, attempts, last: now }
    }

    /// How often it went wrong, as far as that still counts.
    #[must_use]
    pub fn attempts(record: Option<&Self>, generation: i64, now: Millis) -> u32 {
        record.filter(|r| r.generation == generation && !r.is_forgotten(now)).map_or(0, |record| record.attempts)
    }

    /// The record as a pod carries it that was made at `created` after `failures` others had ended: it was made right after the
    /// last of them went.
    #[must_use]
    pub fn resumed(generation: i64, failures: u32, created: Millis, now: Millis) -> Option<Self> {
        // The server's clock may be ahead of ours.
        let record = Self { generation, attempts: failures, last: created.min(now) };
        (failures > 0 && !record.is_forgotten(now)).then_some(record)
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
        assert_eq!(first.delay(), Millis::from_secs(1));
        assert_eq!(Backoff::until(Some(&first), 1, Millis(now.0 + 999)), Some(Millis(now.0 + 1000)));
        assert_eq!(Backoff::until(Some(&first), 1, Millis(now.0 + 1000)), None);
        assert_eq!(Backoff::until(Some(&first), 2, now), None);
        let second = Backoff::next(Some(&first), 1, now);
        assert_eq!(second.delay(), Millis::from_secs(2));
        assert_eq!(Backoff::next(Some(&second), 2, now).delay(), Millis::from_secs(1));
        assert_eq!(Backoff::next(Some(&second), 1, Millis::from_secs(2801)).delay(), Millis::from_secs(1));
        let long = (0..40).fold(first, |record, _| Backoff::next(Some(&record), 1, now));
        assert_eq!(long.delay(), Millis::from_secs(900));
        assert_eq!(Backoff::until(Some(&long), 1, now), Some(Millis::from_secs(1900)));
        assert_eq!(Backoff::until_asked_again(Some(&long), 1, now), Some(Millis::from_secs(1060)), "a refusal: 60 s");
    }

    /// The record is read back from the pod that was made after the failures; not from one of the future or of long ago.
    #[test]
    fn a_record_is_read_back_from_a_pod() {
        let now = Millis::from_secs(5000);
        assert_eq!(Backoff::resumed(1, 0, now, now), None, "a first pod carries none");
        let record = Backoff::resumed(1, 3, Millis::from_secs(4999), now).expect("three failures");
        assert_eq!(Backoff::until(Some(&record), 1, now), Some(Millis::from_secs(5003)));
        let ahead = Backoff::resumed(1, 3, Millis::from_secs(9000), now).expect("three failures");
        assert_eq!(Backoff::until(Some(&ahead), 1, now), Some(Millis::from_secs(5004)));
        assert_eq!(Backoff::resumed(1, 3, Millis::from_secs(3199), now), None, "forgotten");
    }
}
