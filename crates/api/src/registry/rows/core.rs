//! The core group and API services.

use super::{CREATE, GPU, NO_COLLECTION_DELETE, PROXY, READ, SCALE, STATUS, STREAM, kind, row, stream, sub};
use crate::kinds;
use crate::resource::Verb::{Get, Update};
use crate::resource::{NameRule, Propagation, Resource, Subresource};
use crate::table;

pub(super) const ROWS: &[Resource] = &[
    // ---- core
    row!("", "v1", "core", "bindings", "binding", "Binding").virtual_kind(),
    row!("", "v1", "core", "componentstatuses", "componentstatus", "ComponentStatus")
        .cluster()
        .short(&["cs"])
        .verbs(READ),
    row!("", "v1", "core", "configmaps", "configmap", "ConfigMap")
        .prints(&table::CONFIG_MAPS)
        .does(&kinds::config::CONFIG_MAP)
        .short(&["cm"]),
    row!("", "v1", "core", "endpoints", "endpoints", "Endpoints")
        .prints(&table::ENDPOINTS)
        .does(&kinds::networking::ENDPOINTS)
        .short(&["ep"])
        .at("services/endpoints")
        .creates_on_update(),
    row!("", "v1", "core", "events", "event", "Event")
        .prints(&table::EVENTS)
        .does(&kinds::event::EVENT)
        .short(&["ev"])
        .creates_on_update()
        .propagates(Propagation::None)
        .select(kinds::event::CORE_FIELDS),
    row!("", "v1", "core", "limitranges", "limitrange", "LimitRange")
        .does(&kinds::quota::LIMIT_RANGE)
        .short(&["limits"])
        .creates_on_update(),
    row!("", "v1", "core", "namespaces", "namespace", "Namespace")
        .prints(&table::NAMESPACES)
        .does(&kinds::namespace::NAMESPACE)
        .cluster()
        .short(&["ns"])
        .verbs(NO_COLLECTION_DELETE)
        .subs(&[sub("finalize", &[Update], None), STATUS])
        .named(NameRule::Label)
        .answers_object()
        .select(&["status.phase"]),
    row!("", "v1", "core", "nodes", "node", "Node")
        .prints(&table::NODES)
        .does(&kinds::node::NODE)
        .cluster()
        .short(&["no"])
        .subs(&[stream("proxy", PROXY, "NodeProxyOptions", "core.v1.NodeProxyOptions"), STATUS])
        .at("minions")
        .select(&["spec.unschedulable"]),
    row!("", "v1", "core", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim")
        .prints(&table::CLAIMS)
        .does(&kinds::storage::CLAIM)
        .short(&["pvc"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "persistentvolumes", "persistentvolume", "PersistentVolume")
        .prints(&table::VOLUMES)
        .does(&kinds::storage::VOLUME)
        .cluster()
        .short(&["pv"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "pods", "pod", "Pod")
        .prints(&table::PODS)
        .short(&["po"])
        .category(&["all"])
        .subs(&[
            stream("attach", STREAM, "PodAttachOptions", "core.v1.PodAttachOptions"),
            sub("binding", CREATE, Some(kind("", "v1", "Binding", "core.v1.Binding"))),
            sub("ephemeralcontainers", GPU, None),
            sub("eviction", CREATE, Some(kind("policy", "v1", "Eviction", "policy.v1.Eviction"))),
            stream("exec", STREAM, "PodExecOptions", "core.v1.PodExecOptions"),
            Subresource { name: "log", verbs: &[Get], body: None, connects: true },
            stream("portforward", STREAM, "PodPortForwardOptions", "core.v1.PodPortForwardOptions"),
            stream("proxy", PROXY, "PodProxyOptions", "core.v1.PodProxyOptions"),
            sub("resize", GPU, None),
            STATUS,
        ])
        .counted()
        .answers_object()
        .select(&[
            "spec.nodeName",
            "spec.host",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ])
        .does(&kinds::pod::POD),
    row!("", "v1", "core", "podtemplates", "podtemplate", "PodTemplate")
        .does(&kinds::workloads::POD_TEMPLATE)
        .counted()
        .answers_object()
        .only_stored(),
    row!("", "v1", "core", "replicationcontrollers", "replicationcontroller", "ReplicationController")
        .prints(&table::REPLICATION_CONTROLLERS)
        .does(&kinds::workloads::REPLICATION_CONTROLLER)
        .short(&["rc"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .at("controllers")
        .counted()
        .propagates(Propagation::Orphan)
        .select(&["status.replicas"])
        .only_stored(),
    row!("", "v1", "core", "resourcequotas", "resourcequota", "ResourceQuota")
        .prints(&table::QUOTAS)
        .does(&kinds::quota::RESOURCE_QUOTA)
        .short(&["quota"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "secrets", "secret", "Secret")
        .prints(&table::SECRETS)
        .does(&kinds::config::SECRET)
        .select(&["type"]),
    row!("", "v1", "core", "serviceaccounts", "serviceaccount", "ServiceAccount")
        .prints(&table::SERVICE_ACCOUNTS)
        .short(&["sa"])
        .subs(&[sub(
            "token",
            CREATE,
            Some(kind("authentication.k8s.io", "v1", "TokenRequest", "authentication.v1.TokenRequest")),
        )])
        .answers_object(),
    row!("", "v1", "core", "services", "service", "Service")
        .prints(&table::SERVICES)
        .does(&kinds::service::SERVICE)
        .short(&["svc"])
        .category(&["all"])
        .subs(&[stream("proxy", PROXY, "ServiceProxyOptions", "core.v1.ServiceProxyOptions"), STATUS])
        .at("services/specs")
        .named(NameRule::Label)
        .creates_on_update()
        .answers_object()
        .select(&["spec.clusterIP", "spec.type"]),
    // ---- apiregistration.k8s.io
    row!("apiregistration.k8s.io", "v1", "apiregistration", "apiservices", "apiservice", "APIService")
        .prints(&table::API_SERVICES)
        .does(&kinds::extension::API_SERVICE)
        .cluster()
        .category(&["api-extensions"])
        .subs(&[STATUS])
        .at("apiregistration.k8s.io/apiservices")
        .conditional(),
];
