//! What probes are told: does this process live, and is it of use?

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everynode_core::model::Millis;

use crate::clock::Steady;

/// A term may be over for so long before a leader that has not noticed counts as dead: upstream's 20 s.
const TOLERANCE: Millis = Millis::from_secs(20);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    role: Role,
    /// What the controllers decide on is there.
    is_synced: bool,
}

#[derive(Default)]
enum Role {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// Another may lead; this one stands by.
    StandingBy,
    /// Leads until then.
    Leading { clock: Arc<Steady>, until: Millis },
    /// There is no election.
    Alone,
}

/// One check and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// All is well.
    pub is_well: bool,
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is nobody to elect.
    pub(crate) fn alone(&self) {
        self.lock().role = Role::Alone;
    }

    /// The lease was read, and is not ours.
    pub(crate) fn standing_by(&self) {
        *self.lock() = State { role: Role::StandingBy, is_synced: false };
    }

    /// The lease is ours.
    pub(crate) fn leading(&self, clock: &Arc<Steady>, until: Millis) {
        self.lock().role = Role::Leading { clock: Arc::clone(clock), until };
    }

    /// The controllers see all there is.
    pub(crate) fn synced(&self) {
        self.lock().is_synced = true;
    }

    /// `/livez` and `/healthz`: false means that only a restart helps.
    #[must_use]
    pub fn live(&self) -> Vec<Check> {
        let is_well = match &self.lock().role {
            Role::Leading { clock, until } => clock.now().latest < until.plus(TOLERANCE),
            Role::Starting | Role::StandingBy | Role::Alone => true,
        };
        vec![Check { name: "ping", is_well: true }, Check { name: "leaderElection", is_well }]
    }

    /// `/readyz`: false until the API was reached, and for one that acts until it sees all.
    #[must_use]
    pub fn ready(&self) -> Vec<Check> {
        let mut checks = self.live();
        let state = self.lock();
        checks.push(match state.role {
            Role::Starting | Role::StandingBy => {
                Check { name: "lease-read", is_well: matches!(state.role, Role::StandingBy) }
            }
            Role::Leading { .. } | Role::Alone => Check { name: "informer-sync", is_well: state.is_synced },
        });
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_well(checks: &[Check]) -> bool {
        checks.iter().all(|check| check.is_well)
    }

    #[test]
    fn one_that_stands_by_is_ready_and_a_leader_when_it_sees_all() {
        let health = Health::default();
        assert!(is_well(&health.live()) && !is_well(&health.ready()), "the API was not reached yet");
        health.standing_by();
        assert!(is_well(&health.ready()));
        let clock = Arc::new(Steady::start());
        health.leading(&clock, clock.now().latest.plus(Millis::from_secs(10)));
        assert!(is_well(&health.live()) && !is_well(&health.ready()));
        health.synced();
        assert!(is_well(&health.ready()));
        health.standing_by();
        health.leading(&clock, clock.now().latest.plus(Millis::from_secs(10)));
        assert!(!is_well(&health.ready()), "a new term begins with a new view");
    }

    #[test]
    fn a_leader_that_does_not_notice_its_end_is_dead() {
        let health = Health::default();
        let clock = Arc::new(Steady::start());
        health.leading(&clock, Millis::from_secs(-30));
        assert!(!is_well(&health.live()));
    }
}
