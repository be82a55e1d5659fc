//! From a container's mounts to paths of the node (N200–N205), and the files that every container gets (N135, N226).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, Volume, VolumeMount};
use kube::api::ResourceExt;

use super::{VolumeError, path_of, pod_dir, subpath};
use crate::environment::Environment;
use crate::kit::Kit;
use crate::runtime::{ContainerSpec, Mount, Propagation};
use crate::{dns, logs};

/// Mounts of a container, in the order of its specification (N205).
pub(crate) async fn mounts(
    kit: &Kit,
    pod: &Pod,
    container: &Container,
    environment: &Environment,
) -> Result<Vec<Mount>, VolumeError> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volumes: Vec<&Volume> = volumes.collect();
    let mut out = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| VolumeError::Mount(format!("volume \"{}\" not found", mount.name)))?;
        out.push(one(kit, pod, container, environment, (index, mount), volume)?);
    }
    Ok(out)
}

fn one(
    kit: &Kit,
    pod: &Pod,
    container: &Container,
    environment: &Environment,
    (index, mount): (usize, &VolumeMount),
    volume: &Volume,
) -> Result<Mount, VolumeError> {
    let whole = path_of(kit, pod, volume).ok_or_else(|| {
        VolumeError::Mount(format!("volume \"{}\" is of a kind that this node does not have", volume.name))
    })?;
    let sub = sub_path(mount, environment)?;
    let host_path = match sub {
        None => whole,
        Some(sub) => {
            let target = pod_dir(&kit.config, &pod.uid().unwrap_or_default())
                .join("volume-subpaths")
                .join(&volume.name)
                .join(&container.name)
                .join(index.to_string());
            subpath::bind(&whole, &sub, target).map_err(|source| VolumeError::SubPath {
                mount: mount.name.clone(),
                container: container.name.clone(),
                source,
            })?
        }
    };
    // What the API projects is never written by containers.
    let projected = volume.host_path.is_none() && volume.empty_dir.is_none();
    let readonly = mount.read_only == Some(true) || projected;
    Ok(Mount {
        host_path,
        container_path: absolute(&mount.mount_path),
        readonly,
        recursive_readonly: readonly && matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
        propagation: match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => Propagation::Bidirectional,
            _ => Propagation::None,
        },
    })
}

fn absolute(path: &str) -> PathBuf {
    if path.starts_with('/') { PathBuf::from(path) } else { Path::new("/").join(path) }
}

/// The part of the volume that is meant, names filled in (N202).
fn sub_path(mount: &VolumeMount, environment: &Environment) -> Result<Option<String>, VolumeError> {
    if let Some(sub) = mount.sub_path.clone().filter(|sub| !sub.is_empty()) {
        return Ok(Some(sub));
    }
    let Some(expression) = mount.sub_path_expr.as_ref().filter(|expression| !expression.is_empty()) else {
        return Ok(None);
    };
    let unknown = std::cell::Cell::new(false);
    let filled = crate::environment::expand(expression, |name| {
        let value = environment.get(name).map(str::to_owned);
        unknown.set(unknown.get() || value.is_none());
        value
    });
    if unknown.get() {
        return Err(VolumeError::Mount(format!("failed to expand subPathExpr {expression:?}: variable not known")));
    }
    Ok(Some(filled))
}

/// /etc/hosts and the termination log, after the pod's own mounts.
pub(crate) fn own_files(
    kit: &Kit,
    pod: &Pod,
    ips: &[IpAddr],
    container: &Container,
    out: &mut ContainerSpec,
) -> io::Result<()> {
    let uid = pod.uid().unwrap_or_default();
    let message = logs::message_file(&kit.config, &uid, &container.name, out.attempt);
    logs::make_message_file(&message)?;
    let at = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    let plain = |host_path: PathBuf, container_path: &str| Mount {
        host_path,
        container_path: absolute(container_path),
        ..Mount::default()
    };
    out.mounts.push(plain(message, at));
    let host_network = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    let taken = out.mounts.iter().any(|mount| mount.container_path == Path::new("/etc/hosts"));
    if !taken && (host_network || !ips.is_empty()) {
        let path = pod_dir(&kit.config, &uid).join("etc-hosts");
        fs::write(&path, dns::hosts_file(kit, pod, ips))?;
        out.mounts.push(plain(path, "/etc/hosts"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_paths_are_filled_in_or_refused_n202() {
        let mount = |expression: &str| VolumeMount {
            name: "v".into(),
            mount_path: "/m".into(),
            sub_path_expr: Some(expression.into()),
            ..VolumeMount::default()
        };
        let environment = Environment::default();
        assert_eq!(sub_path(&mount("plain"), &environment).unwrap().as_deref(), Some("plain"));
        assert!(sub_path(&mount("$(NOT_KNOWN)"), &environment).is_err());
    }
}
