//! The DaemonSet: which node is to have a pod, which pod has to go, and when.
//!
//! ```text
//! events ──observe──> Engine: per set and node a cell ──decide──> Plan: steps, status, remarks, wake_at
//!                                                                   │ executed by a shell, outcomes observed
//! ```
//! [`eligibility`] judges a set on a node; `cell` and `pods` hold what is there, `policy` what the set wants of it, `assess` says
//! what follows, [`budget`] how far it may go. [`history`] knows revisions and their hash, [`backoff`] when to try again.
//! [`reference`] is the engine's twin. [`forecast`] plays the engine forward.

mod assess;
pub mod backoff;
pub mod budget;
mod cell;
pub mod eligibility;
pub mod engine;
pub mod forecast;
pub mod history;
#[cfg(test)]
pub(crate) mod mk;
mod names;
pub mod plan;
mod pods;
mod policy;
pub mod reference;
mod text;

pub use cell::{Charge, Charged};
pub use engine::Engine;
pub use plan::{Outcome, Plan, Step};
