//! The bootstrap roles and bindings are whole and consistent.

use super::super::{Action, Asker, Binding, Grant, Index};
use super::*;

fn index() -> Index {
    let mut index = Index::default();
    for made in objects() {
        match (made.resource, made.namespace) {
            ("clusterroles", _) => index.set_cluster_role(made.name, Some(Rule::list_from(&made.object))),
            ("clusterrolebindings", _) => {
                index.set_cluster_binding(made.name, Some(Binding::from_value(&made.object).unwrap()));
            }
            ("roles", Some(namespace)) => index.set_role(namespace, made.name, Some(Rule::list_from(&made.object))),
            ("rolebindings", Some(namespace)) => {
                index.set_binding(namespace, made.name, Some(Binding::from_value(&made.object).unwrap()));
            }
            other => panic!("{other:?}"),
        }
    }
    index
}

/// A213, A214, A217: who can do what on a fresh server.
#[test]
fn a_fresh_server_gives_each_group_its_rights_and_no_more() {
    let index = index();
    let get = |path| Action::Path { verb: "get", path };
    let on = |verb, group, resource, subresource| Action::Resource {
        verb,
        group,
        resource,
        subresource,
        namespace: "kube-system",
        name: "",
    };
    let csr = "certificates.k8s.io";
    let table = [
        ("system:masters", on("delete", "", "nodes", ""), true),
        ("system:unauthenticated", get("/version"), true),
        ("system:unauthenticated", get("/apis"), false),
        ("system:unauthenticated", on("get", "", "configmaps", ""), false),
        ("system:authenticated", get("/apis/apps/v1"), true),
        ("system:authenticated", get("/metrics"), false),
        ("system:authenticated", on("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""), true),
        ("system:authenticated", on("create", "authorization.k8s.io", "subjectaccessreviews", ""), false),
        ("system:serviceaccounts", get("/openid/v1/jwks"), true),
        ("system:bootstrappers", on("create", csr, "certificatesigningrequests", ""), true),
        ("system:bootstrappers", on("create", csr, "certificatesigningrequests", "nodeclient"), true),
        ("system:bootstrappers", on("update", csr, "certificatesigningrequests", "approval"), false),
        ("system:bootstrappers", on("list", "", "nodes", ""), false),
        ("system:nodes", on("get", "", "secrets", ""), false),
    ];
    for (group, action, expect) in table {
        let groups = [group.to_owned()];
        let grant = index.decide(&Asker { user: "somebody", groups: &groups }, &action);
        assert_eq!(matches!(grant, Grant::Allowed(_)), expect, "{group} {action:?} {grant:?}");
    }
}

#[test]
fn every_binding_points_to_a_role_that_exists() {
    let all = objects();
    for made in all.iter().filter(|made| made.resource.ends_with("bindings")) {
        let role = &made.object["roleRef"];
        let found = all.iter().any(|other| {
            other.object["kind"] == role["kind"]
                && role["name"] == other.name
                && (other.namespace.is_none() || other.namespace == made.namespace)
        });
        assert!(found, "{} points to {role}", made.name);
    }
}

/// A217: a controller has the rights of its account, and not those of another.
#[test]
fn each_controller_may_do_its_own_work() {
    let index = index();
    let on = |verb, group, resource, subresource| Action::Resource {
        verb,
        group,
        resource,
        subresource,
        namespace: "default",
        name: "",
    };
    let table = [
        ("daemon-set-controller", on("create", "", "pods", ""), true),
        ("daemon-set-controller", on("list", "", "pods", ""), true),
        ("daemon-set-controller", on("get", "", "pods", ""), false),
        ("daemon-set-controller", on("delete", "", "nodes", ""), false),
        ("disruption-controller", on("patch", "policy", "poddisruptionbudgets", "status"), true),
        ("event-ttl-controller", on("delete", "", "events", ""), true),
        ("event-ttl-controller", on("delete", "", "pods", ""), false),
        ("job-controller", on("patch", "batch", "jobs", "status"), true),
        ("job-controller", on("delete", "batch", "jobs", ""), true),
        ("job-controller", on("create", "", "pods", ""), true),
        ("namespace-controller", on("patch", "", "namespaces", "status"), true),
        ("root-ca-cert-publisher", on("patch", "", "configmaps", ""), true),
        ("root-ca-cert-publisher", on("get", "", "secrets", ""), false),
        ("service-account-controller", on("create", "", "serviceaccounts", ""), true),
    ];
    for (account, action, expect) in table {
        let user = format!("system:serviceaccount:kube-system:{account}");
        let groups = ["system:serviceaccounts".to_owned(), "system:serviceaccounts:kube-system".to_owned()];
        let grant = index.decide(&Asker { user: &user, groups: &groups }, &action);
        assert_eq!(matches!(grant, Grant::Allowed(_)), expect, "{account} {action:?} {grant:?}");
    }
}
