//! A server with its controllers in this process: what `up` and `server` have in common.
//!
//! Started in the order store, server, controllers, kubeconfig, ready line; stopped in the reverse order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use everynode_server::{Identity, Running, Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::ServerConfig;
use crate::exit::CommandError;
use crate::output::say;

/// How long requests in flight may take after SIGTERM.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// A server that serves, and the controllers that work on it.
pub(crate) struct Standalone {
    pub(crate) running: Running,
    store: everynode_server::Store,
    controllers: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Standalone {
    /// Starts all of it; returns when the API is ready.
    pub(crate) async fn start(config: &ServerConfig, also_listen: Vec<SocketAddr>) -> Result<Self, CommandError> {
        let dir = config.data_dir.display();
        let store = everynode_server::open_store(&config.data_dir, config.store.as_deref())
            .map_err(|source| CommandError::failed(format!("cannot open the store in {dir}"), source))?;
        let served = everynode_server::Config {
            listen: config.listen,
            also_listen,
            data_dir: config.data_dir.clone(),
            advertise: config.advertise,
            names: config.names.clone(),
        };
        let running = Server::start(served, store.clone()).await.map_err(|source| {
            CommandError::failed("cannot start the server", source)
                .hint("is another server running? choose another --listen, or port 0 for a free one")
        })?;
        let url = format!("https://{}", reachable(running.address()));
        let text = everynode_server::kubeconfig::for_admin(running.pki(), &url, jiff::Timestamp::now())
            .map_err(|source| CommandError::failed("cannot sign the admin's certificate", source))?;
        let path = &config.kubeconfig;
        everynode_server::kubeconfig::write(path, &text).map_err(|source| {
            CommandError::failed(format!("cannot write the kubeconfig {}", path.display()), source)
        })?;
        let shutdown = CancellationToken::new();
        let controllers = tokio::spawn(controllers(&running, config, shutdown.child_token()));
        Ok(Self { running, store, controllers, shutdown })
    }

    /// Prints the one line that scripts wait for.
    pub(crate) fn announce(&self) {
        say(&format!("everynode is ready at https://{}", reachable(self.running.address())));
    }

    /// Stops controllers, lets requests end, and makes everything durable.
    pub(crate) async fn stop(self) -> Result<(), CommandError> {
        self.shutdown.cancel();
        if let Err(error) = self.controllers.await {
            warn!(%error, "controllers did not end well");
        }
        self.running.stop(DRAIN_PATIENCE).await;
        self.store.close().await.map_err(|source| CommandError::failed("cannot write the last changes down", source))
    }
}

/// The address to tell people of this machine: a server that listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
    }
}

/// The chosen controllers, each with the rights of its own service account.
fn controllers(
    running: &Running,
    config: &ServerConfig,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let own = running.service(Identity::anonymous());
    let clients = everynode_control::Clients::per_controller(move |account| {
        kube::Client::new(own.of(controller(account)), "default")
    });
    let config = everynode_control::Config {
        controllers: config.controllers.clone(),
        root_ca: Some(running.pki().ca_pem().to_owned()),
        seed: seed(),
        ..everynode_control::Config::default()
    };
    let metrics = config.metrics.clone();
    running.tell_also(move || metrics.text());
    async move { everynode_control::run(clients, config, shutdown.cancelled_owned()).await }
}

/// As whom a controller speaks: upstream's names (A217).
fn controller(account: &str) -> Identity {
    match account {
        everynode_control::Clients::CACHES => Identity::member("system:kube-controller-manager", &[]),
        "kube-scheduler" => Identity::member("system:kube-scheduler", &[]),
        account => Identity::account("kube-system", account),
    }
}

/// A seed of generated names that no other process has.
pub(crate) fn seed() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}

/// Completes when the process is asked to end (SIGTERM or SIGINT), from the call on: to be called before anybody is told that the
/// process is ready, for whoever waits for that may ask at once.
pub(crate) fn asked_to_end() -> impl Future<Output = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// A runtime for the work of one command. Few threads: the work is I/O, and each thread costs memory.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    const THREADS_MAX: usize = 4;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, THREADS_MAX))
        .enable_all()
        .build()
        .map_err(|source| CommandError::failed("cannot start worker threads", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that is asked between its ready line and its first wait ends well.
    #[tokio::test]
    async fn who_asks_at_once_is_heard() {
        let asked = asked_to_end();
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &own]).status();
        assert!(sent.expect("there is kill").success());
        tokio::time::timeout(DRAIN_PATIENCE, asked).await.expect("heard");
    }
}
