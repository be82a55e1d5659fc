//! Starting one container: image, configuration, create, start, hook (N138), with the events and reasons of each step.

use std::sync::Arc;

use everynode_core::pod::{Input, StartError, Started, Termination};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::container::{self, Order};
use super::{Did, millis, outcome};
use crate::kit::Kit;
use crate::runtime::{ContainerId, ContainerState, ImageInfo, RuntimeError};
use crate::{hooks, images, logs, manifest};

/// Starts the container and says how it went.
pub(super) async fn start(order: Order) -> Did {
    let (kit, pod, name) = (Arc::clone(&order.kit), Arc::clone(&order.pod), order.container.clone());
    let outcome = Box::pin(run(&order)).await;
    match outcome {
        Ok(started) => Did::Input(Input::ContainerStarted { container: name, started }),
        Err(error) => {
            if !error.cancelled && !error.reason.is_empty() {
                // Pull errors are told by who pulls; the others in this form (N140).
                let text = if images::is_image_reason(&error.reason) { &error.reason } else { &error.message };
                kit.events.pod(&pod, Some(&name), true, "Failed", format!("Error: {text}"));
            }
            Did::Input(Input::StartFailed { container: name, error })
        }
    }
}

async fn run(order: &Order) -> Result<Started, StartError> {
    let (kit, pod) = (&order.kit, &order.pod);
    let spec = manifest::container(pod, &order.container)
        .ok_or_else(|| failed("CreateContainerConfigError", "the container is not in the pod".to_owned()))?;
    let image = tokio::select! {
        () = order.cancelled.cancelled() => return Err(cancelled()),
        image = images::ensure(kit, pod, spec) => image?,
    };
    let sandbox = order.sandbox.id.clone().ok_or_else(|| failed("CreateContainerError", "no sandbox".to_owned()))?;
    let config = container::container_spec(order, spec, &image)
        .await
        .map_err(|error| failed("CreateContainerConfigError", outcome::chain(&error)))?;
    if order.cancelled.is_cancelled() {
        return Err(cancelled());
    }
    let id = kit
        .runtime
        .create_container(&sandbox, config)
        .await
        .map_err(|error| failed("CreateContainerError", words(&error)))?;
    kit.events.pod(pod, Some(&spec.name), false, "Created", format!("Created container: {}", spec.name));
    if order.cancelled.is_cancelled() {
        let _ = kit.runtime.remove_container(&id).await;
        return Err(cancelled());
    }
    if let Err(error) = kit.runtime.start_container(&id).await {
        return Err(not_run(order, &id, &image, words(&error)).await);
    }
    let started = started(order, &id, spec, &image).await;
    kit.events.pod(pod, Some(&spec.name), false, "Started", format!("Started container {}", spec.name));
    if kit.is_machine() {
        logs::link(&kit.config, pod, &spec.name, order.attempt, &id.0);
        prune(kit, pod, &spec.name, &id).await;
    }
    post_start(order, &id, spec, &image, started.clone()).await?;
    Ok(started)
}

/// The hook blocks the start; when it fails the container is killed (N261).
async fn post_start(
    order: &Order,
    id: &ContainerId,
    spec: &Container,
    image: &ImageInfo,
    started: Started,
) -> Result<(), StartError> {
    let (kit, pod) = (&order.kit, &order.pod);
    let hook = hooks::post_start(kit, pod, &order.sandbox.ips, spec, id);
    let result = tokio::select! {
        // The pod goes: the container counts as started and is stopped in order.
        () = order.cancelled.cancelled() => Ok(()),
        result = hook => result,
    };
    let Err(message) = result else { return Ok(()) };
    kit.events.pod(pod, Some(&spec.name), true, "FailedPostStartHook", "PostStartHook failed".to_owned());
    let text = "FailedPostStartHook".to_owned();
    kit.events.pod(pod, Some(&spec.name), false, "Killing", text);
    let grace = std::time::Duration::from_secs(2);
    let _ = kit.runtime.stop_container(id, grace, None).await;
    let mut error = not_run(order, id, image, message).await;
    error.reason = "PostStartHookError".to_owned();
    if let Some((was, _)) = &mut error.ended {
        *was = started;
    }
    Err(error)
}

async fn started(order: &Order, id: &ContainerId, spec: &Container, image: &ImageInfo) -> Started {
    let status = order.kit.runtime.container_status(id).await.ok();
    let started_at = match status.as_ref().map(|status| &status.state) {
        Some(ContainerState::Running { started_at, .. }) => *started_at,
        Some(ContainerState::Exited { started_at: Some(started_at), .. }) => *started_at,
        _ => Timestamp::now(),
    };
    Started {
        id: format!("{}://{id}", order.kit.runtime.version().name),
        image: images::shown_name(spec, image),
        image_id: status.map(|status| status.image_ref).unwrap_or_else(|| image.id.clone()),
        attempt: order.attempt,
        started_at: millis(started_at),
    }
}

/// A container that was made and does not run.
async fn not_run(order: &Order, id: &ContainerId, image: &ImageInfo, message: String) -> StartError {
    let scheme = order.kit.runtime.version().name;
    let status = order.kit.runtime.container_status(id).await.ok();
    let ended = status.as_ref().and_then(|status| outcome::termination(&scheme, status, String::new()));
    let now = millis(Timestamp::now());
    let ended = ended.unwrap_or_else(|| Termination {
        id: format!("{scheme}://{id}"),
        exit_code: 128,
        reason: "StartError".to_owned(),
        message: message.clone(),
        started_at: None,
        finished_at: Some(now),
    });
    let started = Started {
        id: format!("{scheme}://{id}"),
        image: status.as_ref().map_or_else(|| order.container.clone(), |status| status.image.clone()),
        image_id: status.map_or_else(|| image.id.clone(), |status| status.image_ref),
        attempt: order.attempt,
        started_at: now,
    };
    StartError { reason: "RunContainerError".to_owned(), message, ended: Some((started, ended)), cancelled: false }
}

/// Removes ended instances of this container but the newest, with their logs (N295, N305, N306).
async fn prune(kit: &Kit, pod: &Pod, name: &str, current: &ContainerId) {
    let Ok(all) = kit.runtime.list_containers().await else { return };
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let mut dead: Vec<_> = all
        .into_iter()
        .filter(|container| container.pod_uid == uid && container.name == name && container.id != *current)
        .filter(|container| !matches!(container.state, ContainerState::Running { .. }))
        .collect();
    // One that was made and never started is of no use to anyone.
    dead.sort_by_key(|container| (container.state == ContainerState::Created, std::cmp::Reverse(container.attempt)));
    let useful = usize::from(dead.first().is_some_and(|container| container.state != ContainerState::Created));
    for container in dead.into_iter().skip(useful) {
        let was_started = container.state != ContainerState::Created;
        if kit.runtime.remove_container(&container.id).await.is_ok() && was_started {
            logs::remove(&kit.config, pod, name, container.attempt, &container.id.0);
        }
    }
}

fn failed(reason: &str, message: String) -> StartError {
    StartError { reason: reason.to_owned(), message, ..StartError::default() }
}

fn cancelled() -> StartError {
    StartError { cancelled: true, ..StartError::default() }
}

/// A runtime's words without its ids, which change from try to try (N140).
fn words(error: &RuntimeError) -> String {
    match error {
        RuntimeError::StartContainer { message, .. } | RuntimeError::CreateContainer { message, .. } => message.clone(),
        other => outcome::chain(other),
    }
}
