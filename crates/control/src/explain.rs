//! Asks a server for all that a DaemonSet's decision reads, and explains it.
//!
//! The words are `everynode-core`'s; they are handed on from here for whoever prints them.

use everynode_api::project::{self, ProjectError};
pub use everynode_core::explain::{Explanation, Row, parse_name};
pub use everynode_core::model::Key;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::{Api, Failure, collection};
use crate::clock;

/// Objects per page of a list.
const PAGE: usize = 500;

/// Why a DaemonSet cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The server did not give an object or list.
    #[error("cannot get {path}")]
    Get {
        /// From where.
        path: String,
        /// Why.
        #[source]
        source: Failure,
    },
    /// The answer is no JSON of that shape.
    #[error("cannot read {path}")]
    Read {
        /// From where.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An object in the answer cannot be read.
    #[error("cannot read an object of {path}")]
    Project {
        /// From where.
        path: String,
        /// Why.
        #[source]
        source: ProjectError,
    },
}

impl ExplainError {
    /// There is no such DaemonSet.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Get { source, .. } if source.is_not_found())
    }
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: Meta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    #[serde(rename = "continue")]
    next: String,
}

async fn list<T>(api: &Api, path: &str, read: fn(&[u8]) -> Result<T, ProjectError>) -> Result<Vec<T>, ExplainError> {
    let mut all = Vec::new();
    let mut next = String::new();
    loop {
        let body = get(api, &format!("{path}?limit={PAGE}&continue={next}")).await?;
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|source| ExplainError::Read { path: path.to_owned(), source })?;
        for item in page.items.unwrap_or_default() {
            let object = read(item.get().as_bytes());
            all.push(object.map_err(|source| ExplainError::Project { path: path.to_owned(), source })?);
        }
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(all);
        }
    }
}

async fn get(api: &Api, path: &str) -> Result<bytes::Bytes, ExplainError> {
    api.get(path).await.map_err(|source| ExplainError::Get { path: path.to_owned(), source })
}

/// Explains one DaemonSet as things stand now.
pub async fn ask(client: kube::Client, key: &Key) -> Result<Explanation, ExplainError> {
    let api = Api::new(client);
    let path = format!("{}/{}", collection("apps", "v1", &key.namespace, "daemonsets"), key.name);
    let body = get(&api, &path).await?;
    let object = serde_json::from_slice(&body).map_err(|source| ExplainError::Read { path: path.clone(), source })?;
    let set = project::daemon_set(&object).map_err(|source| ExplainError::Project { path, source })?;
    let nodes = list(&api, "/api/v1/nodes", project::node).await?;
    let pods = list(&api, &collection("", "v1", &key.namespace, "pods"), project::pod).await?;
    let revisions = collection("apps", "v1", &key.namespace, "controllerrevisions");
    let revisions = list(&api, &revisions, project::revision).await?;
    Ok(everynode_core::explain::explain(&set, &revisions, &nodes, &pods, clock::now()))
}
