//! HANDS: caches, queues, executor; one thin shell per controller.
//!
//! ```text
//! server ──watch──> cache::Feed ──deltas──> a controller's shell ──> core (pure) ──plan──> api::Api ──writes──> server
//!                                                 ^                                             │
//!                                                 └──────────── queue::Queue (retries, timers) ─┘
//! ```
//! Everything here reaches a server through [`kube::Client`] only; in one process that client is handed the server's own
//! service, elsewhere it speaks TLS to any conformant API.
//!
//! Not here: decisions (`everynode-core`) and shapes (`everynode-api`).

pub mod api;
pub mod cache;
mod chain;
mod choice;
pub mod clock;
mod daemonset;
pub mod discovery;
mod disruption;
mod event_ttl;
pub mod events;
pub mod explain;
pub mod feeds;
mod garbage;
pub mod gate;
pub mod health;
mod heartbeat;
mod inbox;
mod job;
pub mod leadership;
pub mod meta;
pub mod metrics;
mod namespace;
mod node_lifecycle;
pub mod plan;
mod pod_gc;
mod pods;
mod presence;
pub mod queue;
mod resource_quota;
mod root_ca;
mod scheduler;
mod service_account;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::api::Api;
use crate::events::Recorder;
use crate::feeds::Feeds;
use crate::gate::Gate;
use crate::health::Health;
use crate::leadership::{Election, Elector};
use crate::metrics::Metrics;
pub use choice::{UnknownController, choose, names};

/// Which client a controller speaks through. Upstream gives each controller its own service account.
#[derive(Clone)]
pub struct Clients {
    make: Arc<dyn Fn(&str) -> kube::Client + Send + Sync>,
    metrics: Metrics,
    gate: Option<Gate>,
}

impl Clients {
    /// The shared caches' name.
    pub const CACHES: &str = "";

    /// Makes a client per controller: the argument is the service account in `kube-system` (`daemon-set-controller`, …), or
    /// [`Self::CACHES`] for the shared caches, which need to read everything.
    pub fn per_controller(make: impl Fn(&str) -> kube::Client + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), metrics: Metrics::default(), gate: None }
    }

    /// The API as this service account.
    #[must_use]
    pub fn api(&self, account: &str) -> Api {
        let api = Api::new((self.make)(account)).counted(self.metrics.clone());
        match &self.gate {
            Some(gate) => api.behind(gate.clone()),
            None => api,
        }
    }
}

impl From<kube::Client> for Clients {
    fn from(client: kube::Client) -> Self {
        Self::per_controller(move |_| client.clone())
    }
}

/// What runs, and how.
#[derive(Clone, Default)]
pub struct Config {
    /// Controllers to run by name (see [`names`]); `None` runs all of them.
    pub controllers: Option<BTreeSet<String>>,
    /// The API's certificate authority in PEM, to be published in every namespace; `None` publishes nothing.
    pub root_ca: Option<String>,
    /// Seed of generated names; two processes should not share one.
    pub seed: u64,
    /// Where to count.
    pub metrics: Metrics,
    /// What to tell probes.
    pub health: Health,
}

/// What every controller is given.
pub struct Context {
    /// Clients by service account.
    pub clients: Clients,
    /// Shared caches; each starts when first asked for.
    pub feeds: Feeds,
    /// What runs, and how.
    pub config: Config,
}

/// A controller's shell: runs until it is dropped. An end is an error, and it is started again.
type Shell = fn(Arc<Context>) -> Pin<Box<dyn Future<Output = Result<(), ControllerError>> + Send>>;

/// Why a controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A cache ended, which it does only when the process ends.
    #[error("the cache of {what} has ended")]
    CacheEnded {
        /// Which one.
        what: &'static str,
    },
}

/// One line per controller: its name on the command line and its shell.
const CONTROLLERS: &[(&str, Shell)] = &[
    ("daemonset-controller", |context| Box::pin(daemonset::run(context))),
    ("disruption-controller", |context| Box::pin(disruption::run(context))),
    ("event-ttl-controller", |context| Box::pin(event_ttl::run(context))),
    ("garbage-collector-controller", |context| Box::pin(garbage::run(context))),
    ("job-controller", |context| Box::pin(job::run(context))),
    ("kube-scheduler", |context| Box::pin(scheduler::run(context))),
    ("namespace-controller", |context| Box::pin(namespace::run(context))),
    ("node-lifecycle-controller", |context| Box::pin(node_lifecycle::run(context))),
    ("pod-garbage-collector-controller", |context| Box::pin(pod_gc::run(context))),
    ("resourcequota-controller", |context| Box::pin(resource_quota::run(context))),
    ("root-ca-certificate-publisher-controller", |context| Box::pin(root_ca::run(context))),
    ("serviceaccount-controller", |context| Box::pin(service_account::run(context))),
];

/// How long a controller that ended stays down.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs the controllers until `shutdown` resolves. Every write is safe to cut off anywhere.
pub async fn run(clients: impl Into<Clients>, config: Config, shutdown: impl Future<Output = ()>) {
    config.health.alone();
    // Dropped with what it has started.
    tokio::select! {
        () = controllers(Clients { metrics: config.metrics.clone(), ..clients.into() }, config) => {}
        () = shutdown => {}
    }
}

/// Runs the controllers whenever this process leads, until `shutdown` resolves. The caches' account
/// also writes the lease.
pub async fn run_elected(
    clients: impl Into<Clients>,
    config: Config,
    election: Election,
    shutdown: impl Future<Output = ()>,
) {
    let clients = Clients { metrics: config.metrics.clone(), ..clients.into() };
    let api = clients.api(Clients::CACHES);
    let recorder = Recorder::start(api.clone(), "everynode-controller");
    let (metrics, health) = (config.metrics.clone(), config.health.clone());
    let elector = Elector { api, recorder, metrics, health, election, clock: Arc::new(clock::Steady::start()) };
    let term = |gate| controllers(Clients { gate: Some(gate), ..clients.clone() }, config.clone());
    elector.run(term, shutdown).await;
}

/// Runs the controllers until it is dropped.
async fn controllers(clients: Clients, config: Config) {
    let feeds = Feeds::new(clients.api(Clients::CACHES));
    let context = Arc::new(Context { clients, feeds, config });
    let mut shells = JoinSet::new();
    for (name, shell) in CONTROLLERS {
        if context.config.controllers.as_ref().is_some_and(|wanted| !wanted.contains(*name)) {
            continue;
        }
        shells.spawn(keep_running(name, *shell, Arc::clone(&context)));
    }
    // A choice of none is one, too.
    while shells.join_next().await.is_some() {}
    std::future::pending().await
}

async fn keep_running(name: &'static str, shell: Shell, context: Arc<Context>) {
    loop {
        // In a task of its own, so that a panic ends this controller's run and not the loop.
        let mut run = JoinSet::new();
        run.spawn(shell(Arc::clone(&context)));
        match run.join_next().await {
            Some(Ok(Err(error))) => {
                tracing::error!(controller = name, %error, "controller ended; starting it again")
            }
            Some(Err(error)) => {
                tracing::error!(controller = name, %error, "controller failed; starting it again")
            }
            Some(Ok(Ok(()))) | None => {
                tracing::error!(controller = name, "controller ended; starting it again")
            }
        }
        tokio::time::sleep(RESTART_DELAY).await;
    }
}
