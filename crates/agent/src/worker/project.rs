//! What the machine reads of a Pod.

use everynode_core::pod::{Container, Kind, Probe, RestartPolicy, Spec};
use k8s_openapi::api::core::v1::{self, Pod};
use kube::api::ResourceExt;

/// The decision's view of a pod's specification.
pub(super) fn spec(pod: &Pod) -> Spec {
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| convert(container, if is_sidecar(container) { Kind::Sidecar } else { Kind::Init }));
    let app = spec.containers.iter().map(|container| convert(container, Kind::App));
    Spec {
        label: label(pod),
        restart: spec.restart_policy.as_deref().and_then(policy).unwrap_or(RestartPolicy::Always),
        grace_seconds: seconds(spec.termination_grace_period_seconds).unwrap_or(30),
        deadline_seconds: seconds(spec.active_deadline_seconds),
        containers: init.chain(app).collect(),
        gates: spec.readiness_gates.iter().flatten().map(|gate| gate.condition_type.clone()).collect(),
    }
}

/// Whether an init container runs beside the others instead of before them.
pub(super) fn is_sidecar(init: &v1::Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// `NAME_NAMESPACE(UID)`, as upstream prints a pod in messages.
pub(super) fn label(pod: &Pod) -> String {
    let (namespace, uid) = (pod.namespace().unwrap_or_default(), pod.uid().unwrap_or_default());
    format!("{}_{namespace}({uid})", pod.name_any())
}

/// Readiness gates that hold.
pub(super) fn open_gates(pod: &Pod) -> Vec<String> {
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let holds = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    gates.map(|gate| gate.condition_type.clone()).filter(|kind| holds(kind)).collect()
}

fn convert(container: &v1::Container, kind: Kind) -> Container {
    Container {
        name: container.name.clone(),
        kind,
        image: container.image.clone().unwrap_or_default(),
        restart: container.restart_policy.as_deref().and_then(policy),
        startup: container.startup_probe.as_ref().map(probe),
        liveness: container.liveness_probe.as_ref().map(probe),
        readiness: container.readiness_probe.as_ref().map(probe),
    }
}

fn policy(text: &str) -> Option<RestartPolicy> {
    match text {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

fn probe(probe: &v1::Probe) -> Probe {
    let plain = Probe::default();
    let or = |value: Option<i32>, default: u32| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    Probe {
        initial_delay_seconds: or(probe.initial_delay_seconds, plain.initial_delay_seconds),
        period_seconds: or(probe.period_seconds, plain.period_seconds),
        success_threshold: or(probe.success_threshold, plain.success_threshold),
        failure_threshold: or(probe.failure_threshold, plain.failure_threshold),
        grace_seconds: seconds(probe.termination_grace_period_seconds),
    }
}

fn seconds(value: Option<i64>) -> Option<u32> {
    value.map(|value| u32::try_from(value.max(0)).unwrap_or(u32::MAX))
}
