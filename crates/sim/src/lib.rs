//! WORLD: a pretend fleet in virtual time, in which the real engine, the real store and the real API code paths meet everything
//! that can go wrong.
//!
//! ```text
//! seed ─> [run]: people, machines, faults ──────────┐
//! manifest ─> play: one rollout, no faults ─────────┴─> world ─> judges after every write; then: right, and at rest
//! ```
//! One thread, one clock, one stream of chance: the same seed gives the same trace, hash for hash.
//!
//! What is real: `core` (engine, judges, life-cycle), `store` (memory backend), `api` (decoding, defaults, preparation, validation,
//! patches, deletion, projections, the requests of a plan). What is pretended: the wire, the server's routing, the caches'
//! and the executor's I/O, scheduler, kubelets, people.
//!
//! What the wire may do: lose a request or its answer, do a write and say 500, refuse, deliver twice before the answer. What it may
//! not do: deliver a request after its sender has heard an answer, or has died and come back.

mod agenda;
mod controller;
mod door;
mod facts;
mod faults;
mod figures;
mod judge;
#[cfg(test)]
mod planted;
pub mod play;
pub mod random;
mod right;
mod run;
mod trace;
mod world;

pub use everynode_core::model::Millis;
pub use figures::Figures;
pub use run::{Config, Outcome, run};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("after {}.{:03} s: {what}", at.0 / 1000, at.0.rem_euclid(1000))]
pub struct Breach {
    /// When, counted from the beginning of the world.
    pub at: Millis,
    /// What.
    pub what: String,
}
