//! HANDS on a node: pod workers, volumes, probes, logs, exec, heartbeats.
//!
//! [`run`] turns the machine (or, with the runtime `hollow`, nothing at all) into one Node of a cluster that is reached only
//! through a [`kube::Client`]. What to do with a pod is decided by `everynode_core::pod`; this crate does it and reports back.
//!
//! ```text
//!   watch of pods ─▶ source ─▶ worker (one per pod) ─▶ core::pod ─▶ acts: volumes, runtime, hooks, probes
//!                                   │                                        │
//!   API ◀── status, events ─────────┘◀──────────── what happened ────────────┘
//! ```
//!
//! Not here: how a container comes to be (`runtime`), and how several nodes share one machine (`netns`).

mod config;
mod dns;
mod environment;
mod events;
mod gc;
pub mod hollow;
mod hooks;
mod images;
pub mod join;
mod kit;
mod lease;
mod logs;
mod manifest;
mod mark;
pub mod netns;
mod node;
mod probes;
mod resources;
pub mod runtime;
mod security;
mod serve;
mod source;
mod status;
mod token;
mod volumes;
mod worker;

pub use config::{Config, Hollow, RuntimeChoice, Serving, Taint};

pub use node::facts::own_address;
pub use serve::ServeError;

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use kit::Kit;
use node::facts::Facts;
use runtime::SharedRuntime;

/// Why a node could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The runtime could not be opened.
    #[error("cannot open the container runtime of node {node}")]
    OpenRuntime {
        /// The node's name.
        node: String,
        /// Why.
        #[source]
        source: runtime::RuntimeError,
    },
    /// The socket for logs and exec could not be opened.
    #[error("cannot serve logs and exec of node {node}")]
    Serve {
        /// The node's name.
        node: String,
        /// Why.
        #[source]
        source: ServeError,
    },
    /// A directory that every node has could not be made.
    #[error("cannot make the directories of node {node} (run as root, or use --runtime hollow)")]
    MakeDirectories {
        /// The node's name.
        node: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Runs one node until `shutdown` is cancelled, then returns and leaves its containers running.
///
/// Returns early only when the node cannot be run at all (directories, runtime, serving socket); a server that is away is waited for.
pub async fn run(client: kube::Client, config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let run = Box::pin(run_until_dropped(client, config));
    match shutdown.run_until_cancelled(run).await {
        Some(result) => result,
        None => Ok(()),
    }
}

async fn run_until_dropped(client: kube::Client, config: Config) -> Result<(), RunError> {
    let (runtime, facts) = open(&config).await?;
    let door = serve::open(&config).await;
    let door = door.map_err(|source| RunError::Serve { node: config.node_name.clone(), source })?;
    let port = door.as_ref().map_or(0, |door| door.port);
    let (seen, node) = watch::channel(Arc::new(Node::default()));
    let events = match &config.runtime {
        RuntimeChoice::Hollow(hollow) if !hollow.events => events::Recorder::silent(),
        _ => events::Recorder::new(client.clone(), config.node_name.clone()),
    };
    let kit = Arc::new(Kit {
        client,
        runtime,
        facts,
        events,
        node,
        pulls: Semaphore::new(1),
        tokens: token::Tokens::default(),
        started: std::time::Instant::now(),
        config,
    });
    let mut reporter = node::Reporter::new(port);
    reporter.look(&kit).await;
    let registered = node::register(&kit, &reporter).await;
    tracing::info!(node = kit.config.node_name, "registered");
    let uid = registered.metadata.uid.clone().unwrap_or_default();
    seen.send_replace(Arc::new(registered));
    // All of these run until this future is dropped.
    let lease = tokio::spawn(lease::keep(kit.client.clone(), kit.config.node_name.clone(), uid));
    let _lease = AbortOnDrop(lease);
    let here = source::Here::default();
    tokio::join!(
        node::report(Arc::clone(&kit), reporter, kit.node.clone()),
        watch_node(Arc::clone(&kit), seen),
        source::run(Arc::clone(&kit), here.clone()),
        serve::run(door, kit, here),
    );
    Ok(())
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn open(config: &Config) -> Result<(SharedRuntime, Facts), RunError> {
    match &config.runtime {
        RuntimeChoice::Hollow(hollow) => {
            let runtime = Arc::new(hollow::HollowRuntime::new(hollow.start_delay));
            Ok((runtime, Facts::hollow(config, &hollow.capacity)))
        }
        RuntimeChoice::Builtin(builtin) => {
            // The registry client takes whatever the process has; a second call finds the first one's choice.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let node = || config.node_name.clone();
            let made = logs::make_roots(config).and_then(|()| volumes::make_roots(config));
            made.map_err(|source| RunError::MakeDirectories { node: node(), source })?;
            let runtime = runtime::builtin::open(builtin.clone()).await;
            let runtime = runtime.map_err(|source| RunError::OpenRuntime { node: node(), source })?;
            Ok((runtime, Facts::of_machine(config)))
        }
    }
}

/// Keeps the node's own object at hand.
async fn watch_node(kit: Arc<Kit>, seen: watch::Sender<Arc<Node>>) {
    let api: Api<Node> = Api::all(kit.client.clone());
    let selector = format!("metadata.name={}", kit.config.node_name);
    let watch = watcher(api, watcher::Config::default().fields(&selector)).default_backoff();
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        match event {
            Ok(watcher::Event::Apply(node) | watcher::Event::InitApply(node)) => {
                seen.send_replace(Arc::new(node));
            }
            Ok(_) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(node = kit.config.node_name, error, "own node not watched");
            }
        }
    }
}
