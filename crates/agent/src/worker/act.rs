//! Doing what the machine asks for. Every act is a task that reports back; none holds the worker up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use everynode_core::pod::{Effect, Input, StartError, Termination, Why};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::{Did, Message, Sandbox, Worker, container, outcome, start};
use crate::kit::Kit;
use crate::runtime::{ContainerId, SandboxId};
use crate::{hooks, logs, probes, volumes};

/// Wait after a stop that failed.
const STOP_RETRY: Duration = Duration::from_secs(1);
/// Wait before a release that failed is tried again, and its growth.
const RELEASE_RETRY_FIRST: Duration = Duration::from_millis(200);
const RELEASE_RETRY_CAP: Duration = Duration::from_secs(10);

impl Worker {
    /// Runs an act and posts what it did.
    fn spawn(&self, act: impl Future<Output = Did> + Send + 'static) -> tokio::task::AbortHandle {
        let post = self.post.clone();
        let task = tokio::spawn(Box::pin(async move {
            let did = act.await;
            // A worker that is over has nothing to hear.
            let _ = post.send(Message::Did(did));
        }));
        task.abort_handle()
    }

    pub(super) fn act(&mut self, effect: Effect) {
        match effect {
            Effect::PrepareVolumes => self.prepare_volumes(),
            Effect::CreateSandbox { attempt } => self.create_sandbox(attempt),
            Effect::StartContainer { container, attempt } => self.start_container(container, attempt),
            Effect::CancelStart { container } => {
                if let Some(token) = self.starts.get(&container) {
                    token.cancel();
                }
            }
            Effect::StopContainer { container, id, grace_seconds, why } => {
                self.stop_container(container, &id, grace_seconds, why);
            }
            Effect::RunProbe { container, id, kind } => {
                let (kit, pod, ips) = (Arc::clone(&self.kit), Arc::clone(&self.pod), self.sandbox.ips.clone());
                let target = container_id(&id);
                self.spawn(async move {
                    let outcome = probes::run(&kit, &pod, &ips, &container, &target, kind).await;
                    Did::Input(Input::Probed { container, id, kind, outcome })
                });
            }
            Effect::StopSandbox => self.stop_sandbox(),
            Effect::Clean => self.clean(),
            Effect::DeleteObject => self.delete_asked = true,
            Effect::Event { container, warning, reason, message } => {
                self.kit.events.pod(&self.pod, container.as_deref(), warning, reason, message);
            }
        }
    }

    fn prepare_volumes(&self) {
        let (kit, pod) = (Arc::clone(&self.kit), Arc::clone(&self.pod));
        self.spawn(async move {
            match volumes::prepare(&kit, &pod).await {
                Ok(()) => Did::Input(Input::VolumesReady),
                Err(failed) => {
                    kit.events.pod(&pod, None, true, "FailedMount", failed.to_string());
                    Did::Input(Input::VolumesFailed)
                }
            }
        });
    }

    /// Projects again what may have changed (N183); failures keep the old content.
    pub(super) fn refresh_volumes(&self) {
        if !self.kit.is_machine() || !self.machine.is_live() {
            return;
        }
        let (kit, pod) = (Arc::clone(&self.kit), Arc::clone(&self.pod));
        tokio::spawn(Box::pin(async move {
            if let Err(failed) = volumes::refresh(&kit, &pod).await {
                kit.events.pod(&pod, None, true, "FailedMount", failed.to_string());
            }
        }));
    }

    fn create_sandbox(&self, attempt: u32) {
        let (kit, pod) = (Arc::clone(&self.kit), Arc::clone(&self.pod));
        self.spawn(async move {
            let spec = container::sandbox_spec(&kit, &pod, attempt);
            if kit.is_machine()
                && let Err(error) = logs::make_pod_dir(&kit.config, &pod)
            {
                return Did::Input(Input::SandboxFailed { message: error.to_string() });
            }
            let made = async {
                let id = kit.runtime.run_sandbox(spec).await?;
                let status = kit.runtime.sandbox_status(&id).await?;
                Ok::<_, crate::runtime::RuntimeError>(Sandbox { id: Some(id), ips: status.ips })
            };
            match made.await {
                Ok(sandbox) => Did::Sandbox(sandbox),
                Err(error) => Did::Input(Input::SandboxFailed { message: outcome::chain(&error) }),
            }
        });
    }

    fn start_container(&mut self, container: String, attempt: u32) {
        let token = CancellationToken::new();
        self.starts.insert(container.clone(), token.clone());
        let order = container::Order {
            kit: Arc::clone(&self.kit),
            pod: Arc::clone(&self.pod),
            sandbox: self.sandbox.clone(),
            container,
            attempt,
            cancelled: token,
        };
        let name = order.container.clone();
        let start = tokio::spawn(Box::pin(start::start(order)));
        self.spawn(async move {
            // A defect in one start must not leave the container waiting for ever.
            start.await.unwrap_or_else(|error| {
                let (reason, message) = ("CreateContainerError".to_owned(), format!("the agent failed: {error}"));
                let error = StartError { reason, message, ..StartError::default() };
                Did::Input(Input::StartFailed { container: name, error })
            })
        });
    }

    fn stop_container(&mut self, container: String, id: &str, grace_seconds: u32, why: Why) {
        match self.stops.remove(&container) {
            Some(former) if !former.is_finished() => former.abort(),
            _ => self.kit.events.pod(&self.pod, Some(&container), false, "Killing", why.message(&container)),
        }
        let (kit, pod, ips) = (Arc::clone(&self.kit), Arc::clone(&self.pod), self.sandbox.ips.clone());
        let (name, id) = (container.clone(), container_id(id));
        let stop = self.spawn(async move {
            let begun = tokio::time::Instant::now();
            let grace = Duration::from_secs(u64::from(grace_seconds));
            let skip_hook = pod.metadata.deletion_grace_period_seconds == Some(0);
            if !skip_hook {
                hooks::pre_stop(&kit, &pod, &ips, &name, &id, grace).await;
            }
            // Whole seconds of the hook count; two are always left (N263, N264).
            let used = Duration::from_secs(begun.elapsed().as_secs());
            let left = grace.saturating_sub(used).max(Duration::from_secs(2));
            if let Err(error) = kit.runtime.stop_container(&id, left, None).await
                && !error.is_not_found()
            {
                // The machine asks again at once; a runtime that cannot stop it now will not in the next moment.
                tokio::time::sleep(STOP_RETRY).await;
                return Did::Input(Input::StopFailed { container: name, message: outcome::chain(&error) });
            }
            Did::Input(exit_of(&kit, &pod, &id, name).await)
        });
        self.stops.insert(container, stop);
    }

    fn stop_sandbox(&self) {
        let (kit, sandboxes) = (Arc::clone(&self.kit), self.sandboxes.clone());
        self.spawn(async move {
            for id in &sandboxes {
                if let Err(error) = kit.runtime.stop_sandbox(id).await {
                    tracing::warn!(sandbox = %id, error = &error as &dyn std::error::Error, "sandbox not stopped");
                }
            }
            Did::Input(Input::SandboxStopped)
        });
    }

    fn clean(&self) {
        let (kit, sandboxes) = (Arc::clone(&self.kit), self.sandboxes.clone());
        let uid = self.pod.uid().unwrap_or_default();
        self.spawn(async move {
            let mut wait = RELEASE_RETRY_FIRST;
            while !release(&kit, &uid, &sandboxes).await {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RELEASE_RETRY_CAP);
            }
            Did::Input(Input::Cleaned)
        });
    }

    /// Something happened to a container: reads its state and passes an end on.
    pub(super) fn look_at(&self, id: ContainerId) {
        let (kit, pod) = (Arc::clone(&self.kit), Arc::clone(&self.pod));
        let post = self.post.clone();
        tokio::spawn(Box::pin(async move {
            let Ok(status) = kit.runtime.container_status(&id).await else { return };
            let message = logs::termination_message(&kit, &pod, &status);
            if let Some(termination) = outcome::termination(&kit.runtime.version().name, &status, message) {
                let input = Input::ContainerExited { container: status.name, termination };
                let _ = post.send(Message::Did(Did::Input(input)));
            }
        }));
    }

    /// Events were lost: looks at everything of this pod.
    pub(super) fn look_at_all(&self) {
        let (kit, uid, post) = (Arc::clone(&self.kit), self.pod.uid().unwrap_or_default(), self.post.clone());
        tokio::spawn(Box::pin(async move {
            let Ok(containers) = kit.runtime.list_containers().await else { return };
            for container in containers.into_iter().filter(|container| container.pod_uid == uid) {
                let _ = post.send(Message::Container(container.id));
            }
        }));
    }
}

/// How a container that was stopped ended; one that is gone counts as killed (N285).
async fn exit_of(kit: &Kit, pod: &Pod, id: &ContainerId, container: String) -> Input {
    let scheme = kit.runtime.version().name;
    let known = match kit.runtime.container_status(id).await {
        Ok(status) => {
            let message = logs::termination_message(kit, pod, &status);
            outcome::termination(&scheme, &status, message)
        }
        Err(_) => None,
    };
    let termination = known.unwrap_or_else(|| Termination {
        id: format!("{scheme}://{id}"),
        exit_code: 137,
        reason: "ContainerStatusUnknown".to_owned(),
        message: "The container could not be located when the pod was terminated".to_owned(),
        ..Termination::default()
    });
    Input::ContainerExited { container, termination }
}

/// The runtime's id in `scheme://id`.
pub(super) fn container_id(id: &str) -> ContainerId {
    ContainerId(id.split_once("://").map_or(id, |(_, id)| id).to_owned())
}

/// Gives back all that a pod held on this node; true when nothing is left (N182, N267).
pub(crate) async fn release(kit: &Kit, uid: &str, sandboxes: &[SandboxId]) -> bool {
    let mut done = true;
    for id in sandboxes {
        if let Err(error) = kit.runtime.remove_sandbox(id).await {
            tracing::warn!(uid, error = &error as &dyn std::error::Error, "sandbox not removed");
            done = false;
        }
    }
    kit.tokens.forget(uid);
    if kit.is_machine()
        && let Err(error) = volumes::release(&kit.config, uid).await
    {
        tracing::warn!(uid, error = &error as &dyn std::error::Error, "volumes not released");
        done = false;
    }
    done
}
