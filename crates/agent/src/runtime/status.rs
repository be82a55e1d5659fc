//! What a runtime reports.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(SandboxId, "Id of a sandbox: 64 hexadecimal digits, unique for ever.");
id!(ContainerId, "Id of a container, without the `scheme://` of the API: 64 hexadecimal digits, unique for ever.");

/// Name and version of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// For example `everynode`; also the scheme of `containerID`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Whether the runtime can work (N108).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// `None`: containers can be started; else why not.
    pub not_ready: Option<String>,
    /// `None`: pods can have an own network; else why not.
    pub network_not_ready: Option<String>,
    /// What this runtime does not apply although it can be asked for, in words (for example seccomp).
    pub limits: Vec<String>,
}

/// Whether a sandbox can take containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    /// It can.
    Ready,
    /// Stopped, or lost with a reboot.
    NotReady,
}

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxStatus {
    /// Id.
    pub id: SandboxId,
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod uid.
    pub uid: String,
    /// Attempt as given.
    pub attempt: u32,
    /// State.
    pub state: SandboxState,
    /// Creation time.
    pub created_at: Timestamp,
    /// Addresses of the pod; empty with the node's network. Kept after the stop.
    pub ips: Vec<std::net::IpAddr>,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Prepared, not started.
    Created,
    /// Its first process runs.
    Running {
        /// Since when.
        started_at: Timestamp,
        /// The process as the node sees it.
        pid: i32,
    },
    /// Over.
    Exited {
        /// Exit code; 128 + signal when killed by one; 128 when it could not be started.
        exit_code: i32,
        /// When it had been started; `None` if never.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Timestamp,
        /// `Completed`, `Error`, `OOMKilled`, `StartError` or `ContainerStatusUnknown` (N282).
        reason: String,
        /// More words, or empty.
        message: String,
    },
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Id.
    pub id: ContainerId,
    /// The sandbox it belongs to.
    pub sandbox: SandboxId,
    /// Pod uid (of the sandbox).
    pub pod_uid: String,
    /// Name in the pod.
    pub name: String,
    /// Attempt as given.
    pub attempt: u32,
    /// Image as asked for.
    pub image: String,
    /// Id of the image (`sha256:…` of its configuration).
    pub image_id: String,
    /// What `status.containerStatuses[].imageID` shows: a repository digest if known, else the id (N167).
    pub image_ref: String,
    /// State.
    pub state: ContainerState,
    /// Creation time.
    pub created_at: Timestamp,
    /// Absolute path of the log, if any.
    pub log_path: Option<PathBuf>,
    /// Who it runs as; known once started.
    pub user: Option<UserStatus>,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
}

/// The user of the first process (`user.linux`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups, the primary one included.
    pub groups: Vec<u32>,
}

/// Something changed; a hint to read the status again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The container of this pod started or exited.
    Container {
        /// The container.
        id: ContainerId,
        /// Its pod's uid.
        pod_uid: String,
    },
    /// The sandbox of this pod is not ready any more.
    Sandbox {
        /// The sandbox.
        id: SandboxId,
        /// Its pod's uid.
        pod_uid: String,
    },
    /// Events were lost; look at everything.
    Lagged,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// Full names with tags.
    pub repo_tags: Vec<String>,
    /// Full names with digests.
    pub repo_digests: Vec<String>,
    /// Unpacked size.
    pub size_bytes: u64,
    /// User of the image when numeric (N213).
    pub uid: Option<u32>,
    /// User of the image when a name (N213).
    pub username: String,
    /// Never collected.
    pub pinned: bool,
}

/// How full the file system of the images is (N309).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageFsUsage {
    /// Size of the file system.
    pub capacity_bytes: u64,
    /// Free for us.
    pub available_bytes: u64,
    /// Inodes of the file system.
    pub inodes: u64,
    /// Free inodes.
    pub inodes_free: u64,
}

/// Consumption of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time since the start.
    pub cpu_usage_ns: u64,
    /// Memory in use.
    pub memory_usage_bytes: u64,
    /// Memory in use without inactive file pages.
    pub memory_working_set_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}
