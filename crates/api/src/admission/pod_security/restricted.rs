//! What the level *restricted* demands beyond *baseline*.

use serde_json::Value;

use super::super::{items, text};
use super::{Violation, named, offenders, quoted, violation};

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// All checks in order.
pub(super) fn checks(spec: &Value) -> Vec<Option<Violation>> {
    // Rules about Linux containers do not bind pods that say they run on another system.
    let linux = spec.pointer("/os/name").and_then(Value::as_str) != Some("windows");
    let on_linux = |check: fn(&Value) -> Option<Violation>| if linux { check(spec) } else { None };
    vec![
        on_linux(privilege_escalation),
        on_linux(capabilities),
        volumes(spec),
        run_as_non_root(spec),
        run_as_user(spec),
        on_linux(seccomp),
    ]
}

fn privilege_escalation(spec: &Value) -> Option<Violation> {
    let names =
        offenders(spec, |one| one.pointer("/securityContext/allowPrivilegeEscalation") != Some(&Value::Bool(false)));
    if names.is_empty() {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named("container", &names));
    violation("allowPrivilegeEscalation != false", detail)
}

fn capabilities(spec: &Value) -> Option<Violation> {
    let list = |one: &Value, member: &str| -> Vec<String> {
        let all = one.pointer("/securityContext/capabilities").map(|all| items(all, member).collect::<Vec<_>>());
        all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    let names = offenders(spec, |one| !list(one, "drop").iter().any(|name| name == "ALL"));
    if !names.is_empty() {
        found.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named("container", &names)));
    }
    let forbidden =
        |one: &Value| list(one, "add").into_iter().filter(|name| name != "NET_BIND_SERVICE").collect::<Vec<_>>();
    let names = offenders(spec, |one| !forbidden(one).is_empty());
    if !names.is_empty() {
        let mut all: Vec<String> = super::containers(spec).flat_map(|(_, one)| forbidden(one)).collect();
        all.sort();
        all.dedup();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        found.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named("container", &names),
            quoted(&all)
        ));
    }
    if found.is_empty() { None } else { violation("unrestricted capabilities", found.join("; ")) }
}

fn volumes(spec: &Value) -> Option<Violation> {
    let kind = |volume: &Value| -> Option<String> {
        let members = volume.as_object()?.keys().filter(|key| *key != "name");
        members.map(String::as_str).find(|key| !VOLUMES.contains(key)).map(str::to_owned)
    };
    let bad: Vec<(&str, String)> =
        items(spec, "volumes").filter_map(|volume| Some((text(volume, "name"), kind(volume)?))).collect();
    let names: Vec<&str> = bad.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        return None;
    }
    let mut kinds: Vec<&str> = bad.iter().map(|(_, kind)| kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let plural = if kinds.len() == 1 { "" } else { "s" };
    let detail = format!("{} {uses} restricted volume type{plural} {}", named("volume", &names), quoted(&kinds));
    violation("restricted volume types", detail)
}

fn run_as_non_root(spec: &Value) -> Option<Violation> {
    let said = |value: &Value| value.pointer("/securityContext/runAsNonRoot").and_then(Value::as_bool);
    let explicit = offenders(spec, |one| said(one) == Some(false));
    let implicit = offenders(spec, |one| said(one).is_none());
    let pod = said(spec);
    if !explicit.is_empty() || pod == Some(false) && !implicit.is_empty() {
        let mut who: Vec<String> = if pod == Some(false) { vec!["pod".to_owned()] } else { Vec::new() };
        if !explicit.is_empty() {
            who.push(named("container", &explicit));
        }
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", who.join(" and "));
        return violation("runAsNonRoot != true", detail);
    }
    if pod.is_none() && !implicit.is_empty() {
        let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", named("container", &implicit));
        return violation("runAsNonRoot != true", detail);
    }
    None
}

fn run_as_user(spec: &Value) -> Option<Violation> {
    let root = |value: &Value| value.pointer("/securityContext/runAsUser").and_then(Value::as_i64) == Some(0);
    let names = offenders(spec, root);
    let mut who: Vec<String> = if root(spec) { vec!["pod".to_owned()] } else { Vec::new() };
    if !names.is_empty() {
        who.push(named("container", &names));
    }
    if who.is_empty() {
        None
    } else {
        violation("runAsUser=0", format!("{} must not set runAsUser=0", who.join(" and ")))
    }
}

fn seccomp(spec: &Value) -> Option<Violation> {
    let said = |value: &Value| {
        value.pointer("/securityContext/seccompProfile/type").and_then(Value::as_str).map(str::to_owned)
    };
    let fine = |kind: &Option<String>| matches!(kind.as_deref(), Some("RuntimeDefault" | "Localhost"));
    let pod = said(spec);
    let wrong = offenders(spec, |one| said(one).is_some_and(|kind| !fine(&Some(kind))));
    let unsaid = offenders(spec, |one| said(one).is_none());
    let detail = if !wrong.is_empty() {
        format!("{} must not set securityContext.seccompProfile.type to \"Unconfined\"", named("container", &wrong))
    } else if !fine(&pod) && !unsaid.is_empty() {
        format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named("container", &unsaid)
        )
    } else {
        return None;
    };
    violation("seccompProfile", detail)
}
