//! Asking a container how it is: exec, http, tcp and grpc (section 18 of the rules). When to ask, and what the answers
//! mean, is decided in `everynode_core::pod`.

mod grpc;
pub(crate) mod http;
mod tcp;

use std::net::IpAddr;
use std::time::Duration;

use everynode_core::pod::{Outcome, ProbeKind};
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::kit::Kit;
use crate::runtime::{ContainerId, RuntimeError};

/// Bytes of output that a message carries (N255).
const OUTPUT_MAX: usize = 10 << 10;

/// Runs one probe once.
pub(crate) async fn run(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &str,
    id: &ContainerId,
    kind: ProbeKind,
) -> Outcome {
    let Some(container) = crate::manifest::container(pod, container) else {
        return Outcome::Error("the container is not in the pod".to_owned());
    };
    let probe = match kind {
        ProbeKind::Startup => &container.startup_probe,
        ProbeKind::Liveness => &container.liveness_probe,
        ProbeKind::Readiness => &container.readiness_probe,
    };
    let Some(probe) = probe.as_ref().filter(|_| kit.is_machine()) else {
        return Outcome::Success;
    };
    let timeout = Duration::from_secs(u64::from(probe.timeout_seconds.unwrap_or(1).max(1).unsigned_abs()));
    if let Some(exec) = &probe.exec {
        return exec_probe(kit, id, exec.command.clone().unwrap_or_default(), timeout).await;
    }
    if let Some(get) = &probe.http_get {
        return match http::Request::of(kit, pod, ips, container, get, "kube-probe") {
            Ok(request) => http::probe(&request, timeout).await,
            Err(text) => Outcome::Error(text),
        };
    }
    network(kit, pod, ips, container, probe, timeout).await
}

async fn network(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    probe: &Probe,
    timeout: Duration,
) -> Outcome {
    let Some(ip) = target(kit, pod, ips) else {
        return Outcome::Error("the pod has no address".to_owned());
    };
    if let Some(socket) = &probe.tcp_socket {
        let host = socket.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| ip.to_string());
        return match port(&socket.port, container) {
            Some(port) => tcp::probe(&host, port, timeout).await,
            None => Outcome::Error("unknown port".to_owned()),
        };
    }
    if let Some(check) = &probe.grpc {
        let service = check.service.clone().unwrap_or_default();
        return match u16::try_from(check.port) {
            Ok(port) => grpc::probe(ip, port, &service, timeout).await,
            Err(_) => Outcome::Error("unknown port".to_owned()),
        };
    }
    Outcome::Error("missing probe handler".to_owned())
}

/// The address of a pod: its own, or the node's (N253).
fn target(kit: &Kit, pod: &Pod, ips: &[IpAddr]) -> Option<IpAddr> {
    let host = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    if host { kit.node_ip() } else { ips.first().copied() }
}

/// A port by number or by the name that the container gives it.
fn port(port: &IntOrString, container: &Container) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port);
            named.and_then(|number| u16::try_from(number).ok()).or_else(|| name.parse().ok())
        }
    }
}

async fn exec_probe(kit: &Kit, id: &ContainerId, command: Vec<String>, timeout: Duration) -> Outcome {
    match kit.runtime.exec_sync(id, command.clone(), Some(timeout)).await {
        Ok(output) if output.exit_code == 0 => Outcome::Success,
        Ok(output) => {
            let mut text = output.stdout;
            text.extend(output.stderr);
            text.truncate(OUTPUT_MAX);
            Outcome::Failure(String::from_utf8_lossy(&text).into_owned())
        }
        Err(RuntimeError::ExecTimeout { .. }) => {
            let seconds = timeout.as_secs();
            Outcome::Failure(format!("command timed out: {:?} timed out after {seconds}s", command.join(" ")))
        }
        Err(error) => Outcome::Error(error.to_string()),
    }
}
