//! Which node takes a pod, and why none does (spec/daemonset.md §20, spec/api-kinds.md §D).
//!
//! [`Ledger`] keeps what each node has given away, pod by pod, so that judging one node costs the same at any fleet size.
//! [`Ledger::place`] finds a node or says why there is none, [`Ledger::preempt`] finds pods that must make room, and
//! [`Queue`] orders the pods that wait and wakes only those that a change may help.
//!
//! Not here: binding, events and conditions (the shell's), inter-pod affinity, topology spread and volumes (A519b: later).

mod filter;
mod ledger;
mod preempt;
mod queue;
mod seat;

pub use filter::{Reason, Refusal};
pub use ledger::{Ledger, Placement};
pub use preempt::{Preemption, Victims};
pub use queue::Queue;
pub use seat::Held;

use crate::model::Pod;

/// The scheduler whose pods are ours (A516).
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// A516: not bound, not gated, not going, not ended, and asking for this scheduler.
#[must_use]
pub fn is_waiting(pod: &Pod) -> bool {
    pod.node.is_none()
        && !pod.is_terminating()
        && !pod.is_terminal()
        && !pod.scheduling.gated
        && pod.scheduling.scheduler == DEFAULT_SCHEDULER
}

#[cfg(test)]
pub(crate) mod tests;
