//! NodeRestriction (A241): requests of nodes, held to their own objects.

use everynode_api::Object;
use everynode_api::admission::node_restriction as rules;
use everynode_api::node_access;
use everynode_api::status::Status;
use everynode_store::Store;
use serde_json::Value;

use super::{Context, Operation, read};
use crate::authz::asker;
use crate::tls::CertificateRequest;

const LEASES: &str = "coordination.k8s.io";

pub(super) fn check(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    object: &Object,
) -> Result<(), Status> {
    let asker = asker(context.identity);
    let Some(node) = node_access::node_name(&asker) else { return Ok(()) };
    let outcome = match (context.group, context.resource, context.subresource) {
        ("", "nodes", "" | "status") if matches!(operation, Operation::Create | Operation::Update) => {
            rules::check_node(node, context.name, old, object)
        }
        ("", "pods", "") => match operation {
            Operation::Create => {
                let uid = read(store, &format!("/registry/minions/{node}")).and_then(|found| uid(&found));
                rules::check_new_pod(node, uid.as_deref(), object)
            }
            Operation::Delete => rules::check_pod_deletion(node, object),
            _ => Err("unexpected operation \"UPDATE\", node can only create and delete mirror pods".to_owned()),
        },
        ("", "pods", "status") if operation == Operation::Update => {
            rules::check_pod_status(node, old.unwrap_or(object), object)
        }
        ("", "pods", "eviction") => {
            let pod = pod_named(store, context.namespace, context.name)?;
            rules::check_eviction(node, &pod)
        }
        ("", "pods", sub) if operation != Operation::Connect => Err(format!("unexpected subresource {sub:?}")),
        ("", "serviceaccounts", "token") => check_token(store, context, node, object)?,
        (LEASES, "leases", "") if operation != Operation::Connect => check_lease(context, node),
        ("storage.k8s.io", "csinodes", "") if context.name != node => {
            Err("can only access CSINode with the same name as the requesting node".to_owned())
        }
        ("certificates.k8s.io", "certificatesigningrequests", "") if operation == Operation::Create => {
            check_request(node, object)
        }
        _ => Ok(()),
    };
    outcome.map_err(|why| context.forbidden(why))
}

fn check_lease(context: &Context<'_>, node: &str) -> Result<(), String> {
    if context.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    if context.name != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn check_token(
    store: &Store,
    context: &Context<'_>,
    node: &str,
    request: &Object,
) -> Result<Result<(), String>, Status> {
    let (name, wanted) = match rules::bound_pod(request) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let pod = pod_named(store, context.namespace, name)?;
    if uid(&pod).as_deref() != Some(wanted) {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", "pods", name, why));
    }
    Ok(rules::check_token(node, &pod, request))
}

/// A node asks for certificates of its own only.
fn check_request(node: &str, object: &Object) -> Result<(), String> {
    let signer = object.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default();
    if !matches!(signer, "kubernetes.io/kubelet-serving" | "kubernetes.io/kube-apiserver-client-kubelet") {
        return Ok(());
    }
    let own = format!("system:node:{node}");
    let asked = super::certificates::request_of(object).and_then(|pem| CertificateRequest::parse(&pem).ok());
    match asked {
        Some(request) if request.common_name == own => Ok(()),
        _ => Err(format!("can only create a node CSR with CN={own}")),
    }
}

fn pod_named(store: &Store, namespace: &str, name: &str) -> Result<Value, Status> {
    read(store, &format!("/registry/pods/{namespace}/{name}")).ok_or_else(|| Status::not_found("", "pods", name))
}

fn uid(object: &Value) -> Option<String> {
    object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}
