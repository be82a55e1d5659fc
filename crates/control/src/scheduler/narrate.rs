//! What the scheduler says about pods: events in the new style (A517), the condition `PodScheduled` (A519a), and what it does
//! to those who make room.

use std::sync::Arc;

use everynode_core::model::{Key, NodeName, Pod};
use everynode_core::scheduling::Victims;
use serde_json::{Value, json};

use super::NAME;
use crate::api::{Api, Failure, collection};
use crate::chain::Chain;
use crate::{clock, pods};

/// `Successfully assigned NS/POD to NODE`.
pub(super) async fn scheduled(api: Api, pod: Arc<Pod>, node: NodeName) {
    let note = format!("Successfully assigned {} to {node}", pod.key);
    say(&api, &pod.key, pod.uid.as_str(), "Normal", ["Scheduled", "Binding"], &note).await;
}

/// The event, and the condition with the same words.
pub(super) async fn refused(api: Api, pod: Arc<Pod>, message: String, nominated: Option<NodeName>) {
    say(&api, &pod.key, pod.uid.as_str(), "Warning", ["FailedScheduling", "Scheduling"], &message).await;
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastProbeTime": null, "lastTransitionTime": clock::rfc3339(clock::now()),
    });
    if let Some(generation) = generation(&api, &pod).await {
        condition["observedGeneration"] = json!(generation);
    }
    let mut status = json!({"conditions": [condition]});
    if let Some(node) = nominated {
        status["nominatedNodeName"] = json!(node.as_str());
    }
    lost(&pod.key, pods::patch_status(&api, &pod, status).await);
}

async fn generation(api: &Api, pod: &Pod) -> Option<i64> {
    let body = api.get(&pods::path(pod)).await.ok()?;
    let object: Value = serde_json::from_slice(&body).ok()?;
    object.pointer("/metadata/generation")?.as_i64()
}

/// Marks and deletes those who make room.
pub(super) async fn preempt(api: Api, pod: Arc<Pod>, victims: Victims) {
    for (uid, held) in victims.pods {
        let victim = Pod { key: held.key, uid, ..(*pod).clone() };
        let message = format!("{NAME}: preempting to accommodate a higher priority pod");
        let marked = json!({"conditions": [pods::disruption("PreemptionByScheduler", &message)]});
        lost(&victim.key, pods::patch_status(&api, &victim, marked).await);
        lost(&victim.key, pods::delete(&api, &victim, None).await);
        let note = format!("Preempted by pod {} on node {}", pod.uid, victims.node);
        say(&api, &victim.key, victim.uid.as_str(), "Normal", ["Preempted", "Preempting"], &note).await;
    }
}

async fn say(api: &Api, key: &Key, uid: &str, kind: &str, [reason, action]: [&str; 2], note: &str) {
    let now = jiff::Timestamp::now();
    let serial = u64::try_from(now.as_nanosecond()).unwrap_or_default();
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{serial:016x}", key.name), "namespace": &*key.namespace},
        "involvedObject": {
            "kind": "Pod", "namespace": &*key.namespace, "name": &*key.name, "uid": uid, "apiVersion": "v1",
        },
        "reason": reason,
        "message": note,
        "source": {},
        "firstTimestamp": null,
        "lastTimestamp": null,
        "type": kind,
        "eventTime": format!("{now:.6}"),
        "action": action,
        "reportingComponent": NAME,
        "reportingInstance": NAME,
    });
    lost(key, api.create(&collection("", "v1", &key.namespace, "events"), &event).await.map(drop));
}

fn lost(key: &Key, result: Result<(), Failure>) {
    if let Err(failure) = result
        && !failure.is_not_found()
        && !failure.is_namespace_terminating()
    {
        tracing::debug!(pod = %key, error = %Chain(&failure), "a word about a pod is lost");
    }
}
