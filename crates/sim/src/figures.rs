//! What happened in a run, in numbers.

use crate::faults::Fate;

/// Counts of one run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs.
    pub seeds: u64,
    /// Entries of the agenda.
    pub events: u64,
    /// Changes of objects.
    pub writes: u64,
    /// Decisions of the engine.
    pub decisions: u64,
    /// Requests of the controller.
    pub requests: u64,
    /// Pods that it made.
    pub creates: u64,
    /// Pods that it took away.
    pub deletes: u64,
    /// What people and machines did.
    pub operations: u64,
    /// Answers that were lost.
    pub lost_answers: u64,
    /// Requests that were lost.
    pub lost_requests: u64,
    /// Writes that were done and answered with 500.
    pub done_but_500: u64,
    /// Requests that were refused for no reason of their own.
    pub refused: u64,
    /// Requests that arrived twice.
    pub doubled: u64,
    /// Deaths of the controller.
    pub crashes: u64,
    /// Watches that broke.
    pub broken_watches: u64,
    /// Changes that were seen late.
    pub late_watches: u64,
    /// Lists.
    pub lists: u64,
    /// Times the controller's clock was set.
    pub clock_jumps: u64,
    /// The longest that a fleet took to become right, in milliseconds.
    pub slowest_ms: i64,
}

impl Figures {
    pub(crate) fn count_fate(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Plain => return,
            Fate::LostAnswer => &mut self.lost_answers,
            Fate::LostRequest => &mut self.lost_requests,
            Fate::DoneBut500 => &mut self.done_but_500,
            Fate::Refused(..) => &mut self.refused,
            Fate::Doubled => &mut self.doubled,
        };
        *count += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.seeds, other.seeds),
            (&mut self.events, other.events),
            (&mut self.writes, other.writes),
            (&mut self.decisions, other.decisions),
            (&mut self.requests, other.requests),
            (&mut self.creates, other.creates),
            (&mut self.deletes, other.deletes),
            (&mut self.operations, other.operations),
            (&mut self.lost_answers, other.lost_answers),
            (&mut self.lost_requests, other.lost_requests),
            (&mut self.done_but_500, other.done_but_500),
            (&mut self.refused, other.refused),
            (&mut self.doubled, other.doubled),
            (&mut self.crashes, other.crashes),
            (&mut self.broken_watches, other.broken_watches),
            (&mut self.late_watches, other.late_watches),
            (&mut self.lists, other.lists),
            (&mut self.clock_jumps, other.clock_jumps),
        ] {
            *sum += more;
        }
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
    }
}
