//! Sandboxes: namespaces and address of a pod, its cgroup, its files.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use jiff::Timestamp;

use super::{Builtin, PodNetwork, launch, new_id, ports};
use crate::runtime::{
    ContainerId, DnsConfig, Event, RuntimeError, SandboxId, SandboxSpec, SandboxState, SandboxStatus,
    netlink::{Netlink, bridge_turn},
    record::{self, PodAddress, SandboxRecord},
    shim::{self, control::Reply},
};

/// The bridge of pods with an own network.
const BRIDGE: &str = "everynode0";
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// A sandbox as this agent knows it.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) record: SandboxRecord,
    /// Forwards its host ports; they close with this value.
    ports: Option<ports::Forwards>,
}

impl Sandbox {
    fn status(&self) -> SandboxStatus {
        let record = &self.record;
        SandboxStatus {
            id: record.id.clone(),
            name: record.spec.name.clone(),
            namespace: record.spec.namespace.clone(),
            uid: record.spec.uid.clone(),
            attempt: record.spec.attempt,
            state: if record.ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: record.created_at,
            ips: record.address.iter().map(|at| IpAddr::V4(at.ip)).collect(),
            labels: record.spec.labels.clone(),
            annotations: record.spec.annotations.clone(),
        }
    }
}

impl Builtin {
    pub(super) fn sandbox_dir(&self, id: &SandboxId) -> PathBuf {
        self.config.state_dir.join("sandboxes").join(&id.0)
    }

    pub(super) fn sandbox_statuses(&self) -> Vec<SandboxStatus> {
        let mut all: Vec<SandboxStatus> = self.state().sandboxes.values().map(Sandbox::status).collect();
        all.sort_by_key(|s| std::cmp::Reverse(s.created_at));
        all
    }

    pub(super) fn one_sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError> {
        self.state().sandboxes.get(id).map(Sandbox::status).ok_or_else(|| not_found(id))
    }

    /// The record of a sandbox that takes containers.
    pub(super) fn ready_sandbox(&self, id: &SandboxId) -> Result<SandboxRecord, RuntimeError> {
        let state = self.state();
        let sandbox = state.sandboxes.get(id).ok_or_else(|| not_found(id))?;
        if !sandbox.record.ready {
            return Err(RuntimeError::SandboxNotReady { id: id.clone() });
        }
        Ok(sandbox.record.clone())
    }

    pub(super) async fn new_sandbox(self: &Arc<Self>, spec: SandboxSpec) -> Result<SandboxId, RuntimeError> {
        let pod = format!("{}/{}", spec.namespace, spec.name);
        let failed = move |message: String| RuntimeError::RunSandbox { pod: pod.clone(), message };
        let id = SandboxId(new_id());
        let cgroup = match spec.cgroup_parent.as_str() {
            "" => String::new(),
            path => format!("{}{path}", self.config.cgroup_root),
        };
        let record = SandboxRecord {
            id: id.clone(),
            created_at: Timestamp::now(),
            address: None,
            cgroup,
            shim: self.shim_words(),
            boot_id: self.boot_id.clone(),
            pause: None,
            ready: false,
            spec,
        };
        let record = self.reserve(record).map_err(&failed)?;
        let made = self.make_sandbox(&record).await;
        let made = match made {
            // Ports last: what comes in must find somebody.
            Ok(made) => ports::forward(&made).await.map(|ports| (made, ports)),
            Err(message) => Err(message),
        };
        match made {
            Ok((record, ports)) => {
                self.state().sandboxes.insert(id.clone(), Sandbox { record, ports });
                Ok(id)
            }
            Err(message) => {
                self.state().sandboxes.remove(&id);
                let this = Arc::clone(self);
                let _ = super::blocking(move || {
                    shim::sandbox::tear_down(&this.sandbox_dir(&record.id), &record);
                    this.cgroups.remove(&record.cgroup);
                    super::remove_dir(&this.sandbox_dir(&record.id))
                })
                .await;
                Err(failed(message))
            }
        }
    }

    /// Gives the pod an address that nobody else gets, by entering the sandbox at once.
    fn reserve(&self, mut record: SandboxRecord) -> Result<SandboxRecord, String> {
        let mut state = self.state();
        if !record.spec.host.network {
            let taken: BTreeSet<Ipv4Addr> =
                state.sandboxes.values().filter_map(|s| s.record.address.as_ref()).map(|at| at.ip).collect();
            let link = format!("evn{}", record.id.0.get(..11).unwrap_or_default());
            record.address = Some(address(self.config.pod_network, &taken, link)?);
        }
        state.sandboxes.insert(record.id.clone(), Sandbox { record: record.clone(), ports: None });
        Ok(record)
    }

    async fn make_sandbox(&self, record: &SandboxRecord) -> Result<SandboxRecord, String> {
        let dir = self.sandbox_dir(&record.id);
        let (cgroups, record) = (self.cgroups.clone(), record.clone());
        let prepared = {
            let dir = dir.clone();
            tokio::task::spawn_blocking(move || -> Result<SandboxRecord, String> {
                prepare_files(&dir, &record.spec).map_err(|e| format!("write {}: {e}", dir.display()))?;
                if !record.cgroup.is_empty() {
                    let made = cgroups.create(&record.cgroup, &record.spec.resources);
                    made.map_err(|e| format!("create cgroup {}: {e}", record.cgroup))?;
                }
                let host = record.spec.host;
                let needs_shim = !(host.network && host.ipc && (host.pid || !record.spec.share_pid));
                let record = SandboxRecord { ready: !needs_shim, ..record };
                record::write(&dir, record::RECORD, &record).map_err(|e| format!("write {}: {e}", dir.display()))?;
                Ok(record)
            })
        };
        let record = prepared.await.map_err(|e| e.to_string())??;
        if record.ready {
            return Ok(record);
        }
        let helper = launch::start(&self.config.shim, "sandbox", &dir, &[], Stdio::null());
        let mut helper = helper.map_err(|e| format!("cannot start the shim: {e}"))?;
        let reply = launch::reply(&mut helper.socket).await;
        let _ = helper.child.wait().await;
        match reply {
            Ok(Some(Reply::Started)) => {
                record::read(&dir, record::RECORD).ok_or_else(|| "the record of the sandbox vanished".to_owned())
            }
            Ok(Some(Reply::Failed(message))) => Err(message),
            Ok(Some(Reply::Exited(_)) | None) | Err(_) => Err("the shim ended without an answer".into()),
        }
    }

    pub(super) async fn stop_sandbox_and_containers(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        let containers = self.containers_of(id);
        let stops = containers.iter().map(|container| self.stop(container, std::time::Duration::ZERO, None));
        futures::future::try_join_all(stops).await?;
        let record = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.get_mut(id) else { return Ok(()) };
            sandbox.ports = None;
            sandbox.record.ready = false;
            sandbox.record.clone()
        };
        let this = Arc::clone(self);
        super::blocking(move || {
            let dir = this.sandbox_dir(&record.id);
            shim::sandbox::tear_down(&dir, &record);
            this.cgroups.remove(&record.cgroup);
            // A directory that is gone already needs no record.
            let _ = record::write(&dir, record::RECORD, &record);
            let _ = this.events.send(Event::Sandbox { id: record.id.clone(), pod_uid: record.spec.uid.clone() });
            Ok(())
        })
        .await
    }

    pub(super) async fn remove_sandbox_and_containers(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        self.stop_sandbox_and_containers(id).await?;
        for container in self.containers_of(id) {
            self.remove(&container).await?;
        }
        let dir = self.sandbox_dir(id);
        super::blocking(move || super::remove_dir(&dir)).await?;
        self.state().sandboxes.remove(id);
        Ok(())
    }

    fn containers_of(&self, id: &SandboxId) -> Vec<ContainerId> {
        let state = self.state();
        state.containers.values().filter(|c| c.record.sandbox == *id).map(|c| c.record.id.clone()).collect()
    }

    /// Finds the sandboxes of an earlier agent.
    pub(super) async fn take_over_sandboxes(&self) -> Result<(), RuntimeError> {
        let root = self.config.state_dir.join("sandboxes");
        let entries = fs::read_dir(&root).map_err(RuntimeError::io(format!("read {}", root.display())))?;
        for dir in entries.flatten().map(|entry| entry.path()) {
            let Some(mut record) = record::read::<SandboxRecord>(&dir, record::RECORD) else {
                let _ = super::remove_dir(&dir);
                continue;
            };
            record.ready &= record.boot_id == self.boot_id && is_whole(&dir, &record);
            let ports = if record.ready { ports::forward(&record).await.unwrap_or_default() } else { None };
            self.state().sandboxes.insert(record.id.clone(), Sandbox { record, ports });
        }
        Ok(())
    }
}

/// Makes the pods' bridge, unless it is there; the machine's address on it.
pub(super) fn ensure_bridge(network: PodNetwork) -> std::io::Result<Ipv4Addr> {
    let gateway = gateway(network);
    let _turn = bridge_turn()?;
    Netlink::open()?.ensure_bridge(BRIDGE, gateway, network.prefix_len)?;
    Ok(gateway)
}

/// The first address of the network is the bridge's.
fn gateway(network: PodNetwork) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network.base) + 1)
}

/// Takes the pods' bridge away if no pod is on it.
pub(super) fn remove_unused_bridge() {
    let Ok(_turn) = bridge_turn() else { return };
    let ports = fs::read_dir(format!("/sys/class/net/{BRIDGE}/brif"));
    if let (Ok(mut ports), Ok(netlink)) = (ports, Netlink::open())
        && ports.next().is_none()
    {
        let _ = netlink.remove(BRIDGE);
    }
}

/// Whether the namespaces of a sandbox are still pinned. They go with the mount namespace in which they were pinned.
fn is_whole(dir: &Path, record: &SandboxRecord) -> bool {
    let host = record.spec.host;
    let pinned = |name: &str| {
        rustix::fs::statfs(dir.join("ns").join(name)).is_ok_and(|s| u64::try_from(s.f_type) == Ok(NSFS_MAGIC))
    };
    (host.network || pinned("net"))
        && (host.ipc || pinned("ipc"))
        && (!record.spec.share_pid || host.pid || record.pause.is_some_and(|pause| pause.open().is_some()))
}

/// The lowest free address; the first one is the bridge.
fn address(network: PodNetwork, taken: &BTreeSet<Ipv4Addr>, link: String) -> Result<PodAddress, String> {
    let base = u32::from(network.base);
    let size = 1u32.checked_shl(32 - u32::from(network.prefix_len.clamp(8, 30))).unwrap_or(4);
    let free = (2..size.saturating_sub(1)).map(|host| Ipv4Addr::from(base + host)).find(|ip| !taken.contains(ip));
    let ip = free.ok_or_else(|| format!("no free address in {}/{}", network.base, network.prefix_len))?;
    Ok(PodAddress { ip, prefix_len: network.prefix_len, gateway: gateway(network), bridge: BRIDGE.into(), link })
}

/// What every container of the pod gets mounted.
fn prepare_files(dir: &Path, spec: &SandboxSpec) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    if !spec.log_directory.as_os_str().is_empty() {
        fs::create_dir_all(&spec.log_directory)?;
    }
    let hostname = match spec.host.network {
        true => nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        false => spec.hostname.clone(),
    };
    fs::write(dir.join("hostname"), format!("{hostname}\n"))?;
    let resolver = match &spec.dns {
        Some(dns) => resolv_conf(dns),
        None => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    fs::write(dir.join("resolv.conf"), resolver)
}

/// N220–N224.
fn resolv_conf(dns: &DnsConfig) -> String {
    let mut text = String::new();
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

fn not_found(id: &SandboxId) -> RuntimeError {
    RuntimeError::NotFound { kind: "sandbox", id: id.0.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_the_lowest_free_address() {
        let network = PodNetwork { base: Ipv4Addr::new(10, 1, 2, 0), prefix_len: 29 };
        let mut taken = BTreeSet::new();
        for expect in ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"] {
            let at = address(network, &taken, "l".into()).unwrap();
            assert_eq!((at.ip.to_string().as_str(), at.gateway.to_string().as_str()), (expect, "10.1.2.1"));
            taken.insert(at.ip);
        }
        assert!(address(network, &taken, "l".into()).is_err());
        taken.remove(&Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(address(network, &taken, "l".into()).unwrap().ip, Ipv4Addr::new(10, 1, 2, 3));
    }

    /// N220.
    #[test]
    fn the_resolver_file() {
        let dns = DnsConfig {
            servers: vec!["10.0.0.10".into()],
            searches: vec!["a.svc".into(), "b".into()],
            options: vec!["ndots:5".into()],
        };
        assert_eq!(resolv_conf(&dns), "nameserver 10.0.0.10\nsearch a.svc b\noptions ndots:5\n");
        assert_eq!(resolv_conf(&DnsConfig::default()), "");
    }
}
