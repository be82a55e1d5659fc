//! The OCI runtime configuration of a container: what libcontainer is told. A function of the record and the resolved user.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use super::executor::DEFAULT_PATH;
use crate::runtime::{
    Mount, Propagation, UserStatus,
    record::{ContainerRecord, ProcessId},
};

/// Capabilities of an ordinary container, as every runtime gives them.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// All capabilities, in the order of their numbers.
const ALL_CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// N217.
const MASKED_PATHS: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What the shim knows of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// Capabilities that this process may hand on (bit mask); asking for others would fail.
    pub(crate) capabilities: u64,
    /// Lowest `oom_score_adj` that this process may set.
    pub(crate) oom_score_min: i32,
    /// Device nodes for privileged containers: path, is a block device, major, minor.
    pub(crate) devices: Vec<(String, bool, u32, u32)>,
    /// Only cgroup v2.
    pub(crate) unified_cgroups: bool,
    /// Host name, for containers with the node's.
    pub(crate) hostname: String,
    /// The process namespace of the pod.
    pub(crate) pause: Option<ProcessId>,
}

/// Makes the configuration.
pub(crate) fn configuration(record: &ContainerRecord, user: &UserStatus, machine: &Machine) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(record, user, machine),
        "root": { "path": "rootfs", "readonly": record.spec.readonly_rootfs },
        "mounts": mounts(record, machine),
        "linux": linux(record, machine),
    })
}

fn process(record: &ContainerRecord, user: &UserStatus, machine: &Machine) -> Value {
    let spec = &record.spec;
    let mut process = json!({
        "terminal": spec.tty,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": record.config.command_line(&spec.command, &spec.args),
        "env": environment(record, machine),
        "cwd": working_dir(record),
        "capabilities": capabilities(record, machine),
    });
    if spec.no_new_privs
        && let Some(fields) = process.as_object_mut()
    {
        fields.insert("noNewPrivileges".into(), true.into());
    }
    if let (Some(score), Some(fields)) = (spec.resources.oom_score_adj, process.as_object_mut()) {
        fields.insert("oomScoreAdj".into(), score.clamp(machine.oom_score_min, 1000).into());
    }
    process
}

/// The directory in which the program starts.
pub(crate) fn working_dir(record: &ContainerRecord) -> &str {
    let image = record.config.config.working_dir.as_str();
    [record.spec.working_dir.as_str(), image].into_iter().find(|dir| dir.starts_with('/')).unwrap_or("/")
}

/// The environment of the image, then that of the pod, each name once.
fn environment(record: &ContainerRecord, machine: &Machine) -> Vec<String> {
    let hostname = if record.pod.host.network { &machine.hostname } else { &record.pod.hostname };
    let mut pairs: Vec<(String, String)> =
        vec![("PATH".into(), DEFAULT_PATH.into()), ("HOSTNAME".into(), hostname.clone())];
    if record.spec.tty {
        pairs.push(("TERM".into(), "xterm".into()));
    }
    let image = record.config.config.env.iter().filter_map(|v| v.split_once('='));
    let image = image.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in image.chain(record.spec.env.iter().cloned()) {
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
    }
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// N209, N210; only what this process has itself can be given.
fn capabilities(record: &ContainerRecord, machine: &Machine) -> Value {
    let spec = &record.spec;
    let normal = |name: &String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
    };
    let (add, drop): (Vec<String>, Vec<String>) =
        (spec.capabilities.add.iter().map(normal).collect(), spec.capabilities.drop.iter().map(normal).collect());
    let has = |list: &[String], name: &str| list.iter().any(|c| c == name);
    let wanted = |name: &str| {
        if spec.privileged || has(&add, name) {
            return true;
        }
        let all = has(&add, "ALL") || (DEFAULT_CAPABILITIES.contains(&name) && !has(&drop, "ALL"));
        all && !has(&drop, name)
    };
    let names: Vec<String> = ALL_CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, name)| machine.capabilities >> number & 1 == 1 && wanted(name))
        .map(|(_, name)| format!("CAP_{name}"))
        .collect();
    json!({ "bounding": names, "effective": names, "permitted": names })
}

fn mounts(record: &ContainerRecord, machine: &Machine) -> Value {
    let spec = &record.spec;
    let targets: BTreeSet<&Path> = spec.mounts.iter().map(|m| m.container_path.as_path()).collect();
    let system = if spec.privileged { "rw" } else { "ro" };
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": source, "options": options });
    let sandbox = |name: &str| record.sandbox_dir.join(name).to_string_lossy().into_owned();
    let files = if spec.readonly_rootfs { "ro" } else { "rw" };
    let shm = if record.pod.host.ipc { "/dev/shm".to_owned() } else { sandbox("shm") };
    let cgroup_kind = if machine.unified_cgroups { "cgroup" } else { "bind" };
    let cgroup_options: &[&str] = if machine.unified_cgroups {
        &["nosuid", "noexec", "nodev", "relatime", system]
    } else {
        &["rbind", "rprivate", "nosuid", "noexec", "nodev", system]
    };
    let cgroup_source = if machine.unified_cgroups { "cgroup" } else { "/sys/fs/cgroup" };
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let defaults = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "bind", &shm, &["rbind", "rprivate", "rw"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", system]),
        mount("/sys/fs/cgroup", cgroup_kind, cgroup_source, cgroup_options),
        mount("/etc/hostname", "bind", &sandbox("hostname"), &["rbind", "rprivate", files]),
        mount("/etc/resolv.conf", "bind", &sandbox("resolv.conf"), &["rbind", "rprivate", files]),
    ];
    let hidden = |value: &Value| {
        let target = Path::new(value.get("destination").and_then(Value::as_str).unwrap_or_default());
        // What the pod mounts itself replaces ours; a whole /dev of the node replaces all below it.
        targets.contains(target) || (targets.contains(Path::new("/dev")) && target.starts_with("/dev"))
    };
    let mut all: Vec<Value> = defaults.into_iter().filter(|value| !hidden(value)).collect();
    all.extend(spec.mounts.iter().map(bind));
    // A mount must not cover one that was made below it before.
    all.sort_by_key(|m| m.get("destination").and_then(Value::as_str).map_or(0, |d| Path::new(d).components().count()));
    Value::Array(all)
}

fn bind(mount: &Mount) -> Value {
    let propagation = match mount.propagation {
        Propagation::None => "rprivate",
        Propagation::HostToContainer => "rslave",
        Propagation::Bidirectional => "rshared",
    };
    let mut options = vec!["rbind", propagation, if mount.readonly { "ro" } else { "rw" }];
    if mount.readonly && mount.recursive_readonly {
        options.push("rro");
    }
    json!({
        "destination": mount.container_path, "type": "bind", "source": mount.host_path, "options": options,
    })
}

fn linux(record: &ContainerRecord, machine: &Machine) -> Value {
    let spec = &record.spec;
    let paths = |given: &Option<Vec<String>>, default: &[&str]| -> Vec<String> {
        match given {
            _ if spec.privileged => Vec::new(),
            Some(given) => given.clone(),
            None => default.iter().map(|path| (*path).to_owned()).collect(),
        }
    };
    let spread = spec.mounts.iter().map(|m| m.propagation);
    let propagation = if spread.clone().any(|p| p == Propagation::Bidirectional) { "shared" } else { "slave" };
    let (devices, rules) = devices(record, machine);
    json!({
        "namespaces": namespaces(record, machine),
        "cgroupsPath": record.cgroup,
        "resources": resources(record, rules),
        "devices": devices,
        "maskedPaths": paths(&spec.masked_paths, &MASKED_PATHS),
        "readonlyPaths": paths(&spec.readonly_paths, &READONLY_PATHS),
        "rootfsPropagation": propagation,
    })
}

/// N211. Namespaces that are left out are the node's.
fn namespaces(record: &ContainerRecord, machine: &Machine) -> Value {
    let pod = &record.pod;
    let pinned = |kind: &str, name: &str| json!({ "type": kind, "path": record.sandbox_dir.join("ns").join(name) });
    let mut all = vec![json!({ "type": "mount" })];
    if !pod.host.network {
        all.push(pinned("network", "net"));
        all.push(pinned("uts", "uts"));
    }
    if !pod.host.ipc {
        all.push(pinned("ipc", "ipc"));
    }
    if let Some(pause) = &machine.pause {
        all.push(json!({ "type": "pid", "path": format!("/proc/{}/ns/pid", pause.pid) }));
    } else if !pod.host.pid {
        all.push(json!({ "type": "pid" }));
    }
    if machine.unified_cgroups && !record.spec.privileged {
        all.push(json!({ "type": "cgroup" }));
    }
    Value::Array(all)
}

fn resources(record: &ContainerRecord, devices: Vec<Value>) -> Value {
    let limits = &record.spec.resources;
    let mut cpu = serde_json::Map::new();
    if let Some(shares) = limits.cpu_shares {
        cpu.insert("shares".into(), shares.into());
    }
    if let Some(quota) = limits.cpu_quota_us.filter(|quota| *quota > 0) {
        cpu.insert("quota".into(), quota.into());
        cpu.insert("period".into(), limits.cpu_period_us.unwrap_or(100_000).into());
    }
    let mut all = json!({ "devices": devices, "cpu": cpu });
    if let Some(fields) = all.as_object_mut() {
        if let Some(bytes) = limits.memory_limit_bytes {
            fields.insert("memory".into(), json!({ "limit": bytes }));
        }
        if let Some(pids) = limits.pids_limit.filter(|pids| *pids > 0) {
            fields.insert("pids".into(), json!({ "limit": pids }));
        }
    }
    all
}

/// Device nodes to make, and the rules that allow them.
fn devices(record: &ContainerRecord, machine: &Machine) -> (Vec<Value>, Vec<Value>) {
    let node = |path: &str, block: bool, major: u32, minor: u32| json!({ "path": path, "type": if block { "b" } else { "c" }, "major": major, "minor": minor, "fileMode": 0o666 });
    if record.spec.privileged {
        let all = machine.devices.iter().map(|(path, block, major, minor)| node(path, *block, *major, *minor));
        return (all.collect(), vec![json!({ "allow": true, "access": "rwm" })]);
    }
    let mut nodes = Vec::new();
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for wanted in &record.spec.devices {
        let Ok(stat) = rustix::fs::stat(&wanted.host_path) else { continue };
        let block = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_block_device();
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        nodes.push(node(&wanted.container_path.to_string_lossy(), block, major, minor));
        let access = if wanted.permissions.is_empty() { "rwm" } else { wanted.permissions.as_str() };
        rules.push(json!({
            "allow": true, "type": if block { "b" } else { "c" }, "major": major, "minor": minor, "access": access,
        }));
    }
    (nodes, rules)
}

#[cfg(test)]
mod tests;
