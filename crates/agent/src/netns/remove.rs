//! Ends a node with all that belongs to it, also after everything was killed.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Entry, NetnsError, NodePlan, PLAN, Plan, entries};
use crate::runtime::{
    cgroup::Cgroups,
    netlink::Netlink,
    record::{self, ProcessId},
};

/// File with the process of the node's agent.
pub(super) const AGENT: &str = "agent.json";
/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Ends everything of all nodes below a data directory, and removes the bridge. Nothing to do is fine.
pub fn remove_all(data_dir: &Path) -> Result<(), NetnsError> {
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    for Entry { plan, node: entry } in entries(&data_dir) {
        node(&plan, &entry)?;
    }
    if let Ok(plan) = Plan::existing(&data_dir) {
        plan.down()?;
        let _ = fs::remove_file(data_dir.join("nodes").join(PLAN));
        // Hollow nodes may have files there.
        let _ = fs::remove_dir(data_dir.join("nodes"));
    }
    Ok(())
}

pub(super) fn node(plan: &Plan, node: &NodePlan) -> Result<(), NetnsError> {
    let failed = |what: &str| NetnsError::act(format!("{what} of node {}", node.name));
    let agent: Option<ProcessId> = record::read(&node.dir, AGENT);
    let known: Vec<ProcessId> = agent.into_iter().chain(shims(node)).filter(|p| p.open().is_some()).collect();
    let namespaces: BTreeSet<u64> = known.iter().filter_map(|p| network_of(p.pid)).collect();
    let cgroups = Cgroups::detect().map_err(failed("find the cgroups"))?;
    // The agent first: it would start again what is ended.
    kill_members(&namespaces);
    cgroups.remove(&node.cgroup_root);
    let deadline = Instant::now() + PATIENCE;
    while kill_members(&namespaces) > 0 && Instant::now() < deadline {
        std::thread::sleep(PAUSE);
    }
    let removed = Netlink::open().and_then(|netlink| netlink.remove(&node.link));
    removed.map_err(failed("remove the link"))?;
    for container in children(&node.dir.join("runtime/containers")) {
        let id = container.file_name().unwrap_or_default().to_owned();
        let _ = fs::remove_file(plan.data_dir.join("images/store/uses").join(id));
    }
    match fs::remove_dir_all(&node.dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove the directory")(e)),
        _ => Ok(()),
    }
}

/// Shims that the node's containers had, alive or not; and holders of process namespaces.
pub(super) fn shims(node: &NodePlan) -> Vec<ProcessId> {
    let containers = children(&node.dir.join("runtime/containers"));
    let of_containers = containers.iter().filter_map(|dir| record::read(dir, record::SHIM));
    let sandboxes = children(&node.dir.join("runtime/sandboxes"));
    let pauses = sandboxes.iter().filter_map(|dir| record::read::<record::SandboxRecord>(dir, record::RECORD)?.pause);
    of_containers.chain(pauses).collect()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn network_of(pid: i32) -> Option<u64> {
    Some(fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino())
}

/// Kills every process in these network namespaces, but never one in our own; says how many there were.
fn kill_members(namespaces: &BTreeSet<u64>) -> usize {
    let own = i32::try_from(std::process::id()).ok().and_then(network_of);
    let foreign: BTreeSet<u64> = namespaces.iter().copied().filter(|ns| Some(*ns) != own).collect();
    let mut found = 0;
    for process in children(Path::new("/proc")) {
        let Some(pid) = process.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok()) else { continue };
        let Some(process) = ProcessId::of(pid) else { continue };
        let Some(handle) = process.open() else { continue };
        if network_of(pid).is_some_and(|ns| foreign.contains(&ns)) {
            found += 1;
            let _ = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL);
        }
    }
    found
}
