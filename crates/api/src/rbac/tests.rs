//! Rules, wildcards, resource names and escalation, as tables.

use serde_json::json;

use super::*;

fn rule(value: Value) -> Rule {
    Rule::from_value(&value)
}

fn on<'a>(verb: &'a str, group: &'a str, path: &'a str, name: &'a str) -> Action<'a> {
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    Action::Resource { verb, group, resource, subresource, namespace: "ns", name }
}

/// A207, the matching of one rule.
#[test]
fn a_rule_permits_what_it_names() {
    let pods = rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}));
    let logs = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log", "*/scale"]}));
    let named = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["mine"]}));
    let paths = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz/*", "/version"]}));
    let get = |path| Action::Path { verb: "get", path };
    let table = [
        (&pods, on("get", "", "pods", "a"), true),
        (&pods, on("delete", "", "pods", "a"), false),
        (&pods, on("get", "apps", "pods", "a"), false),
        (&pods, on("get", "", "pods/log", "a"), false),
        (&logs, on("get", "", "pods/log", "a"), true),
        (&logs, on("get", "", "pods", "a"), false),
        (&logs, on("get", "", "deployments/scale", "a"), true),
        (&logs, on("get", "", "scale", "a"), false),
        (&named, on("get", "apps", "daemonsets/status", "mine"), true),
        (&named, on("get", "apps", "daemonsets", "other"), false),
        (&named, on("create", "apps", "daemonsets", ""), false),
        (&named, get("/version"), false),
        (&paths, get("/version"), true),
        (&paths, get("/version/"), false),
        (&paths, get("/healthz/etcd"), true),
        (&paths, get("/healthz"), false),
        (&paths, Action::Path { verb: "post", path: "/version" }, false),
    ];
    for (rule, action, expect) in table {
        assert_eq!(rule.permits(&action), expect, "{rule:?} {action:?}");
    }
}

fn index() -> Index {
    let mut index = Index::default();
    let binding = |value: Value| Binding::from_value(&value);
    index.set_cluster_role(
        "view",
        Some(vec![rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}))]),
    );
    index.set_role(
        "ns",
        "ds",
        Some(vec![rule(json!({"verbs": ["list"], "apiGroups": ["apps"], "resources": ["daemonsets"]}))]),
    );
    index.set_cluster_binding(
        "viewers",
        binding(json!({
        "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "dev"}]})),
    );
    index.set_binding(
        "ns",
        "jane-ds",
        binding(json!({
        "roleRef": {"kind": "Role", "name": "ds"},
        "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "sa"}]})),
    );
    index.set_binding(
        "ns",
        "lost",
        binding(json!({
        "roleRef": {"kind": "ClusterRole", "name": "gone"}, "subjects": [{"kind": "User", "name": "lost"}]})),
    );
    index
}

/// A207, A210, A221: who holds what, and the words for it.
#[test]
fn decisions_name_binding_role_and_subject() {
    let index = index();
    let dev = ["dev".to_owned()];
    let list = on("list", "apps", "daemonsets", "");
    let elsewhere = Action::Resource {
        verb: "list",
        group: "apps",
        resource: "daemonsets",
        subresource: "",
        namespace: "x",
        name: "",
    };
    let asker = |user, groups| Asker { user, groups };
    let allowed = |text: &str| Grant::Allowed(text.to_owned());
    assert_eq!(
        index.decide(&asker("jane", &[]), &list),
        allowed(r#"RBAC: allowed by RoleBinding "jane-ds/ns" of Role "ds" to User "jane""#)
    );
    assert_eq!(
        index.decide(&asker("system:serviceaccount:ns:sa", &[]), &list),
        allowed(r#"RBAC: allowed by RoleBinding "jane-ds/ns" of Role "ds" to ServiceAccount "sa/ns""#)
    );
    assert_eq!(
        index.decide(&asker("x", &dev), &on("get", "", "pods", "p")),
        allowed(r#"RBAC: allowed by ClusterRoleBinding "viewers" of ClusterRole "view" to Group "dev""#)
    );
    assert_eq!(index.decide(&asker("system:serviceaccount:other:sa", &[]), &list), Grant::Denied(vec![]));
    assert_eq!(index.decide(&asker("jane", &[]), &elsewhere), Grant::Denied(vec![]));
    assert_eq!(
        index.decide(&asker("lost", &[]), &list),
        Grant::Denied(vec![r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#.to_owned()])
    );
}

#[test]
fn a_removed_binding_gives_nothing() {
    let mut index = index();
    index.set_binding("ns", "jane-ds", None);
    index.set_binding("ns", "lost", None);
    let asker = Asker { user: "jane", groups: &[] };
    assert_eq!(index.decide(&asker, &on("list", "apps", "daemonsets", "")), Grant::Denied(vec![]));
    assert_eq!(index.rules_for(&asker, Some("ns")), (vec![], vec![]));
}

/// A211.
#[test]
fn nobody_hands_out_what_they_do_not_hold() {
    let held = [
        rule(json!({"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["daemonsets", "*/status"]})),
        rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]})),
        rule(json!({"verbs": ["get"], "nonResourceURLs": ["/x/*"]})),
    ];
    let table = [
        (json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["daemonsets"]}), ""),
        (json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments/status"]}), ""),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]}), ""),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/x/y", "/x/y/*"]}), ""),
        (
            json!({"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["secrets"]}),
            r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}"#,
        ),
        (
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"]}),
            r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}"#,
        ),
        (
            json!({"verbs": ["*"], "apiGroups": ["apps"], "resources": ["daemonsets"]}),
            r#"{APIGroups:["apps"], Resources:["daemonsets"], Verbs:["*"]}"#,
        ),
        (
            json!({"verbs": ["get"], "nonResourceURLs": ["/x", "/*"]}),
            r#"{NonResourceURLs:["/x"], Verbs:["get"]} {NonResourceURLs:["/*"], Verbs:["get"]}"#,
        ),
    ];
    for (wanted, expect) in table {
        let lacking = compact(&missing(&held, &[rule(wanted.clone())]));
        let text: Vec<String> = lacking.iter().map(describe).collect();
        assert_eq!(text.join(" "), expect, "{wanted}");
    }
    let everything = [
        rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})),
        rule(json!({"verbs": ["*"], "nonResourceURLs": ["*"]})),
    ];
    assert_eq!(missing(&everything, &held), []);
}
