//! A pod's status as JSON: what the machine says, with the times, addresses and fields that only the agent knows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use everynode_core::model::Millis;
use everynode_core::pod::{Condition, ContainerState, ContainerStatus, Machine, Termination};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Map, Value, json};

use crate::kit::Kit;

/// Since when each condition says what it says (N281).
pub(crate) struct Transitions(BTreeMap<String, (bool, String)>);

impl Transitions {
    /// As the API has them.
    pub(crate) fn of(pod: &Pod) -> Self {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let held = conditions.iter().filter_map(|condition| {
            let since = condition.last_transition_time.as_ref()?.0;
            Some((condition.type_.clone(), (condition.status == "True", time(since))))
        });
        Self(held.collect())
    }

    fn since(&mut self, condition: &Condition) -> String {
        let now = || time(Timestamp::now());
        let held = self.0.entry(condition.kind.to_owned()).or_insert_with(|| (condition.holds, now()));
        if held.0 != condition.holds {
            *held = (condition.holds, now());
        }
        held.1.clone()
    }
}

/// Whole seconds, as the API writes times (N286).
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn moment(moment: Millis) -> String {
    time(Timestamp::from_millisecond(moment.0).unwrap_or_default())
}

/// The status to write; equal states give equal values.
pub(crate) fn render(kit: &Kit, pod: &Pod, machine: &Machine, ips: &[IpAddr], transitions: &mut Transitions) -> Value {
    let status = machine.status();
    let generation = pod.metadata.generation;
    let conditions: Vec<_> =
        status.conditions.iter().map(|held| condition(held, transitions.since(held), generation)).collect();
    let mut out = Map::new();
    out.insert("phase".to_owned(), json!(status.phase.as_str()));
    out.insert("startTime".to_owned(), json!(moment(machine.started_at())));
    out.insert("conditions".to_owned(), json!(conditions));
    for (name, value) in [("reason", status.reason), ("message", status.message)] {
        if let Some(value) = value {
            out.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(generation) = generation {
        out.insert("observedGeneration".to_owned(), json!(generation));
    }
    let spec = pod.spec.clone().unwrap_or_default();
    let host = &kit.facts.addresses;
    addresses(&mut out, "hostIP", "hostIPs", host);
    addresses(&mut out, "podIP", "podIPs", if spec.host_network == Some(true) { host } else { ips });
    let render_all = |statuses: &[ContainerStatus], specs: &[Container]| {
        let spec_of = |name: &str| specs.iter().find(|container| container.name == name);
        let rendered = statuses.iter().map(|status| container_status(status, spec_of(&status.name)));
        Value::Array(rendered.collect())
    };
    let init = spec.init_containers.unwrap_or_default();
    if !status.init.is_empty() {
        out.insert("initContainerStatuses".to_owned(), render_all(&status.init, &init));
    }
    out.insert("containerStatuses".to_owned(), render_all(&status.app, &spec.containers));
    Value::Object(out)
}

fn addresses(out: &mut Map<String, Value>, one: &str, all: &str, ips: &[IpAddr]) {
    let Some(first) = ips.first() else { return };
    out.insert(one.to_owned(), json!(first.to_string()));
    let list: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
    out.insert(all.to_owned(), json!(list));
}

fn condition(condition: &Condition, since: String, generation: Option<i64>) -> Value {
    let mut out = json!({
        "type": condition.kind,
        "status": if condition.holds { "True" } else { "False" },
        "lastProbeTime": null,
        "lastTransitionTime": since,
        // A reason of the past must go when there is none now: the patch says so with null.
        "reason": condition.reason,
        "message": condition.message,
    });
    if let Some(generation) = generation {
        out["observedGeneration"] = json!(generation);
    }
    out
}

fn container_status(status: &ContainerStatus, spec: Option<&Container>) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(status.name));
    out.insert("state".to_owned(), state(&status.state));
    let last = status.last.as_ref().map_or_else(|| json!({}), |end| json!({ "terminated": terminated(end) }));
    out.insert("lastState".to_owned(), last);
    out.insert("ready".to_owned(), json!(status.ready));
    out.insert("restartCount".to_owned(), json!(status.restart_count));
    out.insert("image".to_owned(), json!(status.image));
    out.insert("imageID".to_owned(), json!(status.image_id));
    if let Some(id) = &status.id {
        out.insert("containerID".to_owned(), json!(id));
    }
    out.insert("started".to_owned(), json!(status.started));
    let mounts: Vec<_> = spec
        .iter()
        .flat_map(|spec| spec.volume_mounts.iter().flatten())
        .map(|mount| {
            let mut out = json!({ "name": mount.name, "mountPath": mount.mount_path });
            if mount.read_only == Some(true) {
                out["readOnly"] = json!(true);
                out["recursiveReadOnly"] = json!(mount.recursive_read_only.as_deref().unwrap_or("Disabled"));
            }
            out
        })
        .collect();
    if !mounts.is_empty() {
        out.insert("volumeMounts".to_owned(), json!(mounts));
    }
    if let Some(resources) = spec.and_then(|spec| spec.resources.as_ref()) {
        if let Some(requests) = &resources.requests {
            out.insert("allocatedResources".to_owned(), json!(requests));
        }
        if resources.requests.is_some() || resources.limits.is_some() {
            out.insert("resources".to_owned(), json!(resources));
        }
    }
    Value::Object(out)
}

fn state(state: &ContainerState) -> Value {
    match state {
        ContainerState::Waiting { reason, message } => {
            let mut waiting = json!({ "reason": reason });
            if let Some(message) = message {
                waiting["message"] = json!(message);
            }
            json!({ "waiting": waiting })
        }
        ContainerState::Running { started_at } => json!({ "running": { "startedAt": moment(*started_at) } }),
        ContainerState::Terminated(end) => json!({ "terminated": terminated(end) }),
    }
}

fn terminated(end: &Termination) -> Value {
    let mut out = json!({
        "exitCode": end.exit_code,
        "reason": end.reason,
        "startedAt": end.started_at.map(moment),
        "finishedAt": end.finished_at.map(moment),
    });
    if !end.id.is_empty() {
        out["containerID"] = json!(end.id);
    }
    if !end.message.is_empty() {
        out["message"] = json!(end.message);
    }
    out
}
