//! The door: the only crate that speaks HTTP to clients.
//!
//! One generic path serves every resource, driven by rows of `everynode_api::registry`:
//! authenticate → authorize → decode → default → admit → validate → commit → encode.
//! Clients reach it over TLS ([`serve`]); controllers and the node agent of the same process reach it
//! through [`Running::service`], which skips the socket and authentication, and nothing else.
//!
//! Not here: what objects mean (`api`), how they are kept (`store`), who acts on them (`control`, `agent`).

pub mod admission;
mod answer;
pub mod authz;
pub mod body;
pub mod bootstrap;
mod discovery;
mod failure;
mod flow;
mod follow;
mod forms;
mod gzip;
mod health;
mod housekeeping;
pub mod identity;
pub mod kubeconfig;
mod list;
mod metrics;
mod negotiate;
mod openapi;
mod paths;
mod proxy;
mod remember;
mod render;
mod request;
mod respond;
mod rest;
mod reviews;
pub mod router;
pub mod security;
mod serve;
mod service;
pub mod signer;
mod stop;
mod storage;
mod stored;
pub mod tls;
pub mod tokens;
mod topic;
mod verbatim;
pub mod watch;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use everynode_api::status::Status;
use tokio::task::JoinSet;

pub use crate::body::Body;
pub use crate::identity::Identity;
pub use crate::service::Service;
pub use crate::storage::{StorageError, open_store};
pub use crate::topic::topics;
/// Opened by [`open_store`], closed by whoever opened it.
pub use everynode_store::Store;

/// Where and for whom the server listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the TLS listener; port 0 picks a free one, see [`Running::address`].
    pub listen: SocketAddr,
    /// Further addresses to listen on, such as the bridge to nodes in their own network namespaces.
    pub also_listen: Vec<SocketAddr>,
    /// Directory of keys and certificates (`pki/`); made with mode 0700 if it is absent.
    pub data_dir: PathBuf,
    /// Address under which clients, agents and pods reach this server; `None`: the listen address.
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
    /// Keys or certificates in the data directory cannot be read or made.
    #[error("cannot open the keys and certificates of the server")]
    Security(#[from] tls::PkiError),
    /// The objects that a cluster starts with cannot be written.
    #[error("cannot write what the cluster starts with")]
    Bootstrap(#[from] bootstrap::BootstrapError),
}

/// What every request needs; one per server, shared by all of its connections.
pub(crate) struct Shared {
    /// All objects.
    pub(crate) store: Store,
    /// Certificates, identities, rights, admission.
    pub(crate) security: security::Security,
    /// Where clients and nodes reach this server.
    pub(crate) advertised: SocketAddr,
    /// What health endpoints report.
    pub(crate) health: health::Health,
    /// Counters.
    pub(crate) metrics: metrics::Metrics,
    /// Places for requests.
    pub(crate) flow: flow::Flow,
    /// Recent watch events, ready to send.
    pub(crate) frames: watch::Frames,
    /// Turns true when the server stops; watches end then.
    pub(crate) stop: tokio::sync::watch::Sender<bool>,
    /// How agents are called; made with the first call.
    agent_tls: OnceLock<Arc<rustls::ClientConfig>>,
    /// Held from drawing a Service's address until it is committed.
    pub(crate) service_addresses: tokio::sync::Mutex<()>,
}

impl Shared {
    /// TLS settings of calls to agents.
    pub(crate) fn agent_tls(&self) -> Result<Arc<rustls::ClientConfig>, Status> {
        if let Some(config) = self.agent_tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = self.security.pki.agent_client_config(jiff::Timestamp::now()).map_err(Status::internal)?;
        Ok(Arc::clone(self.agent_tls.get_or_init(|| config)))
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds the listeners, writes what a cluster starts with (namespaces, roles, priority classes) and serves.
    ///
    /// # Errors
    /// If an address cannot be bound, or keys and certificates in the data directory cannot be read or made.
    pub async fn start(config: Config, store: Store) -> Result<Running, StartError> {
        let mut listeners = vec![serve::bind(config.listen).await?];
        let address = listeners
            .first()
            .map_or(Ok(config.listen), tokio::net::TcpListener::local_addr)
            .map_err(|source| StartError::Listen { address: config.listen, source })?;
        for further in &config.also_listen {
            if is_everywhere(config.listen, further.ip()) {
                continue;
            }
            let port = if further.port() == 0 { address.port() } else { further.port() };
            listeners.push(serve::bind(SocketAddr::new(further.ip(), port)).await?);
        }
        let security = security::Security::open(&config, &store, jiff::Timestamp::now())?;
        let tls = security.pki.server_config()?;
        let shared = Arc::new(Shared {
            store,
            security,
            advertised: SocketAddr::new(config.advertise.unwrap_or(address.ip()), address.port()),
            health: health::Health::default(),
            metrics: metrics::Metrics::default(),
            flow: flow::Flow::default(),
            frames: watch::Frames::default(),
            stop: tokio::sync::watch::Sender::new(false),
            agent_tls: OnceLock::new(),
            service_addresses: tokio::sync::Mutex::new(()),
        });
        let own = Service::new(Arc::clone(&shared), Identity::masters(bootstrap::USER));
        bootstrap::run(&own, &shared.store, &shared.security, shared.advertised).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(housekeeping::run(own, Arc::clone(&shared)));
        for listener in listeners {
            tasks.spawn(serve::run(Arc::clone(&shared), listener, Arc::clone(&tls), shared.stop.subscribe()));
        }
        shared.health.set_ready();
        Ok(Running { shared, address, tasks })
    }
}

/// Whether who listens on `listen` listens on `further` already.
fn is_everywhere(listen: SocketAddr, further: IpAddr) -> bool {
    listen.ip().is_unspecified() && (listen.is_ipv6() || further.is_ipv4())
}

/// A server that serves. Dropping it stops it at once; [`Running::stop`] lets requests end first.
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of this server: signs kubeconfigs and certificates.
    pub fn pki(&self) -> &Arc<tls::Pki> {
        &self.shared.security.pki
    }

    /// The same API without a socket, for `kube::Client::new(running.service(identity), "default")`.
    /// Requests are those of `identity`; they skip authentication and nothing else.
    pub fn service(&self, identity: Identity) -> Service {
        Service::new(Arc::clone(&self.shared), identity)
    }

    /// Lets `/metrics` tell what others of this process count, in the text format 0.0.4.
    pub fn tell_also(&self, metrics: impl Fn() -> String + Send + Sync + 'static) {
        self.shared.metrics.tell_also(metrics);
    }

    /// Turns `/readyz` red, ends watches, waits for requests in flight, at most `patience`, and closes the listeners.
    pub async fn stop(mut self, patience: Duration) {
        self.shared.health.set_stopping();
        self.shared.stop.send_replace(true);
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, finish).await.is_err() {
            tracing::warn!("requests were still in flight when the server stopped");
        }
    }
}
