//! Warnings about pods and templates that charts meet (A317).

mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use crate::names;
use crate::quantity::Quantity;
use crate::quote::go_quote;
use crate::value::Read;

/// Label keys with a successor.
const DEPRECATED_KEYS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];
/// A key that warns only inside affinity terms, with upstream's odd wording.
const MASTER: (&str, &str) =
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead");
/// Annotations that once meant something.
const DEAD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The warnings of the template at a dotted path.
pub fn of_template(object: &Value, path: &str) -> Vec<String> {
    object.at(path).map_or_else(Vec::new, |template| of_pod(template, &format!("{path}.")))
}

/// The warnings of a pod, in upstream's order; `prefix` goes before every path.
pub fn of_pod(pod: &Value, prefix: &str) -> Vec<String> {
    let mut out = Vec::new();
    let Some(spec) = pod.at("spec") else { return out };
    for (key, _) in spec.map("nodeSelector").into_iter().flatten() {
        if let Some((_, text)) = DEPRECATED_KEYS.iter().find(|(k, _)| k == key) {
            out.push(format!("{prefix}spec.nodeSelector[{key}]: {text}"));
        }
    }
    node_affinity(spec, prefix, &mut out);
    for (i, constraint) in spec.list("topologySpreadConstraints").iter().enumerate() {
        let at = format!("{prefix}spec.topologySpreadConstraints[{i}]");
        let key = constraint.text_or_empty("topologyKey");
        if let Some((_, text)) = DEPRECATED_KEYS.iter().find(|(k, _)| *k == key) {
            out.push(format!("{at}.topologyKey: {key} is {text}"));
        }
        matches_nothing(constraint, &at, &mut out);
    }
    let annotations = format!("{prefix}metadata.annotations");
    let annotated = |key: &str| pod.entry("metadata.annotations", key).is_some();
    for (key, text) in DEAD_ANNOTATIONS.iter().filter(|(key, _)| annotated(key)) {
        out.push(format!("{annotations}[{key}]: {text}"));
    }
    volumes::warnings(spec, prefix, &mut out);
    named_twice(spec, "hostAliases", "ip", prefix, &mut out);
    named_twice(spec, "imagePullSecrets", "name", prefix, &mut out);
    for (i, _) in spec.list("imagePullSecrets").iter().enumerate().filter(|(_, s)| s.is_zero("name")) {
        out.push(format!("{prefix}spec.imagePullSecrets[{i}].name: invalid empty name \"\""));
    }
    fractions(spec, "overhead", &format!("{prefix}spec"), &mut out);
    let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    if spec.at("securityContext.seccompProfile").is_none() && annotated(SECCOMP) {
        out.push(format!("{annotations}[{SECCOMP}]: {seccomp}"));
    }
    each_container(spec, prefix, |container, at, _| {
        let name = container.text_or_empty("name");
        let key = format!("{SECCOMP_CONTAINER}{name}");
        if container.at("securityContext.seccompProfile").is_none() && annotated(&key) {
            out.push(format!("{annotations}[{key}]: {seccomp}"));
        }
        let key = format!("{APP_ARMOR}{name}");
        let field = "securityContext.appArmorProfile";
        if spec.at(field).is_none() && container.at(field).is_none() && annotated(&key) {
            let why = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            out.push(format!("{annotations}[{key}]: {why}"));
        }
        fractions(container, "resources.limits", at, &mut out);
        fractions(container, "resources.requests", at, &mut out);
        hidden_env(container, at, &mut out);
    });
    ports(spec, prefix, &mut out);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        let why = "must be >= 0; negative values are invalid and will be treated as 1";
        out.push(format!("{prefix}spec.terminationGracePeriodSeconds: {why}"));
    }
    pod_affinity(spec, prefix, &mut out);
    addresses(spec, prefix, &mut out);
    out
}

/// Visits every container: those that go first come first. `lasts` says whether it runs as long as the pod.
fn each_container<'a>(spec: &'a Value, prefix: &str, mut act: impl FnMut(&'a Value, &str, bool)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (i, container) in spec.list(list).iter().enumerate() {
            let lasts = list != "initContainers" || container.text("restartPolicy") == Some("Always");
            act(container, &format!("{prefix}spec.{list}[{i}]"), lasts);
        }
    }
}

fn matches_nothing(owner: &Value, at: &str, out: &mut Vec<String>) {
    if owner.at("labelSelector").is_none() {
        out.push(format!("{at}.labelSelector: a null labelSelector results in matching no pod"));
    }
}

fn named_twice(spec: &Value, list: &str, member: &str, prefix: &str, out: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, item) in spec.list(list).iter().enumerate() {
        let value = item.text_or_empty(member);
        if !seen.insert(value) {
            out.push(format!("{prefix}spec.{list}[{i}].{member}: duplicate {member} {}", go_quote(value)));
        }
    }
}

/// Parts of a byte.
fn fractions(owner: &Value, list: &str, at: &str, out: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        let amount = owner.entry(list, name).and_then(|text| text.parse::<Quantity>().ok());
        if let Some(amount) = amount.filter(|amount| !amount.is_whole()) {
            out.push(format!(
                "{at}.{list}[{name}]: fractional byte value {} is invalid, must be an integer",
                go_quote(&amount.to_string())
            ));
        }
    }
}

fn node_affinity(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    let at = format!("{prefix}spec.affinity.nodeAffinity");
    let affinity = spec.at("affinity.nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let mut keys = |term: &Value, values_too: bool, at: String| {
        for (i, e) in term.list("matchExpressions").iter().enumerate() {
            let key = e.text_or_empty("key");
            if let Some((_, text)) = DEPRECATED_KEYS.iter().chain([&MASTER]).find(|(k, _)| *k == key) {
                out.push(format!("{at}.matchExpressions[{i}].key: {key} is {text}"));
            }
            for (j, value) in e.list("values").iter().filter_map(Value::as_str).enumerate().filter(|_| values_too) {
                let texts = names::label_value(value).into_iter();
                out.extend(
                    texts.map(|why| format!("{at}.matchExpressions[{i}].values[{j}]: {value} is invalid, {why}")),
                );
            }
        }
    };
    let Some(affinity) = affinity else { return };
    for (i, term) in affinity.list(&format!("{required}.nodeSelectorTerms")).iter().enumerate() {
        keys(term, false, format!("{at}.{required}.nodeSelectorTerms[{i}]"));
    }
    for (i, term) in affinity.list(preferred).iter().enumerate() {
        if let Some(preference) = term.at("preference") {
            keys(preference, true, format!("{at}.{preferred}[{i}].preference"));
        }
    }
}

fn pod_affinity(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (required, preferred) =
            ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
        let at = format!("spec.affinity.{kind}");
        for (i, term) in spec.list(&format!("affinity.{kind}.{required}")).iter().enumerate() {
            matches_nothing(term, &format!("{prefix}{at}.{required}[{i}]"), out);
        }
        for (i, term) in spec.list(&format!("affinity.{kind}.{preferred}")).iter().enumerate() {
            let term = term.at("podAffinityTerm").unwrap_or(&Value::Null);
            matches_nothing(term, &format!("{prefix}{at}.{preferred}[{i}].podAffinityTerm"), out);
        }
    }
}

/// Addresses that are not written as RFC 5952 wants them, or that carry an IPv4 address.
fn addresses(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    let mut check = |at: String, text: &str| {
        let Ok(IpAddr::V6(address)) = text.parse::<IpAddr>() else { return };
        if let Some(old) = address.to_ipv4_mapped() {
            let why = "will be considered invalid in a future Kubernetes release: use";
            out.push(format!("{prefix}{at}: non-standard IP address {} {why} \"{old}\"", go_quote(text)));
        } else if address.to_string() != text {
            let why = "should be in RFC 5952 canonical format";
            out.push(format!("{prefix}{at}: IPv6 address {} {why} (\"{address}\")", go_quote(text)));
        }
    };
    for (i, server) in spec.list("dnsConfig.nameservers").iter().filter_map(Value::as_str).enumerate() {
        check(format!("spec.dnsConfig.nameservers[{i}]"), server);
    }
    for (i, alias) in spec.list("hostAliases").iter().enumerate() {
        check(format!("spec.hostAliases[{i}].ip"), alias.text_or_empty("ip"));
    }
}

fn hidden_env(container: &Value, at: &str, out: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, var) in container.list("env").iter().enumerate() {
        let name = var.text_or_empty("name");
        if seen.insert(name) {
            continue;
        }
        let (value, reference) = (var.text_or_empty("value"), format!("$({name})"));
        if var.at("valueFrom").is_some() || value == reference || !value.contains(&reference) {
            let why = "which may be dropped when using apply";
            out.push(format!("{at}.env[{i}]: hides previous definition of {}, {why}", go_quote(name)));
        }
    }
}

/// Ports that meet, over all containers; then names that stand twice among those that last.
fn ports(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    let mut taken: BTreeMap<(i64, &str), Vec<(String, &Value)>> = BTreeMap::new();
    each_container(spec, prefix, |container, at, _| {
        for (i, port) in container.list("ports").iter().enumerate() {
            let here = format!("{at}.ports[{i}]");
            let (ip, host) = (port.text_or_empty("hostIP"), port.int("hostPort").unwrap_or(0));
            let (number, protocol) = (port.int("containerPort").unwrap_or(0), port.text_or_empty("protocol"));
            if !ip.is_empty() && host == 0 {
                let name = port.text_or_empty("name");
                out.push(format!(
                    "{here}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{ip}}}"
                ));
            }
            let others = taken.entry((number, protocol)).or_default();
            for (there, other) in others.iter() {
                let (other_ip, other_host) = (other.text_or_empty("hostIP"), other.int("hostPort").unwrap_or(0));
                let what = if ip == other_ip && host == other_host {
                    "duplicate port definition"
                } else if host == 0 || other_host == 0 {
                    "overlapping port definition"
                } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous port definition"
                } else {
                    continue;
                };
                out.push(format!("{here}: {what} with {there}"));
            }
            others.push((here, port));
        }
    });
    let mut named: BTreeMap<&str, String> = BTreeMap::new();
    each_container(spec, prefix, |container, at, lasts| {
        for (i, port) in container.list("ports").iter().enumerate().filter(|(_, port)| lasts && !port.is_zero("name")) {
            let (name, here) = (port.text_or_empty("name"), format!("{at}.ports[{i}]"));
            if let Some(first) = named.get(name) {
                let why = format!("services and probes that select ports by name will use {first}");
                out.push(format!("{here}: duplicate port name {} with {first}, {why}", go_quote(name)));
            } else {
                named.insert(name, here);
            }
        }
    });
}

#[cfg(test)]
mod tests;
