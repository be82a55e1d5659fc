//! The status of the Node: conditions with their times, capacity, addresses, images (N36–N46, N51).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
    ObjectReference,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::events::Said;
use crate::kit::Kit;

/// Images listed in the status, and names for each (N41).
const IMAGES_MAX: usize = 50;
const IMAGE_NAMES_MAX: usize = 5;
/// Memory below which the node says that it is short of it (N37).
const MEMORY_PRESSURE_BYTES: u64 = 100 << 20;

/// One condition: what it says and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
    since: Timestamp,
}

/// What the node says of itself, and what of it the API has heard.
#[derive(Debug)]
pub(crate) struct Reporter {
    conditions: Vec<Held>,
    images: Vec<ContainerImage>,
    port: i32,
    /// Flips not told as events yet.
    flips: Vec<&'static str>,
}

impl Reporter {
    /// A reporter for a node whose HTTPS server listens on `port`.
    pub(crate) fn new(port: u16) -> Self {
        Self { conditions: Vec::new(), images: Vec::new(), port: i32::from(port), flips: Vec::new() }
    }

    /// Looks at the machine and the runtime; true when something other than time changed.
    pub(crate) async fn look(&mut self, kit: &Kit) -> bool {
        let not_ready = match kit.runtime.status().await {
            Ok(status) => status.not_ready.map(|why| format!("container runtime not ready: {why}")).or_else(|| {
                let why = status.network_not_ready?;
                Some(format!("container runtime network not ready: {why}"))
            }),
            Err(error) => Some(format!("container runtime is down: {error}")),
        };
        let images = images(kit).await;
        let images_changed = images != self.images;
        self.images = images;
        let memory_short = kit.is_machine() && mem_available().is_some_and(|bytes| bytes < MEMORY_PRESSURE_BYTES);
        let (now, mut changed) = (Timestamp::now(), images_changed);
        for (kind, holds, reason, message) in [
            memory(memory_short),
            ("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure".to_owned()),
            ("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available".to_owned()),
            match not_ready {
                None => ("Ready", true, "KubeletReady", "kubelet is posting ready status".to_owned()),
                Some(why) => ("Ready", false, "KubeletNotReady", why),
            },
        ] {
            changed |= self.hold(kind, holds, reason, message, now);
        }
        changed
    }

    fn hold(&mut self, kind: &'static str, holds: bool, reason: &'static str, message: String, now: Timestamp) -> bool {
        let event = match (kind, holds) {
            ("Ready", true) => "NodeReady",
            ("Ready", false) => "NodeNotReady",
            (_, true) => reason.trim_start_matches("Kubelet"),
            (_, false) => reason.trim_start_matches("Kubelet"),
        };
        let Some(held) = self.conditions.iter_mut().find(|held| held.kind == kind) else {
            self.conditions.push(Held { kind, holds, reason, message, since: now });
            return true;
        };
        if held.holds != holds {
            held.since = now;
            self.flips.push(match event {
                "HasInsufficientMemory" => "NodeHasInsufficientMemory",
                "HasSufficientMemory" => "NodeHasSufficientMemory",
                other => other,
            });
        }
        let changed = held.holds != holds || held.reason != reason || held.message != message;
        (held.holds, held.reason, held.message) = (holds, reason, message);
        changed
    }

    /// The API has it; flips become events.
    pub(crate) fn sent(&mut self, kit: &Kit) {
        let name = &kit.config.node_name;
        for reason in self.flips.drain(..) {
            let about = ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(name.clone()),
                uid: Some(name.clone()),
                ..ObjectReference::default()
            };
            let message = format!("Node {name} status is now: {reason}");
            kit.events.tell(Said { about, warning: false, reason: reason.to_owned(), message });
        }
    }

    /// The whole status, as the first registration carries it.
    pub(crate) fn status(&self, kit: &Kit, now: Timestamp) -> NodeStatus {
        let amounts = |from: &std::collections::BTreeMap<String, String>| {
            Some(from.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect())
        };
        let version = kit.runtime.version();
        let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
        let mut addresses: Vec<_> =
            kit.facts.addresses.iter().map(|ip| address("InternalIP", ip.to_string())).collect();
        addresses.push(address("Hostname", kit.facts.hostname.clone()));
        NodeStatus {
            addresses: Some(addresses),
            allocatable: amounts(&kit.facts.allocatable),
            capacity: amounts(&kit.facts.capacity),
            conditions: Some(self.conditions.iter().map(|held| condition(held, now)).collect()),
            daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: self.port }) }),
            images: Some(self.images.clone()).filter(|images| !images.is_empty()),
            node_info: Some(NodeSystemInfo {
                container_runtime_version: format!("{}://{}", version.name, version.version),
                ..kit.facts.info.clone()
            }),
            ..NodeStatus::default()
        }
    }

    /// A strategic merge patch of the status; the addresses replace what is there (N46).
    pub(crate) fn patch(&self, kit: &Kit, now: Timestamp) -> serde_json::Value {
        let mut status = serde_json::to_value(self.status(kit, now)).unwrap_or_default();
        if let Some(addresses) = status.get_mut("addresses").and_then(|list| list.as_array_mut()) {
            addresses.push(serde_json::json!({ "$patch": "replace" }));
        }
        serde_json::json!({ "status": status })
    }
}

fn memory(short: bool) -> (&'static str, bool, &'static str, String) {
    let (reason, words) = match short {
        true => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        false => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    };
    ("MemoryPressure", short, reason, words.to_owned())
}

fn mem_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn condition(held: &Held, now: Timestamp) -> NodeCondition {
    NodeCondition {
        type_: held.kind.to_owned(),
        status: if held.holds { "True" } else { "False" }.to_owned(),
        reason: Some(held.reason.to_owned()),
        message: Some(held.message.clone()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(held.since)),
    }
}

async fn images(kit: &Kit) -> Vec<ContainerImage> {
    let mut images = kit.runtime.list_images().await.unwrap_or_default();
    images.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.id.cmp(&b.id)));
    let short = images.into_iter().take(IMAGES_MAX).map(|image| ContainerImage {
        names: Some(image.repo_digests.into_iter().chain(image.repo_tags).take(IMAGE_NAMES_MAX).collect()),
        size_bytes: i64::try_from(image.size_bytes).ok(),
    });
    short.collect()
}
