//! What the machine is: its size, its names, its addresses (N34, N36, N37, N39).

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;

use crate::Config;

/// Memory and disk kept back for the hard eviction thresholds (N37).
const EVICTION_MEMORY_BYTES: u64 = 100 << 20;
const EVICTION_DISK_PERCENT: u64 = 10;
/// Pods that a node takes (N21).
const PODS_MAX: &str = "110";

/// Everything about the node that does not change while the agent runs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) hostname: String,
    /// Node addresses, the preferred one first.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) capacity: BTreeMap<String, String>,
    pub(crate) allocatable: BTreeMap<String, String>,
    pub(crate) info: NodeSystemInfo,
}

impl Facts {
    /// Reads this machine.
    pub(crate) fn of_machine(config: &Config) -> Self {
        let memory_kib = mem_total_kib();
        let cores = cores().to_string();
        let (disk, huge) = (disk_bytes(&config.kubelet_dir), huge_pages());
        let mut capacity = BTreeMap::from([
            ("cpu".to_owned(), cores.clone()),
            ("memory".to_owned(), format!("{memory_kib}Ki")),
            ("pods".to_owned(), PODS_MAX.to_owned()),
            ("ephemeral-storage".to_owned(), format!("{}Ki", disk / 1024)),
        ]);
        let huge_bytes: u64 = huge.values().sum();
        capacity.extend(huge.iter().map(|(name, bytes)| (name.clone(), format!("{}Mi", bytes >> 20))));
        let mut allocatable = capacity.clone();
        let memory = (memory_kib * 1024).saturating_sub(EVICTION_MEMORY_BYTES + huge_bytes);
        allocatable.insert("memory".to_owned(), format!("{}Ki", memory / 1024));
        let disk = disk / 100 * (100 - EVICTION_DISK_PERCENT);
        allocatable.insert("ephemeral-storage".to_owned(), disk.to_string());
        let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        Self {
            hostname: if hostname.is_empty() { config.node_name.clone() } else { hostname },
            addresses: config.node_ip.or_else(own_address).into_iter().collect(),
            capacity,
            allocatable,
            info: system_info(config),
        }
    }

    /// Makes up a machine for a hollow node.
    pub(crate) fn hollow(config: &Config, capacity: &BTreeMap<String, String>) -> Self {
        // Equal names have equal addresses; nobody speaks to them.
        let sum = config.node_name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let [_, b, c, d] = sum.to_be_bytes();
        let pretend = IpAddr::from([10, b, c, d]);
        let id = format!("{:032x}", u128::from(sum));
        Self {
            hostname: config.node_name.clone(),
            addresses: vec![config.node_ip.unwrap_or(pretend)],
            capacity: capacity.clone(),
            allocatable: capacity.clone(),
            info: NodeSystemInfo {
                machine_id: id.clone(),
                boot_id: id.clone(),
                system_uuid: id,
                ..system_info(config)
            },
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn mem_total_kib() -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn cores() -> usize {
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    read("/proc/stat").lines().filter(is_core).count().max(1)
}

fn disk_bytes(path: &Path) -> u64 {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    nix::sys::statvfs::statvfs(there).map(|stat| stat.blocks() * stat.fragment_size()).unwrap_or(0)
}

/// Bytes of huge pages by resource name.
fn huge_pages() -> BTreeMap<String, u64> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages: u64 = fs::read_to_string(entry.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
        let size = if kib >= 1 << 20 { format!("{}Gi", kib >> 20) } else { format!("{}Mi", kib >> 10) };
        Some((format!("hugepages-{size}"), pages * kib * 1024))
    });
    sizes.collect()
}

/// The address from which this machine would speak to the world; no packet is sent.
pub fn own_address() -> Option<IpAddr> {
    let by_route = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let usable = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    by_route.ok().map(|address| address.ip()).filter(usable).or_else(|| {
        let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let addresses = interfaces.filter_map(|interface| {
            let address = interface.address?;
            Some(IpAddr::V4(address.as_sockaddr_in()?.ip()))
        });
        let mut addresses: Vec<_> = addresses.collect();
        // A machine with nothing but loopback still has a node.
        addresses.sort_by_key(IpAddr::is_loopback);
        addresses.first().copied()
    })
}

fn system_info(config: &Config) -> NodeSystemInfo {
    let os_release = read("/etc/os-release");
    let pretty = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    NodeSystemInfo {
        machine_id: read("/etc/machine-id"),
        system_uuid: read("/sys/class/dmi/id/product_uuid"),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        os_image: pretty.unwrap_or("Linux").trim_matches('"').to_owned(),
        kubelet_version: config.version.clone(),
        operating_system: "linux".to_owned(),
        architecture: architecture().to_owned(),
        ..NodeSystemInfo::default()
    }
}

/// The machine's architecture as container images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read_n36_n39() {
        let config = Config::of_machine("me", "/tmp".into(), ("127.0.0.1".into(), 6443));
        let facts = Facts::of_machine(&config);
        for name in ["cpu", "memory", "pods", "ephemeral-storage"] {
            assert!(facts.capacity.contains_key(name) && facts.allocatable.contains_key(name), "{name}");
        }
        assert!(!facts.info.kernel_version.is_empty());
        assert!(!facts.addresses.is_empty());
    }
}
