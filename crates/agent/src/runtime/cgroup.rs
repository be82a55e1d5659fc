//! Control groups v1, hybrid and v2: pod directories, leftovers, consumption (N231–N236, N243).
//!
//! Containers' own groups are made by libcontainer below the pod's; here is what it does not do. Paths are absolute from
//! the root of each hierarchy, for example `/kubepods/burstable/pod<uid>`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Resources, Stats};

/// Controllers of v1 in which pods get a directory. `cpuset` is left to libcontainer, it cannot be used empty.
const V1_CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];
const V2_CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];
const KILL_ROUNDS: u32 = 500;
/// How often a group is made afresh while its parents go.
const MAKE_ROUNDS: usize = 100;
const KILL_PAUSE: Duration = Duration::from_millis(4);

/// Where the control groups of this machine are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cgroups {
    /// v1 hierarchies: controllers and mount point.
    v1: Vec<(Vec<String>, PathBuf)>,
    /// The v2 hierarchy.
    v2: Option<PathBuf>,
}

impl Cgroups {
    /// Reads the mount table.
    pub(crate) fn detect() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(point) = left.split(' ').nth(4) else { continue };
            let mut right = right.split(' ');
            let (kind, options) = (right.next(), right.nth(1).unwrap_or_default());
            match kind {
                Some("cgroup2") => found.v2 = Some(PathBuf::from(point)),
                Some("cgroup") => {
                    let controllers = options.split(',').filter(|o| *o != "rw" && *o != "ro").map(str::to_owned);
                    found.v1.push((controllers.collect(), PathBuf::from(point)));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether only v2 is in use.
    pub(crate) fn is_unified(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }

    /// Whether limits can be set at all.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_unified() || self.v1_dir("memory", "/").is_some()
    }

    fn v1_dir(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let (_, mount) = self.v1.iter().find(|(controllers, _)| controllers.iter().any(|c| c == controller))?;
        Some(under(mount, path))
    }

    fn v2_dir(&self, path: &str) -> Option<PathBuf> {
        self.v2.as_deref().map(|mount| under(mount, path))
    }

    /// Makes the directory of a pod and sets its limits.
    pub(crate) fn create(&self, path: &str, limits: &Resources) -> io::Result<()> {
        if self.is_unified() {
            return self.create_v2(path, limits);
        }
        for controller in V1_CONTROLLERS {
            if let Some(dir) = self.v1_dir(controller, path) {
                make(|| fs::create_dir_all(&dir))?;
            }
        }
        let set = |controller: &str, file: &str, value: Option<String>| match (self.v1_dir(controller, path), value) {
            (Some(dir), Some(value)) => fs::write(dir.join(file), value),
            _ => Ok(()),
        };
        set("cpu", "cpu.shares", limits.cpu_shares.map(|n| n.to_string()))?;
        set("cpu", "cpu.cfs_period_us", limits.cpu_period_us.map(|n| n.to_string()))?;
        set("cpu", "cpu.cfs_quota_us", limits.cpu_quota_us.map(|n| if n <= 0 { -1 } else { n }.to_string()))?;
        set("memory", "memory.limit_in_bytes", limits.memory_limit_bytes.map(|n| n.to_string()))?;
        set("pids", "pids.max", limits.pids_limit.filter(|n| *n > 0).map(|n| n.to_string()))
    }

    fn create_v2(&self, path: &str, limits: &Resources) -> io::Result<()> {
        let Some(mount) = &self.v2 else { return Ok(()) };
        let dir = under(mount, path);
        make(|| make_v2(mount, path))?;
        let set = |file: &str, value: Option<String>| value.map_or(Ok(()), |value| fs::write(dir.join(file), value));
        set("cpu.weight", limits.cpu_shares.map(|shares| weight(shares).to_string()))?;
        let period = limits.cpu_period_us.unwrap_or(100_000);
        let quota = limits.cpu_quota_us.map(|n| if n <= 0 { format!("max {period}") } else { format!("{n} {period}") });
        set("cpu.max", quota)?;
        set("memory.max", limits.memory_limit_bytes.map(|n| n.to_string()))?;
        set("pids.max", limits.pids_limit.filter(|n| *n > 0).map(|n| n.to_string()))
    }

    /// Kills what is in the group and below, and removes the directories; then the parents that became empty.
    pub(crate) fn remove(&self, path: &str) {
        if path.trim_matches('/').is_empty() {
            return;
        }
        self.remove_leaf(path);
        let mut parent = Path::new(path).parent();
        while let Some(above) = parent.filter(|p| p.components().count() > 1) {
            for dir in self.dirs(&above.to_string_lossy()) {
                let _ = fs::remove_dir(dir);
            }
            parent = above.parent();
        }
    }

    /// Kills what is in a container's group and removes its directories; the pod's stay.
    pub(crate) fn remove_leaf(&self, path: &str) {
        if path.trim_matches('/').is_empty() {
            return;
        }
        self.kill(path);
        for dir in self.dirs(path) {
            remove_tree(&dir);
        }
    }

    /// Kills every process in the group and below, until none is left or it is hopeless.
    pub(crate) fn kill(&self, path: &str) {
        for _ in 0..KILL_ROUNDS {
            let mut pids = Vec::new();
            for dir in self.dirs(path) {
                collect_pids(&dir, &mut pids);
            }
            pids.sort_unstable();
            pids.dedup();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(KILL_PAUSE);
        }
    }

    /// How many processes of the group the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self, path: &str) -> u64 {
        let (dir, file) = if self.is_unified() {
            (self.v2_dir(path), "memory.events")
        } else {
            (self.v1_dir("memory", path), "memory.oom_control")
        };
        dir.and_then(|dir| fs::read_to_string(dir.join(file)).ok()).map_or(0, |text| keyed(&text, "oom_kill"))
    }

    /// Consumption of a group.
    pub(crate) fn stats(&self, path: &str) -> io::Result<Stats> {
        let number = |file: PathBuf| fs::read_to_string(file).map(|text| text.trim().parse::<u64>().unwrap_or(0));
        if self.is_unified() {
            let dir = self.v2_dir(path).unwrap_or_default();
            let usage = number(dir.join("memory.current"))?;
            let inactive = fs::read_to_string(dir.join("memory.stat")).map_or(0, |t| keyed(&t, "inactive_file"));
            let cpu = fs::read_to_string(dir.join("cpu.stat")).map_or(0, |t| keyed(&t, "usage_usec"));
            return Ok(Stats {
                cpu_usage_ns: cpu.saturating_mul(1000),
                memory_usage_bytes: usage,
                memory_working_set_bytes: usage.saturating_sub(inactive),
                pids: number(dir.join("pids.current")).unwrap_or(0),
            });
        }
        let dir = |controller| self.v1_dir(controller, path).unwrap_or_default();
        let usage = number(dir("memory").join("memory.usage_in_bytes"))?;
        let inactive =
            fs::read_to_string(dir("memory").join("memory.stat")).map_or(0, |t| keyed(&t, "total_inactive_file"));
        Ok(Stats {
            cpu_usage_ns: number(dir("cpuacct").join("cpuacct.usage")).unwrap_or(0),
            memory_usage_bytes: usage,
            memory_working_set_bytes: usage.saturating_sub(inactive),
            pids: number(dir("pids").join("pids.current")).unwrap_or(0),
        })
    }

    /// The directory of a group in every hierarchy where it exists.
    fn dirs(&self, path: &str) -> Vec<PathBuf> {
        let mounts = self.v1.iter().map(|(_, mount)| mount).chain(self.v2.as_ref());
        mounts.map(|mount| under(mount, path)).filter(|dir| dir.is_dir()).collect()
    }
}

/// Makes a group with its parents: again when one of them is gone, for the end of its last other child takes it away.
fn make(mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..MAKE_ROUNDS {
        match act() {
            // It went before, or just after it was found to be there.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
            result => return result,
        }
    }
    act()
}

fn make_v2(mount: &Path, path: &str) -> io::Result<()> {
    let mut dir = mount.to_owned();
    for part in Path::new(path).components().filter(|c| matches!(c, std::path::Component::Normal(_))) {
        delegate(&dir);
        dir.push(part);
        if let Err(e) = fs::create_dir(&dir)
            && e.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(e);
        }
    }
    Ok(())
}

fn under(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

/// v2 weight of v1 shares (N234).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Hands the controllers on to children; one at a time, because one missing would refuse them all.
fn delegate(dir: &Path) {
    let available = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in V2_CONTROLLERS.iter().filter(|c| available.split_whitespace().any(|a| a == **c)) {
        let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path())
}

fn collect_pids(dir: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for child in children(dir) {
        collect_pids(&child, pids);
    }
}

fn remove_tree(dir: &Path) {
    for child in children(dir) {
        remove_tree(&child);
    }
    for _ in 0..KILL_ROUNDS {
        match fs::remove_dir(dir) {
            // A process that was just killed may still be counted.
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(KILL_PAUSE),
            _ => return,
        }
    }
}

fn keyed(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.split_once(' ').filter(|(name, _)| *name == key))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_tells_the_kind() {
        let hybrid = Cgroups::parse(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        assert!(!hybrid.is_unified() && hybrid.is_usable());
        assert_eq!(hybrid.v1_dir("cpuacct", "/kubepods/x"), Some("/sys/fs/cgroup/cpu,cpuacct/kubepods/x".into()));
        let unified = Cgroups::parse("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert!(unified.is_unified() && unified.is_usable());
        assert!(!Cgroups::parse("").is_usable());
    }

    /// The last pod of a class takes the class's group along, while the next one comes.
    #[test]
    fn a_group_is_made_though_its_parent_goes() {
        let dir = tempfile::tempdir().unwrap();
        for kind in ["cgroup2 cgroup2 rw", "cgroup cgroup rw,memory"] {
            let groups = Cgroups::parse(&format!("31 23 0:28 / {} rw - {kind}\n", dir.path().display()));
            std::thread::scope(|scope| {
                for name in ["a", "b"] {
                    let (groups, path) = (&groups, format!("/kubepods/{name}"));
                    scope.spawn(move || {
                        for _ in 0..500 {
                            groups.create(&path, &Resources::default()).unwrap();
                            groups.remove(&path);
                        }
                    });
                }
            });
        }
    }

    /// N234.
    #[test]
    fn shares_become_weights() {
        for (shares, expect) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000)] {
            assert_eq!(weight(shares), expect, "{shares}");
        }
    }
}
