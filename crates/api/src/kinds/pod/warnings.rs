//! Warnings about pods and templates that charts meet (A317).

use std::collections::BTreeMap;

use serde_json::Value;

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
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The warnings of the template at a dotted path.
pub fn of_template(object: &Value, path: &str) -> Vec<String> {
    object.at(path).map_or_else(Vec::new, |template| of_pod(template, &format!("{path}.")))
}

/// The warnings of a pod; `prefix` goes before every path.
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
        if let Some((_, text)) = DEPRECATED_KEYS.iter().find(|(k, _)| *k == constraint.text_or_empty("topologyKey")) {
            out.push(format!(
                "{prefix}spec.topologySpreadConstraints[{i}].topologyKey: {} is {text}",
                constraint.text_or_empty("topologyKey")
            ));
        }
    }
    for key in
        pod.map("metadata.annotations").into_iter().flatten().map(|(k, _)| k).filter(|k| k.starts_with(APP_ARMOR))
    {
        let why = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
        out.push(format!("{prefix}metadata.annotations[{key}]: {why}"));
    }
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        let why = "must be >= 0; negative values are invalid and will be treated as 1";
        out.push(format!("{prefix}spec.terminationGracePeriodSeconds: {why}"));
    }
    let mut named = BTreeMap::new();
    for list in ["initContainers", "containers"] {
        for (i, container) in spec.list(list).iter().enumerate() {
            let at = format!("{prefix}spec.{list}[{i}]");
            hidden_env(container, &at, &mut out);
            if list == "containers" {
                duplicate_ports(container, &at, &mut named, &mut out);
            }
        }
    }
    out
}

fn node_affinity(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    let at = format!("{prefix}spec.affinity.nodeAffinity");
    let affinity = spec.at("affinity.nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let mut keys = |term: &Value, at: String| {
        for (i, e) in term.list("matchExpressions").iter().enumerate() {
            let key = e.text_or_empty("key");
            if let Some((_, text)) = DEPRECATED_KEYS.iter().chain([&MASTER]).find(|(k, _)| *k == key) {
                out.push(format!("{at}.matchExpressions[{i}].key: {key} is {text}"));
            }
        }
    };
    let Some(affinity) = affinity else { return };
    for (i, term) in affinity.list(&format!("{required}.nodeSelectorTerms")).iter().enumerate() {
        keys(term, format!("{at}.{required}.nodeSelectorTerms[{i}]"));
    }
    for (i, term) in affinity.list(preferred).iter().enumerate() {
        if let Some(preference) = term.at("preference") {
            keys(preference, format!("{at}.{preferred}[{i}].preference"));
        }
    }
}

fn hidden_env(container: &Value, at: &str, out: &mut Vec<String>) {
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    for (i, var) in container.list("env").iter().enumerate() {
        let name = var.text_or_empty("name");
        let references = var.text_or_empty("value").contains(&format!("$({name})"));
        if let Some(_before) = seen.insert(name, var).filter(|_| !references) {
            let why = "which may be dropped when using apply";
            out.push(format!("{at}.env[{i}]: hides previous definition of {name:?}, {why}"));
        }
    }
}

fn duplicate_ports(container: &Value, at: &str, named: &mut BTreeMap<String, String>, out: &mut Vec<String>) {
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    for (i, port) in container.list("ports").iter().enumerate() {
        let here = format!("{at}.ports[{i}]");
        let name = port.text_or_empty("name");
        if !name.is_empty() {
            if let Some(first) = named.get(name) {
                out.push(format!(
                    "{here}: duplicate port name \"{name}\" with {first}, services and probes that select ports by name will use {first}"
                ));
            } else {
                named.insert(name.to_owned(), here.clone());
            }
        }
        let number = |m: &str| port.int(m).unwrap_or(0);
        let key = format!(
            "{}/{}/{}/{}",
            number("containerPort"),
            port.text_or_empty("protocol"),
            number("hostPort"),
            port.text_or_empty("hostIP")
        );
        if let Some(first) = own.get(&key) {
            out.push(format!("{here}: duplicate port definition with {first}"));
        } else {
            own.insert(key, here);
        }
    }
}
