//! `cargo xtask demo`: everynode on this machine with three nodes and Prometheus Node Exporter on each, then a DaemonSet's
//! life, one line and one time for each event.
//!
//! As root the nodes are real: namespaces of their own, real containers, real metrics. Otherwise they are hollow, and the
//! demo says so.

mod life;
mod show;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use everynode_e2e::{image, is_root};

use crate::cluster::{Cluster, build, node_exporter, scrape, wait};
use crate::shell::say;

/// How many nodes the demo starts with.
const NODES: usize = 3;
/// The promise: metrics from all nodes within this time of the end of the build.
const PATIENCE: Duration = Duration::from_secs(60);
/// The set's name.
const SET: &str = "node-exporter";

/// Flags of the demo.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// End after the last event, with nothing left behind, instead of staying up to be played with.
    #[arg(long)]
    once: bool,
    /// Pretend nodes even as root.
    #[arg(long)]
    hollow: bool,
    /// Build and run the optimised binary.
    #[arg(long)]
    release: bool,
}

/// Builds and plays the demo.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let binary = build(args.release)?;
    let hollow = args.hollow || !is_root();
    let data_dir = std::env::temp_dir().join(format!("everynode-demo-{}", std::process::id()));
    std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let played = runtime.block_on(play(args, &binary, &data_dir, hollow));
    if played.is_ok() {
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
    } else {
        say(&format!("the logs are in {}", data_dir.display()));
    }
    played
}

async fn play(args: &DemoArgs, binary: &Path, data_dir: &Path, hollow: bool) -> anyhow::Result<()> {
    let clock = Clock(Instant::now());
    if hollow {
        say("******************************************************************************");
        say("* Not root: the nodes only PRETEND to run containers (runtime hollow), and   *");
        say("* there are no metrics to show. Run it as root to see real containers.       *");
        say("******************************************************************************");
    } else {
        clock.say(&image::provide(&data_dir.join("images"))?);
    }
    let mut cluster = Cluster::up(binary, data_dir, NODES, hollow).await?;
    clock.say(&format!("server and controllers are ready at {}", cluster.url()));
    let shown = first_minute(&cluster, &clock, hollow).await;
    let lived = match shown {
        Ok(()) => life::play(&mut cluster, &clock, data_dir, hollow).await,
        failed => failed,
    };
    if lived.is_ok() && !args.once {
        stay(&cluster, binary).await;
    }
    let ended = cluster.end(data_dir, true).await;
    lived.and(ended)?;
    clock.say("everything is stopped and removed");
    Ok(())
}

/// Applies the set, waits until it is available on every node, shows it, and scrapes each node.
async fn first_minute(cluster: &Cluster, clock: &Clock, hollow: bool) -> anyhow::Result<()> {
    cluster.apply(&node_exporter(image::REFERENCE)?).await?;
    clock.say(&format!("DaemonSet {SET} is applied"));
    let mut before = None;
    wait("the DaemonSet is available on every node", PATIENCE, async || {
        let (_, desired, _, available) = cluster.rollout(SET).await?;
        if before != Some((desired, available)) {
            clock.say(&format!("{available} of {desired} nodes have an available pod"));
            before = Some((desired, available));
        }
        Ok(desired == i32::try_from(NODES)? && available == desired)
    })
    .await?;
    show::tables(cluster).await?;
    if hollow {
        return Ok(());
    }
    for (node, address) in show::addresses(&cluster.pods().await?) {
        let mut line = None;
        wait(&format!("metrics of {node}"), PATIENCE, async || {
            line = scrape(&address).await?;
            Ok(line.is_some())
        })
        .await?;
        clock.say(&format!("{node} at {address}: {}", line.unwrap_or_default()));
    }
    Ok(())
}

async fn stay(cluster: &Cluster, binary: &Path) {
    let kubeconfig = cluster.kubeconfig.display();
    show::lines(&[
        "",
        "It stays up until Ctrl-C. In another terminal:",
        &format!("  export KUBECONFIG={kubeconfig}"),
        "  kubectl get nodes,ds,pods -o wide",
        "  kubectl logs -f ds/node-exporter",
        "  kubectl exec -it ds/node-exporter -- sh",
        "  kubectl rollout restart ds/node-exporter && kubectl rollout status ds/node-exporter",
        &format!("  {} explain ds/node-exporter", binary.display()),
    ]);
    let _ = tokio::signal::ctrl_c().await;
}

/// Says things with the time since the start of the demo.
struct Clock(Instant);

impl Clock {
    fn say(&self, line: &str) {
        show::lines(&[&format!("[{:5.1} s] {line}", self.0.elapsed().as_secs_f64())]);
    }
}
