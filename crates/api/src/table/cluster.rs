//! Tables of nodes, namespaces, storage, certificates and what extends the API.

use serde_json::{Map, Value, json};

use super::{AGE, NAME, Printer, age, ages, flag, name, number, or_none, text, wide};
use crate::Object;
use crate::value::Read;

/// Namespaces.
pub static NAMESPACES: Printer =
    Printer::new(&[NAME, text("Status", "The status of the namespace"), AGE], |object, now| {
        vec![name(object), json!(object.text_or_empty("status.phase")), age(object, now)]
    });

/// Nodes.
pub static NODES: Printer = Printer::new(
    &[
        NAME,
        text("Status", "The status of the node"),
        text("Roles", "The roles of the node"),
        AGE,
        text("Version", "Kubelet Version reported by the node."),
        wide(text("Internal-IP", ADDRESSES)),
        wide(text("External-IP", ADDRESSES)),
        wide(text(
            "OS-Image",
            "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        )),
        wide(text(
            "Kernel-Version",
            "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        )),
        wide(text(
            "Container-Runtime",
            "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        )),
    ],
    |node, now| {
        let address = |kind: &str| {
            let found = node.list("status.addresses").iter().find(|a| a.text("type") == Some(kind));
            or_none(found.map_or("", |a| a.text_or_empty("address")))
        };
        let info = |member: &str| node.text_or_empty(&format!("status.nodeInfo.{member}")).to_owned();
        let known = |text: String| if text.is_empty() { "<unknown>".to_owned() } else { text };
        let (kernel, machine) = (info("kernelVersion"), info("architecture"));
        let kernel = if kernel.is_empty() || machine.is_empty() { kernel } else { format!("{kernel} ({machine})") };
        vec![
            name(node),
            json!(node_status(node)),
            json!(roles(node)),
            age(node, now),
            json!(info("kubeletVersion")),
            address("InternalIP"),
            address("ExternalIP"),
            json!(known(info("osImage"))),
            json!(known(kernel)),
            json!(known(info("containerRuntimeVersion"))),
        ]
    },
);

const ADDRESSES: &str = "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).";

/// A185.
fn node_status(node: &Object) -> String {
    let ready = node.list("status.conditions").iter().find(|c| c.text("type") == Some("Ready"));
    let mut status = match ready.map(|c| c.text_or_empty("status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.is_true("spec.unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Object) -> String {
    let mut roles = std::collections::BTreeSet::new();
    for (key, value) in node.map("metadata.labels").into_iter().flatten() {
        if let Some(role) = key.strip_prefix("node-role.kubernetes.io/").filter(|r| !r.is_empty()) {
            roles.insert(role);
        } else if key == "kubernetes.io/role"
            && let Some(role) = value.as_str().filter(|r| !r.is_empty())
        {
            roles.insert(role);
        }
    }
    if roles.is_empty() { "<none>".to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

/// CertificateSigningRequests.
pub static CERTIFICATE_REQUESTS: Printer = Printer::new(
    &[
        NAME,
        AGE,
        text("SignerName", "Who is to sign."),
        text("Requestor", "Who asked."),
        text("RequestedDuration", "How long it is to hold."),
        text("Condition", "What has become of it."),
    ],
    |object, now| {
        let has = |kind: &str| object.list("status.conditions").iter().any(|c| c.text("type") == Some(kind));
        let mut condition = match (has("Denied"), has("Approved")) {
            (true, _) => "Denied",
            (_, true) => "Approved",
            _ => "Pending",
        }
        .to_owned();
        if has("Failed") {
            condition.push_str(",Failed");
        }
        if object.at("status.certificate").is_some() {
            condition.push_str(",Issued");
        }
        let duration = object.int("spec.expirationSeconds").map(|s| ages::human(s.saturating_mul(1000)));
        vec![
            name(object),
            age(object, now),
            or_none(object.text_or_empty("spec.signerName")),
            json!(object.text_or_empty("spec.username")),
            or_none(&duration.unwrap_or_default()),
            json!(condition),
        ]
    },
);

/// RuntimeClasses.
pub static RUNTIME_CLASSES: Printer =
    Printer::new(&[NAME, text("Handler", "Which runtime runs its pods."), AGE], |object, now| {
        vec![name(object), json!(object.text_or_empty("handler")), age(object, now)]
    });

/// StorageClasses.
pub static STORAGE_CLASSES: Printer = Printer::new(
    &[
        NAME,
        text("Provisioner", "Who makes its volumes."),
        text("ReclaimPolicy", "What becomes of released volumes."),
        text("VolumeBindingMode", "When volumes are made."),
        flag("AllowVolumeExpansion", "Whether volumes may grow."),
        AGE,
    ],
    |object, now| {
        let default = object.entry("metadata.annotations", "storageclass.kubernetes.io/is-default-class");
        let mut shown = object.text_or_empty("metadata.name").to_owned();
        if default == Some("true") {
            shown.push_str(" (default)");
        }
        vec![
            json!(shown),
            json!(object.text_or_empty("provisioner")),
            json!(object.text("reclaimPolicy").unwrap_or("Delete")),
            json!(object.text("volumeBindingMode").unwrap_or("Immediate")),
            json!(object.is_true("allowVolumeExpansion")),
            age(object, now),
        ]
    },
);

fn modes(modes: &[Value]) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    modes.iter().map(short).collect::<Vec<_>>().join(",")
}

fn phase(object: &Object) -> &str {
    if object.at("metadata.deletionTimestamp").is_some() { "Terminating" } else { object.text_or_empty("status.phase") }
}

/// PersistentVolumes.
pub static VOLUMES: Printer = Printer::new(
    &[
        NAME,
        text("Capacity", "Its size."),
        text("Access Modes", "How it may be mounted."),
        text("Reclaim Policy", "What becomes of it when released."),
        text("Status", "Its phase."),
        text("Claim", "Who has it."),
        text("StorageClass", "Its class."),
        text("VolumeAttributesClass", "Its attributes."),
        text("Reason", "Why it is in this phase."),
        AGE,
        wide(text("VolumeMode", "File system or block device.")),
    ],
    |object, now| {
        let text = |path: &str| json!(object.text_or_empty(path));
        let claim = object
            .at("spec.claimRef")
            .map_or_else(String::new, |c| format!("{}/{}", c.text_or_empty("namespace"), c.text_or_empty("name")));
        vec![
            name(object),
            text("spec.capacity.storage"),
            json!(modes(object.list("spec.accessModes"))),
            text("spec.persistentVolumeReclaimPolicy"),
            json!(phase(object)),
            json!(claim),
            text("spec.storageClassName"),
            json!(object.text("spec.volumeAttributesClassName").unwrap_or("<unset>")),
            text("status.reason"),
            age(object, now),
            json!(object.text("spec.volumeMode").unwrap_or("<unset>")),
        ]
    },
);

/// PersistentVolumeClaims.
pub static CLAIMS: Printer = Printer::new(
    &[
        NAME,
        text("Status", "Its phase."),
        text("Volume", "The volume it has."),
        text("Capacity", "The size it has."),
        text("Access Modes", "How it may be mounted."),
        text("StorageClass", "Its class."),
        text("VolumeAttributesClass", "Its attributes."),
        AGE,
        wide(text("VolumeMode", "File system or block device.")),
    ],
    |object, now| {
        let bound = !object.text_or_empty("spec.volumeName").is_empty();
        let when_bound = |text: String| json!(if bound { text } else { String::new() });
        vec![
            name(object),
            json!(phase(object)),
            json!(object.text_or_empty("spec.volumeName")),
            when_bound(object.text_or_empty("status.capacity.storage").to_owned()),
            when_bound(modes(object.list("status.accessModes"))),
            json!(object.text_or_empty("spec.storageClassName")),
            json!(object.text("spec.volumeAttributesClassName").unwrap_or("<unset>")),
            age(object, now),
            json!(object.text("spec.volumeMode").unwrap_or("<unset>")),
        ]
    },
);

/// CSIDrivers.
pub static CSI_DRIVERS: Printer = Printer::new(
    &[
        NAME,
        flag("AttachRequired", "Whether volumes are attached."),
        flag("PodInfoOnMount", "Whether it is told of the pod."),
        flag("StorageCapacity", "Whether it reports capacity."),
        text("TokenRequests", "Audiences of tokens it gets."),
        flag("RequiresRepublish", "Whether it wants to be called again."),
        text("Modes", "Life cycles of its volumes."),
        AGE,
    ],
    |object, now| {
        let list = |path: &str, none: &str, of: fn(&Value) -> &str| {
            let items: Vec<&str> = object.list(path).iter().map(of).collect();
            json!(if items.is_empty() { none.to_owned() } else { items.join(",") })
        };
        vec![
            name(object),
            json!(object.flag("spec.attachRequired").unwrap_or(true)),
            json!(object.is_true("spec.podInfoOnMount")),
            json!(object.is_true("spec.storageCapacity")),
            list("spec.tokenRequests", "<unset>", |t| t.text_or_empty("audience")),
            json!(object.is_true("spec.requiresRepublish")),
            list("spec.volumeLifecycleModes", "<none>", |m| m.as_str().unwrap_or_default()),
            age(object, now),
        ]
    },
);

/// CSINodes.
pub static CSI_NODES: Printer =
    Printer::new(&[NAME, number("Drivers", "How many drivers it has."), AGE], |object, now| {
        vec![name(object), json!(object.list("spec.drivers").len()), age(object, now)]
    });

/// VolumeAttachments.
pub static ATTACHMENTS: Printer = Printer::new(
    &[
        NAME,
        text("Attacher", "Who attaches."),
        text("PV", "What is attached."),
        text("Node", "Where."),
        flag("Attached", "Whether it is."),
        AGE,
    ],
    |object, now| {
        vec![
            name(object),
            json!(object.text_or_empty("spec.attacher")),
            json!(object.text_or_empty("spec.source.persistentVolumeName")),
            json!(object.text_or_empty("spec.nodeName")),
            json!(object.is_true("status.attached")),
            age(object, now),
        ]
    },
);

/// ResourceQuotas.
pub static QUOTAS: Printer = Printer::new(
    &[NAME, text("Request", "Requests used of those allowed."), text("Limit", "Limits used of those allowed."), AGE],
    |object, now| {
        let empty = Map::new();
        let used = object.map("status.used").unwrap_or(&empty);
        let shown = |limits: bool| {
            let hard = object.map("status.hard").into_iter().flatten();
            let rows = hard.filter(|(k, _)| k.starts_with("limits.") == limits).map(|(k, v)| {
                let used = used.get(k).and_then(Value::as_str).unwrap_or("0");
                format!("{k}: {used}/{}", v.as_str().unwrap_or_default())
            });
            json!(rows.collect::<Vec<_>>().join(", "))
        };
        vec![name(object), shown(false), shown(true), age(object, now)]
    },
);

/// APIServices.
pub static API_SERVICES: Printer = Printer::new(
    &[NAME, text("Service", "Who serves it."), text("Available", "Whether it answers."), AGE],
    |object, now| {
        let service = object.at("spec.service").map_or_else(
            || "Local".to_owned(),
            |s| format!("{}/{}", s.text_or_empty("namespace"), s.text_or_empty("name")),
        );
        let condition = object.list("status.conditions").iter().find(|c| c.text("type") == Some("Available"));
        let available = match condition.map(|c| (c.text_or_empty("status"), c.text_or_empty("reason"))) {
            Some(("True", _)) => "True".to_owned(),
            Some((status, reason)) => format!("{status} ({reason})"),
            None => "Unknown".to_owned(),
        };
        vec![name(object), json!(service), json!(available), age(object, now)]
    },
);
