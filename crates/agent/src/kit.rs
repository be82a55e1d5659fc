//! What every part of a running node shares.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Node;
use tokio::sync::{Semaphore, watch};

use crate::node::facts::Facts;
use crate::runtime::SharedRuntime;
use crate::{Config, RuntimeChoice, events};

/// Client, configuration, runtime and the like, handed to every task of the node.
pub(crate) struct Kit {
    pub(crate) client: kube::Client,
    pub(crate) config: Config,
    pub(crate) runtime: SharedRuntime,
    pub(crate) facts: Facts,
    pub(crate) events: events::Recorder,
    /// The Node object as its watch saw it last.
    pub(crate) node: watch::Receiver<Arc<Node>>,
    /// One pull at a time (N163).
    pub(crate) pulls: Semaphore,
    pub(crate) tokens: crate::token::Tokens,
    pub(crate) started: Instant,
}

impl Kit {
    /// Whether this node has a machine below it: files, namespaces, probes. A hollow one has none.
    pub(crate) fn is_machine(&self) -> bool {
        !matches!(self.config.runtime, RuntimeChoice::Hollow(_))
    }

    /// The node's preferred address.
    pub(crate) fn node_ip(&self) -> Option<std::net::IpAddr> {
        self.facts.addresses.first().copied()
    }
}
