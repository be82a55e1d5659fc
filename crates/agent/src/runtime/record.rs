//! What the built-in runtime keeps on disk about sandboxes and containers, so that it outlives the agent.
//!
//! ```text
//! <state>/sandboxes/<id>/record.json   SandboxRecord
//!                        ns/{net,ipc,uts,pid}   pinned namespaces (bind mounts)
//!                        shm, hostname, resolv.conf   shared by the containers
//! <state>/containers/<id>/record.json  ContainerRecord, written once
//!                         shim.json    ProcessId of the shim
//!                         started.json Started, once the program runs
//!                         ended.json   Ended; its existence means that it is over
//!                         upper, work, rootfs, config.json, state/   overlay and OCI bundle
//! ```
//!
//! Every file is replaced atomically; fields are only ever added, with defaults.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{ContainerId, ContainerSpec, SandboxId, SandboxSpec, UserStatus, images::config::ImageConfig};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Number.
    pub(crate) pid: i32,
    /// Start time in clock ticks since boot.
    pub(crate) start: u64,
}

impl ProcessId {
    /// A process by its number, now; `None` when there is none.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start: start_time(pid)? })
    }

    /// A handle on exactly this process; `None` when it is gone (a zombie counts as gone).
    pub(crate) fn open(self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Only after the handle is open is it certain that the number is not reused.
        (start_time(self.pid) == Some(self.start)).then_some(fd)
    }
}

fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, even `)`; the fields after the last one are numbers.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) id: SandboxId,
    pub(crate) spec: SandboxSpec,
    pub(crate) created_at: Timestamp,
    /// Address in an own network namespace.
    pub(crate) address: Option<PodAddress>,
    /// Pod cgroup with the node's prefix; empty if none.
    pub(crate) cgroup: String,
    /// How to start the shim.
    pub(crate) shim: Vec<String>,
    /// Tells this boot of the machine from others.
    pub(crate) boot_id: String,
    /// Holder of a shared process namespace.
    #[serde(default)]
    pub(crate) pause: Option<ProcessId>,
    /// Set up completely.
    #[serde(default)]
    pub(crate) ready: bool,
}

/// Where a pod is on the node's bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodAddress {
    pub(crate) ip: Ipv4Addr,
    pub(crate) prefix_len: u8,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) bridge: String,
    /// The node's end of the veth pair.
    pub(crate) link: String,
}

/// A container: all the shim needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: ContainerId,
    pub(crate) sandbox: SandboxId,
    pub(crate) sandbox_dir: PathBuf,
    /// The sandbox as asked for.
    pub(crate) pod: SandboxSpec,
    pub(crate) spec: ContainerSpec,
    pub(crate) created_at: Timestamp,
    pub(crate) image_id: String,
    pub(crate) image_ref: String,
    /// Unpacked layers, topmost first, below `layers_dir`.
    pub(crate) layers: Vec<String>,
    pub(crate) layers_dir: PathBuf,
    pub(crate) config: ImageConfig,
    /// The container's cgroup.
    pub(crate) cgroup: String,
    pub(crate) log_path: Option<PathBuf>,
    pub(crate) shim: Vec<String>,
}

/// A started container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) process: ProcessId,
    pub(crate) started_at: Timestamp,
    pub(crate) user: UserStatus,
}

/// A container that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) exit_code: i32,
    pub(crate) finished_at: Timestamp,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
}

pub(crate) const RECORD: &str = "record.json";
pub(crate) const SHIM: &str = "shim.json";
pub(crate) const STARTED: &str = "started.json";
pub(crate) const ENDED: &str = "ended.json";

/// Reads one record; `None` when there is none (or it is not whole, which only a full disk can cause).
pub(crate) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(dir.join(name)).ok()?).ok()
}

/// Writes one record.
pub(crate) fn write<T: Serialize>(dir: &Path, name: &str, record: &T) -> io::Result<()> {
    let text = serde_json::to_vec(record)?;
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    // No fsync: after a crash of the machine no container runs, and what is left is cleaned up by its directory's name.
    fs::write(&temporary, text)?;
    fs::rename(&temporary, dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_number_and_start() {
        let me = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.open().is_some());
        assert!(ProcessId { start: me.start + 1, ..me }.open().is_none());
        assert_eq!(ProcessId::of(i32::MAX), None);
    }
}
