//! Our own runtime: libcontainer in a helper process per container, overlayfs, images from files and registries.

use std::{ffi::OsString, net::Ipv4Addr, path::PathBuf};

use super::{RuntimeError, SharedRuntime};

/// What the built-in runtime of one node has to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// State of sandboxes and containers; one directory per node, on a file system that overlayfs takes as upper layer.
    pub state_dir: PathBuf,
    /// Unpacked images, shared by all nodes of this machine.
    pub image_store: PathBuf,
    /// Where image archives (`*.tar`) are dropped by users; imported at the start and when they appear.
    pub image_archives: PathBuf,
    /// How to start the shim: program and first arguments, for example `/proc/self/exe shim`.
    pub shim: Vec<OsString>,
    /// Put before every cgroup path; empty, or for example `/everynode-node-2` when nodes share a machine.
    pub cgroup_root: String,
    /// Addresses of pods without the node's network.
    pub pod_network: PodNetwork,
}

/// The addresses of a node's pods: `<base>` is the network, the first address the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodNetwork {
    /// Network address.
    pub base: Ipv4Addr,
    /// Length of its prefix.
    pub prefix_len: u8,
}

/// Opens the runtime: takes over the containers that run, imports image archives and watches for more.
pub async fn open(config: Config) -> Result<SharedRuntime, RuntimeError> {
    Err(RuntimeError::Unsupported(format!(
        "the built-in runtime is not written yet (state in {})",
        config.state_dir.display()
    )))
}
