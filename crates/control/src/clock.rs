//! The one place where controllers read the clock.

use std::fmt;
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use everynode_core::leadership::Moment;
use everynode_core::model::Millis;

/// Now, on the wall clock.
#[must_use]
pub fn now() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// A point in time as the wire writes it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}

/// A point in time as Leases have it: RFC 3339, UTC, microseconds.
#[must_use]
pub fn micro_time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |at| format!("{at:.6}"))
}

/// Time since its start, with bounds that hold when the machine sleeps and when somebody sets the wall clock.
///
/// The monotonic clock stands still in sleep and the wall clock does not, so at least the former has passed, and at most the sum
/// of whichever said more between any two looks.
pub struct Steady {
    clocks: Clocks,
    last: Mutex<Look>,
}

/// What the monotonic clock and the wall clock say.
type Clocks = Box<dyn Fn() -> (Millis, Millis) + Send + Sync>;

#[derive(Clone, Copy, Debug)]
struct Look {
    steady: Millis,
    wall: Millis,
    latest: Millis,
}

impl Look {
    fn next(self, steady: Millis, wall: Millis) -> Self {
        let passed = steady.since(self.steady).max(wall.since(self.wall)).max(Millis(0));
        Self { steady, wall, latest: self.latest.plus(passed) }
    }
}

impl Steady {
    /// Starts at 0.
    #[must_use]
    pub fn start() -> Self {
        let started = Instant::now();
        let steady = move || Millis(i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX));
        Self::of(Box::new(move || (steady(), now())))
    }

    fn of(clocks: Clocks) -> Self {
        let (steady, wall) = clocks();
        Self { clocks, last: Mutex::new(Look { steady, wall, latest: steady }) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (steady, wall) = (self.clocks)();
        *last = last.next(steady, wall);
        Moment { earliest: steady, latest: last.latest }
    }
}

impl fmt::Debug for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steady").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Clocks that stand still but when a test sets them forward.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct ByHand(Arc<AtomicI64>);

#[cfg(test)]
impl ByHand {
    pub(crate) fn clock(&self) -> Arc<Steady> {
        let hand = Arc::clone(&self.0);
        let now = move || Millis(hand.load(Ordering::SeqCst));
        Arc::new(Steady::of(Box::new(move || (now(), now()))))
    }

    pub(crate) fn passes(&self, span: Millis) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_late_bound_follows_the_faster_clock() {
        let start = Look { steady: Millis(0), wall: Millis(1_000_000), latest: Millis(0) };
        let table = [
            ("both agree", [(10, 1_000_010), (20, 1_000_020)], 20),
            ("the machine slept", [(10, 1_000_010), (20, 1_060_020)], 60_020),
            ("the wall clock was set back", [(10, 900_000), (20, 900_010)], 20),
            ("set ahead and back again", [(10, 1_500_010), (20, 1_000_020)], 500_020),
        ];
        for (what, looks, expect) in table {
            let end = looks.iter().fold(start, |look, (steady, wall)| look.next(Millis(*steady), Millis(*wall)));
            assert_eq!(end.latest, Millis(expect), "{what}");
        }
    }

    #[test]
    fn micro_times_have_six_digits() {
        assert_eq!(micro_time(Millis(1_700_000_000_120)), "2023-11-14T22:13:20.120000Z");
        assert_eq!(rfc3339(Millis(1_700_000_000_120)), "2023-11-14T22:13:20Z");
    }
}
