//! From the wire to the decision: one projection per kind into `everynode_core::model`.
//!
//! A projection reads bytes (or a decoded object) once and keeps only what some decision reads. It is lenient where a
//! decision is: what cannot be read counts as absent. It fails only without an identity.
//!
//! Not here: validation and defaulting; what comes from a server has been through both.

mod amount;
mod meta;
mod node;
mod pod;
mod revision;
mod scheduling;
mod selector;
mod set;

use everynode_core::model::{Node, Pod, Revision, Set};
use serde::de::DeserializeOwned;

pub use amount::int_or_percent;
pub use selector::WireLabelSelector;

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Not JSON, or a field that decisions read has another type.
    #[error("cannot read a {kind} from JSON")]
    Read {
        /// What it was to be.
        kind: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// No name.
    #[error("a {kind} has no metadata.name")]
    Nameless {
        /// What it was to be.
        kind: &'static str,
    },
}

fn read<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, ProjectError> {
    serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind, source })
}

/// A pod, from its JSON.
pub fn pod(bytes: &[u8]) -> Result<Pod, ProjectError> {
    pod::project(read("Pod", bytes)?)
}

/// A node, from its JSON.
pub fn node(bytes: &[u8]) -> Result<Node, ProjectError> {
    node::project(read("Node", bytes)?)
}

/// A `ControllerRevision`, from its JSON; `data` is kept byte for byte (R81).
pub fn revision(bytes: &[u8]) -> Result<Revision, ProjectError> {
    revision::project(read("ControllerRevision", bytes)?)
}

/// A DaemonSet, from its decoded object.
pub fn daemon_set(object: &serde_json::Value) -> Result<Set, ProjectError> {
    set::project(object)
}

#[cfg(test)]
mod tests;
