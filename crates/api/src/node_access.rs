//! What a node may do: read itself, its pods, and what those pods refer to (A219, A220).
//!
//! Pure: the relations between pods and other objects are a value that is kept from pods, and the decision is a function
//! of it. What a node may *write* into its own objects is decided at admission.

mod relations;

use crate::rbac::{Action, Asker, Rule};

pub use relations::{PodView, Reference, Relations, references};

const NODE_PREFIX: &str = "system:node:";
const NODES_GROUP: &str = "system:nodes";
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The name of the node that asks, if it is one.
pub fn node_name<'a>(asker: &Asker<'a>) -> Option<&'a str> {
    let name = asker.user.strip_prefix(NODE_PREFIX).filter(|name| !name.is_empty())?;
    asker.groups.iter().any(|group| group == NODES_GROUP).then_some(name)
}

/// What a node asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The action.
    pub action: Action<'a>,
    /// The value of a field selector `spec.nodeName`.
    pub node_selected: Option<&'a str>,
}

/// An object whose relation to the node decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// Something that pods refer to.
    Referred {
        /// What it is.
        kind: Reference,
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A persistent volume, related through its claim.
    Volume(&'a str),
    /// A volume attachment, related through its node.
    Attachment(&'a str),
}

/// What the node authorizer says. It never denies: another authorizer may still allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Not by me, and perhaps why.
    NoOpinion(Option<String>),
}

impl Verdict {
    fn no(reason: impl Into<String>) -> Self {
        Self::NoOpinion(Some(reason.into()))
    }
}

/// Decides for `node`. `rules` are those of the role `system:node`; `related` knows the relations.
pub fn decide(node: &str, request: &Request<'_>, rules: &[Rule], related: impl Fn(Object<'_>) -> bool) -> Verdict {
    let by_rules = || {
        if rules.iter().any(|rule| rule.permits(&request.action)) { Verdict::Allow } else { Verdict::NoOpinion(None) }
    };
    let Action::Resource { verb, group, resource, subresource, namespace, name } = request.action else {
        return by_rules();
    };
    let by_relation = |object: Object<'_>| {
        if name.is_empty() {
            Verdict::no("No Object name found")
        } else if related(object) {
            Verdict::Allow
        } else {
            Verdict::no(format!("no relationship found between node '{node}' and this object"))
        }
    };
    let referred = |kind| Object::Referred { kind, namespace, name };
    let get_only = |object| match (verb, subresource) {
        ("get", "") => by_relation(object),
        ("get", _) => Verdict::no("cannot get subresource"),
        _ => Verdict::no("can only get individual resources of this type"),
    };
    let status_or_get = |object| match (subresource, verb) {
        ("status", "get" | "update" | "patch") => by_relation(object),
        ("status", _) => Verdict::no("can only get/update/patch this type"),
        _ => get_only(object),
    };
    let own = |what: &str, subject: &str| match verb {
        _ if !subresource.is_empty() => Verdict::no(format!("cannot authorize {what} subresources")),
        "create" => by_rules(),
        "get" | "update" | "patch" | "delete" if name == node => by_rules(),
        "get" | "update" | "patch" | "delete" => {
            Verdict::no(format!("can only access {subject} with the same name as the requesting node"))
        }
        _ => Verdict::no(format!("can only get, create, update, patch, or delete a {what}")),
    };
    match (group, resource) {
        ("", "secrets") => read_named(verb, subresource, namespace, || by_relation(referred(Reference::Secret))),
        ("", "configmaps") => read_named(verb, subresource, namespace, || by_relation(referred(Reference::ConfigMap))),
        ("", "persistentvolumeclaims") => status_or_get(referred(Reference::Claim)),
        ("", "persistentvolumes") => get_only(Object::Volume(name)),
        ("resource.k8s.io", "resourceclaims") => status_or_get(referred(Reference::ResourceClaim)),
        ("storage.k8s.io", "volumeattachments") => get_only(Object::Attachment(name)),
        ("", "serviceaccounts") => match (subresource, verb) {
            ("token", "create") if !name.is_empty() => by_relation(referred(Reference::ServiceAccount)),
            ("token", _) => Verdict::no("can only create tokens for individual service accounts"),
            _ => get_only(referred(Reference::ServiceAccount)),
        },
        ("coordination.k8s.io", "leases") if namespace != LEASE_NAMESPACE => {
            Verdict::no(format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace"))
        }
        ("coordination.k8s.io", "leases") => own("node lease", "node lease"),
        ("storage.k8s.io", "csinodes") => own("CSINode", "CSINode"),
        ("resource.k8s.io", "resourceslices") => match verb {
            "list" | "watch" | "deletecollection" if request.node_selected != Some(node) => {
                Verdict::no("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => by_rules(),
        },
        ("", "nodes" | "pods") if subresource.is_empty() && matches!(verb, "get" | "list" | "watch") => {
            if resource == "pods" && !name.is_empty() && request.node_selected != Some(node) {
                return by_relation(Object::Pod { namespace, name });
            }
            read_self(node, request, by_rules)
        }
        _ => by_rules(),
    }
}

/// Reads of nodes and of collections of pods: only its own.
fn read_self(node: &str, request: &Request<'_>, by_rules: impl Fn() -> Verdict) -> Verdict {
    match request.action {
        Action::Resource { resource: "pods", verb, .. } => {
            if verb != "get" && request.node_selected == Some(node) {
                Verdict::Allow
            } else {
                Verdict::no("can only list/watch pods with spec.nodeName field selector")
            }
        }
        Action::Resource { name: "", .. } => {
            Verdict::no(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        Action::Resource { name, .. } if name != node => {
            Verdict::no(format!("node '{node}' cannot read '{name}', only its own Node object"))
        }
        _ => by_rules(),
    }
}

fn read_named(verb: &str, subresource: &str, namespace: &str, relation: impl Fn() -> Verdict) -> Verdict {
    match verb {
        _ if !subresource.is_empty() => Verdict::no("cannot read subresource"),
        "get" | "list" | "watch" if namespace.is_empty() => Verdict::no("can only read namespaced object of this type"),
        "get" | "list" | "watch" => relation(),
        _ => Verdict::no("can only read resources of this type"),
    }
}

#[cfg(test)]
mod tests;
