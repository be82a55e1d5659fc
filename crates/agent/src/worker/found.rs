//! What of a pod runs already when the agent starts (N319, N320).

use std::collections::BTreeMap;

use everynode_core::pod::{Recovered, RecoveredContainer, RecoveredState, Started};
use k8s_openapi::api::core::v1::{ContainerStatus as ApiStatus, Pod};

use super::{Sandbox, millis, outcome};
use crate::kit::Kit;
use crate::runtime::{ContainerState, ContainerStatus, SandboxId, SandboxState, SandboxStatus};

/// Sandboxes and containers of one pod.
#[derive(Default)]
pub(crate) struct Found {
    /// Newest first.
    pub(crate) sandboxes: Vec<SandboxStatus>,
    /// Newest first.
    pub(crate) containers: Vec<ContainerStatus>,
    scheme: String,
}

/// Everything the runtime knows, by pod uid.
pub(crate) async fn find_all(kit: &Kit) -> BTreeMap<String, Found> {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    match kit.runtime.list_sandboxes().await {
        Ok(sandboxes) => {
            for sandbox in sandboxes {
                all.entry(sandbox.uid.clone()).or_default().sandboxes.push(sandbox);
            }
        }
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "sandboxes cannot be listed"),
    }
    match kit.runtime.list_containers().await {
        Ok(containers) => {
            for container in containers {
                all.entry(container.pod_uid.clone()).or_default().containers.push(container);
            }
        }
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "containers cannot be listed"),
    }
    let scheme = kit.runtime.version().name;
    all.values_mut().for_each(|found| found.scheme.clone_from(&scheme));
    all
}

impl Found {
    pub(crate) fn sandbox_ids(&self) -> Vec<SandboxId> {
        self.sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect()
    }

    fn running(&self) -> Option<&SandboxStatus> {
        self.sandboxes.iter().find(|sandbox| sandbox.state == SandboxState::Ready)
    }

    pub(super) fn sandbox(&self) -> Sandbox {
        self.running()
            .map_or_else(Sandbox::default, |sandbox| Sandbox { id: Some(sandbox.id.clone()), ips: sandbox.ips.clone() })
    }

    /// As the machine takes it over; `pod` says how ready its containers were.
    pub(super) fn recovered(&self, pod: &Pod) -> Recovered {
        let status = pod.status.clone().unwrap_or_default();
        let known: Vec<ApiStatus> = status
            .container_statuses
            .into_iter()
            .flatten()
            .chain(status.init_container_statuses.into_iter().flatten())
            .collect();
        let sandbox = self.running();
        let containers = self.containers.iter().filter_map(|container| {
            let state = match &container.state {
                // Created and never started: the agent was killed in between; it is made anew.
                ContainerState::Created => return None,
                ContainerState::Running { .. } => RecoveredState::Running,
                ContainerState::Exited { .. } => {
                    RecoveredState::Ended(outcome::termination(&self.scheme, container, String::new())?)
                }
            };
            let api = known.iter().find(|status| status.name == container.name);
            let started_at = match &container.state {
                ContainerState::Running { started_at, .. } => Some(*started_at),
                ContainerState::Exited { started_at, .. } => *started_at,
                ContainerState::Created => None,
            };
            let started = Started {
                id: format!("{}://{}", self.scheme, container.id),
                image: container.image.clone(),
                image_id: container.image_ref.clone(),
                attempt: container.attempt,
                started_at: started_at.map(millis).unwrap_or_default(),
            };
            Some(RecoveredContainer {
                name: container.name.clone(),
                started,
                state,
                in_sandbox: sandbox.is_some_and(|sandbox| sandbox.id == container.sandbox),
                was_started: api.is_some_and(|status| status.started == Some(true)),
                was_ready: api.is_some_and(|status| status.ready),
            })
        });
        Recovered {
            sandbox_runs: sandbox.is_some(),
            sandbox_attempt: self.sandboxes.iter().map(|sandbox| sandbox.attempt).max(),
            containers: containers.collect(),
        }
    }
}
