//! Namespaces, priority classes, the service of the API itself, and what clients need to know of the CA.

use std::net::SocketAddr;

use everynode_api::Object;
use serde_json::{Value, json};

use super::{Wanted, keep};
use crate::security::{SERVICE_ADDRESS, Security};

const NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

pub(super) fn namespaces() -> Vec<Wanted> {
    let made = NAMESPACES.iter().map(|name| Wanted {
        collection: "/api/v1/namespaces".to_owned(),
        name: (*name).to_owned(),
        key: format!("/registry/namespaces/{name}"),
        object: json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        merge: keep,
    });
    made.collect()
}

pub(super) fn others(security: &Security, advertise: SocketAddr) -> Vec<Wanted> {
    let mut all = vec![
        priority_class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        priority_class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        // No front proxy is trusted, so only the CA of client certificates is published (A199).
        config_map(
            "kube-system",
            "extension-apiserver-authentication",
            json!({ "client-ca-file": security.pki.ca_pem() }),
        ),
        config_map("kube-public", "cluster-info", json!({ "kubeconfig": cluster_info(security, advertise) })),
        service(advertise),
    ];
    // Clients in pods would be sent to themselves by a loopback address (A390).
    if !advertise.ip().is_loopback() && !advertise.ip().is_unspecified() {
        all.push(endpoint_slice(advertise));
        all.push(endpoints(advertise));
    }
    all
}

fn priority_class(name: &str, value: i64, description: &str) -> Wanted {
    Wanted {
        collection: "/apis/scheduling.k8s.io/v1/priorityclasses".to_owned(),
        name: name.to_owned(),
        key: format!("/registry/priorityclasses/{name}"),
        object: json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name },
            "value": value, "description": description,
        }),
        merge: keep,
    }
}

fn config_map(namespace: &str, name: &str, data: Value) -> Wanted {
    Wanted {
        collection: format!("/api/v1/namespaces/{namespace}/configmaps"),
        name: name.to_owned(),
        key: format!("/registry/configmaps/{namespace}/{name}"),
        object: json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": namespace },
            "data": data,
        }),
        merge: merge_data,
    }
}

/// Sets our keys, leaves others.
fn merge_data(stored: &Object, wanted: &Object) -> Option<Object> {
    let mut merged = stored.clone();
    for (key, value) in wanted["data"].as_object()? {
        merged["data"][key] = value.clone();
    }
    (merged != *stored).then_some(merged)
}

/// A kubeconfig without a user, as join tools read it.
fn cluster_info(security: &Security, advertise: SocketAddr) -> String {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(security.pki.ca_pem());
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    server: https://{advertise}\n    \
         certificate-authority-data: {ca}\ncontexts: []\ncurrent-context: \"\"\nusers: []\n"
    )
}

fn service(advertise: SocketAddr) -> Wanted {
    Wanted {
        collection: "/api/v1/namespaces/default/services".to_owned(),
        name: "kubernetes".to_owned(),
        key: "/registry/services/specs/default/kubernetes".to_owned(),
        object: json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": { "component": "apiserver", "provider": "kubernetes" },
            },
            "spec": {
                "type": "ClusterIP", "clusterIP": SERVICE_ADDRESS, "clusterIPs": [SERVICE_ADDRESS],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": advertise.port() }],
            },
        }),
        merge: merge_service,
    }
}

/// The port may differ after a restart.
fn merge_service(stored: &Object, wanted: &Object) -> Option<Object> {
    let mut merged = stored.clone();
    let port = merged.pointer_mut("/spec/ports/0/targetPort")?;
    *port = wanted.pointer("/spec/ports/0/targetPort")?.clone();
    (merged != *stored).then_some(merged)
}

fn endpoints(advertise: SocketAddr) -> Wanted {
    Wanted {
        collection: "/api/v1/namespaces/default/endpoints".to_owned(),
        name: "kubernetes".to_owned(),
        key: "/registry/services/endpoints/default/kubernetes".to_owned(),
        object: json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
            },
            "subsets": [{
                "addresses": [{ "ip": advertise.ip().to_string() }],
                "ports": [{ "name": "https", "port": advertise.port(), "protocol": "TCP" }],
            }],
        }),
        merge: |stored, wanted| merge_member(stored, wanted, "subsets"),
    }
}

fn endpoint_slice(advertise: SocketAddr) -> Wanted {
    let family = if advertise.is_ipv4() { "IPv4" } else { "IPv6" };
    Wanted {
        collection: "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices".to_owned(),
        name: "kubernetes".to_owned(),
        key: "/registry/endpointslices/default/kubernetes".to_owned(),
        object: json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": { "kubernetes.io/service-name": "kubernetes" },
            },
            "addressType": family,
            "endpoints": [{ "addresses": [advertise.ip().to_string()], "conditions": { "ready": true } }],
            "ports": [{ "name": "https", "port": advertise.port(), "protocol": "TCP" }],
        }),
        merge: |stored, wanted| {
            let merged = merge_member(stored, wanted, "ports");
            merge_member(merged.as_ref().unwrap_or(stored), wanted, "endpoints").or(merged)
        },
    }
}

fn merge_member(stored: &Object, wanted: &Object, member: &str) -> Option<Object> {
    let mut merged = stored.clone();
    merged[member] = wanted[member].clone();
    (merged != *stored).then_some(merged)
}
