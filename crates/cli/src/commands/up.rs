//! `everynode up`

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use everynode_agent::netns;
use everynode_agent::runtime::builtin;
use everynode_server::Identity;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::{File, NodeConfig, NodeFlags, ServerConfig, ServerFlags, nodes};
use crate::exit::CommandError;
use crate::isolated;
use crate::standalone::{Standalone, asked_to_end, runtime};

/// Runs server, controllers and K nodes in one process tree, in the foreground, until SIGTERM or SIGINT.
///
/// Containers keep running when everynode ends, and are taken over when it starts again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode up                               this machine is the one node
  everynode up --nodes 3                     three nodes on this machine, in namespaces (root)
  everynode up --nodes 50 --runtime hollow   fifty nodes that only pretend (no root needed)
  everynode up --listen 0.0.0.0:6443         machines join it (see `everynode token create`)")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    node: NodeFlags,
    /// How many nodes to run on this machine [default: 1]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=200))]
    nodes: Option<u8>,
}

/// Runs it.
pub(crate) fn run(args: UpArgs, file: &File) -> Result<(), CommandError> {
    let server = args.server.resolve(file)?;
    let node = args.node.resolve(file)?;
    let count = nodes(args.nodes, file);
    runtime()?.block_on(up(&server, &node, count))
}

async fn up(server: &ServerConfig, node: &NodeConfig, count: u8) -> Result<(), CommandError> {
    let isolated = count > 1 && !node.hollow;
    let plan = if isolated { Some(isolated::network(&server.data_dir)?) } else { None };
    let bridge = match &plan {
        Some(plan) => Some(plan.gateway),
        None => pods_bridge(server, node),
    };
    let also_listen = bridge.map(|address| SocketAddr::from((address, server.listen.port())));
    let standalone = Standalone::start(server, also_listen.into_iter().collect()).await?;
    let for_pods = server.advertise.or(bridge.map(IpAddr::V4)).unwrap_or_else(|| standalone.running.address().ip());
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    match &plan {
        Some(plan) => {
            for index in 0..count {
                running.spawn(child(&standalone, plan, node, index)?);
            }
        }
        None => {
            for index in 0..count {
                let name = node_name(&node.name, count, index);
                let config = in_process(&standalone, server, node, &name, for_pods)?;
                running.spawn(agent(&standalone, config, shutdown.child_token()));
            }
        }
    }
    let asked = asked_to_end();
    standalone.announce();
    let failure = tokio::select! {
        () = asked => None,
        Some(ended) = running.join_next() => Some(reason(ended)),
    };
    shutdown.cancel();
    running.shutdown().await;
    let stopped = standalone.stop().await;
    failure.map_or(stopped, |reason| Err(CommandError::plain(reason)))
}

/// Names of several nodes count from 1: `NAME-1`, `NAME-2`, …; a single one has the name itself.
fn node_name(base: &str, count: u8, index: u8) -> String {
    if count == 1 { base.to_owned() } else { format!("{base}-{}", u16::from(index) + 1) }
}

/// The address at which a server that listens on loopback listens for pods too: those of the machine, when it is the one node.
fn pods_bridge(server: &ServerConfig, node: &NodeConfig) -> Option<Ipv4Addr> {
    if node.hollow || server.advertise.is_some() || !server.listen.ip().is_loopback() {
        return None;
    }
    let opened = builtin::open_bridge(builtin::MACHINE_PODS);
    opened.inspect_err(|error| warn!(%error, "pods will not reach the API: cannot make their bridge")).ok()
}

/// A node in this process: the machine itself, or a hollow one.
fn in_process(
    standalone: &Standalone,
    server: &ServerConfig,
    node: &NodeConfig,
    name: &str,
    for_pods: IpAddr,
) -> Result<everynode_agent::Config, CommandError> {
    let api_server = (for_pods.to_string(), standalone.running.address().port());
    let config = if node.hollow {
        everynode_agent::Config::hollow(name, server.data_dir.join("nodes").join(name), api_server)
    } else {
        let mut config = everynode_agent::Config::of_machine(name, server.data_dir.clone(), api_server);
        config.node_ip = node.ip.or_else(everynode_agent::own_address);
        config.serving = Some(serving(standalone, name, config.node_ip)?);
        config
    };
    Ok(everynode_agent::Config { labels: node.labels.clone(), taints: node.taints.clone(), ..config })
}

/// Runs a node in this process, as itself.
fn agent(
    standalone: &Standalone,
    config: everynode_agent::Config,
    shutdown: CancellationToken,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    let name = config.node_name.clone();
    let identity = Identity::member(&format!("system:node:{name}"), &["system:nodes"]);
    let client = kube::Client::new(standalone.running.service(identity), "default");
    async move {
        let ended = everynode_agent::run(client, config, shutdown).await;
        ended.map_err(|source| chain(&format!("node {name} stopped"), &source))
    }
}

fn serving(standalone: &Standalone, name: &str, ip: Option<IpAddr>) -> Result<everynode_agent::Serving, CommandError> {
    let mut addresses: Vec<IpAddr> = ip.into_iter().collect();
    addresses.push(IpAddr::from([127, 0, 0, 1]));
    let pki = standalone.running.pki();
    let pair = pki.node_serving(name, &addresses, Timestamp::now()).map_err(|source| {
        CommandError::failed(format!("cannot sign the serving certificate of node {name}"), source)
    })?;
    let client_ca = pki.ca_pem().to_owned();
    Ok(everynode_agent::Serving { certificate: pair.certificate_pem, key: pair.key_pem, client_ca })
}

/// A node in namespaces of its own: `everynode agent` as a child process, with a kubeconfig that we write for it.
fn child(
    standalone: &Standalone,
    plan: &netns::Plan,
    node: &NodeConfig,
    index: u8,
) -> Result<impl Future<Output = Result<(), String>> + Send + 'static, CommandError> {
    let name = node_name(&node.name, u8::MAX, index);
    let mut further: Vec<OsString> = Vec::new();
    if !node.labels.is_empty() {
        let labels: Vec<_> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        further.extend(["--node-labels".into(), labels.join(",").into()]);
    }
    for taint in &node.taints {
        let text = format!("{}={}:{}", taint.key, taint.value, taint.effect);
        further.extend(["--register-with-taints".into(), text.into()]);
    }
    let port = standalone.running.address().port();
    let mut process = isolated::start(plan, standalone.running.pki(), port, &plan.node(&name, index), further)?;
    Ok(async move {
        match process.wait().await {
            Ok(status) => Err(format!("node {name} stopped: {status}")),
            Err(source) => Err(chain(&format!("node {name} is lost"), &source)),
        }
    })
}

/// Why a node is no more.
fn reason(ended: Result<Result<(), String>, tokio::task::JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "a node ended by itself".to_owned(),
        Ok(Err(text)) => text,
        Err(source) => chain("a node was lost", &source),
    }
}

/// `act: cause: cause of the cause`
fn chain(act: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{act}: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_nodes_are_numbered_and_one_is_not() {
        assert_eq!(node_name("edge", 1, 0), "edge");
        assert_eq!(node_name("edge", 3, 2), "edge-3");
    }
}
