//! Security contexts of pods and containers, and what the host's namespaces ask of ports.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scope, mounts, system};
use crate::field::{Error, Path};
use crate::kinds::{go_struct, quoted};
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
    sysctls(spec, context.list("sysctls"), &at.child("sysctls"), errors);
    supported(errors, context, "fsGroupChangePolicy", &at, &["Always", "OnRootMismatch"]);
    seccomp(context, &at, errors);
    system::windows_options(context, &at, errors);
    app_armor(context, &at, errors);
    supported(errors, context, "supplementalGroupsPolicy", &at, &["Merge", "Strict"]);
    supported(errors, context, "seLinuxChangePolicy", &at, &["MountOption", "Recursive"]);
}

/// A text of a closed set that may be left out, but not empty.
pub(super) fn supported(errors: &mut Vec<Error>, owner: &Value, member: &str, at: &Path, supported: &[&str]) {
    if let Some(value) = owner.text(member).filter(|value| !supported.contains(value)) {
        errors.push(Error::not_supported(&at.child(member), value, supported));
    }
}

/// On the host's network a port is the host's.
pub(super) fn host_ports(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    if !spec.is_true("hostNetwork") {
        return;
    }
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

fn sysctls(spec: &Value, sysctls: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, sysctl) in sysctls.iter().enumerate() {
        let at = at.index(i).child("name");
        let name = sysctl.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
        } else if !sysctl_name(name) {
            errors.push(Error::invalid(&at, name, SYSCTL));
        } else if seen.contains(name) {
            errors.push(Error::duplicate(&at, name));
        }
        for host in ["hostNetwork", "hostIPC"].into_iter().filter(|host| spec.is_true(host)) {
            if shared_through(host, name) {
                errors.push(Error::invalid(&at, name, format!("may not be specified when '{host}' is true")));
                break;
            }
        }
        seen.insert(name);
    }
}

/// Whether a kernel parameter is one of the namespace that the pod takes from its host. A slash may part it, too: then dots
/// are the slashes of the path.
fn shared_through(host: &str, name: &str) -> bool {
    let dotted = match name.find(['.', '/']) {
        Some(i) if name.as_bytes()[i] == b'/' => name.replace('.', "\u{0}").replace('/', ".").replace('\u{0}', "/"),
        _ => name.to_owned(),
    };
    match host {
        "hostNetwork" => dotted.starts_with("net."),
        _ => dotted == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|p| dotted.starts_with(p)),
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

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(context: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(profile) = context.at("seccompProfile") else { return };
    let at = at.child("seccompProfile");
    let kind = profile.text_or_empty("type");
    if kind.is_empty() {
        errors.push(Error::required(&at.child("type"), "type is required when seccompProfile is set"));
    } else if !PROFILES.contains(&kind) {
        errors.push(Error::not_supported_in_order(&at.child("type"), kind, PROFILES));
    }
    let field = at.child("localhostProfile");
    match profile.text("localhostProfile") {
        None if kind == "Localhost" => {
            errors.push(Error::required(&field, "must be set when seccomp type is Localhost"));
        }
        Some(path) if kind == "Localhost" => mounts::descending(path, &field, errors),
        Some(path) => {
            let shown = go_struct([("Type", Value::from(kind)), ("LocalhostProfile", Value::from(path))].into_iter());
            errors.push(quoted(&field, shown, "can only be set when seccomp type is Localhost"));
        }
        None => {}
    }
}

fn app_armor(context: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(profile) = context.at("appArmorProfile") else { return };
    let at = at.child("appArmorProfile");
    let field = at.child("localhostProfile");
    let local = profile.text("localhostProfile");
    match profile.text_or_empty("type") {
        "Localhost" => match local {
            Some(path) if path.trim() != path => {
                errors.push(Error::invalid(&field, path, "must not be padded with whitespace"));
            }
            None | Some("") => errors.push(Error::required(&field, "must be set when AppArmor type is Localhost")),
            Some(path) if path.len() > 4095 => errors.push(Error::too_long(&field, 4095)),
            Some(_) => {}
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(path) = local {
                errors.push(Error::invalid(&field, path, "can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(Error::required(&at.child("type"), "type is required when appArmorProfile is set")),
        other => errors.push(Error::not_supported_in_order(&at.child("type"), other, PROFILES)),
    }
}

/// A container's security context.
pub(super) fn container(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let Some(context) = container.at("securityContext") else { return };
    let at = at.child("securityContext");
    id(errors, context, "runAsUser", &at);
    id(errors, context, "runAsGroup", &at);
    supported(errors, context, "procMount", &at, &["Default", "Unmasked"]);
    if context.text("procMount") == Some("Unmasked") && !scope.own_users {
        let why = "`hostUsers` must be false to use `Unmasked`";
        errors.push(Error::invalid(&at.child("procMount"), "Unmasked", why));
    }
    seccomp(context, &at, errors);
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
    system::windows_options(context, &at, errors);
    app_armor(context, &at, errors);
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
