//! How a machine joins a cluster: it is given an address, a token and the hash of the authority's key, and gets a certificate
//! of its own (section 4 of the rules).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::Serving;

/// What a machine has to know to join.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// `https://HOST:PORT` of the API server.
    pub server: String,
    /// `abcdef.0123456789abcdef`; needed the first time only.
    pub token: Option<String>,
    /// `sha256:…` over the public key of the cluster's authority; needed the first time only.
    pub ca_cert_hash: Option<String>,
    /// A kubeconfig to use instead of a token.
    pub kubeconfig: Option<PathBuf>,
    /// Keys are kept in `<data_dir>/agent/pki`.
    pub data_dir: PathBuf,
    /// Name of the node.
    pub node_name: String,
    /// The address that the serving certificate names besides the node's name.
    pub node_ip: Option<IpAddr>,
}

/// A machine that has joined.
pub struct Joined {
    /// A client with the node's own certificate, over HTTP/2.
    pub client: kube::Client,
    /// Certificates for the node's HTTPS server.
    pub serving: Serving,
    /// Host and port of the API server.
    pub api_server: (String, u16),
}

/// Why a machine could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Not written yet.
    #[error("node {node} cannot join {server}: joining is not written yet")]
    NotYet {
        /// The node.
        node: String,
        /// The server.
        server: String,
    },
}

/// Whether this machine has joined before, so that no token is needed.
pub fn has_joined(data_dir: &Path) -> bool {
    data_dir.join("agent/pki/kubelet-client-current.pem").exists()
}

/// Joins, or connects again with what an earlier join left.
pub async fn connect(request: JoinRequest) -> Result<Joined, JoinError> {
    Err(JoinError::NotYet { node: request.node_name, server: request.server })
}
