//! What the engine remembers beside what it sees, as its twin and the judges are told it.

use std::collections::{BTreeMap, BTreeSet};

use crate::daemonset::backoff::Backoff;
use crate::daemonset::plan::Ref;
use crate::model::{NodeName, Status, Uid};

/// What was asked for and not seen, and who failed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Creates in flight; `true` where it is not known whether they were made.
    pub creates: BTreeMap<NodeName, bool>,
    /// Of those, the ones that need no pod more to be thought of: theirs is seen, or was not seen for five minutes (R31).
    pub stale: BTreeSet<NodeName>,
    /// Pods that may have been adopted: nobody knows.
    pub doubted: BTreeSet<Ref>,
    /// Pods whose deletion was asked for.
    pub asked: BTreeSet<Uid>,
    /// Back-offs by node.
    pub backoff: BTreeMap<NodeName, Backoff>,
    /// Refused creates by node.
    pub refused: BTreeMap<NodeName, Backoff>,
    /// Revisions asked to go.
    pub going: BTreeSet<Uid>,
    /// The status written last, when it is not seen yet.
    pub written: Option<Status>,
    /// A status was written just now; another one of the same generation waits.
    pub status_waits: bool,
    /// Claims or revisions are in flight.
    pub is_gated: bool,
    /// Nothing may be made or taken away for now (R69).
    pub is_held: bool,
}
