//! Lifecycle hooks: postStart blocks a start, preStop uses up grace (N261–N263).

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Pod};

use crate::kit::Kit;
use crate::probes::http;
use crate::runtime::ContainerId;

/// Limit of a hook's request; hooks themselves have none (N262).
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a container's postStart hook, if it has one.
pub(crate) async fn post_start(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    id: &ContainerId,
) -> Result<(), String> {
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    match hook.filter(|_| kit.is_machine()) {
        Some(hook) => run(kit, pod, ips, container, id, hook).await,
        None => Ok(()),
    }
}

/// Runs a container's preStop hook, if it has one, no longer than `grace`; a failure is told and changes nothing (N263).
pub(crate) async fn pre_stop(kit: &Kit, pod: &Pod, ips: &[IpAddr], name: &str, id: &ContainerId, grace: Duration) {
    let Some(container) = crate::manifest::container(pod, name).filter(|_| kit.is_machine()) else { return };
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(hook) = hook else { return };
    let outcome = tokio::time::timeout(grace, run(kit, pod, ips, container, id, hook)).await;
    if let Ok(Err(message)) = outcome {
        tracing::info!(container = name, message, "preStop failed");
        kit.events.pod(pod, Some(name), true, "FailedPreStopHook", "PreStopHook failed".to_owned());
    }
}

async fn run(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    id: &ContainerId,
    hook: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let output = kit.runtime.exec_sync(id, command.clone(), None).await.map_err(|error| error.to_string())?;
        return match output.exit_code {
            0 => Ok(()),
            code => {
                let text = String::from_utf8_lossy(&output.stderr);
                Err(format!("command {command:?} exited with {code}: {}", text.trim()))
            }
        };
    }
    if let Some(get) = &hook.http_get {
        return http_get(kit, pod, ips, container, get).await;
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    Err("the hook has no handler that is known".to_owned())
}

/// The answer's code does not matter, only that there is one (N262).
async fn http_get(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    get: &HTTPGetAction,
) -> Result<(), String> {
    let request = http::Request::of(kit, pod, ips, container, get, "kube-lifecycle")?;
    http::send(&request, HTTP_TIMEOUT).await.map(drop)
}
