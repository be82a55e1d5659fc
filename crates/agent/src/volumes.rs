//! Volumes of a pod: made before its containers, projected again when their content changes, gone before the pod is
//! (section 14 of the rules).
//!
//! Everything lies below `<kubelet dir>/pods/<uid>` in the layout of N2, which storage drivers and agents rely on.

mod atomic;
mod empty_dir;
mod host_path;
mod mounted;
mod mounts;
mod ownership;
mod payload;
mod subpath;

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::api::ResourceExt;

use crate::Config;
use crate::kit::Kit;
pub(crate) use mounts::{mounts, own_files};

/// Directories below the kubelet's root that drivers expect (N1).
const ROOTS: [(&str, u32); 7] = [
    ("pods", 0o750),
    ("plugins", 0o750),
    ("plugins_registry", 0o750),
    ("pod-resources", 0o750),
    ("device-plugins", 0o750),
    ("pki", 0o750),
    ("seccomp", 0o755),
];

/// Why a volume could not be made, in the words of the `FailedMount` event (N180, N181).
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// One volume could not be set up.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {cause}")]
    SetUp { volume: String, cause: String },
    /// A mount names a part of a volume that cannot be used (N201).
    #[error("failed to prepare subPath for volumeMount \"{mount}\" of container \"{container}\"")]
    SubPath {
        mount: String,
        container: String,
        #[source]
        source: io::Error,
    },
    /// A mount that the pod describes cannot be made.
    #[error("{0}")]
    Mount(String),
    /// A file operation on the node failed.
    #[error("error making pod data directories: {0}")]
    Files(#[from] io::Error),
}

/// `<kubelet dir>/pods/<uid>`.
pub(crate) fn pod_dir(config: &Config, uid: &str) -> PathBuf {
    config.kubelet_dir.join("pods").join(uid)
}

/// Directory of one volume; `plugin` is its kind without the vendor (N2).
fn volume_dir(config: &Config, uid: &str, plugin: &str, volume: &str) -> PathBuf {
    pod_dir(config, uid).join("volumes").join(format!("kubernetes.io~{plugin}")).join(volume)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// The directories of N1.
pub(crate) fn make_roots(config: &Config) -> io::Result<()> {
    make_dir(&config.kubelet_dir, 0o750)?;
    ROOTS.iter().try_for_each(|(name, mode)| make_dir(&config.kubelet_dir.join(name), *mode))
}

/// Volumes that a container of the pod mounts; the others are not made (N180).
fn used(pod: &Pod) -> Vec<&Volume> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let is_used = |volume: &&Volume| {
        containers().any(|container| container.volume_mounts.iter().flatten().any(|mount| mount.name == volume.name))
    };
    spec.volumes.iter().flatten().filter(is_used).collect()
}

/// Makes all volumes of the pod; harmless where they exist.
pub(crate) async fn prepare(kit: &Kit, pod: &Pod) -> Result<(), VolumeError> {
    if !kit.is_machine() {
        return Ok(());
    }
    let dir = pod_dir(&kit.config, &pod.uid().unwrap_or_default());
    for part in ["", "volumes", "plugins"] {
        make_dir(&dir.join(part), 0o750)?;
    }
    crate::mark::put(&dir, &kit.config)?;
    for volume in used(pod) {
        set_up(kit, pod, volume).await.map_err(|cause| VolumeError::SetUp { volume: volume.name.clone(), cause })?;
    }
    Ok(())
}

async fn set_up(kit: &Kit, pod: &Pod, volume: &Volume) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    if let Some(host) = &volume.host_path {
        return host_path::check(host);
    }
    if let Some(empty) = &volume.empty_dir {
        let dir = path_of(kit, pod, volume).ok_or("no directory")?;
        return empty_dir::set_up(&dir, empty, ownership::fs_group(pod)).map_err(words);
    }
    match payload::collect(kit, pod, volume).await? {
        Some(files) => project(kit, pod, volume, files).await,
        None => Err(format!(
            "no volume plugin matched volume \"{}\" (this node has hostPath, emptyDir, configMap, secret, downwardAPI and projected)",
            volume.name
        )),
    }
}

/// Writes files into a projected volume, atomically (N197, N198).
async fn project(kit: &Kit, pod: &Pod, volume: &Volume, files: payload::Files) -> Result<(), String> {
    let dir = path_of(kit, pod, volume).ok_or("no directory")?;
    let in_memory = volume.config_map.is_none();
    let group = ownership::fs_group(pod);
    let write = move || -> io::Result<()> {
        make_dir(&dir, 0o755)?;
        if in_memory {
            mounted::tmpfs_if_possible(&dir, None)?;
        }
        atomic::write(&dir, &files, group)
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())
}

/// Projects again what the API may have changed (N183).
pub(crate) async fn refresh(kit: &Kit, pod: &Pod) -> Result<(), VolumeError> {
    for volume in used(pod) {
        let failed = |cause| VolumeError::SetUp { volume: volume.name.clone(), cause };
        if let Some(files) = payload::collect(kit, pod, volume).await.map_err(failed)? {
            project(kit, pod, volume, files).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Where a volume lies on the node; `None` for kinds that are not known.
fn path_of(kit: &Kit, pod: &Pod, volume: &Volume) -> Option<PathBuf> {
    let plugin = if let Some(host) = &volume.host_path {
        return Some(PathBuf::from(&host.path));
    } else if volume.empty_dir.is_some() {
        "empty-dir"
    } else if volume.config_map.is_some() {
        "configmap"
    } else if volume.secret.is_some() {
        "secret"
    } else if volume.downward_api.is_some() {
        "downward-api"
    } else if volume.projected.is_some() {
        "projected"
    } else {
        return None;
    };
    Some(volume_dir(&kit.config, &pod.uid().unwrap_or_default(), plugin, &volume.name))
}

/// Unmounts and removes all that lies below the pod's directory (N182); never crosses into another file system.
pub(crate) async fn release(config: &Config, uid: &str) -> Result<(), VolumeError> {
    if uid.is_empty() || uid.contains('/') || uid.starts_with('.') {
        return Ok(());
    }
    let dir = pod_dir(config, uid);
    let remove = move || -> io::Result<()> {
        mounted::unmount_below(&dir)?;
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    tokio::task::spawn_blocking(remove).await.map_err(io::Error::other)??;
    Ok(())
}
