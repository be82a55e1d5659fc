//! Security contexts of pods and containers, and what the host's namespaces ask of ports.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{invalid, maybe_one_of, one_of};
use crate::field::{Error, Path};
use crate::kinds::{go_struct, quoted};
use crate::names;
use crate::value::Read;

const ID_RANGE: &str = "must be between 0 and 2147483647, inclusive";
const SYSCTL: &str = r"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

fn id(errors: &mut Vec<Error>, owner: &Value, member: &str, at: &Path) {
    if let Some(value) = owner.int(member) {
        id_value(errors, value, &at.child(member));
    }
}

fn id_value(errors: &mut Vec<Error>, value: i64, at: &Path) {
    if !(0..=i64::from(i32::MAX)).contains(&value) {
        errors.push(Error::invalid(at, value, ID_RANGE));
    }
}

/// The pod's security context.
pub(super) fn pod(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    if spec.is_true("hostNetwork") {
        host_ports(spec, at, errors);
    }
    let Some(context) = spec.at("securityContext") else { return };
    let at = at.child("securityContext");
    id(errors, context, "fsGroup", &at);
    id(errors, context, "runAsUser", &at);
    id(errors, context, "runAsGroup", &at);
    for (i, group) in context.list("supplementalGroups").iter().filter_map(Value::as_i64).enumerate() {
        id_value(errors, group, &at.child("supplementalGroups").index(i));
    }
    if spec.is_true("shareProcessNamespace") && spec.is_true("hostPID") {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&at.child("shareProcessNamespace"), true, why));
    }
    sysctls(context.list("sysctls"), &at.child("sysctls"), errors);
    maybe_one_of(errors, context, "fsGroupChangePolicy", &at, &["Always", "OnRootMismatch"]);
    profile(context, "seccompProfile", &at, errors);
    profile(context, "appArmorProfile", &at, errors);
    maybe_one_of(errors, context, "supplementalGroupsPolicy", &at, &["Merge", "Strict"]);
    maybe_one_of(errors, context, "seLinuxChangePolicy", &at, &["MountOption", "Recursive"]);
}

fn host_ports(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, container) in spec.list("containers").iter().enumerate() {
        for (j, port) in container.list("ports").iter().enumerate() {
            let host = port.int("hostPort").unwrap_or(0);
            if host != 0 && Some(host) != port.int("containerPort") {
                let at = at.child("containers").index(i).child("ports").index(j).child("hostPort");
                errors.push(Error::invalid(&at, host, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

fn sysctls(sysctls: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, sysctl) in sysctls.iter().enumerate() {
        let at = at.index(i).child("name");
        let name = sysctl.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
        } else if !sysctl_name(name) {
            errors.push(Error::invalid(&at, name, SYSCTL));
        } else if !seen.insert(name.replace('/', ".")) {
            errors.push(Error::duplicate(&at, name));
        }
    }
}

fn sysctl_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            let ends = [bytes.first(), bytes.last()];
            ends.iter().all(|b| b.is_some_and(|b| letter(*b)))
                && bytes.iter().all(|b| letter(*b) || matches!(b, b'-' | b'_'))
        })
}

/// `seccompProfile` or `appArmorProfile`.
fn profile(context: &Value, member: &str, at: &Path, errors: &mut Vec<Error>) {
    let Some(profile) = context.at(member) else { return };
    let at = at.child(member);
    one_of(errors, profile, "type", &at, &["Localhost", "RuntimeDefault", "Unconfined"]);
    let local = profile.text("localhostProfile");
    let field = at.child("localhostProfile");
    if profile.text("type") == Some("Localhost") {
        match local {
            None => errors.push(Error::required(&field, "must be set when profile type is Localhost")),
            Some(path) if member == "seccompProfile" => super::mounts::descending(path, &field, errors),
            Some(_) => {}
        }
    } else if let Some(path) = local {
        let why = "can only be set when profile type is Localhost";
        errors.push(Error::invalid(&field, path, why));
    }
}

/// A container's security context.
pub(super) fn container(container: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(context) = container.at("securityContext") else { return };
    let at = at.child("securityContext");
    id(errors, context, "runAsUser", &at);
    id(errors, context, "runAsGroup", &at);
    maybe_one_of(errors, context, "procMount", &at, &["Default", "Unmasked"]);
    profile(context, "seccompProfile", &at, errors);
    if context.flag("allowPrivilegeEscalation") == Some(false) {
        if context.is_true("privileged") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(quoted(&at, internal(context), why));
        }
        if context.list("capabilities.add").iter().any(|c| c.as_str() == Some("CAP_SYS_ADMIN")) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(quoted(&at, internal(context), why));
        }
    }
    profile(context, "appArmorProfile", &at, errors);
    for capability in ["add", "drop"] {
        let list = context.list(&format!("capabilities.{capability}"));
        for (i, name) in list.iter().filter_map(Value::as_str).enumerate().filter(|(_, n)| n.is_empty()) {
            invalid(errors, &at.child("capabilities").child(capability).index(i), name, names::label(name));
        }
    }
}

/// The context as upstream quotes it: the members of its internal type in their order, unset ones as null.
fn internal(context: &Value) -> String {
    const MEMBERS: &[(&str, &str)] = &[
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ];
    let members = MEMBERS.iter().map(|(shown, member)| (*shown, context.get(member).cloned().unwrap_or(Value::Null)));
    go_struct(members)
}
