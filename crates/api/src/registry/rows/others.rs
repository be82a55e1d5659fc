//! Policy, RBAC, storage, extension, scheduling, leases, devices, flow control.

use super::{STATUS, row};
use crate::kinds;
use crate::resource::{NameRule, Resource};
use crate::table;

pub(super) const ROWS: &[Resource] = &[
    // ---- policy
    row!("policy", "v1", "policy", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget")
        .prints(&table::BUDGETS)
        .does(&kinds::budget::BUDGET)
        .short(&["pdb"])
        .subs(&[STATUS])
        .counted()
        .conditional(),
    // ---- rbac.authorization.k8s.io
    row!("rbac.authorization.k8s.io", "v1", "rbac", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding")
        .prints(&table::BINDINGS)
        .does(&kinds::rbac::CLUSTER_ROLE_BINDING)
        .cluster()
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "clusterroles", "clusterrole", "ClusterRole")
        .does(&kinds::rbac::CLUSTER_ROLE)
        .cluster()
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "rolebindings", "rolebinding", "RoleBinding")
        .prints(&table::BINDINGS)
        .does(&kinds::rbac::ROLE_BINDING)
        .named(NameRule::PathSegment)
        .creates_on_update(),
    row!("rbac.authorization.k8s.io", "v1", "rbac", "roles", "role", "Role")
        .does(&kinds::rbac::ROLE)
        .named(NameRule::PathSegment)
        .creates_on_update(),
    // ---- storage.k8s.io
    row!("storage.k8s.io", "v1", "storage", "csidrivers", "csidriver", "CSIDriver")
        .prints(&table::CSI_DRIVERS)
        .does(&kinds::storage::CSI_DRIVER)
        .cluster()
        .answers_object()
        .conditional(),
    row!("storage.k8s.io", "v1", "storage", "csinodes", "csinode", "CSINode")
        .prints(&table::CSI_NODES)
        .cluster()
        .answers_object()
        .conditional(),
    row!("storage.k8s.io", "v1", "storage", "csistoragecapacities", "csistoragecapacity", "CSIStorageCapacity")
        .conditional(),
    row!("storage.k8s.io", "v1", "storage", "storageclasses", "storageclass", "StorageClass")
        .prints(&table::STORAGE_CLASSES)
        .does(&kinds::storage::STORAGE_CLASS)
        .cluster()
        .short(&["sc"])
        .answers_object(),
    row!("storage.k8s.io", "v1", "storage", "volumeattachments", "volumeattachment", "VolumeAttachment")
        .prints(&table::ATTACHMENTS)
        .does(&kinds::storage::ATTACHMENT)
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
    .does(&kinds::extension::POLICY)
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
    .does(&kinds::extension::POLICY_BINDING)
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
    .prints(&table::WEBHOOKS)
    .does(&kinds::extension::MUTATING)
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
    .does(&kinds::extension::POLICY)
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
    .does(&kinds::extension::POLICY_BINDING)
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
    .prints(&table::WEBHOOKS)
    .does(&kinds::extension::VALIDATING)
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
    .does(&kinds::extension::DEFINITION)
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
        .prints(&table::PRIORITY_CLASSES)
        .does(&kinds::classes::PRIORITY_CLASS)
        .cluster()
        .short(&["pc"])
        .counted(),
    row!("coordination.k8s.io", "v1", "coordination", "leases", "lease", "Lease")
        .prints(&table::LEASES)
        .does(&kinds::lease::LEASE)
        .creates_on_update()
        .conditional()
        .loose_finalizers(),
    row!("node.k8s.io", "v1", "node", "runtimeclasses", "runtimeclass", "RuntimeClass")
        .prints(&table::RUNTIME_CLASSES)
        .does(&kinds::classes::RUNTIME_CLASS)
        .cluster()
        .creates_on_update()
        .conditional(),
    row!("discovery.k8s.io", "v1", "discovery", "endpointslices", "endpointslice", "EndpointSlice")
        .prints(&table::ENDPOINT_SLICES)
        .does(&kinds::networking::ENDPOINT_SLICE)
        .counted(),
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
