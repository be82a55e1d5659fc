//! What a node is told: complete and validated, made by `cli` from flags and files. Nothing here reads the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::runtime::builtin;

/// Everything that one node has to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the Node object; lower case.
    pub node_name: String,
    /// Own files of this agent (images, runtime state, keys); for hollow nodes everything is below it.
    pub data_dir: PathBuf,
    /// The kubelet's root directory, `/var/lib/kubelet` unless hollow (N1: a contract with storage and network drivers).
    pub kubelet_dir: PathBuf,
    /// The parent of `pods` and `containers`, `/var/log` unless hollow (N4).
    pub log_dir: PathBuf,
    /// What runs the containers.
    pub runtime: RuntimeChoice,
    /// Labels beyond the ones every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints given at registration only.
    pub taints: Vec<Taint>,
    /// The address to publish; `None` lets the machine's default route decide (N34).
    pub node_ip: Option<IpAddr>,
    /// Where logs and exec are served (N331); port 0 picks a free one. The port is published in the Node's status.
    pub listen: SocketAddr,
    /// Certificates of that socket; `None` serves nothing (hollow fleets).
    pub serving: Option<Serving>,
    /// Address of the API server as pods see it: `KUBERNETES_SERVICE_HOST` and `_PORT`.
    pub api_server: (String, u16),
    /// Cluster DNS servers; empty means that pods get the machine's resolver (N223).
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster, usually `cluster.local`.
    pub cluster_domain: String,
    /// Version to report as `kubeletVersion`, with a leading `v`.
    pub version: String,
}

impl Config {
    /// A node of this machine at the standard places, with the runtime `builtin`.
    pub fn of_machine(node_name: &str, data_dir: PathBuf, api_server: (String, u16)) -> Self {
        Self {
            node_name: node_name.to_owned(),
            runtime: RuntimeChoice::Builtin(builtin_at(&data_dir)),
            data_dir,
            kubelet_dir: PathBuf::from("/var/lib/kubelet"),
            log_dir: PathBuf::from("/var/log"),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            node_ip: None,
            listen: SocketAddr::from(([0, 0, 0, 0], 10250)),
            serving: None,
            api_server,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            version: concat!("v1.36.2+everynode-", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// A node that only pretends: everything below `data_dir`, a free port on loopback, no machine needed.
    pub fn hollow(node_name: &str, data_dir: PathBuf, api_server: (String, u16)) -> Self {
        Self {
            kubelet_dir: data_dir.join("kubelet"),
            log_dir: data_dir.join("log"),
            runtime: RuntimeChoice::Hollow(Hollow::default()),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Self::of_machine(node_name, data_dir, api_server)
        }
    }
}

/// The runtime of a machine that is one node.
fn builtin_at(data_dir: &Path) -> builtin::Config {
    builtin::Config {
        state_dir: data_dir.join("runtime"),
        image_store: data_dir.join("images/store"),
        image_archives: data_dir.join("images"),
        shim: vec!["/proc/self/exe".into(), "shim".into()],
        cgroup_root: String::new(),
        pod_network: builtin::MACHINE_PODS,
    }
}

/// What runs the containers of a node.
#[derive(Clone, Debug)]
pub enum RuntimeChoice {
    /// Our own runtime: libcontainer in a shim, overlayfs, images from files and registries.
    Builtin(builtin::Config),
    /// Pretend containers.
    Hollow(Hollow),
}

/// How a hollow node pretends.
#[derive(Clone, Debug)]
pub struct Hollow {
    /// Time from start to running.
    pub start_delay: Duration,
    /// Capacity that the node claims.
    pub capacity: BTreeMap<String, String>,
    /// Whether events are told; big fleets for measurements do without.
    pub events: bool,
}

impl Default for Hollow {
    fn default() -> Self {
        let capacity = [("cpu", "4"), ("memory", "16Gi"), ("pods", "110"), ("ephemeral-storage", "100Gi")];
        Self {
            start_delay: Duration::ZERO,
            events: true,
            capacity: capacity.into_iter().map(|(name, amount)| (name.to_owned(), amount.to_owned())).collect(),
        }
    }
}

/// A taint that a node is born with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, often empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Certificates of the node's own HTTPS server, as PEM.
#[derive(Clone)]
pub struct Serving {
    /// Certificate chain, leaf first.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The authorities whose client certificates are accepted; a client must have one and be in group `system:masters`
    /// or be the API server's own identity.
    pub client_ca: String,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}
