//! The node's half of the brain: what to do with one pod on its node.
//!
//! A [`Machine`] holds what is known of one pod. The shell feeds it [`Input`]s and carries out the [`Effect`]s that come back;
//! what happened comes in as the next input. [`Machine::status`] says at any time what the API should be told.
//!
//! ```text
//!   Setup ──volumes, sandbox──▶ Running ──deleted, finished, rejected──▶ Terminating ──all stopped──▶ Cleaning ──▶ Finished
//! ```
//!
//! Stages only go forward (N77). After every input the machine looks at its whole state and asks for whatever is missing, so the
//! order in which inputs arrive does not matter and none is a promise that the other comes.
//!
//! Not here: how anything is done (`agent`), time (an argument), and other pods of the node (`admission` looks at them once).

pub mod admission;
mod backoff;
mod container;
mod effect;
mod machine;
mod phase;
mod probe;
mod recovery;
mod spec;
mod status;
mod stopping;
#[cfg(test)]
mod tests;

use crate::model::Millis;

pub use backoff::{Backoff, go_duration};
pub use effect::{Effect, Input, Outcome, ProbeKind, StartError, Started, Termination, Why};
pub use machine::{Machine, Verdict};
pub use phase::Phase;
pub use recovery::{Recovered, RecoveredContainer, RecoveredState};
pub use spec::{Container, Kind, Probe, RestartPolicy, Spec};
pub use status::{Condition, ContainerState, ContainerStatus, Status};

/// Arithmetic on moments in the units of the rules.
pub(crate) trait Moment {
    /// This moment and so many milliseconds.
    fn plus_ms(self, ms: i64) -> Self;
    /// This moment and so many seconds.
    fn plus_seconds(self, seconds: u32) -> Self;
    /// Milliseconds from `earlier` to here; negative when it is later.
    fn since_ms(self, earlier: Self) -> i64;
}

impl Moment for Millis {
    fn plus_ms(self, ms: i64) -> Self {
        self.plus(Self(ms))
    }

    fn plus_seconds(self, seconds: u32) -> Self {
        self.plus(Self::from_secs(i64::from(seconds)))
    }

    fn since_ms(self, earlier: Self) -> i64 {
        self.since(earlier).0
    }
}
