//! The DaemonSet: which node is to have a pod, which pod has to go, and when.
//!
//! ```text
//! events ──observe──> Engine: per set and node a cell ──decide──> Plan: steps, status, notes, wake_at
//!                                                                   │ executed by a shell, outcomes observed
//! ```
//! [`eligibility`] judges a set on a node. [`history`] knows revisions and their hash.

pub mod eligibility;
pub mod history;
