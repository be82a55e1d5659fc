//! The table of pods: the status column and its reasons (A178, A183, A184).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, NAME, Printer, age, ages, name, or_none, text, wide};
use crate::Object;
use crate::value::Read;

/// Pods.
pub static PODS: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        text("Status", "The aggregate status of the containers in this pod."),
        text(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        AGE,
        wide(text(
            "IP",
            "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        )),
        wide(text(
            "Node",
            "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
        )),
        wide(text(
            "Nominated Node",
            "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
        )),
        wide(text(
            "Readiness Gates",
            "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
        )),
    ],
    cells,
    conditions,
};

fn cells(pod: &Object, now: Timestamp) -> Vec<Value> {
    let summary = summarise(pod);
    let restarts = match (summary.restarts, summary.last) {
        (n @ 1.., Some(last)) => format!("{n} ({} ago)", ages::human(now.as_millisecond() - last.as_millisecond())),
        (n, _) => n.to_string(),
    };
    let ip = pod.list("status.podIPs").first().map_or("", |ip| ip.text_or_empty("ip"));
    vec![
        name(pod),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        age(pod, now),
        or_none(ip),
        or_none(pod.text_or_empty("spec.nodeName")),
        or_none(pod.text_or_empty("status.nominatedNodeName")),
        gates(pod),
    ]
}

fn conditions(pod: &Object) -> Option<Value> {
    let (reason, message) = match pod.text("status.phase")? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn condition<'a>(pod: &'a Object, kind: &str) -> Option<&'a Value> {
    pod.list("status.conditions").iter().find(|c| c.text("type") == Some(kind))
}

fn is_true(pod: &Object, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|c| c.text("status") == Some("True"))
}

fn gates(pod: &Object) -> Value {
    let gates = pod.list("spec.readinessGates");
    if gates.is_empty() {
        return json!("<none>");
    }
    let open = gates.iter().filter(|g| is_true(pod, g.text_or_empty("conditionType"))).count();
    json!(format!("{open}/{}", gates.len()))
}

/// What the columns Ready, Status and Restarts say.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last: Option<Timestamp>,
}

impl Summary {
    fn count(&mut self, status: &Value) {
        self.restarts += status.int("restartCount").unwrap_or(0);
        let finished = status.text("lastState.terminated.finishedAt").and_then(|t| t.parse().ok());
        self.last = self.last.max(finished);
    }
}

fn summarise(pod: &Object) -> Summary {
    let sidecar = |c: &&Value| c.text("restartPolicy") == Some("Always");
    let sidecars = pod.list("spec.initContainers").iter().filter(sidecar).count();
    let own = pod.text_or_empty("status.reason");
    let mut reason = if own.is_empty() { pod.text_or_empty("status.phase") } else { own }.to_owned();
    if condition(pod, "PodScheduled").is_some_and(|c| c.text("reason") == Some("SchedulingGated")) {
        "SchedulingGated".clone_into(&mut reason);
    }
    let total = pod.list("spec.containers").len() + sidecars;
    let mut summary = Summary { ready: 0, total, reason, restarts: 0, last: None };
    let initialising = init_containers(pod, &mut summary);
    if !initialising || is_true(pod, "Initialized") {
        containers(pod, &mut summary);
    }
    if pod.at("metadata.deletionTimestamp").is_some() {
        if own == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(pod.text_or_empty("status.phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

fn is_sidecar(pod: &Object, status: &Value) -> bool {
    let name = status.text("name");
    pod.list("spec.initContainers").iter().any(|c| c.text("name") == name && c.text("restartPolicy") == Some("Always"))
}

/// `reason` of an end, or its signal or exit code.
fn ended(terminated: &Value) -> String {
    let reason = terminated.text_or_empty("reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match terminated.int("signal").unwrap_or(0) {
        0 => format!("ExitCode:{}", terminated.int("exitCode").unwrap_or(0)),
        signal => format!("Signal:{signal}"),
    }
}

/// Walks the init containers; true while one of them has not done its part.
fn init_containers(pod: &Object, summary: &mut Summary) -> bool {
    for (i, status) in pod.list("status.initContainerStatuses").iter().enumerate() {
        summary.count(status);
        if let Some(terminated) = status.at("state.terminated") {
            if terminated.int("exitCode").unwrap_or(0) == 0 {
                continue;
            }
            summary.reason = format!("Init:{}", ended(terminated));
            return true;
        }
        if is_sidecar(pod, status) && status.is_true("started") {
            summary.ready += usize::from(status.is_true("ready"));
            continue;
        }
        let waiting = status.text_or_empty("state.waiting.reason");
        summary.reason = if waiting.is_empty() || waiting == "PodInitializing" {
            format!("Init:{i}/{}", pod.list("spec.initContainers").len())
        } else {
            format!("Init:{waiting}")
        };
        return true;
    }
    false
}

/// Walks the containers from last to first, so that the first one listed has the last word.
fn containers(pod: &Object, summary: &mut Summary) {
    summary.restarts = 0;
    summary.last = None;
    for status in pod.list("status.initContainerStatuses").iter().filter(|s| is_sidecar(pod, s)) {
        summary.count(status);
    }
    let (mut running, mut failed) = (false, None);
    for status in pod.list("status.containerStatuses").iter().rev() {
        summary.count(status);
        let waiting = status.text_or_empty("state.waiting.reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(terminated) = status.at("state.terminated") {
            summary.reason = ended(terminated);
            if terminated.int("exitCode").unwrap_or(0) != 0 {
                failed = Some(summary.reason.clone());
            }
        } else if status.is_true("ready") && status.at("state.running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && is_true(pod, "Ready") {
            "Running".clone_into(&mut summary.reason);
        } else if let Some(failed) = failed {
            summary.reason = failed;
        } else if running {
            "NotReady".clone_into(&mut summary.reason);
        }
    }
}
