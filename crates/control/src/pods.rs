//! What several controllers do to pods: mark, delete, speak about.

use everynode_core::model::Pod;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch, collection};
use crate::clock;
use crate::events::About;

/// The pod's path.
pub(crate) fn path(pod: &Pod) -> String {
    format!("{}/{}", collection("", "v1", &pod.key.namespace, "pods"), pod.key.name)
}

/// The pod as the object of an event.
pub(crate) fn about(pod: &Pod) -> About {
    About {
        api_version: "v1",
        kind: "Pod",
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        uid: pod.uid.as_str().into(),
        version: pod.version.0,
    }
}

/// Says in the pod's status why it is about to go.
pub(crate) fn disruption(reason: &str, message: &str) -> Value {
    json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": clock::rfc3339(clock::now()),
    })
}

/// Merges into the pod's status; only this incarnation is meant.
pub(crate) async fn patch_status(api: &Api, pod: &Pod, status: Value) -> Result<(), Failure> {
    let patch = json!({"metadata": {"uid": pod.uid.as_str()}, "status": status});
    api.patch(&format!("{}/status", path(pod)), Patch::Strategic, &patch).await.map(drop)
}

/// Deletes this incarnation, with its own grace or the given one. A pod that is gone is no failure.
pub(crate) async fn delete(api: &Api, pod: &Pod, grace_seconds: Option<i64>) -> Result<(), Failure> {
    let mut options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": pod.uid.as_str()},
    });
    if let Some(seconds) = grace_seconds {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    match api.delete(&path(pod), &options).await {
        Ok(_) => Ok(()),
        // Gone, or another pod of that name.
        Err(failure) if failure.is_not_found() || failure.is_conflict() => Ok(()),
        Err(failure) => Err(failure),
    }
}
