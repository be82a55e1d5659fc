//! What a caller asks of a runtime: plain data, no Kubernetes objects. All of it is kept on disk as JSON by runtimes
//! that outlive the agent, so fields are only ever added, with a default.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The pod-level half (CRI `PodSandboxConfig`, N111–N122).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod uid.
    pub uid: String,
    /// How many sandboxes this pod had before.
    pub attempt: u32,
    /// Host name inside the pod; empty with the node's network (N112).
    pub hostname: String,
    /// Absolute directory of the pod's logs; [`ContainerSpec::log_path`] is relative to it (N113).
    pub log_directory: PathBuf,
    /// Which namespaces of the node are shared.
    pub host: HostNamespaces,
    /// `shareProcessNamespace`: all containers of the pod see each other's processes.
    pub share_pid: bool,
    /// Content of /etc/resolv.conf; `None` leaves that of the node (N224).
    pub dns: Option<DnsConfig>,
    /// Ports of the node that lead into the pod; ignored with the node's network.
    pub port_mappings: Vec<PortMapping>,
    /// Kernel parameters, names with dots (N119).
    pub sysctls: BTreeMap<String, String>,
    /// Pod cgroup as cgroupfs path from the root, for example `/kubepods/burstable/pod<uid>` (N244). Created by the
    /// runtime on demand and removed with the sandbox.
    pub cgroup_parent: String,
    /// Limits of the pod cgroup (N236); fields left out are not limited.
    pub resources: Resources,
    /// Labels, given back unchanged.
    pub labels: BTreeMap<String, String>,
    /// Annotations, given back unchanged.
    pub annotations: BTreeMap<String, String>,
}

/// Namespaces of the node that a pod uses instead of its own (N211).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostNamespaces {
    /// `hostNetwork`; implies the node's host name.
    pub network: bool,
    /// `hostPID`.
    pub pid: bool,
    /// `hostIPC`.
    pub ipc: bool,
}

/// Resolver configuration (N220–N223).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// Names of the `search` line.
    pub searches: Vec<String>,
    /// Words of the `options` line.
    pub options: Vec<String>,
}

/// One `hostPort`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// Address of the node to listen on; empty means all.
    pub host_ip: String,
    /// Port of the node.
    pub host_port: u16,
    /// Port in the pod.
    pub container_port: u16,
    /// TCP or UDP (SCTP is refused).
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Resource limits as the kernel takes them (N233, N236–N238). `None`: not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU weight in v1 shares (2…262144); converted for v2.
    pub cpu_shares: Option<u64>,
    /// CPU time in µs per period; ≤ 0 means unlimited.
    pub cpu_quota_us: Option<i64>,
    /// Length of a period in µs (default 100000).
    pub cpu_period_us: Option<u64>,
    /// Memory limit in bytes; swap is not allowed beyond it.
    pub memory_limit_bytes: Option<u64>,
    /// Most processes and threads.
    pub pids_limit: Option<i64>,
    /// Kernel's preference as a victim, −1000…1000; clamped to what this process may set. Containers only.
    pub oom_score_adj: Option<i32>,
}

/// The container half (CRI `ContainerConfig`, N123–N136).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Name in the pod.
    pub name: String,
    /// Restart count.
    pub attempt: u32,
    /// Image name or id, present on the node.
    pub image: String,
    /// Replaces the entry point of the image if not empty; then `args` empty means no arguments (N125).
    pub command: Vec<String>,
    /// Replaces the default arguments of the image if not empty.
    pub args: Vec<String>,
    /// Environment in order; it is added to that of the image and wins over it.
    pub env: Vec<(String, String)>,
    /// Working directory; empty: that of the image, else `/`.
    pub working_dir: String,
    /// Mounts in order (N205).
    pub mounts: Vec<Mount>,
    /// Device nodes to add.
    pub devices: Vec<DeviceSpec>,
    /// All capabilities, all devices, nothing masked, no seccomp (N209).
    pub privileged: bool,
    /// Changes to the default capabilities.
    pub capabilities: Capabilities,
    /// Who the process runs as.
    pub user: UserSpec,
    /// `allowPrivilegeEscalation: false` (N214).
    pub no_new_privs: bool,
    /// `readOnlyRootFilesystem`.
    pub readonly_rootfs: bool,
    /// Paths hidden from the container; `None`: the usual ones, `Some([])`: none (N217).
    pub masked_paths: Option<Vec<String>>,
    /// Paths made read-only; `None`: the usual ones, `Some([])`: none.
    pub readonly_paths: Option<Vec<String>>,
    /// System call filter (N215).
    pub seccomp: SeccompProfile,
    /// Limits of the container's cgroup (N237).
    pub resources: Resources,
    /// Log file relative to [`SandboxSpec::log_directory`], for example `app/0.log` (N130). Empty: output is dropped.
    pub log_path: String,
    /// A terminal instead of pipes.
    pub tty: bool,
    /// Keep standard input open (nothing can attach yet; without it, it is /dev/null).
    pub stdin: bool,
    /// Labels, given back unchanged.
    pub labels: BTreeMap<String, String>,
    /// Annotations, given back unchanged.
    pub annotations: BTreeMap<String, String>,
}

/// A path of the node in a container (N128).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Source on the node; a missing one becomes a directory (N188, type "").
    pub host_path: PathBuf,
    /// Target in the container.
    pub container_path: PathBuf,
    /// Read-only.
    pub readonly: bool,
    /// Read-only with everything mounted below it (N204); needs `readonly`.
    pub recursive_readonly: bool,
    /// How later mounts spread (N203).
    pub propagation: Propagation,
}

/// How mounts made later spread between node and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    #[default]
    None,
    /// From the node into the container (`rslave`).
    HostToContainer,
    /// Both ways (`rshared`).
    Bidirectional,
}

/// A device node of the node in a container (N129).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceSpec {
    /// Device on the node.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Of `r`, `w`, `m`.
    pub permissions: String,
}

/// Changes to the default set of capabilities; names with or without `CAP_`, or `ALL` (N210).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Added after dropping.
    pub add: Vec<String>,
    /// Dropped.
    pub drop: Vec<String>,
}

/// Who the process runs as (N212).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserSpec {
    /// `runAsUser`; else the user of the image, looked up in the image's /etc/passwd.
    pub uid: Option<u32>,
    /// `runAsGroup`; else the group of the image's user, else 0.
    pub gid: Option<u32>,
    /// Further groups (fsGroup first); those of the image's /etc/group for the user are added.
    pub supplemental_groups: Vec<u32>,
}

/// Which system calls are filtered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompProfile {
    /// None.
    #[default]
    Unconfined,
    /// The usual profile of container runtimes.
    RuntimeDefault,
    /// A profile in a file of the node (absolute path).
    Localhost(PathBuf),
}

/// An image to pull.
#[derive(Debug, Clone, Default)]
pub struct PullRequest {
    /// Reference in any familiar form.
    pub image: String,
    /// Tried in order until one works; empty: one anonymous try (N161).
    pub credentials: Vec<Credential>,
}

/// What to show a registry.
#[derive(Clone)]
pub enum Credential {
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password or token.
        password: String,
    },
    /// A bearer token (`registrytoken`).
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Basic { username, .. } => f.debug_struct("Basic").field("username", username).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}
