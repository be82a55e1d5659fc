//! Signs of life of nodes: the leases in `kube-node-lease`, each named after its node.
//!
//! Not here: the lease by which a leader is elected (`leadership`).

use std::sync::Arc;

use everynode_api::project::ProjectError;
use serde::Deserialize;

use crate::meta::{HasMeta, Meta, Wire};

/// Where nodes keep them.
pub(crate) const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// A node's lease.
pub(crate) struct Heartbeat {
    meta: Meta,
    /// `renewTime` as written: only its changes count, not what a node's clock says.
    pub(crate) renewed: Arc<str>,
}

impl Heartbeat {
    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.meta.key.name
    }
}

impl HasMeta for Heartbeat {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Deserialize)]
struct WireLease {
    metadata: Wire,
    #[serde(default)]
    spec: WireSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    renew_time: Option<String>,
}

/// Reads a node's lease.
pub(crate) fn project(bytes: &[u8]) -> Result<Heartbeat, ProjectError> {
    let wire: WireLease =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "Lease", source })?;
    Ok(Heartbeat { meta: wire.metadata.project(), renewed: wire.spec.renew_time.unwrap_or_default().into() })
}
