//! The rules of the start-up roles. A row is `(verbs, groups, resources)`, comma lists; the core group is the empty word.

use super::super::{GROUP, Rule};
use super::{PolicyObject, aggregated, cluster_role};

pub(super) const READ: &str = "get,list,watch";
const WRITE: &str = "create,delete,deletecollection,patch,update";
const ALL_VERBS: &str = "create,delete,deletecollection,get,list,patch,update,watch";
const EVENTS: [RuleRow; 2] =
    [("create,patch,update", "", "events"), ("create,patch,update", "events.k8s.io", "events")];

/// `verbs, groups, resources`, each a comma list; the core group is the empty word.
type RuleRow = (&'static str, &'static str, &'static str);

/// The rules that a node holds, which the node authorizer narrows (A216, A219).
pub fn node_rules() -> Vec<Rule> {
    rows(&[
        ("create", "authentication.k8s.io", "tokenreviews"),
        ("create", "authorization.k8s.io", "localsubjectaccessreviews,subjectaccessreviews"),
        (READ, "", "services"),
        ("create,get,list,watch", "", "nodes"),
        ("patch,update", "", "nodes/status"),
        ("patch,update", "", "nodes"),
        ("create,patch,update", "", "events"),
        ("create,patch,update", "events.k8s.io", "events"),
        (READ, "", "pods"),
        ("create,delete", "", "pods"),
        ("patch,update", "", "pods/status"),
        ("create", "", "pods/eviction"),
        (READ, "", "configmaps,secrets"),
        ("get", "", "persistentvolumeclaims,persistentvolumes"),
        ("get,patch,update", "", "persistentvolumeclaims/status"),
        ("get", "", "endpoints"),
        ("create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests"),
        ("create,delete,get,patch,update", "coordination.k8s.io", "leases"),
        ("get", "storage.k8s.io", "volumeattachments"),
        ("create", "", "serviceaccounts/token"),
        ("get", "", "serviceaccounts"),
        (READ, "storage.k8s.io", "csidrivers"),
        ("create,delete,get,patch,update", "storage.k8s.io", "csinodes"),
        (READ, "node.k8s.io", "runtimeclasses"),
        ("get", "resource.k8s.io", "resourceclaims"),
        ("deletecollection", "resource.k8s.io", "resourceslices"),
        ("create,delete,get,list,patch,update,watch", "resource.k8s.io", "resourceslices"),
    ])
}

pub(super) fn basic_roles() -> Vec<(&'static str, Vec<Rule>)> {
    let health = "/healthz,/livez,/readyz,/version,/version/";
    vec![
        ("cluster-admin", [rows(&[("*", "*", "*")]), vec![paths("*", "*")]].concat()),
        (
            "system:discovery",
            vec![paths(
                "get",
                "/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/",
            )],
        ),
        ("system:public-info-viewer", vec![paths("get", health)]),
        (
            "system:basic-user",
            rows(&[
                ("create", "authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews"),
                ("create", "authentication.k8s.io", "selfsubjectreviews"),
            ]),
        ),
        (
            "system:monitoring",
            [
                vec![paths(
                    "get",
                    "/flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz",
                )],
                rows(&[("get", "", "nodes/metrics")]),
            ]
            .concat(),
        ),
        (
            "system:service-account-issuer-discovery",
            vec![paths(
                "get",
                "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/",
            )],
        ),
    ]
}

/// admin ← edit ← view and the roles that fill them (A215).
pub(super) fn user_roles() -> Vec<PolicyObject> {
    let to = |role: &'static str| ("rbac.authorization.k8s.io/aggregate-to-", role);
    vec![
        aggregated("admin", "admin", &[]),
        aggregated("edit", "edit", &[to("admin")]),
        aggregated("view", "view", &[to("edit")]),
        cluster_role("system:aggregate-to-admin", &[to("admin")], admin_rules()),
        cluster_role("system:aggregate-to-edit", &[to("edit")], edit_rules()),
        cluster_role("system:aggregate-to-view", &[to("view")], view_rules()),
    ]
}

fn admin_rules() -> Vec<Rule> {
    rows(&[("create", "authorization.k8s.io", "localsubjectaccessreviews"), (ALL_VERBS, GROUP, "rolebindings,roles")])
}

fn edit_rules() -> Vec<Rule> {
    rows(&[
        (READ, "", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy"),
        ("impersonate", "", "serviceaccounts"),
        (WRITE, "", "pods,pods/attach,pods/exec,pods/portforward,pods/proxy"),
        ("create", "", "pods/eviction"),
        (
            WRITE,
            "",
            "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,\
             serviceaccounts,services,services/proxy",
        ),
        ("create", "", "serviceaccounts/token"),
        (
            WRITE,
            "apps",
            "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,\
             statefulsets/scale",
        ),
        (WRITE, "autoscaling", "horizontalpodautoscalers"),
        (WRITE, "batch", "cronjobs,jobs"),
        (WRITE, "policy", "poddisruptionbudgets"),
        (WRITE, "networking.k8s.io", "ingresses,networkpolicies"),
        (WRITE, "resource.k8s.io", "resourceclaims,resourceclaimtemplates"),
        (ALL_VERBS, "coordination.k8s.io", "leases"),
    ])
}

fn view_rules() -> Vec<Rule> {
    rows(&[
        (
            READ,
            "",
            "configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,\
             replicationcontrollers/scale,serviceaccounts,services,services/status",
        ),
        (
            READ,
            "",
            "bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,\
             resourcequotas,resourcequotas/status",
        ),
        (READ, "", "namespaces"),
        (READ, "discovery.k8s.io", "endpointslices"),
        (
            READ,
            "apps",
            "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,\
             replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
        ),
        (READ, "autoscaling", "horizontalpodautoscalers,horizontalpodautoscalers/status"),
        (READ, "batch", "cronjobs,cronjobs/status,jobs,jobs/status"),
        (READ, "policy", "poddisruptionbudgets,poddisruptionbudgets/status"),
        (READ, "networking.k8s.io", "ingresses,ingresses/status,networkpolicies"),
        (READ, "resource.k8s.io", "resourceclaims,resourceclaims/status,resourceclaimtemplates"),
        (READ, "events.k8s.io", "events"),
    ])
}

/// What it takes to ask for certificates and to approve them.
pub(super) fn certificate_roles() -> Vec<(&'static str, Vec<Rule>)> {
    let approve = |signer: &str| {
        vec![Rule { resource_names: vec![signer.to_owned()], ..row(&("approve", "certificates.k8s.io", "signers")) }]
    };
    vec![
        (
            "system:node-bootstrapper",
            rows(&[("create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests")]),
        ),
        (
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            rows(&[("create", "certificates.k8s.io", "certificatesigningrequests/nodeclient")]),
        ),
        (
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            rows(&[("create", "certificates.k8s.io", "certificatesigningrequests/selfnodeclient")]),
        ),
        ("system:certificates.k8s.io:kube-apiserver-client-approver", approve("kubernetes.io/kube-apiserver-client")),
        (
            "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
            approve("kubernetes.io/kube-apiserver-client-kubelet"),
        ),
        ("system:certificates.k8s.io:kubelet-serving-approver", approve("kubernetes.io/kubelet-serving")),
        ("system:certificates.k8s.io:legacy-unknown-approver", approve("kubernetes.io/legacy-unknown")),
    ]
}

pub(super) fn component_roles() -> Vec<(&'static str, Vec<Rule>)> {
    vec![
        ("system:node", node_rules()),
        ("system:kube-controller-manager", controller_manager_rules()),
        ("system:kube-scheduler", scheduler_rules()),
        (
            "system:volume-scheduler",
            rows(&[
                ("get,list,patch,update,watch", "", "persistentvolumes"),
                (READ, "storage.k8s.io", "storageclasses"),
                ("get,list,patch,update,watch", "", "persistentvolumeclaims"),
            ]),
        ),
        (
            "system:node-proxier",
            [
                rows(&[("list,watch", "", "endpoints,services"), (READ, "", "nodes")]),
                rows(&EVENTS),
                rows(&[
                    ("list,watch", "discovery.k8s.io", "endpointslices"),
                    ("list,watch", "networking.k8s.io", "servicecidrs"),
                ]),
            ]
            .concat(),
        ),
        (
            "system:node-problem-detector",
            [rows(&[("get", "", "nodes"), ("patch", "", "nodes/status")]), rows(&EVENTS)].concat(),
        ),
        (
            "system:auth-delegator",
            rows(&[
                ("create", "authentication.k8s.io", "tokenreviews"),
                ("create", "authorization.k8s.io", "subjectaccessreviews"),
            ]),
        ),
        (
            "system:kubelet-api-admin",
            rows(&[
                (READ, "", "nodes"),
                ("proxy", "", "nodes"),
                ("*", "", "nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/stats"),
            ]),
        ),
        (
            "system:kube-dns",
            rows(&[("list,watch", "", "endpoints,services"), ("list,watch", "discovery.k8s.io", "endpointslices")]),
        ),
        (
            "system:persistent-volume-provisioner",
            rows(&[
                ("create,delete,get,list,watch", "", "persistentvolumes"),
                ("get,list,update,watch", "", "persistentvolumeclaims"),
                (READ, "storage.k8s.io", "storageclasses"),
                ("watch", "", "events"),
                ("create,patch,update", "", "events"),
            ]),
        ),
        ("system:heapster", rows(&[(READ, "", "events,namespaces,nodes,pods"), (READ, "extensions", "deployments")])),
    ]
}

fn controller_manager_rules() -> Vec<Rule> {
    [
        rows(&EVENTS),
        rows(&[
            ("create", "coordination.k8s.io", "leases"),
            ("create", "", "secrets,serviceaccounts"),
            ("delete", "", "secrets"),
            ("get", "", "configmaps,namespaces,secrets,serviceaccounts"),
            ("update", "", "secrets,serviceaccounts"),
            ("create", "authentication.k8s.io", "tokenreviews"),
            ("create", "authorization.k8s.io", "subjectaccessreviews"),
            ("list,watch", "*", "*"),
            ("create", "", "serviceaccounts/token"),
        ]),
    ]
    .concat()
}

fn scheduler_rules() -> Vec<Rule> {
    [
        rows(&EVENTS),
        rows(&[
            ("create,get,list,update,watch", "coordination.k8s.io", "leases"),
            (READ, "", "nodes"),
            ("delete,get,list,watch", "", "pods"),
            ("create", "", "bindings,pods/binding"),
            ("patch,update", "", "pods/status"),
            (READ, "", "replicationcontrollers,services"),
            (READ, "apps,extensions", "replicasets"),
            (READ, "apps", "statefulsets"),
            (READ, "policy", "poddisruptionbudgets"),
            (READ, "", "persistentvolumeclaims,persistentvolumes"),
            ("create", "authentication.k8s.io", "tokenreviews"),
            ("create", "authorization.k8s.io", "subjectaccessreviews"),
            (READ, "storage.k8s.io", "csidrivers,csinodes,csistoragecapacities,volumeattachments"),
            (READ, "", "namespaces"),
        ]),
    ]
    .concat()
}

/// One role per controller that runs here.
pub(super) fn controller_roles() -> Vec<(&'static str, Vec<Rule>)> {
    let with_events = |table: &[RuleRow]| [rows(table), rows(&EVENTS)].concat();
    let revisions = "create,delete,get,list,patch,update,watch";
    let mut all = vec![
        (
            "system:controller:daemon-set-controller",
            with_events(&[
                (READ, "apps,extensions", "daemonsets"),
                ("update", "apps,extensions", "daemonsets/status"),
                ("update", "apps,extensions", "daemonsets/finalizers"),
                ("list,watch", "", "nodes"),
                ("create,delete,list,patch,watch", "", "pods"),
                ("create", "", "pods/binding"),
                (revisions, "apps", "controllerrevisions"),
            ]),
        ),
        (
            "system:controller:generic-garbage-collector",
            with_events(&[("delete,get,list,patch,update,watch", "*", "*")]),
        ),
        (
            "system:controller:namespace-controller",
            rows(&[
                ("delete,get,list,watch", "", "namespaces"),
                ("update", "", "namespaces/finalize,namespaces/status"),
                ("delete,deletecollection,get,list", "*", "*"),
            ]),
        ),
        (
            "system:controller:node-controller",
            with_events(&[
                ("delete,get,list,patch,update", "", "nodes"),
                ("patch,update", "", "nodes/status"),
                ("patch,update", "", "pods/status"),
                ("delete,get,list,watch", "", "pods"),
            ]),
        ),
        ("system:controller:service-account-controller", with_events(&[("create", "", "serviceaccounts")])),
        ("system:controller:root-ca-cert-publisher", with_events(&[("create,update", "", "configmaps")])),
        (
            "system:controller:clusterrole-aggregation-controller",
            rows(&[("escalate,get,list,patch,update,watch", GROUP, "clusterroles")]),
        ),
    ];
    all.extend(more_controller_roles());
    all
}

fn more_controller_roles() -> Vec<(&'static str, Vec<Rule>)> {
    let with_events = |table: &[RuleRow]| [rows(table), rows(&EVENTS)].concat();
    vec![
        (
            "system:controller:job-controller",
            with_events(&[
                ("get,list,patch,update,watch", "batch", "jobs"),
                ("update", "batch", "jobs/status"),
                ("update", "batch", "jobs/finalizers"),
                ("create,delete,list,patch,watch", "", "pods"),
            ]),
        ),
        (
            "system:controller:pod-garbage-collector",
            rows(&[("delete,list,watch", "", "pods"), ("get,list", "", "nodes"), ("patch", "", "pods/status")]),
        ),
        (
            "system:controller:certificate-controller",
            with_events(&[
                ("delete,get,list,watch", "certificates.k8s.io", "certificatesigningrequests"),
                (
                    "update",
                    "certificates.k8s.io",
                    "certificatesigningrequests/approval,certificatesigningrequests/status",
                ),
                ("approve,sign", "certificates.k8s.io", "signers"),
                ("create", "authorization.k8s.io", "subjectaccessreviews"),
            ]),
        ),
        (
            "system:controller:disruption-controller",
            with_events(&[
                (READ, "apps,extensions", "deployments,replicasets"),
                (READ, "", "replicationcontrollers"),
                (READ, "policy", "poddisruptionbudgets"),
                (READ, "apps", "statefulsets"),
                ("update", "policy", "poddisruptionbudgets/status"),
                ("patch,update", "", "pods/status"),
                ("get", "*", "*/scale"),
            ]),
        ),
        (
            "system:controller:endpointslice-controller",
            with_events(&[
                (READ, "", "nodes,pods,services"),
                ("update", "", "services/finalizers"),
                ("create,delete,get,list,update", "discovery.k8s.io", "endpointslices"),
            ]),
        ),
        (
            "system:controller:resourcequota-controller",
            with_events(&[("list,watch", "*", "*"), ("update", "", "resourcequotas/status")]),
        ),
    ]
}

/// What our controllers ask beyond upstream's roles: they patch where those update, and two of their acts have another home there.
/// The name of the role, of the account, and the rules.
pub(super) fn own_controller_roles() -> Vec<(&'static str, &'static str, Vec<Rule>)> {
    vec![
        (
            "everynode:controller:disruption-controller",
            "disruption-controller",
            rows(&[("patch", "policy", "poddisruptionbudgets/status")]),
        ),
        ("everynode:controller:event-ttl-controller", "event-ttl-controller", rows(&[("delete", "", "events")])),
        (
            "everynode:controller:job-controller",
            "job-controller",
            rows(&[("patch", "batch", "jobs/status"), ("delete", "batch", "jobs")]),
        ),
        (
            "everynode:controller:namespace-controller",
            "namespace-controller",
            rows(&[("patch", "", "namespaces/status")]),
        ),
        ("everynode:controller:root-ca-cert-publisher", "root-ca-cert-publisher", rows(&[("patch", "", "configmaps")])),
    ]
}

fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

pub(super) fn row((verbs, groups, resources): &RuleRow) -> Rule {
    Rule { verbs: words(verbs), api_groups: words(groups), resources: words(resources), ..Rule::default() }
}

fn rows(table: &[RuleRow]) -> Vec<Rule> {
    table.iter().map(row).collect()
}

fn paths(verbs: &str, urls: &str) -> Rule {
    Rule { verbs: words(verbs), non_resource_urls: words(urls), ..Rule::default() }
}
