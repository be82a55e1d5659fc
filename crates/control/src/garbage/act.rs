//! The collector's acts as requests. Each names the one incarnation it means.

use everynode_core::lifecycle::garbage::{Act, Answer, FOREGROUND, Identity, Propagation};
use everynode_core::model::Uid;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch, collection};
use crate::chain::Chain;
use crate::discovery::ResourceType;
use crate::meta;

/// The event source's name.
const COMPONENT: &str = "garbage-collector-controller";
/// How often a write that lost a race is tried at once.
const RACES_MAX: usize = 5;

/// R146: whether this very owner exists.
pub(super) async fn verify(api: &Api, of: &ResourceType, owner: &Identity) -> Result<Answer, Failure> {
    let body = match api.get(&of.object(&owner.namespace, &owner.name)).await {
        Ok(body) => body,
        Err(failure) if failure.is_not_found() => return Ok(Answer::Absent),
        Err(failure) => return Err(failure),
    };
    Ok(match meta::project(&body) {
        Ok(found) if found.uid == owner.uid => Answer::Present {
            waits_for_deletion: found.deletion.is_some() && found.finalizers.iter().any(|f| f == FOREGROUND),
        },
        // Another incarnation. What cannot be read is not proof of absence.
        Ok(_) => Answer::Absent,
        Err(_) => Answer::Present { waits_for_deletion: false },
    })
}

/// Does it. NotFound means that the object is gone.
pub(super) async fn perform(api: &Api, of: &ResourceType, act: Act) -> Result<(), Failure> {
    match act {
        Act::Verify(_) | Act::Warn { .. } => Ok(()),
        Act::Delete { object, version, propagation } => {
            let options = json!({
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "preconditions": {"uid": object.uid.as_str(), "resourceVersion": &*version},
                "propagationPolicy": match propagation {
                    Propagation::Background => "Background",
                    Propagation::Foreground => "Foreground",
                    Propagation::Orphan => "Orphan",
                },
            });
            api.delete(&of.object(&object.namespace, &object.name), &options).await.map(drop)
        }
        Act::DropOwners { object, owners } => {
            edit(api, of, &object, |metadata| {
                let references = metadata.get("ownerReferences").and_then(Value::as_array)?;
                let is_kept = |reference: &&Value| !names(reference, &owners);
                let kept: Vec<Value> = references.iter().filter(is_kept).cloned().collect();
                (kept.len() < references.len()).then(|| json!({"ownerReferences": or_null(kept)}))
            })
            .await
        }
        Act::Unblock { object, owners } => {
            edit(api, of, &object, |metadata| {
                let mut references = metadata.get("ownerReferences").and_then(Value::as_array).cloned()?;
                for reference in references.iter_mut().filter(|reference| names(reference, &owners)) {
                    reference["blockOwnerDeletion"] = json!(false);
                }
                Some(json!({"ownerReferences": references}))
            })
            .await
        }
        Act::RemoveFinalizer { object, finalizer } => {
            edit(api, of, &object, |metadata| {
                let finalizers = metadata.get("finalizers").and_then(Value::as_array)?;
                let kept: Vec<Value> = finalizers.iter().filter(|f| f.as_str() != Some(finalizer)).cloned().collect();
                (kept.len() < finalizers.len()).then(|| json!({"finalizers": or_null(kept)}))
            })
            .await
        }
    }
}

fn names(reference: &Value, owners: &[Uid]) -> bool {
    reference.get("uid").and_then(Value::as_str).is_some_and(|uid| owners.iter().any(|owner| owner.as_str() == uid))
}

fn or_null(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { Value::Array(list) }
}

/// Reads, changes the metadata, and writes with the version read as precondition. A merge patch serves every kind,
/// custom ones too.
async fn edit(
    api: &Api,
    of: &ResourceType,
    object: &Identity,
    change: impl Fn(&Value) -> Option<Value>,
) -> Result<(), Failure> {
    let path = of.object(&object.namespace, &object.name);
    let mut races = 0;
    loop {
        let body = api.get(&path).await?;
        let found: Value = serde_json::from_slice(&body).unwrap_or_default();
        let metadata = &found["metadata"];
        if metadata["uid"].as_str() != Some(object.uid.as_str()) {
            return Ok(());
        }
        let Some(mut patch) = change(metadata) else { return Ok(()) };
        patch["resourceVersion"] = metadata["resourceVersion"].clone();
        patch["uid"] = metadata["uid"].clone();
        match api.patch(&path, Patch::Merge, &json!({"metadata": patch})).await {
            Err(failure) if failure.is_conflict() && races < RACES_MAX => races += 1,
            result => return result.map(drop),
        }
    }
}

/// A512: tells the user about a reference into another namespace. A word that is lost is lost.
pub(super) async fn warn(api: &Api, of: &ResourceType, object: &Identity, message: &str) {
    let api_version = if of.group.is_empty() { of.version.clone() } else { format!("{}/{}", of.group, of.version) };
    let now = jiff::Timestamp::now();
    let serial = u64::try_from(now.as_nanosecond()).unwrap_or_default();
    let namespace = if object.namespace.is_empty() { "default" } else { &*object.namespace };
    let mut involved = json!({
        "kind": of.kind, "name": &*object.name, "uid": object.uid.as_str(), "apiVersion": api_version,
    });
    if !object.namespace.is_empty() {
        involved["namespace"] = json!(namespace);
    }
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{serial:016x}", object.name), "namespace": namespace},
        "involvedObject": involved,
        "reason": "OwnerRefInvalidNamespace",
        "message": message,
        "source": {"component": COMPONENT},
        "firstTimestamp": format!("{now:.0}"),
        "lastTimestamp": format!("{now:.0}"),
        "count": 1,
        "type": "Warning",
        "reportingComponent": COMPONENT,
    });
    if let Err(failure) = api.create(&collection("", "v1", namespace, "events"), &event).await {
        tracing::debug!(object = %object.name, error = %Chain(&failure), "a warning is lost");
    }
}
