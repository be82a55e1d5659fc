//! The feeds that several controllers share: one watch per resource, whoever asks.

use std::sync::OnceLock;

use everynode_api::project;
use everynode_core::model::{Node, Pod};

use crate::api::Api;
use crate::cache::{Cached, Feed, Project, Source};
use crate::meta::{self, Namespace};

/// The shared feeds; each starts when first asked for.
pub struct Feeds {
    api: Api,
    pods: OnceLock<Feed<Pod>>,
    nodes: OnceLock<Feed<Node>>,
    namespaces: OnceLock<Feed<Namespace>>,
}

impl Feeds {
    /// No feed yet.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api, pods: OnceLock::new(), nodes: OnceLock::new(), namespaces: OnceLock::new() }
    }

    /// All pods.
    #[must_use]
    pub fn pods(&self) -> Feed<Pod> {
        self.pods.get_or_init(|| self.open("pods", "/api/v1/pods", project::pod)).clone()
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> Feed<Node> {
        self.nodes.get_or_init(|| self.open("nodes", "/api/v1/nodes", project::node)).clone()
    }

    /// All namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Feed<Namespace> {
        self.namespaces.get_or_init(|| self.open("namespaces", "/api/v1/namespaces", meta::namespace)).clone()
    }

    /// A feed of its own, read with the shared caches' identity.
    #[must_use]
    pub fn open<T: Cached>(&self, what: &'static str, path: &str, project: Project<T>) -> Feed<T> {
        self.select(what, path, String::new(), project)
    }

    /// The same of those objects that `query` selects.
    #[must_use]
    pub fn select<T: Cached>(&self, what: &'static str, path: &str, query: String, project: Project<T>) -> Feed<T> {
        Feed::start(self.api.clone(), Source { what, path: path.to_owned(), query, project })
    }
}
