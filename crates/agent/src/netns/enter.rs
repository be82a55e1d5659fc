//! In the shim: becomes a node. Single-threaded, before anything else runs in this process.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{Entry, NODES_MAX, NetnsError, NodePlan, Plan};
use crate::runtime::{netlink::Netlink, record, record::ProcessId};

const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC);

/// Directories that a node has for itself: on the machine, and below the node's directory.
pub(super) const OWN: [(&str, &str); 3] = [("/var/log", "log"), ("/var/lib/kubelet", "kubelet"), ("/run", "run")];

/// Enters or makes the namespaces of a node, then becomes the command after `--`. Failures go to standard error.
pub(crate) fn enter(entry: &Path, words: &[OsString]) -> Result<(), NetnsError> {
    let result = become_node(entry, words);
    if let Err(error) = &result {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let _ = writeln!(io::stderr(), "{error}{cause}");
    }
    result
}

fn become_node(entry: &Path, words: &[OsString]) -> Result<(), NetnsError> {
    let dir = entry.parent().unwrap_or(Path::new("/"));
    let Some(Entry { plan, node }) = record::read(dir, super::NODE) else {
        return Err(NetnsError::NoPlan(dir.to_owned()));
    };
    // A node without its server's process would be one that nobody started.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    let failed = |what: &str| NetnsError::act(format!("{what} node {}", node.name));
    match living(&node) {
        Some(process) => {
            setns(&process, NAMESPACES).map_err(|e| failed("join the namespaces of")(e.into()))?;
        }
        None => make(&plan, &node)?,
    }
    let me = i32::try_from(std::process::id()).ok().and_then(ProcessId::of);
    if let Some(me) = me {
        record::write(&node.dir, super::remove::AGENT, &me).map_err(failed("note the process of"))?;
    }
    let command: Vec<&OsString> = words.iter().skip_while(|word| *word != "--").skip(1).collect();
    let Some((program, arguments)) = command.split_first() else {
        return Err(failed("start")(io::Error::other("no command given")));
    };
    Err(failed("start")(Command::new(program).args(arguments).exec()))
}

/// A process of this node that still lives: the shim of a container.
fn living(node: &NodePlan) -> Option<OwnedFd> {
    super::remove::shims(node).into_iter().find_map(ProcessId::open)
}

fn make(plan: &Plan, node: &NodePlan) -> Result<(), NetnsError> {
    let failed = |what: &str| NetnsError::act(format!("{what} of node {}", node.name));
    // This socket stays with the machine.
    let machine = Netlink::open().map_err(failed("open the network"))?;
    let bridge =
        machine.ensure_bridge(&plan.bridge, plan.gateway, plan.prefix_len).map_err(failed("join the bridge"))?;
    machine.remove(&node.link).map_err(failed("remove the old link"))?;
    unshare(NAMESPACES).map_err(|e| failed("make the namespaces")(e.into()))?;
    nix::unistd::sethostname(&node.name).map_err(|e| failed("set the host name")(e.into()))?;
    connect(plan, node, &machine, bridge).map_err(failed("set up the network"))?;
    mounts(node).map_err(failed("set up the mounts"))?;
    // Pods of this node are found through it.
    machine.add_route((node.pod_base, 24), node.address).map_err(failed("add the route to the pods"))
}

fn connect(plan: &Plan, node: &NodePlan, machine: &Netlink, bridge: u32) -> io::Result<()> {
    let here = Netlink::open()?;
    here.set_up(1)?;
    machine.add_veth(&node.link, Some(bridge), "eth0", File::open("/proc/self/ns/net")?.as_fd())?;
    let index = here.index("eth0")?.ok_or_else(|| io::Error::other("eth0 vanished"))?;
    here.add_address(index, node.address, plan.prefix_len)?;
    here.set_up(index)?;
    here.add_route((Ipv4Addr::UNSPECIFIED, 0), plan.gateway)?;
    // Every node that may ever be: which one has which pods follows from its position.
    for other in (0..NODES_MAX).filter(|other| *other != node.index).map(|other| plan.node("", other)) {
        here.add_route((other.pod_base, 24), other.address)?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

fn mounts(node: &NodePlan) -> io::Result<()> {
    // What the machine mounts later is seen here, what is mounted here is not seen there.
    change(MsFlags::MS_SLAVE)?;
    own_sysfs(&node.dir)?;
    keep_resolver(&node.dir)?;
    for (target, name) in OWN {
        let source = node.dir.join(name);
        fs::create_dir_all(&source)?;
        fs::create_dir_all(target)?;
        bind(&source, Path::new(target), false)?;
    }
    // Containers with bidirectional mounts need it.
    change(MsFlags::MS_SHARED)
}

fn change(kind: MsFlags) -> io::Result<()> {
    Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | kind, None::<&str>)?)
}

fn bind(source: &Path, target: &Path, recursive: bool) -> io::Result<()> {
    let flags = if recursive { MsFlags::MS_BIND | MsFlags::MS_REC } else { MsFlags::MS_BIND };
    Ok(mount(Some(source), target, None::<&str>, flags, None::<&str>)?)
}

/// A /sys that shows this node's network, with the machine's control groups.
fn own_sysfs(dir: &Path) -> io::Result<()> {
    let aside = dir.join("cgroup");
    let groups = Path::new("/sys/fs/cgroup");
    fs::create_dir_all(&aside)?;
    bind(groups, &aside, true)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("sysfs"), "/sys", Some("sysfs"), flags, None::<&str>)?;
    bind(&aside, groups, true)?;
    umount2(&aside, MntFlags::MNT_DETACH)?;
    fs::remove_dir(&aside)
}

/// On machines whose resolver file is a link into /run, which is about to be covered.
fn keep_resolver(dir: &Path) -> io::Result<()> {
    let Ok(real) = fs::canonicalize("/etc/resolv.conf") else { return Ok(()) };
    let Ok(below) = real.strip_prefix("/run") else { return Ok(()) };
    let copy: PathBuf = dir.join("run").join(below);
    fs::create_dir_all(copy.parent().unwrap_or(dir))?;
    fs::copy(real, copy).map(drop)
}
