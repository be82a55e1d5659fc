//! Asks a server for all that a DaemonSet's decision reads, and explains it.
//!
//! The words are `everynode-core`'s; they are handed on from here for whoever prints them. Works on any server: it only reads.
//!
//! [`read`] gets pages of lists, [`trouble`] what keeps pods from being ready, [`warning`] what was said against those whose status
//! does not tell, [`refusal`] why none could be made, [`shape`] is the answer as a document.

mod event;
pub(crate) mod read;
mod refusal;
pub mod shape;
mod trouble;
mod warning;

use everynode_api::project::{self, ProjectError};
pub use everynode_core::daemonset::eligibility::Reason;
use everynode_core::daemonset::forecast::Scene;
pub use everynode_core::explain::fold::{Line, fold, one};
pub use everynode_core::explain::{Explanation, Facts, NameError, Row, parse_name};
pub use everynode_core::model::Key;
use everynode_core::model::{Node, Pod, Revision, Set};
use serde_json::Value;

use crate::api::{Api, Failure, collection};
use crate::chain::Chain;
use crate::clock;

/// Why a DaemonSet cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// There is no such DaemonSet.
    #[error("there is no DaemonSet {key}")]
    NotFound {
        /// Which.
        key: Key,
        /// Namespaces that have one of this name.
        elsewhere: Vec<String>,
    },
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

/// Explains one DaemonSet as things stand now.
pub async fn ask(client: kube::Client, key: &Key) -> Result<Explanation, ExplainError> {
    let api = Api::new(client);
    let Some((_, set)) = daemon_set(&api, key).await? else {
        return Err(ExplainError::NotFound { key: key.clone(), elsewhere: elsewhere(&api, &key.name).await });
    };
    let mut around = Around::read(&api, &set).await?;
    let now = clock::now();
    let mut facts = Facts::default();
    let told = match around.add_warnings(&api, &set.key.namespace, now).await {
        Ok(()) => refusal::last(&api, &set).await,
        Err(error) => Err(error),
    };
    match told {
        Ok(refusal) => facts.refusal = refusal,
        Err(error) => facts
            .notes
            .push(format!("refusals and warnings are not shown, because events cannot be read: {}", Chain(&error))),
    }
    facts.troubles.clone_from(&around.troubles);
    Ok(everynode_core::explain::explain(&around.scene(&set), &facts, now))
}

/// The set as it stands, and as decisions see it; nothing when there is none.
pub(crate) async fn daemon_set(api: &Api, key: &Key) -> Result<Option<(Value, Set)>, ExplainError> {
    let path = format!("{}/{}", collection("apps", "v1", &key.namespace, "daemonsets"), key.name);
    let body = match api.get(&path).await {
        Ok(body) => body,
        Err(failure) if failure.is_not_found() => return Ok(None),
        Err(source) => return Err(ExplainError::Get { path, source }),
    };
    let object = serde_json::from_slice(&body).map_err(|source| ExplainError::Read { path: path.clone(), source })?;
    let set = project::daemon_set(&object).map_err(|source| ExplainError::Project { path, source })?;
    Ok(Some((object, set)))
}

/// Namespaces with a DaemonSet of this name; a hint, so nothing when that cannot be found out.
async fn elsewhere(api: &Api, name: &str) -> Vec<String> {
    let path = format!("/apis/apps/v1/daemonsets?fieldSelector=metadata.name%3D{}", read::escape(name));
    let found = read::list(api, &path, |bytes| read::object::<read::Named>("DaemonSet", bytes)).await;
    found.unwrap_or_default().into_iter().map(|named| named.metadata.namespace).collect()
}

/// What a set's decision reads beside the set.
pub(crate) struct Around {
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) revisions: Vec<Revision>,
    troubles: std::collections::BTreeMap<std::sync::Arc<str>, everynode_core::explain::Trouble>,
}

impl Around {
    pub(crate) async fn read(api: &Api, set: &Set) -> Result<Self, ExplainError> {
        let namespace = &set.key.namespace;
        // Only pods that the set selects: its own and those it would adopt.
        let selector = set.selector.as_ref().filter(|selector| !selector.is_empty());
        let pods = async {
            let Some(selector) = selector else { return Ok(Vec::new()) };
            let path = collection("", "v1", namespace, "pods");
            let path = format!("{path}?labelSelector={}", read::escape(&read::selector_text(selector)));
            read::list(api, &path, trouble::pod).await
        };
        let revisions = collection("apps", "v1", namespace, "controllerrevisions");
        let (nodes, pods, revisions) = futures::try_join!(
            read::list(api, "/api/v1/nodes", project::node),
            pods,
            read::list(api, &revisions, project::revision),
        )?;
        let mut around = Self { nodes, pods: Vec::new(), revisions, troubles: Default::default() };
        for (pod, trouble) in pods {
            around.troubles.extend(trouble.map(|trouble| (std::sync::Arc::clone(&pod.key.name), trouble)));
            around.pods.push(pod);
        }
        Ok(around)
    }

    pub(crate) fn scene<'a>(&'a self, set: &'a Set) -> Scene<'a> {
        Scene { set, revisions: &self.revisions, nodes: &self.nodes, pods: &self.pods }
    }
}
