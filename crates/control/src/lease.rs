//! Leases of nodes, as far as they are signs of life.

use std::sync::Arc;

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Version};
use serde::Deserialize;

use crate::cache::Cached;

/// Where nodes keep them.
pub(crate) const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// A lease named after its node.
pub(crate) struct Lease {
    key: Key,
    version: Version,
    /// `renewTime` as written: only its changes count, not what a node's clock says.
    pub(crate) renewed: Arc<str>,
}

impl Lease {
    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }
}

impl Cached for Lease {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMeta,
    #[serde(default)]
    spec: WireSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: String,
    #[serde(default)]
    namespace: String,
    resource_version: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    renew_time: Option<String>,
}

/// Reads a lease.
pub(crate) fn project(bytes: &[u8]) -> Result<Lease, ProjectError> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "Lease", source })?;
    Ok(Lease {
        key: Key::new(&wire.metadata.namespace, &wire.metadata.name),
        version: Version::parse(&wire.metadata.resource_version),
        renewed: wire.spec.renew_time.unwrap_or_default().into(),
    })
}
