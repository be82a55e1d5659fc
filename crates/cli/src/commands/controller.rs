//! `everynode controller`: the DaemonSet controller alone, in any Kubernetes cluster.

mod endpoints;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use clap::Args;
use everynode_control::health::Health;
use everynode_control::leadership::Election;
use everynode_control::metrics::Metrics;
use tokio::net::TcpListener;
use tracing::info;

use crate::client::{ClientFlags, Connection};
use crate::config::{ElectionFlags, File};
use crate::exit::CommandError;
use crate::output::say;
use crate::standalone::{asked_to_end, runtime, seed};

/// The one controller that runs here.
const CONTROLLER: &str = "daemonset-controller";

/// What a person left in ~/.kube/config is not taken unasked by a program that writes.
const KUBECONFIG_HELP: &str =
    "The kubeconfig to use [default: $KUBECONFIG, else the pod's account or DATA-DIR/admin.kubeconfig]";

/// Runs only the DaemonSet controller, against any Kubernetes API, in place of the one built into kube-controller-manager.
///
/// Start kube-controller-manager with --controllers='*,-daemonset-controller' first: two DaemonSet controllers would undo each
/// other's work. Manifests to run it in a cluster are in deploy/.
#[derive(Args)]
#[command(
    mut_arg("kubeconfig", |arg| arg.help(KUBECONFIG_HELP)),
    after_help = "\
Examples:
  everynode controller --kubeconfig ~/.kube/config
  everynode controller --leader-elect --listen 0.0.0.0:10267   in a pod, as its service account"
)]
pub(crate) struct ControllerArgs {
    #[command(flatten)]
    client: ClientFlags,
    /// Address of /metrics, /healthz, /livez and /readyz (plain HTTP); port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10267")]
    listen: SocketAddr,
    #[command(flatten)]
    election: ElectionFlags,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: ControllerArgs, file: &File) -> Result<(), CommandError> {
    let election = args.election.resolve(file)?;
    let place = args.client.place_of_controller(file)?;
    runtime()?.block_on(async {
        let connection = args.client.connect(&place).await?;
        control(connection, args.listen, election).await
    })
}

async fn control(connection: Connection, listen: SocketAddr, election: Option<Election>) -> Result<(), CommandError> {
    let metrics = Metrics::of(connection.host());
    let health = Health::default();
    let listener = TcpListener::bind(listen).await.map_err(|source| {
        CommandError::failed(format!("cannot listen on {listen}"), source)
            .hint("choose another address with --listen, or port 0 for a free one")
    })?;
    let address = listener.local_addr().unwrap_or(listen);
    let endpoints = tokio::spawn(endpoints::serve(listener, metrics.clone(), health.clone()));
    let config = everynode_control::Config {
        controllers: Some(BTreeSet::from([CONTROLLER.to_owned()])),
        seed: seed(),
        metrics,
        health,
        ..everynode_control::Config::default()
    };
    let asked = asked_to_end();
    info!(api = connection.url, "controlling DaemonSets");
    say(&format!("everynode controller is up; metrics and health at http://{address}"));
    match election {
        Some(election) => everynode_control::run_elected(connection.client, config, election, asked).await,
        None => everynode_control::run(connection.client, config, asked).await,
    }
    endpoints.abort();
    Ok(())
}
