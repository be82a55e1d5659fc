//! The roles and bindings that exist from the start (A213–A218, A414), as data.
//!
//! Names and rules are those of Kubernetes, so that charts and people find what they expect. Controllers that everynode
//! does not run have no role here. Four bindings are our own (`everynode:…`): they let a machine with a join token ask
//! for its certificates, as kubeadm's do there. So are the roles `everynode:controller:…`, which hold what our controllers
//! ask beyond upstream's.

mod roles;

use serde_json::{Value, json};

use super::{GROUP, Rule};
pub use roles::node_rules;
use roles::{
    READ, basic_roles, certificate_roles, component_roles, controller_roles, own_controller_roles, row, user_roles,
};

/// One object of the start-up policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyObject {
    /// The plural: `clusterroles`, `clusterrolebindings`, `roles` or `rolebindings`.
    pub resource: &'static str,
    /// The namespace of namespaced ones.
    pub namespace: Option<&'static str>,
    /// The object's name.
    pub name: &'static str,
    /// The object, without server-owned metadata.
    pub object: Value,
}

/// Everything that must exist, roles before bindings.
pub fn objects() -> Vec<PolicyObject> {
    let mut all: Vec<PolicyObject> = Vec::new();
    all.extend(basic_roles().into_iter().map(|(name, rules)| cluster_role(name, &[], rules)));
    all.extend(user_roles());
    all.extend(certificate_roles().into_iter().map(|(name, rules)| cluster_role(name, &[], rules)));
    all.extend(component_roles().into_iter().map(|(name, rules)| cluster_role(name, &[], rules)));
    for (name, rules) in controller_roles() {
        all.push(cluster_role(name, &[], rules));
    }
    all.extend(own_controller_roles().into_iter().map(|(name, _, rules)| cluster_role(name, &[], rules)));
    all.extend(cluster_bindings());
    all.extend(namespaced());
    all
}

fn cluster_bindings() -> Vec<PolicyObject> {
    let groups = |names: &[&str]| names.iter().map(|name| subject("Group", name)).collect::<Vec<_>>();
    let user = |name: &str| vec![subject("User", name)];
    let plain = |role: &'static str, subjects: Vec<Value>| cluster_binding(role, role, subjects);
    let authenticated = ["system:authenticated"];
    let csr = "system:certificates.k8s.io:certificatesigningrequests";
    let mut all = vec![
        plain("cluster-admin", groups(&["system:masters"])),
        plain("system:discovery", groups(&authenticated)),
        plain("system:public-info-viewer", groups(&["system:authenticated", "system:unauthenticated"])),
        plain("system:basic-user", groups(&authenticated)),
        plain("system:monitoring", groups(&["system:monitoring"])),
        plain("system:service-account-issuer-discovery", groups(&["system:serviceaccounts"])),
        plain("system:node", vec![]),
        plain("system:node-proxier", user("system:kube-proxy")),
        plain("system:kube-controller-manager", user("system:kube-controller-manager")),
        plain("system:kube-scheduler", user("system:kube-scheduler")),
        plain("system:volume-scheduler", user("system:kube-scheduler")),
        plain("system:kube-dns", vec![account("kube-dns")]),
        cluster_binding("everynode:node-bootstrapper", "system:node-bootstrapper", groups(&["system:bootstrappers"])),
        cluster_binding("everynode:nodeclient", &format!("{csr}:nodeclient"), groups(&["system:bootstrappers"])),
        cluster_binding("everynode:selfnodeclient", &format!("{csr}:selfnodeclient"), groups(&["system:nodes"])),
        cluster_binding("everynode:agent-client", "system:kubelet-api-admin", user("kube-apiserver-kubelet-client")),
    ];
    for (role, _) in controller_roles() {
        let short = role.strip_prefix("system:controller:").unwrap_or(role);
        all.push(plain(role, vec![account(short)]));
    }
    all.extend(own_controller_roles().into_iter().map(|(role, of, _)| plain(role, vec![account(of)])));
    all
}

fn namespaced() -> Vec<PolicyObject> {
    let reader =
        Rule { resource_names: vec!["extension-apiserver-authentication".into()], ..row(&(READ, "", "configmaps")) };
    let components = [subject("User", "system:kube-controller-manager"), subject("User", "system:kube-scheduler")];
    let locking = |component: &str| {
        vec![
            row(&("watch", "coordination.k8s.io", "leases")),
            Rule {
                resource_names: vec![component.to_owned()],
                ..row(&("get,update", "coordination.k8s.io", "leases"))
            },
            row(&("create,get,list,update", "coordination.k8s.io", "leases")),
        ]
    };
    let cluster_info = Rule { resource_names: vec!["cluster-info".into()], ..row(&("get", "", "configmaps")) };
    let kube_system = "kube-system";
    let manager = "system::leader-locking-kube-controller-manager";
    let scheduler = "system::leader-locking-kube-scheduler";
    vec![
        role(kube_system, "extension-apiserver-authentication-reader", vec![reader]),
        role(kube_system, manager, locking("kube-controller-manager")),
        role(kube_system, scheduler, locking("kube-scheduler")),
        role("kube-public", "everynode:cluster-info", vec![cluster_info]),
        role_binding(
            kube_system,
            "system::extension-apiserver-authentication-reader",
            "extension-apiserver-authentication-reader",
            components.to_vec(),
        ),
        role_binding(kube_system, manager, manager, components[..1].to_vec()),
        role_binding(kube_system, scheduler, scheduler, components[1..].to_vec()),
        role_binding(
            "kube-public",
            "everynode:cluster-info",
            "everynode:cluster-info",
            vec![subject("Group", "system:bootstrappers")],
        ),
    ]
}

fn subject(kind: &str, name: &str) -> Value {
    json!({ "apiGroup": GROUP, "kind": kind, "name": name })
}

fn account(name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" })
}

fn head(kind: &str, name: &str, namespace: Option<&str>, labels: &[(&str, &str)]) -> Value {
    let mut all = serde_json::Map::new();
    all.insert("kubernetes.io/bootstrapping".into(), json!("rbac-defaults"));
    for (prefix, role) in labels {
        all.insert(format!("{prefix}{role}"), json!("true"));
    }
    let mut metadata = json!({
        "name": name,
        "labels": all,
        "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({ "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata })
}

fn rules_value(rules: &[Rule]) -> Value {
    rules.iter().map(Rule::to_value).collect()
}

fn cluster_role(name: &'static str, labels: &[(&str, &str)], rules: Vec<Rule>) -> PolicyObject {
    let mut object = head("ClusterRole", name, None, labels);
    object["rules"] = rules_value(&rules);
    PolicyObject { resource: "clusterroles", namespace: None, name, object }
}

/// A role whose rules the aggregation keeps (A209).
fn aggregated(name: &'static str, from: &str, labels: &[(&str, &str)]) -> PolicyObject {
    let mut object = head("ClusterRole", name, None, labels);
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{from}");
    object["aggregationRule"] = json!({ "clusterRoleSelectors": [{ "matchLabels": { label: "true" } }] });
    PolicyObject { resource: "clusterroles", namespace: None, name, object }
}

fn cluster_binding(name: &'static str, role: &str, subjects: Vec<Value>) -> PolicyObject {
    let object = bound(head("ClusterRoleBinding", name, None, &[]), "ClusterRole", role, subjects);
    PolicyObject { resource: "clusterrolebindings", namespace: None, name, object }
}

fn role(namespace: &'static str, name: &'static str, rules: Vec<Rule>) -> PolicyObject {
    let mut object = head("Role", name, Some(namespace), &[]);
    object["rules"] = rules_value(&rules);
    PolicyObject { resource: "roles", namespace: Some(namespace), name, object }
}

fn role_binding(namespace: &'static str, name: &'static str, role: &str, subjects: Vec<Value>) -> PolicyObject {
    let object = bound(head("RoleBinding", name, Some(namespace), &[]), "Role", role, subjects);
    PolicyObject { resource: "rolebindings", namespace: Some(namespace), name, object }
}

fn bound(mut object: Value, kind: &str, role: &str, subjects: Vec<Value>) -> Value {
    object["roleRef"] = json!({ "apiGroup": GROUP, "kind": kind, "name": role });
    if !subjects.is_empty() {
        object["subjects"] = Value::Array(subjects);
    }
    object
}

#[cfg(test)]
mod tests;
