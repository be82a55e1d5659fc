//! HANDS on a node: pod workers, volumes, probes, logs, exec, heartbeats.
//!
//! [`run`] turns the machine (or, with the runtime `hollow`, nothing at all) into one Node of a cluster that is reached only
//! through a [`kube::Client`]. What to do with a pod is decided by `everynode_core::pod`; this crate does it and reports back.
//!
//! Not here: how a container comes to be (`runtime`), and how several nodes share one machine (`netns`).

mod config;
pub mod netns;
pub mod runtime;

pub use config::{Config, Hollow, RuntimeChoice, Serving, Taint};

use tokio_util::sync::CancellationToken;

/// Why a node could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part of the agent that is not written yet was asked for.
    #[error("node {node}: the agent cannot run pods yet")]
    NotYet {
        /// The node's name.
        node: String,
    },
}

/// Runs one node until `shutdown` is cancelled, then returns and leaves its containers running.
///
/// Returns early only when the node cannot be run at all (directories, runtime, serving socket); a server that is away is waited for.
pub async fn run(client: kube::Client, config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let _ = (client, shutdown);
    Err(RunError::NotYet { node: config.node_name })
}
