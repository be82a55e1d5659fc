//! The operating system of a pod, and what it may ask of its host's: users of its own, Windows' options.

use serde_json::Value;

use super::invalid;
use crate::field::{Error, Path};
use crate::names;
use crate::value::Read;

/// Visits every container with its place.
fn each_container<'a>(spec: &'a Value, at: &Path, mut act: impl FnMut(&'a Value, &Path)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (i, container) in spec.list(list).iter().enumerate() {
            act(container, &at.child(list).index(i));
        }
    }
}

/// A pod with users of its own shares no namespace of the host.
pub(super) fn host_users(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    if spec.flag("hostUsers") != Some(false) {
        return;
    }
    for (member, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.is_true(member) {
            errors.push(Error::forbidden(&at.child(shown), "when `pod.Spec.HostUsers` is false"));
        }
    }
}

/// Processes on a Windows host: all containers or none, and on its network.
pub(super) fn host_process(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    const FIELD: &str = "securityContext.windowsOptions.hostProcess";
    let whole = spec.flag(FIELD);
    let (mut all, mut on_host) = (0, 0);
    each_container(spec, at, |container, at| {
        all += 1;
        let own = container.flag(FIELD);
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let why = format!("pod hostProcess value must be identical if both are specified, was {whole}");
            errors.push(Error::invalid(&at.child(FIELD), own, why));
        }
        on_host += usize::from(own.or(whole) == Some(true));
    });
    if on_host == 0 {
        return;
    }
    if on_host != all {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(at, "", why));
    }
    if !spec.is_true("hostNetwork") {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&at.child("hostNetwork"), false, why));
    }
}

/// `windowsOptions` of a security context.
pub(super) fn windows_options(context: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(options) = context.at("windowsOptions") else { return };
    let at = at.child("windowsOptions");
    if let Some(name) = options.text("gmsaCredentialSpecName") {
        invalid(errors, &at.child("gmsaCredentialSpecName"), name, names::subdomain(name));
    }
    for member in ["gmsaCredentialSpec", "runAsUserName"] {
        if options.text(member) == Some("") {
            errors.push(Error::invalid(&at.child(member), "", format!("{member} cannot be an empty string")));
        }
    }
}

/// `os`, and what a pod of that system cannot have.
pub(super) fn os(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(os) = spec.at("os") else { return };
    match os.text_or_empty("name") {
        "" => errors.push(Error::required(&at.child("os").child("name"), "cannot be empty")),
        "linux" => linux(spec, at, errors),
        "windows" => windows(spec, at, errors),
        other => errors.push(Error::not_supported(&at.child("os"), other, &["linux", "windows"])),
    }
}

fn linux(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    const FIELD: &str = "securityContext.windowsOptions";
    let mut check = |owner: &Value, at: &Path| {
        if owner.at(FIELD).is_some() {
            errors.push(Error::forbidden(&at.child(FIELD), "windows options cannot be set for a linux pod"));
        }
    };
    check(spec, at);
    each_container(spec, at, check);
}

fn windows(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    const POD: &[&str] = &[
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ];
    const CONTAINER: &[&str] = &[
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.capabilities",
        "securityContext.readOnlyRootFilesystem",
        "securityContext.privileged",
        "securityContext.allowPrivilegeEscalation",
        "securityContext.procMount",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
    ];
    let mut check = |owner: &Value, fields: &[&str], at: &Path| {
        for field in fields {
            // Of the host's namespaces only `true` says something; a list must have elements.
            let plain = matches!(*field, "hostPID" | "hostIPC" | "securityContext.sysctls");
            if if plain { !owner.is_zero(field) } else { owner.at(field).is_some() } {
                errors.push(Error::forbidden(&at.child(field), "cannot be set for a windows pod"));
            }
        }
    };
    check(spec, POD, at);
    each_container(spec, at, |container, at| check(container, CONTAINER, at));
}
