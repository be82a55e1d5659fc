//! What the machine lets this process hand on to a container.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::oci::Machine;
use crate::runtime::record::ProcessId;

const CAP_SYS_RESOURCE: u64 = 1 << 24;
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// Looks at this process and the machine; device nodes only when they are needed.
pub(crate) fn describe(with_devices: bool, pause: Option<ProcessId>) -> Machine {
    let capabilities = capabilities();
    let mut devices = Vec::new();
    if with_devices {
        collect_devices(Path::new("/dev"), &mut devices);
    }
    Machine {
        capabilities,
        oom_score_min: if capabilities & CAP_SYS_RESOURCE == 0 { oom_score() } else { -1000 },
        devices,
        unified_cgroups: crate::runtime::cgroup::Cgroups::detect().is_ok_and(|c| c.is_unified()),
        hostname: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        pause,
    }
}

fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    field.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// How much the kernel likes this process as a victim.
pub(crate) fn oom_score() -> i32 {
    fs::read_to_string(OOM_SCORE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Sets it; a refusal changes nothing that matters to the container.
pub(crate) fn set_oom_score(score: i32) {
    let _ = fs::write(OOM_SCORE, score.to_string());
}

fn collect_devices(dir: &Path, found: &mut Vec<(String, bool, u32, u32)>) {
    // Those of libcontainer itself, and directories with an own meaning in the container.
    const OWN: [&str; 10] =
        ["pts", "shm", "mqueue", "fd", "console", "ptmx", ".lxc", ".lxd-mounts", ".udev", "hugepages"];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
        let kind = meta.file_type();
        if kind.is_dir() {
            collect_devices(&path, found);
        } else if kind.is_block_device() || kind.is_char_device() {
            let device = meta.rdev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            found.push((path.to_string_lossy().into_owned(), kind.is_block_device(), major, minor));
        }
    }
}
