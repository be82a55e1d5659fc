//! Who may act when several could: leader election over one Lease, with the rules and times of Kubernetes' own components.
//!
//! A candidate that holds the lease leads until `renew` has passed since it *asked* for the renewal that was granted last.
//! Others take the lease only when it has not changed for `lease`, which is longer: a leader that cannot renew has stopped
//! before anybody else may begin.
//!
//! Clocks lie: one stands still while the machine sleeps, another one jumps when somebody sets it. So a [`Moment`] is two
//! bounds. One's own term is judged by the late one, another's lease by the early one; both errors cost time, never safety.
//!
//! Not here: the Lease on the wire, requests, jitter.
//!
//! Invariant: of candidates over one lease, at most one leads at any time (see the tests).

use std::sync::Arc;

use crate::model::Millis;

/// Now, as far as clocks tell: time that has passed since some start, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Not before this.
    pub earliest: Millis,
    /// Not after this.
    pub latest: Millis,
}

/// The three spans of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease that does not change is its holder's.
    pub lease: Millis,
    /// How long a leader acts without a renewal.
    pub renew: Millis,
    /// Between two tries.
    pub retry: Millis,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Millis::from_secs(15), renew: Millis::from_secs(10), retry: Millis::from_secs(2) }
    }
}

/// What is wrong with a [`Timing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Others could take the lease from a leader that still acts.
    #[error("the lease duration must be greater than the renew deadline")]
    LeaseTooShort,
    /// There would be no second try.
    #[error("the renew deadline must be greater than 1.2 times the retry period")]
    DeadlineTooShort,
    /// A lease counts whole seconds.
    #[error("the lease duration must be at least one second, and the others greater than zero")]
    TooSmall,
}

impl Timing {
    /// Whether these spans make a safe election.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(self) -> Result<Self, TimingError> {
        if self.lease < Millis::from_secs(1) || self.renew.0 < 1 || self.retry.0 < 1 {
            return Err(TimingError::TooSmall);
        }
        // What others are told is in whole seconds, rounded down.
        if Millis::from_secs(self.lease.0 / 1000) <= self.renew {
            return Err(TimingError::LeaseTooShort);
        }
        if self.renew.0.saturating_mul(10) <= self.retry.0.saturating_mul(12) {
            return Err(TimingError::DeadlineTooShort);
        }
        Ok(self)
    }
}

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was given up.
    pub holder: Arc<str>,
    /// How long it holds without a renewal.
    pub duration: Millis,
    /// `renewTime` as written: only its changes count, not what the holder's clock says.
    pub renewed: Arc<str>,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// What to do about the lease that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// There is none: make it.
    Create,
    /// It is free: write our name into it.
    Take {
        /// The count of changes to write.
        transitions: i32,
    },
    /// It is ours: write a new `renewTime`.
    Renew,
    /// It is another's.
    Wait,
}

/// One who would lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: Arc<str>,
    timing: Timing,
    /// The record last read, and when it was first read so.
    seen: Option<(Record, Millis)>,
    /// On the late bound.
    leads_until: Option<Millis>,
}

impl Candidate {
    /// One who does not lead yet. No two may have one identity.
    #[must_use]
    pub fn new(identity: Arc<str>, timing: Timing) -> Self {
        Self { identity, timing, seen: None, leads_until: None }
    }

    /// Its name in the lease.
    #[must_use]
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// May it act?
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.leads_until.is_some_and(|until| now.latest < until)
    }

    /// When it has to stop acting unless it renews, on the late bound.
    #[must_use]
    pub fn leads_until(&self) -> Option<Millis> {
        self.leads_until
    }

    /// The lease was read: what now?
    pub fn look(&mut self, found: Option<Record>, now: Moment) -> Move {
        let Some(found) = found else {
            // Without its lease nobody is safe from a second leader.
            self.resign();
            self.seen = None;
            return Move::Create;
        };
        let is_ours = found.holder == self.identity;
        let is_free = found.holder.is_empty();
        if !is_ours {
            self.resign();
        }
        let transitions = found.transitions.saturating_add(1);
        let duration = found.duration;
        let since = match &self.seen {
            Some((seen, since)) if *seen == found => *since,
            Some(_) | None => {
                self.seen = Some((found, now.earliest));
                now.earliest
            }
        };
        if is_ours {
            Move::Renew
        } else if is_free || now.earliest >= since.plus(duration) {
            Move::Take { transitions }
        } else {
            Move::Wait
        }
    }

    /// A write that was asked for at `asked` put our name, or a new time, into the lease.
    pub fn granted(&mut self, asked: Moment) {
        self.leads_until = Some(asked.latest.plus(self.timing.renew));
    }

    /// It leads no more.
    pub fn resign(&mut self) {
        self.leads_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment { earliest: Millis::from_secs(seconds), latest: Millis::from_secs(seconds) }
    }

    fn record(holder: &str, renewed: &str, transitions: i32) -> Record {
        Record { holder: holder.into(), duration: Millis::from_secs(15), renewed: renewed.into(), transitions }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_absent_given_up_or_unchanged_for_its_duration() {
        let mut candidate = Candidate::new("me".into(), Timing::default());
        assert_eq!(candidate.look(None, at(0)), Move::Create);
        assert_eq!(candidate.look(Some(record("other", "a", 4)), at(1)), Move::Wait);
        assert_eq!(candidate.look(Some(record("other", "a", 4)), at(15)), Move::Wait);
        assert_eq!(candidate.look(Some(record("other", "b", 4)), at(16)), Move::Wait, "it was renewed");
        assert_eq!(candidate.look(Some(record("other", "b", 4)), at(30)), Move::Wait);
        assert_eq!(candidate.look(Some(record("other", "b", 4)), at(31)), Move::Take { transitions: 5 });
        assert_eq!(candidate.look(Some(record("", "c", 4)), at(32)), Move::Take { transitions: 5 });
        assert_eq!(candidate.look(Some(record("me", "d", 5)), at(33)), Move::Renew);
    }

    #[test]
    fn a_leader_leads_until_the_renew_deadline_after_it_asked() {
        let mut candidate = Candidate::new("me".into(), Timing::default());
        assert!(!candidate.leads(at(0)));
        candidate.granted(at(3));
        assert!(candidate.leads(at(12)) && !candidate.leads(at(13)));
        candidate.granted(at(5));
        assert!(candidate.leads(at(14)));
        assert_eq!(candidate.look(Some(record("other", "x", 1)), at(6)), Move::Wait);
        assert!(!candidate.leads(at(6)), "another's name is in the lease");
        candidate.granted(at(7));
        assert_eq!(candidate.look(None, at(8)), Move::Create);
        assert!(!candidate.leads(at(8)), "the lease is gone");
    }

    /// A clock that jumps ahead ends our term and does not end another's; one that stands still does the opposite.
    #[test]
    fn doubt_about_the_time_counts_against_us() {
        let doubtful = Moment { earliest: Millis::from_secs(1), latest: Millis::from_secs(100) };
        let mut candidate = Candidate::new("me".into(), Timing::default());
        assert_eq!(candidate.look(Some(record("other", "a", 0)), at(0)), Move::Wait);
        assert_eq!(candidate.look(Some(record("other", "a", 0)), doubtful), Move::Wait);
        candidate.granted(at(0));
        assert!(!candidate.leads(doubtful));
    }

    #[test]
    fn unsafe_spans_are_refused() {
        let timing = |lease, renew, retry| Timing { lease: Millis(lease), renew: Millis(renew), retry: Millis(retry) };
        let table = [
            (timing(15_000, 10_000, 2_000), None),
            (timing(10_000, 10_000, 2_000), Some(TimingError::LeaseTooShort)),
            (timing(2_900, 2_000, 500), Some(TimingError::LeaseTooShort)),
            (timing(15_000, 10_000, 9_000), Some(TimingError::DeadlineTooShort)),
            (timing(900, 500, 100), Some(TimingError::TooSmall)),
            (timing(15_000, 10_000, 0), Some(TimingError::TooSmall)),
        ];
        for (timing, expect) in table {
            assert_eq!(timing.check().err(), expect, "{timing:?}");
        }
    }

    /// A lease as a server keeps it, and the number of its version.
    #[derive(Default)]
    struct Server {
        lease: Option<Record>,
        version: u64,
    }

    struct Player {
        candidate: Candidate,
        /// How its clocks run: the early one loses, the late one gains, both now and then by a lot.
        slow: i64,
        fast: i64,
    }

    fn draw(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    /// Three candidates with bad clocks and lost answers: never two leaders, and in the end there is one.
    #[test]
    fn at_most_one_leads() {
        for seed in 0..200 {
            let (terms, has_leader) = play(seed);
            assert!(terms > 0 && has_leader, "seed {seed}: {terms} terms");
        }
    }

    fn play(seed: u64) -> (u32, bool) {
        let mut random = seed;
        let mut server = Server::default();
        let new = |name: &str| Player { candidate: Candidate::new(name.into(), Timing::default()), slow: 0, fast: 0 };
        let mut players = ["a", "b", "c"].map(new);
        let mut terms = 0;
        let is_calm = |tick: i64| tick > 4_000;
        for tick in 0..4_400 {
            let true_time = tick * 100;
            let index = usize::try_from(draw(&mut random, 3)).unwrap_or(0);
            let player = &mut players[index];
            if !is_calm(tick) && draw(&mut random, 50) == 0 {
                player.slow += i64::try_from(draw(&mut random, 20_000)).unwrap_or(0);
            }
            if !is_calm(tick) && draw(&mut random, 50) == 0 {
                player.fast += i64::try_from(draw(&mut random, 20_000)).unwrap_or(0);
            }
            let now = Moment { earliest: Millis(true_time - player.slow), latest: Millis(true_time + player.fast) };
            // Each is silent for a while, so that others get their turn.
            let turn_of_silence = usize::try_from(tick / 400 % 4).unwrap_or(0);
            let is_idle = if is_calm(tick) {
                draw(&mut random, 2) == 0
            } else {
                index == turn_of_silence || draw(&mut random, 8) != 0
            };
            if !is_idle {
                terms += turn(player, &mut server, now, draw(&mut random, 10) == 0 && !is_calm(tick));
            }
            let leaders = players.iter().filter(|player| {
                let now = Moment { earliest: Millis(true_time - player.slow), latest: Millis(true_time + player.fast) };
                player.candidate.leads(now)
            });
            assert!(leaders.count() <= 1, "seed {seed}, tick {tick}: two leaders");
        }
        let end = 4_400 * 100;
        let is_leader = |player: &Player| {
            let now = Moment { earliest: Millis(end - player.slow), latest: Millis(end + player.fast) };
            player.candidate.leads(now)
        };
        (terms, players.iter().any(is_leader))
    }

    /// Reads and writes at once; with `is_lost` the answer to the write does not arrive. Gives 1 when a term begins.
    fn turn(player: &mut Player, server: &mut Server, now: Moment, is_lost: bool) -> u32 {
        let old = server.lease.clone();
        let old_transitions = old.as_ref().map_or(0, |old| old.transitions);
        let transitions = match player.candidate.look(old, now) {
            Move::Wait => return 0,
            Move::Create => 0,
            Move::Take { transitions } => transitions,
            Move::Renew => old_transitions,
        };
        server.version += 1;
        let renewed = server.version.to_string();
        server.lease = Some(record(player.candidate.identity(), &renewed, transitions));
        if is_lost {
            return 0;
        }
        let began = u32::from(!player.candidate.leads(now));
        player.candidate.granted(now);
        began
    }
}
