//! Growing delays: restarts of a crashing container (N145) and pulls of a missing image (N164).

use super::Moment;
use crate::model::Millis;

/// First delay.
const FIRST_MS: i64 = 10_000;
/// No delay is longer (N15, N16).
const CAP_MS: i64 = 300_000;
/// A run this long is no crash loop any more.
const RESET_MS: i64 = 600_000;

/// Delay of one container or image; the first attempt after the first failure is free when [`Backoff::allows_at`] is asked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    entry: Option<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    delay_ms: i64,
    updated: Millis,
}

impl Backoff {
    /// The moment from which a new attempt is allowed after a failure at `failed`.
    pub fn allows_at(&self, failed: Millis) -> Millis {
        match self.live(failed) {
            Some(entry) => failed.plus_ms(entry.delay_ms),
            None => failed,
        }
    }

    /// Notes an attempt at `now` after a failure at `failed`: the next one waits twice as long.
    pub fn advance(&mut self, failed: Millis, now: Millis) {
        let delay_ms = match self.live(failed) {
            Some(entry) => (entry.delay_ms * 2).min(CAP_MS),
            None => FIRST_MS,
        };
        self.entry = Some(Entry { delay_ms, updated: now });
    }

    /// The delay in force after a failure at `failed`, in milliseconds.
    pub fn delay_ms(&self, failed: Millis) -> i64 {
        self.live(failed).map_or(0, |entry| entry.delay_ms)
    }

    fn live(&self, failed: Millis) -> Option<Entry> {
        self.entry.filter(|entry| failed.since_ms(entry.updated) <= RESET_MS)
    }
}

/// A duration as Go prints it: `10s`, `2m40s`, `5m0s`.
pub fn go_duration(ms: i64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_five_minutes_n15_t19() {
        let (mut backoff, mut now) = (Backoff::default(), Millis(0));
        let mut delays = Vec::new();
        for _ in 0..8 {
            let allowed = backoff.allows_at(now);
            delays.push(allowed.since_ms(now) / 1000);
            backoff.advance(now, allowed);
            now = allowed;
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_reset_the_delay_t20() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.advance(Millis(0), Millis(0));
        }
        assert_eq!(backoff.delay_ms(Millis(RESET_MS)), 160_000);
        assert_eq!(backoff.delay_ms(Millis(RESET_MS + 1)), 0);
        backoff.advance(Millis(RESET_MS + 1), Millis(RESET_MS + 1));
        assert_eq!(backoff.delay_ms(Millis(RESET_MS + 2)), 10_000);
    }

    #[test]
    fn durations_read_as_go_prints_them_n146() {
        for (ms, text) in [(10_000, "10s"), (160_000, "2m40s"), (300_000, "5m0s"), (3_600_000, "1h0m0s")] {
            assert_eq!(go_duration(ms), text);
        }
    }
}
