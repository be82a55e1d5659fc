//! How a machine joins a cluster: it is given an address, a token and the hash of the authority's key, and gets a certificate
//! of its own (section 4 of the rules).
//!
//! ```text
//!   token, hash ─▶ authority's certificate (trusted by its hash) ─▶ signing request with the token ─▶ client certificate
//!   client certificate ─▶ Node registered ─▶ signing request for the serving certificate ─▶ logs and exec
//! ```
//!
//! The client certificate is kept in `<data dir>/agent/pki`; a later start needs no token, and renews a certificate that is
//! past three quarters of its life.

mod authority;
mod http2;
mod request;
mod store;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};

use crate::Serving;
use crate::kit::Kit;
use request::Usage;
use store::Store;

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
    /// Certificates for the node's HTTPS server; the serving one is asked for when the node is registered.
    pub serving: Serving,
    /// Host and port of the API server.
    pub api_server: (String, u16),
}

/// Why a machine could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The address cannot be used.
    #[error("{server:?} is no address of an API server: give https://HOST:PORT")]
    Address {
        /// As given.
        server: String,
    },
    /// Nothing says which authority to trust.
    #[error(
        "the hash of the cluster's authority is missing: give --ca-cert-hash as `everynode token create` prints it"
    )]
    NoHash,
    /// There is no token and no certificate.
    #[error("node {node} has not joined yet: give --token as `everynode token create` prints it")]
    NoToken {
        /// The node.
        node: String,
    },
    /// The server shows another authority than the one that was meant.
    #[error("{server} shows no certificate with the hash {hash}: it is another cluster, or somebody is in between")]
    WrongAuthority {
        /// The server.
        server: String,
        /// The hash that was wanted.
        hash: String,
    },
    /// The server cannot be reached.
    #[error("cannot reach {server}")]
    Reach {
        /// The server.
        server: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Keys and certificates could not be read, written or made.
    #[error("cannot {act}")]
    Keys {
        /// What was tried.
        act: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server said no.
    #[error("cannot get a certificate for node {node} (is the token still valid? `everynode token list`)")]
    Sign {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JoinError {
    fn keys<E: Into<Box<dyn std::error::Error + Send + Sync>>>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        let act = act.into();
        move |source| Self::Keys { act, source: source.into() }
    }
}

/// Whether this machine has joined before, so that no token is needed.
pub fn has_joined(data_dir: &Path) -> bool {
    Store::at(data_dir).has_joined()
}

/// Joins, or connects again with what an earlier join left.
pub async fn connect(request: JoinRequest) -> Result<Joined, JoinError> {
    let (config, server) = match &request.kubeconfig {
        Some(path) => from_kubeconfig(path).await?,
        None => from_store(&request).await?,
    };
    let authority = config.root_cert.clone().unwrap_or_default();
    let serving = Serving {
        certificate: String::new(),
        key: String::new(),
        client_ca: authority.iter().map(|der| authority::to_pem(der)).collect(),
    };
    let client = http2::client(config).map_err(JoinError::keys("use the node's certificate"))?;
    Ok(Joined { client, serving, api_server: server })
}

async fn from_kubeconfig(path: &Path) -> Result<(kube::Config, (String, u16)), JoinError> {
    let act = || format!("read kubeconfig {}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).map_err(JoinError::keys(act()))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.map_err(JoinError::keys(act()))?;
    let server = address(&config.cluster_url.to_string())?;
    Ok((config, server))
}

async fn from_store(request: &JoinRequest) -> Result<(kube::Config, (String, u16)), JoinError> {
    let server = address(&request.server)?;
    let store = Store::at(&request.data_dir);
    if !store.has_joined() {
        bootstrap(request, &server, &store).await?;
    }
    let config = with_certificate(request, &store)?;
    if store.is_old() {
        let client = http2::client(config).map_err(JoinError::keys("use the node's certificate"))?;
        match request::client_certificate(&client, &request.node_name).await {
            Ok(pair) => store.keep(&pair)?,
            // The old one still works; the next start tries again.
            Err(error) => tracing::warn!(error = &*error as &dyn std::error::Error, "certificate not renewed"),
        }
    }
    Ok((with_certificate(request, &store)?, server))
}

/// Gets the first certificate with a token (N56–N58).
async fn bootstrap(request: &JoinRequest, server: &(String, u16), store: &Store) -> Result<(), JoinError> {
    let token = request.token.clone().ok_or_else(|| JoinError::NoToken { node: request.node_name.clone() })?;
    let hash = request.ca_cert_hash.as_deref().ok_or(JoinError::NoHash)?;
    let authority = authority::find(server, hash).await?;
    let mut config = config(request, &authority)?;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    let client = http2::client(config).map_err(JoinError::keys("use the authority's certificate"))?;
    let pair = request::client_certificate(&client, &request.node_name)
        .await
        .map_err(|source| JoinError::Sign { node: request.node_name.clone(), source })?;
    store.keep_authority(&authority::to_pem(&authority))?;
    store.keep(&pair)
}

fn with_certificate(request: &JoinRequest, store: &Store) -> Result<kube::Config, JoinError> {
    let authority = authority::from_pem(&store.authority()?)?;
    let mut config = config(request, &authority)?;
    let path = store.current().to_string_lossy().into_owned();
    config.auth_info =
        AuthInfo { client_certificate: Some(path.clone()), client_key: Some(path), ..AuthInfo::default() };
    Ok(config)
}

fn config(request: &JoinRequest, authority: &[u8]) -> Result<kube::Config, JoinError> {
    let url = request.server.parse().map_err(|_| JoinError::Address { server: request.server.clone() })?;
    let mut config = kube::Config::new(url);
    config.root_cert = Some(vec![authority.to_vec()]);
    // Watches are silent for as long as nothing happens; HTTP/2 pings find dead connections.
    config.read_timeout = None;
    Ok(config)
}

/// Host and port of an address.
fn address(server: &str) -> Result<(String, u16), JoinError> {
    let bad = || JoinError::Address { server: server.to_owned() };
    let uri: http::Uri = server.parse().map_err(|_| bad())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(bad)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(443)))
}

/// The serving certificate of a registered node (N60); tries until it has one.
pub(crate) async fn serving(kit: &Arc<Kit>, given: &Serving) -> Serving {
    if !given.certificate.is_empty() {
        return given.clone();
    }
    let usage = Usage::Serving { addresses: kit.facts.addresses.clone() };
    let mut wait = std::time::Duration::from_millis(200);
    loop {
        match request::certificate(&kit.client, &kit.config.node_name, &usage).await {
            Ok(pair) => {
                return Serving { certificate: pair.certificate, key: pair.key, client_ca: given.client_ca.clone() };
            }
            Err(error) => {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "no serving certificate yet; logs and exec wait"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(std::time::Duration::from_secs(30));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https() {
        for (text, expect) in [
            ("https://10.0.0.1:6443", Some(("10.0.0.1", 6443))),
            ("https://[::1]:6443", Some(("::1", 6443))),
            ("https://host", Some(("host", 443))),
            ("http://host:1", None),
            ("host:1", None),
        ] {
            let got = address(text).ok();
            assert_eq!(got.as_ref().map(|(host, port)| (host.as_str(), *port)), expect, "{text}");
        }
    }
}
