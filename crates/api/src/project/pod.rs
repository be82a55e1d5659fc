//! Pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use everynode_core::model::{HostPort, NodeName, Phase, Pin, Pod, Ready, Scheduling};
use everynode_core::selector::Resources;
use serde::Deserialize;
use serde_json::Value;

use super::ProjectError;
use super::meta::{Meta, nullable, time};
use super::scheduling::{WireAffinity, WireToleration, pin, resources};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WirePod {
    metadata: Meta,
    spec: WireSpec,
    status: WireStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    node_name: String,
    scheduler_name: String,
    priority: Option<i32>,
    preemption_policy: Option<String>,
    #[serde(deserialize_with = "nullable")]
    scheduling_gates: Vec<serde::de::IgnoredAny>,
    #[serde(deserialize_with = "nullable")]
    node_selector: BTreeMap<String, String>,
    affinity: Option<WireAffinity>,
    #[serde(deserialize_with = "nullable")]
    tolerations: Vec<WireToleration>,
    #[serde(deserialize_with = "nullable")]
    containers: Vec<WireContainer>,
    #[serde(deserialize_with = "nullable")]
    init_containers: Vec<WireContainer>,
    #[serde(deserialize_with = "nullable")]
    overhead: BTreeMap<String, Value>,
    resources: Option<WireResources>,
    host_network: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireContainer {
    restart_policy: Option<String>,
    resources: WireResources,
    #[serde(deserialize_with = "nullable")]
    ports: Vec<WirePort>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireResources {
    #[serde(deserialize_with = "nullable")]
    requests: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WirePort {
    host_port: i32,
    container_port: i32,
    protocol: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireStatus {
    phase: String,
    #[serde(deserialize_with = "nullable")]
    conditions: Vec<WireCondition>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<String>,
}

pub(super) fn project(mut wire: WirePod) -> Result<Pod, ProjectError> {
    let key = wire.metadata.key("Pod")?;
    let spec = wire.spec;
    let ready = wire.status.conditions.iter().find(|condition| condition.kind == "Ready");
    let ready = ready.map_or_else(Ready::default, |condition| Ready {
        is: condition.status == "True",
        since: time(condition.last_transition_time.as_deref()),
    });
    let node = (!spec.node_name.is_empty()).then(|| NodeName::from(spec.node_name.as_str()));
    let (pin, scheduling) = scheduling(spec);
    Ok(Pod {
        key,
        uid: wire.metadata.uid(),
        version: wire.metadata.version(),
        created: wire.metadata.created(),
        deletion: wire.metadata.deletion(),
        owner: wire.metadata.owner(),
        failures: wire.metadata.failures(),
        finalized: !wire.metadata.finalizers.is_empty(),
        labels: wire.metadata.take_labels(),
        node,
        pin,
        phase: match wire.status.phase.as_str() {
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            "Unknown" => Phase::Unknown,
            _ => Phase::Pending,
        },
        ready,
        scheduling: Arc::new(scheduling),
    })
}

fn scheduling(spec: WireSpec) -> (Pin, Scheduling) {
    let requests = requests(&spec);
    let host_ports = host_ports(&spec);
    let required = spec.affinity.and_then(WireAffinity::required);
    let (pin, alone) = required.as_ref().map_or((Pin::None, false), pin);
    let scheduling = Scheduling {
        scheduler: spec.scheduler_name,
        priority: spec.priority.unwrap_or(0),
        never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
        gated: !spec.scheduling_gates.is_empty(),
        node_selector: spec.node_selector,
        required: required.filter(|_| !alone),
        tolerations: spec.tolerations.into_iter().map(WireToleration::project).collect(),
        requests,
        host_ports,
    };
    (pin, scheduling)
}

/// The sum over containers and sidecars, or the largest init step beside the sidecars started before it, whichever is more;
/// pod-level requests replace those they name; plus overhead.
fn requests(spec: &WireSpec) -> Resources {
    let of = |container: &WireContainer| resources(container.resources.requests.clone());
    let mut total = Resources::default();
    let mut sidecars = Resources::default();
    let mut peak = Resources::default();
    for container in &spec.init_containers {
        let own = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&own);
            peak.raise_to(&sidecars);
        } else {
            let mut step = own;
            step.add(&sidecars);
            peak.raise_to(&step);
        }
    }
    for container in &spec.containers {
        total.add(&of(container));
    }
    total.add(&sidecars);
    total.raise_to(&peak);
    if let Some(of_pod) = &spec.resources {
        for (name, amount) in resources(of_pod.requests.clone()).0 {
            total.0.insert(name, amount);
        }
    }
    total.add(&resources(spec.overhead.clone()));
    total
}

fn host_ports(spec: &WireSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut ports: Vec<HostPort> = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| &container.ports)
        .filter_map(|port| {
            // A pod on the host's network takes its container ports there, also where defaulting has not said so yet.
            let number = if port.host_port == 0 && spec.host_network { port.container_port } else { port.host_port };
            (number > 0).then(|| HostPort {
                protocol: if port.protocol.is_empty() { "TCP".into() } else { port.protocol.as_str().into() },
                ip: port.host_ip.as_str().into(),
                port: number,
            })
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}
