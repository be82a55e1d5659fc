//! The checks of the level *baseline*.

use serde_json::Value;

use super::super::{containers, items, text};
use super::{Violation, named, offenders, quoted, violation};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 11] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// All checks in order; those that *restricted* sharpens are left out for it.
pub(super) fn checks(pod: &Value, spec: &Value, under_restricted: bool) -> Vec<Option<Violation>> {
    let alone = |check: Option<Violation>| if under_restricted { None } else { check };
    vec![
        app_armor(pod, spec),
        alone(capabilities(spec)),
        host_namespaces(spec),
        alone(host_paths(spec)),
        host_ports(spec),
        privileged(spec),
        proc_mount(spec),
        selinux(spec),
        alone(seccomp(spec)),
        sysctls(spec),
        windows(spec),
    ]
}

fn app_armor(pod: &Value, spec: &Value) -> Option<Violation> {
    let unconfined = |value: &Value| {
        value.pointer("/securityContext/appArmorProfile/type").and_then(Value::as_str) == Some("Unconfined")
    };
    let mut found = Vec::new();
    if unconfined(spec) {
        found.push("pod must not set AppArmor profile type to \"Unconfined\"".to_owned());
    }
    let names = offenders(spec, unconfined);
    if !names.is_empty() {
        found.push(format!("{} must not set AppArmor profile type to \"Unconfined\"", named("container", &names)));
    }
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let fine = matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !fine {
            found.push(format!("annotation {:?}", format!("{key}={profile}")));
        }
    }
    if found.is_empty() { None } else { violation("forbidden AppArmor profile", found.join(", ")) }
}

fn capabilities(spec: &Value) -> Option<Violation> {
    let added = |one: &Value| -> Vec<String> {
        let all = one.pointer("/securityContext/capabilities/add").and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).filter(|name| !CAPABILITIES.contains(name)).map(str::to_owned).collect()
    };
    let names = offenders(spec, |one| !added(one).is_empty());
    if names.is_empty() {
        return None;
    }
    let mut all: Vec<String> = containers(spec).flat_map(|(_, one)| added(one)).collect();
    all.sort();
    all.dedup();
    let list: Vec<&str> = all.iter().map(String::as_str).collect();
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        named("container", &names),
        quoted(&list)
    );
    violation("non-default capabilities", detail)
}

fn host_namespaces(spec: &Value) -> Option<Violation> {
    let on = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|member| spec.get(*member) == Some(&Value::Bool(true)));
    let list: Vec<String> = on.map(|member| format!("{member}=true")).collect();
    if list.is_empty() { None } else { violation("host namespaces", list.join(", ")) }
}

fn host_paths(spec: &Value) -> Option<Violation> {
    let names: Vec<&str> = items(spec, "volumes")
        .filter(|volume| volume.get("hostPath").is_some())
        .map(|volume| text(volume, "name"))
        .collect();
    if names.is_empty() { None } else { violation("hostPath volumes", named("volume", &names)) }
}

fn host_ports(spec: &Value) -> Option<Violation> {
    let ports = |one: &Value| -> Vec<i64> {
        items(one, "ports")
            .filter_map(|port| port.get("hostPort").and_then(Value::as_i64))
            .filter(|port| *port != 0)
            .collect()
    };
    let names = offenders(spec, |one| !ports(one).is_empty());
    if names.is_empty() {
        return None;
    }
    let mut all: Vec<i64> = containers(spec).flat_map(|(_, one)| ports(one)).collect();
    all.sort_unstable();
    all.dedup();
    let list: Vec<String> = all.iter().map(ToString::to_string).collect();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let plural = if list.len() == 1 { "" } else { "s" };
    violation("hostPort", format!("{} {uses} hostPort{plural} {}", named("container", &names), list.join(", ")))
}

fn privileged(spec: &Value) -> Option<Violation> {
    let names = offenders(spec, |one| one.pointer("/securityContext/privileged") == Some(&Value::Bool(true)));
    if names.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", named("container", &names)))
}

fn proc_mount(spec: &Value) -> Option<Violation> {
    let bad = |one: &Value| {
        let mount = one.pointer("/securityContext/procMount").and_then(Value::as_str);
        mount.is_some_and(|mount| mount != "Default")
    };
    let names = offenders(spec, bad);
    if names.is_empty() {
        return None;
    }
    violation(
        "procMount",
        format!("{} must not set securityContext.procMount to \"Unmasked\"", named("container", &names)),
    )
}

/// "pod and container …": who of a pod and its containers has something bad, if any has.
fn pod_and_containers(spec: &Value, bad: impl Fn(&Value) -> bool) -> Option<String> {
    let names = offenders(spec, &bad);
    let pod = bad(spec).then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| named("container", &names));
    match (pod, containers) {
        (Some(pod), Some(containers)) => Some(format!("{pod} and {containers}")),
        (pod, containers) => pod.or(containers),
    }
}

fn selinux(spec: &Value) -> Option<Violation> {
    let bad = |value: &Value| {
        value.pointer("/securityContext/seLinuxOptions").is_some_and(|options| {
            !SELINUX_TYPES.contains(&text(options, "type"))
                || !text(options, "user").is_empty()
                || !text(options, "role").is_empty()
        })
    };
    let who = pod_and_containers(spec, bad)?;
    violation("seLinuxOptions", format!("{} set forbidden securityContext.seLinuxOptions", who))
}

fn seccomp(spec: &Value) -> Option<Violation> {
    let bad = |value: &Value| {
        value.pointer("/securityContext/seccompProfile/type").and_then(Value::as_str) == Some("Unconfined")
    };
    let who = pod_and_containers(spec, bad)?;
    let detail = format!("{} must not set securityContext.seccompProfile.type to \"Unconfined\"", who);
    violation("seccompProfile", detail)
}

fn sysctls(spec: &Value) -> Option<Violation> {
    let all = spec.pointer("/securityContext/sysctls").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = all.map(|one| text(one, "name")).filter(|name| !SYSCTLS.contains(name)).collect();
    if names.is_empty() { None } else { violation("forbidden sysctls", names.join(", ")) }
}

fn windows(spec: &Value) -> Option<Violation> {
    let bad = |value: &Value| value.pointer("/securityContext/windowsOptions/hostProcess") == Some(&Value::Bool(true));
    let who = pod_and_containers(spec, bad)?;
    let detail = format!("{} must not set securityContext.windowsOptions.hostProcess=true", who);
    violation("hostProcess", detail)
}
