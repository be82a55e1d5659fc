//! Volumes of a pod (section 14 of the rules).

use std::io;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::Config;
use crate::environment::Environment;
use crate::kit::Kit;
use crate::runtime::{ContainerSpec, Mount};

/// Service account tokens of the pods here.
#[derive(Debug, Default)]
pub(crate) struct Tokens;

impl Tokens {
    pub(crate) fn forget(&self, uid: &str) {
        let _ = uid;
    }
}

/// Why a volume could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// Not written yet.
    #[error("volumes are not written yet")]
    NotYet,
    /// A file operation failed.
    #[error("file operation failed")]
    Io(#[from] io::Error),
}

pub(crate) fn make_roots(config: &Config) -> io::Result<()> {
    std::fs::create_dir_all(config.kubelet_dir.join("pods"))
}

pub(crate) async fn prepare(kit: &Kit, _: &Pod) -> Result<(), VolumeError> {
    if kit.is_machine() { Err(VolumeError::NotYet) } else { Ok(()) }
}

pub(crate) async fn refresh(_: &Kit, _: &Pod) -> Result<(), VolumeError> {
    Ok(())
}

pub(crate) async fn release(_: &Config, _: &str) -> Result<(), VolumeError> {
    Ok(())
}

pub(crate) async fn mounts(_: &Kit, _: &Pod, _: &Container, _: &Environment) -> Result<Vec<Mount>, VolumeError> {
    Err(VolumeError::NotYet)
}

pub(crate) fn own_files(_: &Kit, _: &Pod, _: &[IpAddr], _: &Container, _: &mut ContainerSpec) -> io::Result<()> {
    Ok(())
}
