//! NamespaceLifecycle (A226): nothing new without its namespace, or in one that goes; some namespaces never go.

use std::time::Duration;

use everynode_api::status::{Cause, Status};
use everynode_store::Store;
use serde_json::Value;

use super::{Context, Operation, read};

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
/// A client may create a namespace on one connection and fill it on another.
const MISSING_WAIT: Duration = Duration::from_millis(50);

pub(super) async fn check(store: &Store, context: &Context<'_>, operation: Operation) -> Result<(), Status> {
    if context.is("", "namespaces") {
        if operation == Operation::Delete && IMMORTAL.contains(&context.name) {
            return Err(context.forbidden("this namespace may not be deleted"));
        }
        return Ok(());
    }
    let exempt = context.is("authorization.k8s.io", "localsubjectaccessreviews");
    if operation != Operation::Create || context.namespace.is_empty() || exempt {
        return Ok(());
    }
    let key = format!("/registry/namespaces/{}", context.namespace);
    let mut namespace = read(store, &key);
    if namespace.is_none() {
        tokio::time::sleep(MISSING_WAIT).await;
        namespace = read(store, &key);
    }
    let Some(namespace) = namespace else { return Err(Status::not_found("", "namespaces", context.namespace)) };
    let terminating = namespace.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating")
        || namespace.pointer("/metadata/deletionTimestamp").is_some();
    if !terminating {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {} because it is being terminated", context.namespace);
    let cause = Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {} is being terminated", context.namespace),
        field: "metadata.namespace".to_owned(),
    };
    Err(context.forbidden(why).with_causes([cause]))
}
