//! `shim sandbox DIR`: makes the namespaces of a pod, connects its network, pins all by bind mounts and goes away.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

use crate::runtime::{
    netlink::{Netlink, bridge_turn},
    record::{self, PodAddress, ProcessId, SandboxRecord},
};

/// Size of a pod's /dev/shm.
const SHM: &str = "mode=1777,size=67108864";

/// Sets the sandbox up; the words say what went wrong.
pub(crate) fn run(dir: &Path) -> Result<(), String> {
    let mut record: SandboxRecord =
        record::read(dir, record::RECORD).ok_or_else(|| format!("{} has no readable record", dir.display()))?;
    set_up(dir, &mut record).inspect_err(|_| tear_down(dir, &record))
}

fn set_up(dir: &Path, record: &mut SandboxRecord) -> Result<(), String> {
    let host = record.spec.host;
    fs::create_dir_all(dir.join("ns")).map_err(|e| format!("create {}: {e}", dir.join("ns").display()))?;
    // This socket stays in the node's network, and so does the turn.
    let node = Netlink::open().map_err(|e| format!("open netlink: {e}"))?;
    let turn = record.address.as_ref().map(|_| bridge_turn()).transpose();
    let turn = turn.map_err(|e| format!("wait for the turn to change the bridge: {e}"))?;
    let mut flags = CloneFlags::empty();
    if !host.network {
        flags |= CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
    }
    if !host.ipc {
        flags |= CloneFlags::CLONE_NEWIPC;
        shared_memory(dir)?;
    }
    unshare(flags).map_err(|e| format!("unshare namespaces: {e}"))?;
    if !host.network {
        connect(&node, record.address.as_ref())?;
        nix::unistd::sethostname(&record.spec.hostname).map_err(|e| format!("set host name: {e}"))?;
        drop(turn);
        pin(dir, "net", "/proc/self/ns/net")?;
        pin(dir, "uts", "/proc/self/ns/uts")?;
    }
    if !host.ipc {
        pin(dir, "ipc", "/proc/self/ns/ipc")?;
    }
    for (name, value) in &record.spec.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(&path, value).map_err(|e| format!("set sysctl {name}={value}: {e}"))?;
    }
    if record.spec.share_pid && !host.pid {
        record.pause = Some(start_pause(&record.shim)?);
    }
    record.ready = true;
    record::write(dir, record::RECORD, record).map_err(|e| format!("write the record of the sandbox: {e}"))
}

fn shared_memory(dir: &Path) -> Result<(), String> {
    let shm = dir.join("shm");
    fs::create_dir_all(&shm).map_err(|e| format!("create {}: {e}", shm.display()))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("shm"), &shm, Some("tmpfs"), flags, Some(SHM)).map_err(|e| format!("mount {}: {e}", shm.display()))
}

/// Loopback, and the pod's end of the veth pair.
fn connect(node: &Netlink, address: Option<&PodAddress>) -> Result<(), String> {
    let pod = Netlink::open().map_err(|e| format!("open netlink: {e}"))?;
    pod.set_up(1).map_err(|e| format!("switch loopback on: {e}"))?;
    let Some(at) = address else { return Ok(()) };
    let here = File::open("/proc/self/ns/net").map_err(|e| format!("open the pod's network: {e}"))?;
    let bridge = node.ensure_bridge(&at.bridge, at.gateway, at.prefix_len);
    let bridge = bridge.map_err(|e| format!("bridge {}: {e}", at.bridge))?;
    node.add_veth(&at.link, Some(bridge), "eth0", here.as_fd())
        .map_err(|e| format!("make veth pair {}: {e}", at.link))?;
    let failed = |e: std::io::Error| format!("set up eth0 of the pod: {e}");
    let index = pod.index("eth0").map_err(failed)?.ok_or("eth0 of the pod vanished")?;
    pod.add_address(index, at.ip, at.prefix_len).map_err(failed)?;
    pod.set_up(index).map_err(failed)?;
    pod.add_route((std::net::Ipv4Addr::UNSPECIFIED, 0), at.gateway)
        .map_err(|e| format!("set default route of the pod: {e}"))
}

fn pin(dir: &Path, name: &str, namespace: &str) -> Result<(), String> {
    let target = dir.join("ns").join(name);
    let failed = |e: String| format!("pin namespace {}: {e}", target.display());
    File::create(&target).map_err(|e| failed(e.to_string()))?;
    mount(Some(namespace), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|e| failed(e.to_string()))
}

/// Starts the process that holds a process namespace for all containers of the pod, as its number 1.
fn start_pause(shim: &[String]) -> Result<ProcessId, String> {
    unshare(CloneFlags::CLONE_NEWPID).map_err(|e| format!("unshare the process namespace: {e}"))?;
    let (program, arguments) = shim.split_first().ok_or("no shim configured")?;
    let child = Command::new(program)
        .args(arguments)
        .arg("pause")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("start {program}: {e}"))?;
    i32::try_from(child.id()).ok().and_then(ProcessId::of).ok_or_else(|| "the pause process ended at once".into())
}

/// Takes the mounts and the network of a sandbox away. What is gone already is fine. Also called by the agent.
pub(crate) fn tear_down(dir: &Path, record: &SandboxRecord) {
    if let Some(address) = &record.address
        && let Ok(node) = Netlink::open()
    {
        // The pod's end goes with this one; a later pod may have the address, but never the name of the link.
        let _ = node.remove(&address.link);
    }
    if let Some(pause) = record.pause.and_then(ProcessId::open) {
        let _ = rustix::process::pidfd_send_signal(&pause, rustix::process::Signal::KILL);
    }
    for name in ["ns/net", "ns/uts", "ns/ipc", "shm"] {
        let _ = umount2(&dir.join(name), MntFlags::MNT_DETACH);
    }
}
