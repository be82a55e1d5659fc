//! The rows themselves (A300–A302). Split from the types so that a new kind is one line here.

use super::Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
use super::{Group, KindRef, NameRule, Propagation, Resource, Storage, Subresource, Verb};
use crate::kinds;
use crate::strategy::{PLAIN, Strategy};
use crate::table;

const ALL: &[Verb] = &[Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
const NO_COLLECTION_DELETE: &[Verb] = &[Create, Delete, Get, List, Patch, Update, Watch];
const CREATE: &[Verb] = &[Create];
const READ: &[Verb] = &[Get, List];
const GPU: &[Verb] = &[Get, Patch, Update];
const PROXY: &[Verb] = &[Create, Delete, Get, Patch, Update];
const STREAM: &[Verb] = &[Create, Get];

const STATUS: Subresource = Subresource { name: "status", verbs: GPU, body: None, connects: false };
const SCALE: Subresource = Subresource {
    name: "scale",
    verbs: GPU,
    body: Some(kind("autoscaling", "v1", "Scale", "autoscaling.v1.Scale")),
    connects: false,
};

const fn kind(group: &'static str, version: &'static str, kind: &'static str, shape: &'static str) -> KindRef {
    KindRef { group, version, kind, shape }
}

const fn sub(name: &'static str, verbs: &'static [Verb], body: Option<KindRef>) -> Subresource {
    Subresource { name, verbs, body, connects: false }
}

const fn stream(name: &'static str, verbs: &'static [Verb], options: &'static str, shape: &'static str) -> Subresource {
    Subresource { name, verbs, body: Some(kind("", "v1", options, shape)), connects: true }
}

/// `row!(group, version, folder of the shape, plural, singular, Kind)`.
macro_rules! row {
    ($group:literal, $version:literal, $folder:literal, $plural:literal, $singular:literal, $kind:literal) => {
        Resource {
            group: $group,
            version: $version,
            plural: $plural,
            singular: $singular,
            kind: $kind,
            list_kind: concat!($kind, "List"),
            shape: concat!($folder, ".", $version, ".", $kind),
            short_names: &[],
            categories: &[],
            namespaced: true,
            verbs: ALL,
            subresources: &[],
            store_key: $plural,
            storage: Storage::Own,
            names: NameRule::Subdomain,
            generation: false,
            status: false,
            create_on_update: false,
            unconditional_update: true,
            returns_deleted: false,
            propagation: Propagation::Background,
            strict_finalizers: true,
            selectable: &[],
            strategy: &PLAIN,
            printer: &table::FALLBACK,
            stored_only: false,
        }
    };
}

impl Resource {
    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }
    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }
    const fn category(mut self, names: &'static [&'static str]) -> Self {
        self.categories = names;
        self
    }
    const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }
    /// Subresources; a `status` among them makes the status its own.
    const fn subs(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        let mut i = 0;
        while i < subresources.len() {
            if matches!(subresources[i].name.as_bytes(), b"status") {
                self.status = true;
            }
            i += 1;
        }
        self
    }
    const fn at(mut self, store_key: &'static str) -> Self {
        self.store_key = store_key;
        self
    }
    const fn view(mut self, view: &'static super::View) -> Self {
        self.storage = Storage::View(view);
        self
    }
    const fn virtual_kind(mut self) -> Self {
        self.storage = Storage::Virtual;
        self.verbs = CREATE;
        self
    }
    const fn named(mut self, names: NameRule) -> Self {
        self.names = names;
        self
    }
    const fn counted(mut self) -> Self {
        self.generation = true;
        self
    }
    const fn creates_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }
    const fn conditional(mut self) -> Self {
        self.unconditional_update = false;
        self
    }
    const fn answers_object(mut self) -> Self {
        self.returns_deleted = true;
        self
    }
    const fn propagates(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }
    const fn loose_finalizers(mut self) -> Self {
        self.strict_finalizers = false;
        self
    }
    const fn select(mut self, fields: &'static [&'static str]) -> Self {
        self.selectable = fields;
        self
    }
    const fn does(mut self, strategy: &'static dyn Strategy) -> Self {
        self.strategy = strategy;
        self
    }
    const fn prints(mut self, printer: &'static table::Printer) -> Self {
        self.printer = printer;
        self
    }
    const fn only_stored(mut self) -> Self {
        self.stored_only = true;
        self
    }
}

macro_rules! group {
    ($name:literal, $versions:expr, $priority:literal, $version_priorities:expr) => {
        Group { name: $name, versions: $versions, priority: $priority, version_priorities: $version_priorities }
    };
}

pub(super) static GROUPS: &[Group] = &[
    group!("", &["v1"], 18000, &[1]),
    group!("apiregistration.k8s.io", &["v1"], 18000, &[1]),
    group!("apps", &["v1"], 17800, &[15]),
    group!("events.k8s.io", &["v1"], 17750, &[15]),
    group!("authentication.k8s.io", &["v1"], 17700, &[15]),
    group!("authorization.k8s.io", &["v1"], 17600, &[15]),
    group!("autoscaling", &["v2", "v1"], 17500, &[30, 15]),
    group!("batch", &["v1"], 17400, &[15]),
    group!("certificates.k8s.io", &["v1"], 17300, &[15]),
    group!("networking.k8s.io", &["v1"], 17200, &[15]),
    group!("policy", &["v1"], 17100, &[15]),
    group!("rbac.authorization.k8s.io", &["v1"], 17000, &[15]),
    group!("storage.k8s.io", &["v1"], 16800, &[15]),
    group!("admissionregistration.k8s.io", &["v1"], 16700, &[15]),
    group!("apiextensions.k8s.io", &["v1"], 16700, &[15]),
    group!("scheduling.k8s.io", &["v1"], 16600, &[15]),
    group!("coordination.k8s.io", &["v1"], 16500, &[15]),
    group!("node.k8s.io", &["v1"], 16300, &[15]),
    group!("discovery.k8s.io", &["v1"], 16200, &[15]),
    group!("resource.k8s.io", &["v1"], 16200, &[21]),
    group!("flowcontrol.apiserver.k8s.io", &["v1"], 16100, &[21]),
];

pub(super) static ROWS: &[Resource] = &[
    // ---- core
    row!("", "v1", "core", "bindings", "binding", "Binding").virtual_kind(),
    row!("", "v1", "core", "componentstatuses", "componentstatus", "ComponentStatus")
        .cluster()
        .short(&["cs"])
        .verbs(READ),
    row!("", "v1", "core", "configmaps", "configmap", "ConfigMap").short(&["cm"]),
    row!("", "v1", "core", "endpoints", "endpoints", "Endpoints")
        .short(&["ep"])
        .at("services/endpoints")
        .creates_on_update(),
    row!("", "v1", "core", "events", "event", "Event")
        .short(&["ev"])
        .creates_on_update()
        .propagates(Propagation::None)
        .select(kinds::event::CORE_FIELDS),
    row!("", "v1", "core", "limitranges", "limitrange", "LimitRange").short(&["limits"]).creates_on_update(),
    row!("", "v1", "core", "namespaces", "namespace", "Namespace")
        .cluster()
        .short(&["ns"])
        .verbs(NO_COLLECTION_DELETE)
        .subs(&[sub("finalize", &[Update], None), STATUS])
        .named(NameRule::Label)
        .answers_object()
        .select(&["status.phase"]),
    row!("", "v1", "core", "nodes", "node", "Node")
        .cluster()
        .short(&["no"])
        .subs(&[stream("proxy", PROXY, "NodeProxyOptions", "core.v1.NodeProxyOptions"), STATUS])
        .at("minions")
        .select(&["spec.unschedulable"]),
    row!("", "v1", "core", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim")
        .short(&["pvc"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "persistentvolumes", "persistentvolume", "PersistentVolume")
        .cluster()
        .short(&["pv"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "pods", "pod", "Pod")
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
        .does(&kinds::pod::POD)
        .prints(&table::FALLBACK),
    row!("", "v1", "core", "podtemplates", "podtemplate", "PodTemplate").counted().answers_object().only_stored(),
    row!("", "v1", "core", "replicationcontrollers", "replicationcontroller", "ReplicationController")
        .short(&["rc"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .at("controllers")
        .counted()
        .propagates(Propagation::Orphan)
        .select(&["status.replicas"])
        .only_stored(),
    row!("", "v1", "core", "resourcequotas", "resourcequota", "ResourceQuota")
        .short(&["quota"])
        .subs(&[STATUS])
        .answers_object(),
    row!("", "v1", "core", "secrets", "secret", "Secret").select(&["type"]),
    row!("", "v1", "core", "serviceaccounts", "serviceaccount", "ServiceAccount")
        .short(&["sa"])
        .subs(&[sub(
            "token",
            CREATE,
            Some(kind("authentication.k8s.io", "v1", "TokenRequest", "authentication.v1.TokenRequest")),
        )])
        .answers_object(),
    row!("", "v1", "core", "services", "service", "Service")
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
        .cluster()
        .category(&["api-extensions"])
        .subs(&[STATUS])
        .at("apiregistration.k8s.io/apiservices")
        .conditional(),
    // ---- apps
    row!("apps", "v1", "apps", "controllerrevisions", "controllerrevision", "ControllerRevision")
        .does(&kinds::controller_revision::CONTROLLER_REVISION),
    row!("apps", "v1", "apps", "daemonsets", "daemonset", "DaemonSet")
        .short(&["ds"])
        .category(&["all"])
        .subs(&[STATUS])
        .counted().does(&kinds::daemon_set::DAEMON_SET),
    row!("apps", "v1", "apps", "deployments", "deployment", "Deployment")
        .short(&["deploy"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    row!("apps", "v1", "apps", "replicasets", "replicaset", "ReplicaSet")
        .short(&["rs"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    row!("apps", "v1", "apps", "statefulsets", "statefulset", "StatefulSet")
        .short(&["sts"])
        .category(&["all"])
        .subs(&[SCALE, STATUS])
        .counted()
        .only_stored(),
    // ---- events.k8s.io
    row!("events.k8s.io", "v1", "events", "events", "event", "Event")
        .short(&["ev"])
        .creates_on_update()
        .propagates(Propagation::None)
        .select(kinds::event::NEW_FIELDS)
        .view(&kinds::event::VIEW),
    // ---- authentication.k8s.io, authorization.k8s.io
    row!(
        "authentication.k8s.io",
        "v1",
        "authentication",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview"
    )
    .cluster()
    .virtual_kind(),
    row!("authentication.k8s.io", "v1", "authentication", "tokenreviews", "tokenreview", "TokenReview")
        .cluster()
        .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview"
    )
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview"
    )
    .cluster()
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview"
    )
    .cluster()
    .virtual_kind(),
    row!(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview"
    )
    .cluster()
    .virtual_kind(),
    // ---- autoscaling
    row!(
        "autoscaling",
        "v1",
        "autoscaling",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler"
    )
    .short(&["hpa"])
    .category(&["all"])
    .subs(&[STATUS])
    .view(&kinds::autoscaler::VIEW),
    row!(
        "autoscaling",
        "v2",
        "autoscaling",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler"
    )
    .short(&["hpa"])
    .category(&["all"])
    .subs(&[STATUS])
    .only_stored(),
    // ---- batch
    row!("batch", "v1", "batch", "cronjobs", "cronjob", "CronJob")
        .short(&["cj"])
        .category(&["all"])
        .subs(&[STATUS])
        .counted()
        .only_stored(),
    row!("batch", "v1", "batch", "jobs", "job", "Job")
        .category(&["all"])
        .subs(&[STATUS])
        .counted()
        .propagates(Propagation::Orphan)
        .select(&["status.successful"]),
    // ---- certificates.k8s.io
    row!(
        "certificates.k8s.io",
        "v1",
        "certificates",
        "certificatesigningrequests",
        "certificatesigningrequest",
        "CertificateSigningRequest"
    )
    .cluster()
    .short(&["csr"])
    .subs(&[sub("approval", GPU, None), STATUS])
    .select(&["spec.signerName"]),
    // ---- networking.k8s.io
    row!("networking.k8s.io", "v1", "networking", "ingressclasses", "ingressclass", "IngressClass").cluster().counted(),
    row!("networking.k8s.io", "v1", "networking", "ingresses", "ingress", "Ingress")
        .short(&["ing"])
        .subs(&[STATUS])
        .at("ingress")
        .counted()
        .only_stored(),
    row!("networking.k8s.io", "v1", "networking", "ipaddresses", "ipaddress", "IPAddress").cluster().short(&["ip"]),
    row!("networking.k8s.io", "v1", "networking", "networkpolicies", "networkpolicy", "NetworkPolicy")
        .short(&["netpol"])
        .counted()
        .only_stored(),
    row!("networking.k8s.io", "v1", "networking", "servicecidrs", "servicecidr", "ServiceCIDR")
        .cluster()
        .subs(&[STATUS]),
    // ---- policy
    row!("policy", "v1", "policy", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget")
        .short(&["pdb"])
        .subs(&[STATUS])
        .counted()
        .conditional(),
    // ---- rbac.authorization.k8s.io
    row!("rbac.authorization.k8s.io", "v1", "rbac", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding")
        .cluster()
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "clusterroles", "clusterrole", "ClusterRole")
        .cluster()
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "rolebindings", "rolebinding", "RoleBinding")
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "roles", "role", "Role")
        .named(NameRule::PathSegment)
        .creates_on_update(),
    // ---- storage.k8s.io
    row!("storage.k8s.io", "v1", "storage", "csidrivers", "csidriver", "CSIDriver")
        .cluster()
        .answers_object()
        .conditional(),
    row!("storage.k8s.io", "v1", "storage", "csinodes", "csinode", "CSINode").cluster().answers_object().conditional(),
    row!("storage.k8s.io", "v1", "storage", "csistoragecapacities", "csistoragecapacity", "CSIStorageCapacity")
        .conditional(),
    row!("storage.k8s.io", "v1", "storage", "storageclasses", "storageclass", "StorageClass")
        .cluster()
        .short(&["sc"])
        .answers_object(),
    row!("storage.k8s.io", "v1", "storage", "volumeattachments", "volumeattachment", "VolumeAttachment")
        .cluster()
        .subs(&[STATUS])
        .answers_object()
        .conditional(),
    row!(
        "storage.k8s.io",
        "v1",
        "storage",
        "volumeattributesclasses",
        "volumeattributesclass",
        "VolumeAttributesClass"
    )
    .cluster()
    .short(&["vac"])
    .answers_object(),
    // ---- admissionregistration.k8s.io
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        "MutatingAdmissionPolicy"
    )
    .cluster()
    .category(&["api-extensions"])
    .counted()
    .conditional(),
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        "MutatingAdmissionPolicyBinding"
    )
    .cluster()
    .category(&["api-extensions"])
    .counted()
    .conditional(),
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration"
    )
    .cluster()
    .category(&["api-extensions"])
    .counted()
    .conditional()
    .loose_finalizers(),
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
        "ValidatingAdmissionPolicy"
    )
    .cluster()
    .category(&["api-extensions"])
    .subs(&[STATUS])
    .counted()
    .conditional(),
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        "ValidatingAdmissionPolicyBinding"
    )
    .cluster()
    .category(&["api-extensions"])
    .counted()
    .conditional(),
    row!(
        "admissionregistration.k8s.io",
        "v1",
        "admissionregistration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration"
    )
    .cluster()
    .category(&["api-extensions"])
    .counted()
    .conditional()
    .loose_finalizers(),
    // ---- apiextensions.k8s.io
    row!(
        "apiextensions.k8s.io",
        "v1",
        "apiextensions",
        "customresourcedefinitions",
        "customresourcedefinition",
        "CustomResourceDefinition"
    )
    .cluster()
    .short(&["crd", "crds"])
    .category(&["api-extensions"])
    .subs(&[STATUS])
    .at("apiextensions.k8s.io/customresourcedefinitions")
    .counted()
    .conditional()
    .loose_finalizers(),
    // ---- scheduling.k8s.io, coordination.k8s.io, node.k8s.io, discovery.k8s.io
    row!("scheduling.k8s.io", "v1", "scheduling", "priorityclasses", "priorityclass", "PriorityClass")
        .cluster()
        .short(&["pc"])
        .counted(),
    row!("coordination.k8s.io", "v1", "coordination", "leases", "lease", "Lease")
        .creates_on_update()
        .conditional()
        .loose_finalizers(),
    row!("node.k8s.io", "v1", "node", "runtimeclasses", "runtimeclass", "RuntimeClass")
        .cluster()
        .creates_on_update()
        .conditional(),
    row!("discovery.k8s.io", "v1", "discovery", "endpointslices", "endpointslice", "EndpointSlice").counted(),
    // ---- resource.k8s.io
    row!("resource.k8s.io", "v1", "resource", "deviceclasses", "deviceclass", "DeviceClass")
        .cluster()
        .counted()
        .answers_object(),
    row!("resource.k8s.io", "v1", "resource", "resourceclaims", "resourceclaim", "ResourceClaim")
        .subs(&[STATUS])
        .answers_object()
        .only_stored(),
    row!(
        "resource.k8s.io",
        "v1",
        "resource",
        "resourceclaimtemplates",
        "resourceclaimtemplate",
        "ResourceClaimTemplate"
    )
    .answers_object(),
    row!("resource.k8s.io", "v1", "resource", "resourceslices", "resourceslice", "ResourceSlice")
        .cluster()
        .counted()
        .answers_object()
        .select(&["spec.nodeName", "spec.driver"]),
    // ---- flowcontrol.apiserver.k8s.io
    row!("flowcontrol.apiserver.k8s.io", "v1", "flowcontrol", "flowschemas", "flowschema", "FlowSchema")
        .cluster()
        .subs(&[STATUS])
        .counted(),
    row!(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "flowcontrol",
        "prioritylevelconfigurations",
        "prioritylevelconfiguration",
        "PriorityLevelConfiguration"
    )
    .cluster()
    .subs(&[STATUS])
    .counted(),
];
