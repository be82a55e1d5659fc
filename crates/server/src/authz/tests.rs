//! Decisions follow the stored roles, at once.

use everynode_store::backend::Memory;
use everynode_store::{Change, Config, Durability, Expect, Write};
use serde_json::{Value, json};

use super::*;

fn store() -> Store {
    let config = Config::standard(Box::new(|_, _| Vec::new()));
    Store::open(Box::new(Memory::default()), config).unwrap()
}

async fn put(store: &Store, key: &str, value: Value) {
    let bytes = bytes::Bytes::from(value.to_string());
    commit(store, key, Change::Put(Box::new(move |_| bytes))).await;
}

async fn remove(store: &Store, key: &str) {
    commit(store, key, Change::Delete(Box::new(|_| bytes::Bytes::new()))).await;
}

async fn commit(store: &Store, key: &str, change: Change) {
    let write = Write { key: key.to_owned(), expect: Expect::Any, change, durability: Durability::Now };
    store.commit(write).await.unwrap();
}

fn jane() -> Identity {
    Identity::known("jane".into(), String::new(), vec!["dev".into()])
}

fn list_daemon_sets(namespace: &str) -> Attributes<'_> {
    Attributes {
        verb: "list",
        group: "apps",
        version: "v1",
        resource: "daemonsets",
        namespace,
        ..Attributes::default()
    }
}

/// A binding counts from the moment it is committed, and no longer than it is there (golden http/23).
#[tokio::test]
async fn a_decision_knows_every_earlier_commit() {
    let store = store();
    let authorizer = Authorizer::new(store.clone());
    let request = list_daemon_sets("ns");
    assert!(!authorizer.decide(&jane(), &request).allowed);
    let rules = json!([{"verbs": ["list"], "apiGroups": ["apps"], "resources": ["daemonsets"]}]);
    put(&store, "/registry/roles/ns/ds", json!({"rules": rules})).await;
    let binding = json!({"roleRef": {"kind": "Role", "name": "ds"}, "subjects": [{"kind": "User", "name": "jane"}]});
    put(&store, "/registry/rolebindings/ns/jane-ds", binding).await;
    let decision = authorizer.decide(&jane(), &request);
    assert_eq!(decision.reason, r#"RBAC: allowed by RoleBinding "jane-ds/ns" of Role "ds" to User "jane""#);
    assert!(!authorizer.decide(&jane(), &list_daemon_sets("other")).allowed);
    remove(&store, "/registry/rolebindings/ns/jane-ds").await;
    assert!(!authorizer.decide(&jane(), &request).allowed);
}

/// A210, golden http/23 and http/25.
#[tokio::test]
async fn refusals_have_the_known_words() {
    let store = store();
    let authorizer = Authorizer::new(store.clone());
    let node = Identity::known("system:node:node-a".into(), String::new(), vec!["system:nodes".into()]);
    let path = |path| Attributes { verb: "get", path: Some(path), ..Attributes::default() };
    let nodes = |name: &'static str, field_selector: Option<&'static str>| Attributes {
        verb: if field_selector.is_none() { "get" } else { "list" },
        resource: "nodes",
        name,
        field_selector,
        ..Attributes::default()
    };
    let status = |resource, name| Attributes {
        verb: "patch",
        group: "apps",
        resource,
        subresource: "status",
        namespace: "ns",
        name,
        ..Attributes::default()
    };
    let table = [
        (
            jane(),
            list_daemon_sets("ns"),
            r#"daemonsets.apps is forbidden: User "jane" cannot list resource "daemonsets" in API group "apps" in the namespace "ns""#,
        ),
        (jane(), path("/metrics"), r#"forbidden: User "jane" cannot get path "/metrics""#),
        (
            jane(),
            status("daemonsets", "web"),
            r#"daemonsets.apps "web" is forbidden: User "jane" cannot patch resource "daemonsets/status" in API group "apps" in the namespace "ns""#,
        ),
        (
            node.clone(),
            nodes("node-b", None),
            r#"nodes "node-b" is forbidden: User "system:node:node-a" cannot get resource "nodes" in API group "" at the cluster scope: node 'node-a' cannot read 'node-b', only its own Node object"#,
        ),
        (
            node.clone(),
            nodes("", Some("spec.unschedulable=true")),
            r#"nodes is forbidden: User "system:node:node-a" cannot list resource "nodes" in API group "" at the cluster scope: node 'node-a' cannot read all nodes, only its own Node object"#,
        ),
    ];
    for (identity, attributes, expect) in table {
        let decision = authorizer.decide(&identity, &attributes);
        assert!(!decision.allowed);
        assert_eq!(forbidden(&identity, &attributes, &decision).message(), expect);
    }
    assert!(authorizer.decide(&node, &nodes("", Some("metadata.name=node-a"))).allowed);
}

/// A219: a node reads the secret of its pod as soon as the pod is bound, and not after the pod is gone.
#[tokio::test]
async fn a_node_reads_what_its_pods_refer_to() {
    let store = store();
    let authorizer = Authorizer::new(store.clone());
    let node = Identity::known("system:node:node-a".into(), String::new(), vec!["system:nodes".into()]);
    let secret =
        Attributes { verb: "get", resource: "secrets", namespace: "ns", name: "used", ..Attributes::default() };
    assert!(!authorizer.decide(&node, &secret).allowed);
    let pod = json!({"spec": {"nodeName": "node-a", "volumes": [{"name": "s", "secret": {"secretName": "used"}}]}});
    put(&store, "/registry/pods/ns/p", pod).await;
    assert!(authorizer.decide(&node, &secret).allowed);
    remove(&store, "/registry/pods/ns/p").await;
    assert!(!authorizer.decide(&node, &secret).allowed);
}

/// A211, golden http/23.
#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let store = store();
    let authorizer = Authorizer::new(store.clone());
    let rules = json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["daemonsets"]}]);
    put(&store, "/registry/roles/ns/ds", json!({"rules": rules})).await;
    let binding = json!({"roleRef": {"kind": "Role", "name": "ds"}, "subjects": [{"kind": "User", "name": "jane"}]});
    put(&store, "/registry/rolebindings/ns/jane-ds", binding).await;
    let role = |rules: Value| json!({"metadata": {"name": "more"}, "rules": rules});
    let check = |role: &Value| escalation::check_role(&authorizer, &jane(), "roles", "ns", None, role);
    assert!(check(&role(rules)).is_ok());
    let refusal = check(&role(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]))).unwrap_err();
    assert_eq!(
        refusal.message(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"dev\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let bind = |name: &str| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": name}});
    let check = |binding: &Value| escalation::check_binding(&authorizer, &jane(), "rolebindings", "ns", None, binding);
    assert!(check(&bind("ds")).is_ok());
    assert_eq!(check(&bind("nope")).unwrap_err().code(), 404);
}

/// A selector that reads differently here and where the list is made would open all objects to a holder of one.
#[test]
fn a_name_hidden_in_a_selector_is_not_a_name() {
    for (selector, expect) in [
        ("metadata.name=used", "used"),
        ("type=Opaque,metadata.name==used", "used"),
        ("type!=a\\,metadata.name=used", ""),
        ("metadata.name!=used", ""),
        ("metadata.name=us\\ed", ""),
        ("metadata.name=a=b", ""),
        ("nonsense,metadata.name=used", ""),
        ("", ""),
    ] {
        let attributes = Attributes { verb: "list", field_selector: Some(selector), ..Attributes::default() };
        assert_eq!(attributes.effective_name(), expect, "{selector}");
    }
}
