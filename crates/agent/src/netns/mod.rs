//! Several nodes on one machine: each a child process in its own network, mount, UTS and IPC namespace (`up --nodes K`).

use std::{ffi::OsString, net::Ipv4Addr, path::PathBuf};

/// Why nodes could not be given namespaces of their own.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Needs root.
    #[error("several nodes on one machine need root (or use --runtime hollow)")]
    NeedsRoot,
    /// An act failed.
    #[error("cannot {act}")]
    Act {
        /// The failed act with its object.
        act: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Not written yet.
    #[error("nodes in namespaces of their own are not written yet")]
    NotYet,
}

/// The network of the nodes of one machine: a bridge, an address for the machine itself, one for each node.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Data directory of everynode; node files live in `<data_dir>/nodes/<name>`.
    pub data_dir: PathBuf,
    /// Name of the bridge.
    pub bridge: String,
    /// Address of the machine on the bridge: the API server must listen here too, pods and nodes reach it so.
    pub gateway: Ipv4Addr,
    /// Prefix length.
    pub prefix_len: u8,
}

/// One node of a [`Plan`].
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Node name; becomes the host name.
    pub name: String,
    /// Position, from 0: decides addresses.
    pub index: u8,
    /// Address of the node on the bridge.
    pub address: Ipv4Addr,
    /// `<data_dir>/nodes/<name>`.
    pub dir: PathBuf,
    /// Pods of this node: first address of a /24.
    pub pod_base: Ipv4Addr,
    /// For `runtime::builtin::Config::cgroup_root`.
    pub cgroup_root: String,
}

impl Plan {
    /// Chooses a private range that no route of this machine uses.
    pub fn new(data_dir: PathBuf) -> Result<Self, NetnsError> {
        let _ = data_dir;
        Err(NetnsError::NotYet)
    }

    /// The node at a position.
    pub fn node(&self, name: &str, index: u8) -> NodePlan {
        let [a, b, c, _] = self.gateway.octets();
        NodePlan {
            name: name.to_owned(),
            index,
            address: Ipv4Addr::new(a, b, c, index.saturating_add(10)),
            dir: self.data_dir.join("nodes").join(name),
            pod_base: Ipv4Addr::new(a, b, index.saturating_add(100), 0),
            cgroup_root: format!("/everynode-{name}"),
        }
    }

    /// Makes the bridge (idempotent). Call before the server binds [`Plan::gateway`].
    pub fn up(&self) -> Result<(), NetnsError> {
        Err(NetnsError::NotYet)
    }

    /// Starts `command` (for example `/proc/self/exe agent …`) as the node's process. When containers of an earlier process
    /// of this node still run, it joins their namespaces, else it makes new ones. `shim` is the hidden subcommand,
    /// for example `/proc/self/exe shim`. Killing the child leaves the containers running.
    pub fn spawn(
        &self,
        node: &NodePlan,
        shim: &[OsString],
        command: &[OsString],
    ) -> Result<tokio::process::Child, NetnsError> {
        let _ = (node, shim, command);
        Err(NetnsError::NotYet)
    }

    /// Ends all that still runs of a node and removes its namespaces, cgroups and directory.
    pub fn remove_node(&self, node: &NodePlan) -> Result<(), NetnsError> {
        let _ = node;
        Err(NetnsError::NotYet)
    }

    /// Removes the bridge if no node is on it any more.
    pub fn down(&self) -> Result<(), NetnsError> {
        Err(NetnsError::NotYet)
    }
}

/// In the shim: enters or makes the namespaces of a node, then becomes the command after `--`.
pub(crate) fn enter(plan: &std::path::Path, words: &[OsString]) -> Result<(), NetnsError> {
    let _ = (plan, words);
    Err(NetnsError::NotYet)
}
