//! Several nodes on one machine: each a child process in its own network, mount, UTS and IPC namespace (`up --nodes K`).
//!
//! ```text
//! machine: bridge evb<id> 10.X.0.1 ──veth── node 0: eth0 10.X.0.10, pods 10.X.1.0/24, own /run /var/log /var/lib/kubelet
//!                                  └─veth── node 1: eth0 10.X.0.11, pods 10.X.2.0/24 …
//! ```
//!
//! Nothing pins a node's namespaces but its processes: the agent and the shims of its containers. So they outlive the agent
//! as long as a container runs, a new agent finds them through any shim, and with the last process the kernel takes all away.
//!
//! Limits: nodes reach the machine and each other, not the outside world; 200 nodes.

mod enter;
mod remove;

use std::{
    ffi::OsString,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::{Deserialize, Serialize};

use crate::runtime::{builtin::MACHINE_PODS, images::Digest, netlink::Netlink, record};

pub(crate) use enter::enter;
pub use remove::remove_all;

const PLAN: &str = "plan.json";
const NODE: &str = "netns.json";
const PREFIX_LEN: u8 = 24;
/// Nodes of one machine.
const NODES_MAX: u8 = 200;

/// Why nodes could not be given namespaces of their own.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Needs root.
    #[error("several nodes on one machine need root (or use --runtime hollow)")]
    NeedsRoot,
    /// Every private range is in use.
    #[error("no free range of addresses below 10.0.0.0/8 for the nodes of this machine")]
    NoRange,
    /// The data directory is in a place that each node has for itself.
    #[error("{} cannot be the data directory of several nodes: each has a {hidden} of its own", .data_dir.display())]
    Hidden {
        /// The data directory.
        data_dir: PathBuf,
        /// The place.
        hidden: &'static str,
    },
    /// Nothing was planned here.
    #[error("{} holds no nodes in namespaces of their own (is `everynode up --nodes K` running with this data directory?)", .0.display())]
    NoPlan(PathBuf),
    /// An act failed.
    #[error("cannot {act}")]
    Act {
        /// The failed act with its object.
        act: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl NetnsError {
    fn act(act: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let act = act.into();
        move |source| Self::Act { act, source }
    }
}

/// The network of the nodes of one machine: a bridge, an address for the machine itself, one for each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The machine's end of the veth pair.
    pub link: String,
}

/// What is handed to the shim that becomes a node.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    plan: Plan,
    node: NodePlan,
}

impl Plan {
    /// The plan of this data directory; at the first time it chooses a private range that no route of this machine uses.
    pub fn new(data_dir: PathBuf) -> Result<Self, NetnsError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(NetnsError::NeedsRoot);
        }
        fs::create_dir_all(&data_dir).map_err(NetnsError::act(format!("create {}", data_dir.display())))?;
        let data_dir = data_dir
            .canonicalize()
            .map_err(NetnsError::act(format!("find the real path of {}", data_dir.display())))?;
        if let Some((hidden, _)) = enter::OWN.iter().find(|(own, _)| data_dir.starts_with(own)) {
            return Err(NetnsError::Hidden { data_dir, hidden });
        }
        if let Ok(known) = Self::existing(&data_dir) {
            return Ok(known);
        }
        let id = tag(&data_dir);
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let first = u8::from_str_radix(id.get(..2).unwrap_or("0"), 16).unwrap_or(0);
        let mut ranges = (0..128u8).map(|step| 64 + first.wrapping_add(step) % 128);
        let free = ranges.find(|second| !is_reserved(*second) && !is_routed(&routes, *second));
        let second = free.ok_or(NetnsError::NoRange)?;
        let plan = Self {
            bridge: format!("evb{id}"),
            gateway: Ipv4Addr::new(10, second, 0, 1),
            prefix_len: PREFIX_LEN,
            data_dir,
        };
        let dir = plan.nodes_dir();
        fs::create_dir_all(&dir)
            .and_then(|()| record::write(&dir, PLAN, &plan))
            .map_err(NetnsError::act(format!("write {}", dir.join(PLAN).display())))?;
        Ok(plan)
    }

    /// The plan that an earlier call made, for a further node beside the running ones.
    pub fn existing(data_dir: &Path) -> Result<Self, NetnsError> {
        record::read(&data_dir.join("nodes"), PLAN).ok_or_else(|| NetnsError::NoPlan(data_dir.to_owned()))
    }

    fn nodes_dir(&self) -> PathBuf {
        self.data_dir.join("nodes")
    }

    /// The node at a position (at most 199).
    pub fn node(&self, name: &str, index: u8) -> NodePlan {
        let [a, b, c, _] = self.gateway.octets();
        let index = index.min(NODES_MAX - 1);
        let id = tag(&self.data_dir);
        NodePlan {
            name: name.to_owned(),
            index,
            address: Ipv4Addr::new(a, b, c, 10 + index),
            dir: self.nodes_dir().join(name),
            pod_base: Ipv4Addr::new(a, b, 1 + index, 0),
            cgroup_root: format!("/everynode-{id}-{name}"),
            link: format!("ev{id}{index}"),
        }
    }

    /// The lowest position that no node has.
    pub fn free_index(&self) -> u8 {
        let taken: Vec<u8> = entries(&self.data_dir).into_iter().map(|entry| entry.node.index).collect();
        (0..NODES_MAX).find(|index| !taken.contains(index)).unwrap_or(NODES_MAX - 1)
    }

    /// Makes the bridge (idempotent). Call before the server binds [`Plan::gateway`].
    pub fn up(&self) -> Result<(), NetnsError> {
        let made =
            Netlink::open().and_then(|netlink| netlink.ensure_bridge(&self.bridge, self.gateway, self.prefix_len));
        made.map(drop).map_err(NetnsError::act(format!("make bridge {}", self.bridge)))
    }

    /// Starts `command` (for example `/proc/self/exe agent …`) as the node's process. When containers of an earlier process
    /// of this node still run, it joins their namespaces, else it makes new ones. `shim` is the hidden subcommand,
    /// for example `/proc/self/exe shim`. The process ends with the returned value or with this process, whichever goes
    /// first; its containers go on.
    pub fn spawn(
        &self,
        node: &NodePlan,
        shim: &[OsString],
        command: &[OsString],
    ) -> Result<tokio::process::Child, NetnsError> {
        let failed = || format!("start node {}", node.name);
        let Some((program, arguments)) = shim.split_first() else {
            return Err(NetnsError::act(failed())(io::Error::other("no shim configured")));
        };
        let entry = Entry { plan: self.clone(), node: node.clone() };
        fs::create_dir_all(&node.dir)
            .and_then(|()| record::write(&node.dir, NODE, &entry))
            .map_err(NetnsError::act(format!("write {}", node.dir.join(NODE).display())))?;
        tokio::process::Command::new(program)
            .args(arguments)
            .arg("node")
            .arg(node.dir.join(NODE))
            .arg("--")
            .args(command)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(NetnsError::act(failed()))
    }

    /// Ends all that still runs of a node and removes its namespaces, cgroups and directory.
    pub fn remove_node(&self, node: &NodePlan) -> Result<(), NetnsError> {
        remove::node(self, node)
    }

    /// Removes the bridge; one that is gone is fine.
    pub fn down(&self) -> Result<(), NetnsError> {
        let removed = Netlink::open().and_then(|netlink| netlink.remove(&self.bridge));
        removed.map_err(NetnsError::act(format!("remove bridge {}", self.bridge)))
    }
}

/// All nodes that were ever started from a data directory and not removed.
fn entries(data_dir: &Path) -> Vec<Entry> {
    let dirs = fs::read_dir(data_dir.join("nodes")).into_iter().flatten().flatten();
    dirs.filter_map(|dir| record::read(&dir.path(), NODE)).collect()
}

/// A short name for a data directory, to tell the bridges and cgroups of several on one machine apart.
fn tag(data_dir: &Path) -> String {
    let digest = Digest::of(data_dir.as_os_str().as_encoded_bytes());
    digest.get(7..13).unwrap_or("000000").to_owned()
}

/// Whether `10.<second>.0.0/16` has the pods of a machine that is one node in it, or the addresses of services.
fn is_reserved(second: u8) -> bool {
    second == MACHINE_PODS.base.octets()[1] || (96..112).contains(&second)
}

/// Whether a route of this machine (`/proc/net/route`) leads into `10.<second>.0.0/16`.
fn is_routed(routes: &str, second: u8) -> bool {
    routes.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(u32::swap_bytes);
        let (Some(to), Some(mask)) = (number(1), number(7)) else { return false };
        let ours = u32::from(Ipv4Addr::new(10, second, 0, 0));
        let both = mask & 0xffff_0000;
        mask != 0 && to & both == ours & both
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_keep_off_the_ranges_of_others() {
        let taken: Vec<u8> = (64..192).filter(|second| is_reserved(*second)).collect();
        assert_eq!(taken, [88, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111]);
    }

    #[test]
    fn addresses_follow_from_the_position() {
        let plan = Plan {
            data_dir: "/d".into(),
            bridge: "b".into(),
            gateway: Ipv4Addr::new(10, 99, 0, 1),
            prefix_len: PREFIX_LEN,
        };
        for (index, address, pods) in
            [(0, "10.99.0.10", "10.99.1.0"), (2, "10.99.0.12", "10.99.3.0"), (199, "10.99.0.209", "10.99.200.0")]
        {
            let node = plan.node("n", index);
            assert_eq!((node.address.to_string().as_str(), node.pod_base.to_string().as_str()), (address, pods));
            assert!(node.link.len() <= 15, "{}", node.link);
        }
    }

    #[test]
    fn ranges_in_use_are_left_alone() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n\
                      br0\t0000580A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n\
                      br1\t0000400A\t00000000\t0001\t0\t0\t0\t0000C0FF\t0\n";
        for (second, expect) in [(88, true), (63, false), (64, true), (100, true), (128, false), (200, false)] {
            assert_eq!(is_routed(routes, second), expect, "{second}");
        }
    }
}
