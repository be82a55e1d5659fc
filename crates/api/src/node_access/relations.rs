//! Which node holds which pod, and what those pods refer to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a pod can refer to, other than by its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// A PersistentVolumeClaim.
    Claim,
    /// A ServiceAccount.
    ServiceAccount,
    /// A ResourceClaim.
    ResourceClaim,
}

/// What matters of a pod that is bound to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// The node.
    pub node: String,
    /// What it refers to in its namespace.
    pub references: BTreeSet<(Reference, String)>,
}

impl PodView {
    /// Reads a pod; `None` if it is not bound. Mirror pods refer to nothing: a node makes them itself.
    pub fn from_value(pod: &Value) -> Option<Self> {
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|node| !node.is_empty())?;
        let mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
        let references = if mirror { BTreeSet::new() } else { references(pod) };
        Some(Self { node: node.to_owned(), references })
    }
}

/// All that a pod refers to by name in its own namespace.
pub fn references(pod: &Value) -> BTreeSet<(Reference, String)> {
    let mut found = References(BTreeSet::new());
    let Some(spec) = pod.get("spec") else { return found.0 };
    found.add(Reference::ServiceAccount, spec.get("serviceAccountName"));
    for secret in list(spec, "imagePullSecrets") {
        found.add(Reference::Secret, secret.get("name"));
    }
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list(spec, containers) {
            found.container(container);
        }
    }
    let pod_name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    for volume in list(spec, "volumes") {
        found.volume(volume, pod_name);
    }
    for claim in list(spec, "resourceClaims") {
        found.add(Reference::ResourceClaim, claim.get("resourceClaimName"));
    }
    for claim in pod.get("status").into_iter().flat_map(|status| list(status, "resourceClaimStatuses")) {
        found.add(Reference::ResourceClaim, claim.get("resourceClaimName"));
    }
    found.0
}

struct References(BTreeSet<(Reference, String)>);

impl References {
    fn add(&mut self, kind: Reference, name: Option<&Value>) {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            self.0.insert((kind, name.to_owned()));
        }
    }

    fn container(&mut self, container: &Value) {
        for variable in list(container, "env") {
            self.add(Reference::Secret, variable.pointer("/valueFrom/secretKeyRef/name"));
            self.add(Reference::ConfigMap, variable.pointer("/valueFrom/configMapKeyRef/name"));
        }
        for source in list(container, "envFrom") {
            self.add(Reference::Secret, source.pointer("/secretRef/name"));
            self.add(Reference::ConfigMap, source.pointer("/configMapRef/name"));
        }
    }

    fn volume(&mut self, volume: &Value, pod: &str) {
        self.add(Reference::Secret, volume.pointer("/secret/secretName"));
        self.add(Reference::Secret, volume.pointer("/azureFile/secretName"));
        self.add(Reference::Secret, volume.pointer("/csi/nodePublishSecretRef/name"));
        for kind in ["cephfs", "rbd", "flexVolume", "scaleIO", "storageos", "iscsi"] {
            self.add(Reference::Secret, volume.get(kind).and_then(|source| source.pointer("/secretRef/name")));
        }
        self.add(Reference::ConfigMap, volume.pointer("/configMap/name"));
        self.add(Reference::Claim, volume.pointer("/persistentVolumeClaim/claimName"));
        if volume.get("ephemeral").is_some() {
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            self.0.insert((Reference::Claim, format!("{pod}-{name}")));
        }
        for source in volume.get("projected").into_iter().flat_map(|projected| list(projected, "sources")) {
            self.add(Reference::Secret, source.pointer("/secret/name"));
            self.add(Reference::ConfigMap, source.pointer("/configMap/name"));
        }
    }
}

fn list<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value.get(member).and_then(Value::as_array).into_iter().flatten()
}

/// (kind, namespace, name) of something that pods refer to.
type Target = (Reference, String, String);

/// The relations of all bound pods.
#[derive(Debug, Default)]
pub struct Relations {
    pods: BTreeMap<(String, String), PodView>,
    /// How many pods of each node refer to a target.
    referring: BTreeMap<Target, BTreeMap<String, usize>>,
}

impl Relations {
    /// Takes in a pod's new state, or that it is gone or no longer bound.
    pub fn set_pod(&mut self, namespace: &str, name: &str, pod: Option<PodView>) {
        let key = (namespace.to_owned(), name.to_owned());
        if self.pods.get(&key) == pod.as_ref() {
            return;
        }
        let old = match &pod {
            Some(pod) => self.pods.insert(key, pod.clone()),
            None => self.pods.remove(&key),
        };
        for view in pod.iter() {
            for (kind, target) in &view.references {
                let nodes = self.referring.entry((*kind, namespace.to_owned(), target.clone())).or_default();
                *nodes.entry(view.node.clone()).or_default() += 1;
            }
        }
        for view in old.iter() {
            for (kind, target) in &view.references {
                self.forget((*kind, namespace.to_owned(), target.clone()), &view.node);
            }
        }
    }

    /// Whether a pod is bound to the node.
    pub fn holds(&self, node: &str, namespace: &str, name: &str) -> bool {
        let pod = self.pods.get(&(namespace.to_owned(), name.to_owned()));
        pod.is_some_and(|pod| pod.node == node)
    }

    /// Whether a pod of the node refers to the object.
    pub fn refers(&self, node: &str, kind: Reference, namespace: &str, name: &str) -> bool {
        let nodes = self.referring.get(&(kind, namespace.to_owned(), name.to_owned()));
        nodes.is_some_and(|nodes| nodes.contains_key(node))
    }

    fn forget(&mut self, target: Target, node: &str) {
        let Some(nodes) = self.referring.get_mut(&target) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.referring.remove(&target);
        }
    }
}
