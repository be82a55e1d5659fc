//! What a node may touch, as a table.

use serde_json::json;

use super::*;
use crate::rbac::policy::node_rules;

fn relations() -> Relations {
    let mut all = Relations::default();
    let pod = json!({
        "metadata": {"name": "mine"},
        "spec": {
            "nodeName": "node-a", "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}],
                            "envFrom": [{"configMapRef": {"name": "cm"}}]}],
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init"}}]}],
            "volumes": [{"name": "s", "secret": {"secretName": "vol"}},
                        {"name": "p", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
                        {"name": "e", "ephemeral": {}},
                        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}]}});
    all.set_pod("ns", "mine", PodView::from_value(&pod));
    let other = json!({"metadata": {"name": "other"}, "spec": {"nodeName": "node-b", "serviceAccountName": "sb"}});
    all.set_pod("ns", "other", PodView::from_value(&other));
    let mirror = json!({"metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"}},
                        "spec": {"nodeName": "node-a", "imagePullSecrets": [{"name": "stolen"}]}});
    all.set_pod("ns", "m", PodView::from_value(&mirror));
    all
}

fn ask(relations: &Relations, verb: &str, path: &str, namespace: &str, name: &str, selected: Option<&str>) -> Verdict {
    let (group, path) = path.split_once(':').unwrap_or(("", path));
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    let action = Action::Resource { verb, group, resource, subresource, namespace, name };
    decide("node-a", &Request { action, node_selected: selected }, &node_rules(), |object| match object {
        Object::Pod { namespace, name } => relations.holds("node-a", namespace, name),
        Object::Referred { kind, namespace, name } => relations.refers("node-a", kind, namespace, name),
        Object::Volume(name) => name == "pv",
        Object::Attachment(_) => false,
    })
}

/// A219, A220.
#[test]
fn a_node_touches_itself_and_what_its_pods_refer_to() {
    let unrelated = "no relationship found between node 'node-a' and this object";
    let relations = relations();
    let lease = "coordination.k8s.io:leases";
    let table = [
        ("get", "secrets", "ns", "env", None, Ok(())),
        ("get", "secrets", "ns", "init", None, Ok(())),
        ("get", "secrets", "ns", "vol", None, Ok(())),
        ("watch", "secrets", "ns", "pull", None, Ok(())),
        ("get", "secrets", "other", "vol", None, Err(unrelated)),
        ("get", "secrets", "ns", "stolen", None, Err(unrelated)),
        ("list", "secrets", "ns", "", None, Err("No Object name found")),
        ("update", "secrets", "ns", "vol", None, Err("can only read resources of this type")),
        ("get", "configmaps", "ns", "cm", None, Ok(())),
        ("get", "configmaps", "ns", "kube-root-ca.crt", None, Ok(())),
        ("get", "persistentvolumeclaims", "ns", "claim", None, Ok(())),
        ("get", "persistentvolumeclaims", "ns", "mine-e", None, Ok(())),
        ("list", "persistentvolumeclaims", "ns", "", None, Err("can only get individual resources of this type")),
        ("get", "persistentvolumes", "", "pv", None, Ok(())),
        ("create", "serviceaccounts/token", "ns", "sa", None, Ok(())),
        ("create", "serviceaccounts/token", "ns", "sb", None, Err(unrelated)),
        ("get", "serviceaccounts", "ns", "sa", None, Ok(())),
        ("get", "pods", "ns", "mine", None, Ok(())),
        ("get", "pods", "ns", "other", None, Err(unrelated)),
        ("list", "pods", "", "", Some("node-a"), Ok(())),
        ("list", "pods", "", "", Some("node-b"), Err("can only list/watch pods with spec.nodeName field selector")),
        ("patch", "pods/status", "ns", "other", None, Ok(())),
        ("patch", "pods", "ns", "mine", None, Err("")),
        ("get", "nodes", "", "node-a", None, Ok(())),
        ("get", "nodes", "", "node-b", None, Err("node 'node-a' cannot read 'node-b', only its own Node object")),
        ("list", "nodes", "", "", None, Err("node 'node-a' cannot read all nodes, only its own Node object")),
        ("delete", "nodes", "", "node-a", None, Err("")),
        ("patch", "nodes/status", "", "node-a", None, Ok(())),
        ("get", lease, "kube-node-lease", "node-a", None, Ok(())),
        ("create", lease, "kube-node-lease", "", None, Ok(())),
        (
            "get",
            lease,
            "kube-node-lease",
            "node-b",
            None,
            Err("can only access node lease with the same name as the requesting node"),
        ),
        (
            "get",
            lease,
            "default",
            "node-a",
            None,
            Err("can only access leases in the \"kube-node-lease\" system namespace"),
        ),
        ("list", "apps:daemonsets", "ns", "", None, Err("")),
        ("create", "events", "ns", "", None, Ok(())),
    ];
    for (verb, path, namespace, name, selected, expect) in table {
        let expect = match expect {
            Ok(()) => Verdict::Allow,
            Err("") => Verdict::NoOpinion(None),
            Err(reason) => Verdict::no(reason),
        };
        assert_eq!(ask(&relations, verb, path, namespace, name, selected), expect, "{verb} {path} {namespace}/{name}");
    }
}

#[test]
fn a_reference_ends_with_the_last_pod_that_makes_it() {
    let mut relations = Relations::default();
    let pod = |node: &str| PodView::from_value(&json!({"spec": {"nodeName": node, "serviceAccountName": "sa"}}));
    let refers = |relations: &Relations, node| relations.refers(node, Reference::ServiceAccount, "ns", "sa");
    relations.set_pod("ns", "a", pod("n1"));
    relations.set_pod("ns", "b", pod("n1"));
    relations.set_pod("ns", "a", None);
    assert!(refers(&relations, "n1"));
    relations.set_pod("ns", "b", pod("n2"));
    assert!(!refers(&relations, "n1") && refers(&relations, "n2"));
    relations.set_pod("ns", "b", None);
    assert!(!refers(&relations, "n2"));
}

#[test]
fn only_members_of_the_nodes_group_are_nodes() {
    let groups = ["system:nodes".to_owned()];
    assert_eq!(node_name(&Asker { user: "system:node:a", groups: &groups }), Some("a"));
    assert_eq!(node_name(&Asker { user: "system:node:a", groups: &[] }), None);
    assert_eq!(node_name(&Asker { user: "system:node:", groups: &groups }), None);
    assert_eq!(node_name(&Asker { user: "a", groups: &groups }), None);
}
