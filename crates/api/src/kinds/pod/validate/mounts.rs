//! Where containers mount volumes, and which block devices they see.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Scope;
use crate::field::{Error, Path};
use crate::value::Read;

pub(super) fn validate(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let devices = container.list("volumeDevices");
    let device = |member: &str, value: &str| devices.iter().any(|d| d.text(member) == Some(value));
    let list = at.child("volumeMounts");
    let mut paths = BTreeSet::new();
    for (i, mount) in container.list("volumeMounts").iter().enumerate() {
        let at = list.index(i);
        let name = mount.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        }
        if !scope.volumes.contains_key(name) {
            errors.push(Error::not_found(&at.child("name"), name));
        }
        let path = mount.text_or_empty("mountPath");
        if path.is_empty() {
            errors.push(Error::required(&at.child("mountPath"), ""));
        }
        if !paths.insert(path) {
            errors.push(Error::invalid(&at.child("mountPath"), path, "must be unique"));
        }
        if device("name", name) {
            errors.push(Error::invalid(&at.child("name"), name, "must not already exist in volumeDevices"));
        }
        if device("devicePath", path) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&at.child("mountPath"), path, why));
        }
        sub_paths(mount, &list, &at, errors);
        propagation(container, mount, &list, errors);
        recursive_read_only(mount, &list, errors);
    }
    volume_devices(container, scope, at, errors);
}

/// Upstream reports these without the index of the mount, but for two that exclude each other.
fn sub_paths(mount: &Value, list: &Path, at: &Path, errors: &mut Vec<Error>) {
    let (plain, expression) = (mount.text_or_empty("subPath"), mount.text_or_empty("subPathExpr"));
    if !plain.is_empty() {
        descending(plain, &list.child("subPath"), errors);
    }
    if !expression.is_empty() {
        if !plain.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&at.child("subPathExpr"), expression, why));
        }
        descending(expression, &list.child("subPathExpr"), errors);
    }
}

fn propagation(container: &Value, mount: &Value, list: &Path, errors: &mut Vec<Error>) {
    let Some(mode) = mount.text("mountPropagation") else { return };
    let at = list.child("mountPropagation");
    if !matches!(mode, "Bidirectional" | "HostToContainer" | "None") {
        errors.push(Error::not_supported(&at, mode, &["Bidirectional", "HostToContainer", "None"]));
    }
    if mode == "Bidirectional" && !container.is_true("securityContext.privileged") {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(&at, why));
    }
}

fn recursive_read_only(mount: &Value, list: &Path, errors: &mut Vec<Error>) {
    let Some(mode) = mount.text("recursiveReadOnly") else { return };
    let at = list.child("recursiveReadOnly");
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.is_true("readOnly") {
                errors.push(Error::forbidden(&at, "may only be specified when readOnly is true"));
            }
            if mount.text("mountPropagation").is_some_and(|p| p != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(&at, why));
            }
        }
        other => errors.push(Error::not_supported(&at, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

fn volume_devices(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let mounts = container.list("volumeMounts");
    let mut paths = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (i, device) in container.list("volumeDevices").iter().enumerate() {
        let at = at.child("volumeDevices").index(i);
        let (name, path) = (device.text_or_empty("name"), device.text_or_empty("devicePath"));
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        }
        if !name.is_empty() && !seen.insert(name) {
            errors.push(Error::invalid(&at.child("name"), name, "must be unique"));
        }
        match scope.volumes.get(name) {
            Some(true) => {}
            Some(false) => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&at.child("name"), name, why));
            }
            None => errors.push(Error::not_found(&at.child("name"), name)),
        }
        if path.is_empty() {
            errors.push(Error::required(&at.child("devicePath"), ""));
        }
        if paths.contains(path) {
            errors.push(Error::invalid(&at.child("devicePath"), path, "must be unique"));
        }
        if path.split('/').any(|part| part == "..") {
            errors.push(Error::invalid(&at.child("devicePath"), path, "can not contain backsteps ('..')"));
        } else {
            paths.insert(path);
        }
        let mounted = |member: &str, value: &str| mounts.iter().any(|m| m.text(member) == Some(value));
        if mounted("name", name) {
            errors.push(Error::invalid(&at.child("name"), name, "must not already exist in volumeMounts"));
        }
        if mounted("mountPath", path) {
            let why = "must not already exist as a path in volumeMounts";
            errors.push(Error::invalid(&at.child("devicePath"), path, why));
        }
    }
}

/// A relative path that never goes up.
pub(super) fn descending(path: &str, at: &Path, errors: &mut Vec<Error>) {
    if path.starts_with('/') {
        errors.push(Error::invalid(at, path, "must be a relative path"));
    }
    no_backsteps(path, at, errors);
}

/// A path without `..`.
pub(super) fn no_backsteps(path: &str, at: &Path, errors: &mut Vec<Error>) {
    if path.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(at, path, "must not contain '..'"));
    }
}

/// As [`descending`], and not starting with `..` in the name of its first part.
pub(super) fn non_reserved(path: &str, at: &Path, errors: &mut Vec<Error>) {
    descending(path, at, errors);
    if path.starts_with("..") && !path.starts_with("../") {
        errors.push(Error::invalid(at, path, "must not start with '..'"));
    }
}
