//! What the node keeper writes.

use std::sync::Arc;

use everynode_core::lifecycle::health::Silence;
use everynode_core::model::{Node, Pod, Version};
use everynode_core::selector::Taint;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch};
use crate::chain::Chain;
use crate::{clock, meta, pods};

fn path(node: &Node) -> String {
    format!("/api/v1/nodes/{}", node.name)
}

/// The version that a write made.
fn version(body: &[u8]) -> Version {
    meta::project(body).map_or(Version(0), |meta| meta.version)
}

/// R124: the conditions become Unknown. Conditions merge by type, so only these change.
pub(super) async fn declare(api: &Api, node: &Node, silence: &Silence) -> Result<Version, Failure> {
    let now = clock::rfc3339(clock::now());
    let conditions: Vec<Value> = silence
        .conditions
        .iter()
        .map(|lost| {
            let mut condition = json!({
                "type": lost.kind, "status": "Unknown", "reason": lost.reason, "message": lost.message,
                "lastTransitionTime": now,
            });
            if let Some(heartbeat) = lost.heartbeat {
                condition["lastHeartbeatTime"] = json!(clock::rfc3339(heartbeat));
            }
            condition
        })
        .collect();
    let patch = json!({
        "metadata": {"uid": node.uid.as_str(), "resourceVersion": node.version.0.to_string()},
        "status": {"conditions": conditions},
    });
    let body = api.patch(&format!("{}/status", path(node)), Patch::Strategic, &patch).await?;
    Ok(version(&body))
}

/// The whole list: `spec.taints` does not merge (A345). The version guards what others add meanwhile.
pub(super) async fn taint(api: &Api, node: &Node, taints: &[Taint]) -> Result<Version, Failure> {
    let taints: Vec<Value> = taints.iter().map(wire).collect();
    let patch = json!({
        "metadata": {"uid": node.uid.as_str(), "resourceVersion": node.version.0.to_string()},
        "spec": {"taints": if taints.is_empty() { Value::Null } else { Value::Array(taints) }},
    });
    let body = api.patch(&path(node), Patch::Merge, &patch).await?;
    Ok(version(&body))
}

fn wire(taint: &Taint) -> Value {
    let mut wire = json!({"key": taint.key, "effect": taint.effect.as_str()});
    if !taint.value.is_empty() {
        wire["value"] = json!(taint.value);
    }
    if let Some(added) = taint.added {
        wire["timeAdded"] = json!(clock::rfc3339(added));
    }
    wire
}

/// R126: a pod on a silent node is not ready.
pub(super) async fn unready(api: Api, pod: Arc<Pod>) {
    let now = clock::rfc3339(clock::now());
    let status = json!({"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]});
    if let Err(failure) = pods::patch_status(&api, &pod, status).await
        && !failure.is_not_found()
    {
        tracing::warn!(pod = %pod.key, error = %Chain(&failure), "cannot mark a pod of a silent node");
    }
}

/// R127: marked, then deleted with its own grace.
pub(super) async fn evict(api: &Api, pod: &Pod) -> Result<(), Failure> {
    let condition = pods::disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
    match pods::patch_status(api, pod, json!({"conditions": [condition]})).await {
        Err(failure) if failure.is_not_found() => return Ok(()),
        Err(failure) if !failure.is_conflict() => return Err(failure),
        _ => {}
    }
    pods::delete(api, pod, None).await
}

#[cfg(test)]
mod tests {
    use everynode_core::model::Millis;

    use super::*;
    use everynode_core::selector::Effect;

    #[test]
    fn a_taint_on_the_wire() {
        let taint = Taint {
            key: "k".into(),
            value: String::new(),
            effect: Effect::NoExecute,
            added: Some(Millis::from_secs(1_700_000_000)),
        };
        let expect = json!({"key": "k", "effect": "NoExecute", "timeAdded": "2023-11-14T22:13:20Z"});
        assert_eq!(wire(&taint), expect);
    }
}
