//! From a Pod to what a runtime is asked for: sandbox and container (sections 9.2, 9.3, 15, 16, 17 of the rules).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::ResourceExt;
use tokio_util::sync::CancellationToken;

use super::Sandbox;
use super::project::is_sidecar;
use crate::hollow;
use crate::kit::Kit;
use crate::runtime::{ContainerSpec, HostNamespaces, ImageInfo, PortMapping, Protocol, SandboxSpec};
use crate::{dns, environment, logs, resources, security, volumes};

/// Labels by which a pod's parts are found again (N116, N131).
fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("io.kubernetes.pod.name".to_owned(), pod.name_any()),
        ("io.kubernetes.pod.namespace".to_owned(), pod.namespace().unwrap_or_default()),
        ("io.kubernetes.pod.uid".to_owned(), pod.uid().unwrap_or_default()),
    ])
}

/// Why a container's configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Something about the environment.
    #[error(transparent)]
    Environment(#[from] environment::EnvironmentError),
    /// Something about a mount.
    #[error(transparent)]
    Mount(#[from] volumes::VolumeError),
    /// Something about who it may run as.
    #[error("{0}")]
    Security(String),
}

/// A start as asked for.
pub(super) struct Order {
    pub(super) kit: Arc<Kit>,
    pub(super) pod: Arc<Pod>,
    pub(super) sandbox: Sandbox,
    pub(super) container: String,
    pub(super) attempt: u32,
    pub(super) cancelled: CancellationToken,
}

/// The sandbox of a pod (N111–N121).
pub(super) fn sandbox_spec(kit: &Kit, pod: &Pod, attempt: u32) -> SandboxSpec {
    let spec = pod.spec.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    let mut labels = pod.labels().clone();
    labels.extend(pod_labels(pod));
    let sysctls = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    SandboxSpec {
        name: pod.name_any(),
        namespace: pod.namespace().unwrap_or_default(),
        uid: pod.uid().unwrap_or_default(),
        attempt,
        hostname: if host_network { String::new() } else { dns::hostname(pod) },
        log_directory: logs::pod_dir(&kit.config, pod),
        host: HostNamespaces {
            network: host_network,
            pid: spec.host_pid == Some(true),
            ipc: spec.host_ipc == Some(true),
        },
        share_pid: spec.share_process_namespace == Some(true),
        dns: dns::config(kit, pod),
        port_mappings: if host_network { Vec::new() } else { port_mappings(&spec) },
        sysctls: sysctls.map(|sysctl| (sysctl.name.replace('/', "."), sysctl.value.clone())).collect(),
        cgroup_parent: resources::cgroup_parent(pod),
        resources: resources::of_pod(&spec),
        labels,
        annotations: pod.annotations().clone(),
    }
}

fn port_mappings(spec: &PodSpec) -> Vec<PortMapping> {
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|container| is_sidecar(container));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(PortMapping {
                host_ip: port.host_ip.clone().unwrap_or_default(),
                host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
                container_port: u16::try_from(port.container_port).ok()?,
                protocol: if port.protocol.as_deref() == Some("UDP") { Protocol::Udp } else { Protocol::Tcp },
            })
        })
        .collect()
}

/// One container (N123–N136).
pub(super) async fn container_spec(
    order: &Order,
    container: &Container,
    image: &ImageInfo,
) -> Result<ContainerSpec, ConfigError> {
    let (kit, pod) = (&order.kit, &order.pod);
    let spec = pod.spec.clone().unwrap_or_default();
    let user = security::user(&spec, container, image).map_err(ConfigError::Security)?;
    let mut labels = pod_labels(pod);
    labels.insert("io.kubernetes.container.name".to_owned(), container.name.clone());
    let mut out = ContainerSpec {
        name: container.name.clone(),
        attempt: order.attempt,
        image: if image.id.is_empty() { container.image.clone().unwrap_or_default() } else { image.id.clone() },
        working_dir: container.working_dir.clone().unwrap_or_default(),
        tty: container.tty == Some(true),
        stdin: container.stdin == Some(true),
        user,
        resources: resources::of_container(kit, &spec, container),
        labels,
        annotations: annotations(pod, container, order.attempt),
        ..ContainerSpec::default()
    };
    security::apply(kit, &spec, container, &mut out);
    if !kit.is_machine() {
        out.image = container.image.clone().unwrap_or_default();
        if comes_before_others(&spec, container) && !pod.annotations().contains_key(hollow::EXIT_AFTER) {
            out.annotations.insert(hollow::EXIT_AFTER.to_owned(), "0s".to_owned());
        }
        return Ok(out);
    }
    let environment = environment::build(kit, pod, &order.sandbox.ips, container).await?;
    out.command = environment.expand_all(container.command.as_deref().unwrap_or_default());
    out.args = environment.expand_all(container.args.as_deref().unwrap_or_default());
    out.mounts = volumes::mounts(kit, pod, container, &environment).await?;
    volumes::own_files(kit, pod, &order.sandbox.ips, container, &mut out).map_err(volumes::VolumeError::from)?;
    out.env = environment.into_pairs();
    out.log_path = format!("{}/{}.log", container.name, order.attempt);
    logs::make_container_dir(&kit.config, pod, &container.name).map_err(volumes::VolumeError::from)?;
    Ok(out)
}

/// Whether a container has to end before the next one starts: an init container that is no sidecar.
fn comes_before_others(spec: &PodSpec, container: &Container) -> bool {
    spec.init_containers.iter().flatten().any(|init| init.name == container.name && !is_sidecar(init))
}

/// What a later agent must know of a container (N136).
fn annotations(pod: &Pod, container: &Container, attempt: u32) -> BTreeMap<String, String> {
    let spec = pod.spec.as_ref();
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let key = |name: &str| format!("io.kubernetes.container.{name}");
    let mut out = BTreeMap::from([
        (key("restartCount"), attempt.to_string()),
        (key("terminationMessagePath"), or(&container.termination_message_path, "/dev/termination-log")),
        (key("terminationMessagePolicy"), or(&container.termination_message_policy, "File")),
    ]);
    if let Some(grace) = spec.and_then(|spec| spec.termination_grace_period_seconds) {
        out.insert("io.kubernetes.pod.terminationGracePeriod".to_owned(), grace.to_string());
    }
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(hook) = hook.and_then(|hook| serde_json::to_string(hook).ok()) {
        out.insert(key("preStopHandler"), hook);
    }
    out
}
