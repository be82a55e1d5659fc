//! `everynode agent`

mod beside;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::config::{File, JoinConfig, JoinFlags, NodeConfig, NodeFlags};
use crate::exit::CommandError;
use crate::standalone::{asked_to_end, runtime};

/// Joins this machine to a server as a node, and runs its pods until SIGTERM.
///
/// The token is needed only the first time; the node then has a certificate of its own in its data directory.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode token create                                         on the server: prints the next line
  everynode agent --server https://10.0.0.1:6443 --token abcdef.0123… --ca-cert-hash sha256:…
  everynode agent --server https://10.0.0.1:6443                 from then on")]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    join: JoinFlags,
    #[command(flatten)]
    node: NodeFlags,
    /// A kubeconfig of this node, instead of a token
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Run this node in namespaces of its own, beside those of the `everynode up --nodes` with this data directory (root)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data_dir", "kubeconfig"])]
    beside: Option<PathBuf>,
    /// Root of this node's cgroups, when several nodes share a machine
    #[arg(long, hide = true)]
    cgroup_root: Option<String>,
    /// First address of this node's pods, when several nodes share a machine
    #[arg(long, hide = true)]
    pod_base: Option<Ipv4Addr>,
    /// Image archives, when several nodes share a machine
    #[arg(long, hide = true)]
    images: Option<PathBuf>,
}

/// Joins and runs.
pub(crate) fn run(args: AgentArgs, file: &File) -> Result<(), CommandError> {
    if let Some(server_dir) = &args.beside {
        let name = args.node.resolve(file)?.name;
        return runtime()?.block_on(beside::run(server_dir, &name));
    }
    let join = args.join.resolve(file)?;
    let node = args.node.resolve(file)?;
    if join.token.is_none() && args.kubeconfig.is_none() && !everynode_agent::join::has_joined(&join.data_dir) {
        return Err(CommandError::usage(
            "this machine has not joined yet: give --token and --ca-cert-hash, as `everynode token create` prints them",
        ));
    }
    let machine = Machine { cgroup_root: args.cgroup_root, pod_base: args.pod_base, images: args.images };
    runtime()?.block_on(join_and_run(join, node, args.kubeconfig, machine))
}

/// What a node must know when it is not alone on its machine.
struct Machine {
    cgroup_root: Option<String>,
    pod_base: Option<Ipv4Addr>,
    images: Option<PathBuf>,
}

async fn join_and_run(
    join: JoinConfig,
    node: NodeConfig,
    kubeconfig: Option<PathBuf>,
    machine: Machine,
) -> Result<(), CommandError> {
    let server = join.server.clone();
    let request = everynode_agent::join::JoinRequest {
        server: join.server,
        token: join.token,
        ca_cert_hash: join.ca_cert_hash,
        kubeconfig,
        data_dir: join.data_dir.clone(),
        node_name: node.name.clone(),
        node_ip: node.ip,
    };
    let joined = everynode_agent::join::connect(request)
        .await
        .map_err(|source| CommandError::failed(format!("cannot join {server}"), source))?;
    let mut config = if node.hollow {
        everynode_agent::Config::hollow(&node.name, join.data_dir, joined.api_server)
    } else {
        everynode_agent::Config::of_machine(&node.name, join.data_dir, joined.api_server)
    };
    if let everynode_agent::RuntimeChoice::Builtin(builtin) = &mut config.runtime {
        machine.apply(builtin);
    }
    config.labels = node.labels;
    config.taints = node.taints;
    config.node_ip = node.ip;
    config.serving = Some(joined.serving);
    let shutdown = CancellationToken::new();
    let running = everynode_agent::run(joined.client, config, shutdown.child_token());
    tokio::pin!(running);
    let ended = tokio::select! {
        () = asked_to_end() => {
            shutdown.cancel();
            running.await
        }
        ended = &mut running => ended,
    };
    ended.map_err(|source| CommandError::failed(format!("node {} stopped", node.name), source))
}

impl Machine {
    fn apply(self, config: &mut everynode_agent::runtime::builtin::Config) {
        if let Some(root) = self.cgroup_root {
            config.cgroup_root = root;
        }
        if let Some(base) = self.pod_base {
            config.pod_network.base = base;
        }
        if let Some(images) = self.images {
            config.image_store = images.join("store");
            config.image_archives = images;
        }
    }
}
