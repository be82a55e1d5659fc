//! NodeRestriction (A241): what a node may write into the objects that it may write at all.

use serde_json::{Value, json};

use super::{Refusal, items, service_account::is_mirror, text};
use crate::node_access::{Reference, references};

/// Labels below `kubernetes.io` that a node may set on itself.
const OWN_LABELS: [&str; 13] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/instance-type",
    "node.kubernetes.io/exclude-disruption",
];
/// Label domains that are a node's own, with all their subdomains.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Whether a node may write this object of the Node kind. `old` is the stored one of an update.
pub fn check_node(node: &str, name: &str, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let Some(old) = old else {
        if new.pointer("/spec/configSource").is_some() {
            return Err(format!("node {node:?} is not allowed to create pods with a non-nil configSource"));
        }
        let reserved = reserved_labels(None, new);
        if !reserved.is_empty() {
            let list = reserved.join(", ");
            return Err(format!("node {node:?} is not allowed to set the following labels: {list}"));
        }
        return Ok(());
    };
    let reserved = reserved_labels(Some(old), new);
    if !reserved.is_empty() {
        return Err(format!("is not allowed to modify labels: {}", reserved.join(", ")));
    }
    if changed(old, new, "/metadata/ownerReferences") {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    if changed(old, new, "/spec/taints") {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    Ok(())
}

/// Whether a node may create this pod: only the mirror of a static one of its own.
pub fn check_new_pod(node: &str, node_uid: Option<&str>, pod: &Value) -> Result<(), Refusal> {
    if !is_mirror(pod) {
        return Err(format!(
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
        ));
    }
    if bound_to(pod) != Some(node) {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let empty = json!({});
    let owners: Vec<&Value> = items(pod.get("metadata").unwrap_or(&empty), "ownerReferences").collect();
    let itself = |owner: &Value| {
        text(owner, "apiVersion") == "v1" && text(owner, "kind") == "Node" && text(owner, "name") == node
    };
    let owner = match owners.as_slice() {
        [owner] if itself(owner) => owner,
        [] | [_] => return Err(format!("node {node:?} can only create pods with an owner reference set to itself")),
        _ => return Err(format!("node {node:?} can only create pods with a single owner reference set to itself")),
    };
    if owner.get("controller") != Some(&Value::Bool(true)) {
        return Err(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.get("blockOwnerDeletion") == Some(&Value::Bool(true)) {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let uid = node_uid.unwrap_or_default();
    if text(owner, "uid") != uid {
        return Err(format!("node {node} UID mismatch: expected {} got {uid}", text(owner, "uid")));
    }
    if let Some((kind, _)) = references(pod).first() {
        let what = match kind {
            Reference::ServiceAccount => "a service account",
            Reference::Secret => "secrets",
            Reference::ConfigMap => "configmaps",
            Reference::Claim => "persistentvolumeclaims",
            Reference::ResourceClaim => "resourceclaims",
        };
        return Err(format!("node {node:?} can not create pods that reference {what}"));
    }
    Ok(())
}

/// Whether a node may delete this pod.
pub fn check_pod_deletion(node: &str, pod: &Value) -> Result<(), Refusal> {
    if bound_to(pod) == Some(node) {
        return Ok(());
    }
    Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
}

/// Whether a node may evict this pod.
pub fn check_eviction(node: &str, pod: &Value) -> Result<(), Refusal> {
    if bound_to(pod) == Some(node) {
        return Ok(());
    }
    Err(format!("node {node} can only evict pods with spec.nodeName set to itself"))
}

/// Whether a node may write this status of a pod.
pub fn check_pod_status(node: &str, old: &Value, new: &Value) -> Result<(), Refusal> {
    if bound_to(old) != Some(node) {
        return Err(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"));
    }
    if changed(old, new, "/metadata/labels") {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    Ok(())
}

/// The pod that a node's token request is bound to: (name, uid).
pub fn bound_pod(request: &Value) -> Result<(&str, &str), Refusal> {
    let bound = request.pointer("/spec/boundObjectRef").filter(|bound| !bound.is_null());
    let Some(bound) = bound.filter(|bound| text(bound, "kind") == "Pod" && text(bound, "apiVersion") == "v1") else {
        return Err("node requested token not bound to a pod".into());
    };
    match (text(bound, "name"), text(bound, "uid")) {
        (_, "") => Err("node requested token with a pod binding without a uid".into()),
        found => Ok(found),
    }
}

/// Whether a node may have such a token for this pod.
pub fn check_token(node: &str, pod: &Value, request: &Value) -> Result<(), Refusal> {
    if bound_to(pod) != Some(node) {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    }
    let empty = json!({});
    let audiences: Vec<&str> =
        items(request.get("spec").unwrap_or(&empty), "audiences").filter_map(Value::as_str).collect();
    let audience = match audiences.as_slice() {
        [] => "",
        [audience] => audience,
        _ => return Err("node may only request 0 or 1 audiences".into()),
    };
    let volumes = items(pod.get("spec").unwrap_or(&empty), "volumes");
    let mut tokens = volumes
        .filter_map(|volume| volume.get("projected"))
        .flat_map(|projected| items(projected, "sources"))
        .filter_map(|source| source.get("serviceAccountToken"));
    if audience.is_empty() || tokens.any(|token| text(token, "audience") == audience) {
        return Ok(());
    }
    Err(format!(
        "audience {audience:?} not found in pod spec volume, system:node:{node} is not authorized to request tokens for \
         this audience"
    ))
}

fn bound_to(pod: &Value) -> Option<&str> {
    pod.pointer("/spec/nodeName").and_then(Value::as_str)
}

fn changed(old: &Value, new: &Value, pointer: &str) -> bool {
    let value = |object: &Value| object.pointer(pointer).filter(|value| !crate::value::is_zero(value)).cloned();
    value(old) != value(new)
}

/// Labels that differ and that a node may not set, sorted.
fn reserved_labels(old: Option<&Value>, new: &Value) -> Vec<String> {
    let labels = |object: Option<&Value>| {
        object
            .and_then(|object| object.pointer("/metadata/labels"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (old, new) = (labels(old), labels(Some(new)));
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| old.get(name) != new.get(name) && is_reserved(name));
    names
}

fn is_reserved(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return false };
    let below = |parent: &str| domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let theirs = below("kubernetes.io") || below("k8s.io");
    theirs && !OWN_LABELS.contains(&label) && !OWN_DOMAINS.iter().any(|own| below(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A241.
    #[test]
    fn some_labels_are_not_a_nodes_own() {
        for (label, reserved) in [
            ("disk", false),
            ("example.com/x", false),
            ("kubernetes.io/hostname", false),
            ("topology.kubernetes.io/zone", false),
            ("node.kubernetes.io/flavour", false),
            ("a.kubelet.kubernetes.io/x", false),
            ("notkubernetes.io/x", false),
            ("node-role.kubernetes.io/control-plane", true),
            ("node-restriction.kubernetes.io/trust", true),
            ("kubernetes.io/other", true),
            ("a.k8s.io/x", true),
            ("notnode.kubernetes.io/x", true),
        ] {
            assert_eq!(is_reserved(label), reserved, "{label}");
        }
    }

    /// golden http/25.
    #[test]
    fn a_node_writes_itself_and_within_limits() {
        let node = |labels: Value, taints: Value| json!({"metadata": {"labels": labels}, "spec": {"taints": taints}});
        let plain = node(json!({}), json!([]));
        let trusted = node(json!({"node-restriction.kubernetes.io/trust": "high"}), json!([]));
        let tainted = node(json!({}), json!([{"key": "x", "effect": "NoSchedule"}]));
        let own = node(json!({"node.kubernetes.io/flavour": "x"}), json!([]));
        for (name, old, new, expect) in [
            ("node-a", Some(&plain), &plain, ""),
            ("node-a", Some(&plain), &own, ""),
            ("node-a", None, &tainted, ""),
            ("node-b", None, &plain, "node \"node-a\" is not allowed to modify node \"node-b\""),
            ("node-a", Some(&plain), &trusted, "is not allowed to modify labels: node-restriction.kubernetes.io/trust"),
            ("node-a", Some(&plain), &tainted, "node \"node-a\" is not allowed to modify taints"),
            (
                "node-a",
                None,
                &trusted,
                "node \"node-a\" is not allowed to set the following labels: node-restriction.kubernetes.io/trust",
            ),
        ] {
            assert_eq!(check_node("node-a", name, old, new).err().unwrap_or_default(), expect);
        }
    }

    #[test]
    fn a_node_creates_only_mirrors_of_its_own_static_pods() {
        let mirror = |owners: Value, more: Value| {
            let mut pod = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": owners},
                                 "spec": {"nodeName": "a"}});
            if let (Some(spec), Some(more)) = (pod["spec"].as_object_mut(), more.as_object()) {
                spec.extend(more.clone());
            }
            pod
        };
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "1", "controller": true});
        let check = |pod: &Value| check_new_pod("a", Some("1"), pod).err().unwrap_or_default();
        assert_eq!(check(&mirror(json!([owner]), json!({}))), "");
        assert!(check(&json!({"spec": {"nodeName": "a"}})).contains("can only create mirror pods"));
        assert!(check(&mirror(json!([owner]), json!({"nodeName": "b"}))).contains("spec.nodeName set to itself"));
        assert!(check(&mirror(json!([]), json!({}))).contains("an owner reference set to itself"));
        let secret = json!({"imagePullSecrets": [{"name": "x"}]});
        assert_eq!(check(&mirror(json!([owner]), secret)), "node \"a\" can not create pods that reference secrets");
        assert_eq!(
            check_new_pod("a", Some("2"), &mirror(json!([owner]), json!({}))).unwrap_err(),
            "node a UID mismatch: expected 1 got 2"
        );
    }

    #[test]
    fn a_node_gets_tokens_of_its_pods_only() {
        let source = json!({"serviceAccountToken": {"path": "t", "audience": "vault"}});
        let pod = json!({"spec": {"nodeName": "a", "volumes": [{"projected": {"sources": [source]}}]}});
        let ask = |audiences: Value| json!({"spec": {"audiences": audiences}});
        assert!(check_token("a", &pod, &ask(json!([]))).is_ok());
        assert!(check_token("a", &pod, &ask(json!(["vault"]))).is_ok());
        assert!(check_token("a", &pod, &ask(json!(["other"]))).is_err());
        assert!(check_token("b", &pod, &ask(json!([]))).is_err());
        assert_eq!(bound_pod(&ask(json!([]))), Err("node requested token not bound to a pod".to_owned()));
    }
}
