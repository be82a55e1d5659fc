//! BRAIN: every decision, none of the doing.
//!
//! Nothing in this crate sleeps, speaks, reads a clock or draws a number: time and seeds are arguments, maps are
//! ordered, and the same input always gives the same answer. What a decision may look at is in [`model`]; the wire's
//! shapes are projected into it by `everynode-api`.
//!
//! Not here: JSON, HTTP, tokio, logging.

pub mod check;
pub mod daemonset;
pub mod explain;
pub mod leadership;
pub mod lifecycle;
pub mod model;
pub mod pod;
pub mod scheduling;
pub mod selector;
