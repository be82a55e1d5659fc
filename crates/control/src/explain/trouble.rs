//! What keeps a pod from being ready, as its status tells.

use everynode_api::project::{self, ProjectError};
use everynode_core::explain::Trouble;
use everynode_core::model::Pod;
use serde::Deserialize;

use super::read;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    reason: String,
    message: String,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    ready: bool,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    reason: String,
    message: String,
    exit_code: i32,
}

/// A pod, and what keeps it from being ready.
pub(super) fn pod(bytes: &[u8]) -> Result<(Pod, Option<Trouble>), ProjectError> {
    let pod = project::pod(bytes)?;
    // Most pods are well, and this is read for none of them.
    if pod.ready.is {
        return Ok((pod, None));
    }
    let wire: Wire = read::object("Pod", bytes)?;
    Ok((pod, of(wire.status)))
}

fn of(status: Status) -> Option<Trouble> {
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses);
    let restarts = all().map(|container| container.restart_count).sum();
    let trouble = |reason: &str, message: &str| {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        Some(Trouble { reason, message, restarts })
    };
    // The node or the controller that ended it says why.
    if !status.reason.is_empty() {
        return trouble(&status.reason, &status.message);
    }
    let unscheduled = status.conditions.iter().find(|condition| {
        condition.kind == "PodScheduled" && condition.status == "False" && !condition.reason.is_empty()
    });
    if let Some(condition) = unscheduled {
        return trouble(&condition.reason, &condition.message);
    }
    let unready = || all().filter(|container| !container.ready);
    // What a container waits for, when it is not only its turn; with how it ended before.
    let is_usual = |reason: &str| matches!(reason, "" | "PodInitializing" | "ContainerCreating");
    let waiting = unready().find_map(|container| {
        let waiting = container.state.waiting.as_ref().filter(|waiting| !is_usual(&waiting.reason))?;
        Some((waiting, container.last_state.terminated.as_ref()))
    });
    if let Some((waiting, ended)) = waiting {
        return match ended {
            Some(ended) => trouble(&waiting.reason, &ended.in_words()),
            None => trouble(&waiting.reason, &waiting.message),
        };
    }
    let ended =
        unready().find_map(|container| container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0));
    if let Some(ended) = ended {
        return trouble(if ended.reason.is_empty() { "Error" } else { &ended.reason }, &ended.in_words());
    }
    if unready().any(|container| container.state.waiting.as_ref().is_some_and(|w| w.reason == "ContainerCreating")) {
        return trouble("ContainerCreating", "");
    }
    let restarted = unready().any(|container| container.restart_count > 0);
    if restarted { trouble("Restarted", "") } else { None }
}

impl Terminated {
    fn in_words(&self) -> String {
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        match self.reason.as_str() {
            "" | "Error" => format!("it ended with exit code {}{message}", self.exit_code),
            reason => format!("it ended with exit code {}, {reason}{message}", self.exit_code),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_cause_is_named() {
        let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        for (status, expect) in [
            (json!({}), None),
            (json!({"reason": "Evicted", "message": "low on memory"}), Some("Evicted (low on memory)")),
            (
                json!({"conditions": [{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu",
                }]}),
                Some("Unschedulable (Insufficient cpu)"),
            ),
            (
                json!({"containerStatuses": [{"state": waiting("ImagePullBackOff", "no such image")}]}),
                Some("ImagePullBackOff (no such image)"),
            ),
            (
                json!({"containerStatuses": [
                    {"ready": true, "restartCount": 1, "state": {}},
                    {
                        "restartCount": 3, "state": waiting("CrashLoopBackOff", "back-off 40s restarting"),
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    },
                ]}),
                Some("CrashLoopBackOff (it ended with exit code 137, OOMKilled), started again 4 times"),
            ),
            (
                json!({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]}),
                Some("Error (it ended with exit code 2)"),
            ),
            (json!({"containerStatuses": [{"state": waiting("ContainerCreating", "")}]}), Some("ContainerCreating")),
            (json!({"containerStatuses": [{"restartCount": 1, "state": {}}]}), Some("Restarted, started again once")),
        ] {
            let status: Status = serde_json::from_value(status.clone()).expect("a status");
            assert_eq!(of(status).map(|trouble| trouble.in_words(160)).as_deref(), expect);
        }
    }
}
