//! The Node object: registered once, reported when something changes and every five minutes (sections 2 of the rules).
//!
//! Taints and further labels belong to others after the registration (N30, N63).

pub(crate) mod facts;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams, ResourceExt};
use tokio::sync::watch;

use crate::kit::Kit;
use facts::architecture;
pub(crate) use report::Reporter;

/// Waits between tries to register (N29).
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(7);
/// Tries to report in a row (N47).
const TRIES: u32 = 5;
/// Time between looks at the node, and between reports when nothing changed (N12).
const LOOK_EVERY: Duration = Duration::from_secs(10);
const REPORT_EVERY: Duration = Duration::from_secs(300);

/// Registers the node and gives back its object; never stops trying (N29).
pub(crate) async fn register(kit: &Kit, reporter: &Reporter) -> Node {
    let api: Api<Node> = Api::all(kit.client.clone());
    let mut wait = RETRY_FIRST;
    let fresh = fresh(kit, reporter);
    loop {
        let result = match api.create(&PostParams::default(), &fresh).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 403) => adopt(kit, &api).await,
            result => result,
        };
        match result {
            Ok(node) => return node,
            Err(error) => {
                tracing::warn!(
                    node = kit.config.node_name,
                    error = &error as &dyn std::error::Error,
                    "not registered yet"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_CAP);
            }
        }
    }
}

/// Takes over an existing Node: only the labels that every node has are set again (N30).
async fn adopt(kit: &Kit, api: &Api<Node>) -> Result<Node, kube::Error> {
    let node = api.get(&kit.config.node_name).await?;
    let wanted = own_labels(kit);
    let differs: BTreeMap<_, _> =
        wanted.into_iter().filter(|(key, value)| node.labels().get(key) != Some(value)).collect();
    if differs.is_empty() {
        return Ok(node);
    }
    let change = serde_json::json!({ "metadata": { "labels": differs } });
    api.patch(&kit.config.node_name, &PatchParams::default(), &Patch::Strategic(change)).await
}

/// Labels that every node has (N32), and the ones of the configuration.
fn own_labels(kit: &Kit) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), kit.config.node_name.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), architecture().to_owned()),
        ("beta.kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("beta.kubernetes.io/arch".to_owned(), architecture().to_owned()),
    ]);
    labels.extend(kit.config.labels.clone());
    labels
}

fn fresh(kit: &Kit, reporter: &Reporter) -> Node {
    let taints: Vec<_> = kit
        .config
        .taints
        .iter()
        .map(|taint| Taint {
            key: taint.key.clone(),
            value: Some(taint.value.clone()).filter(|value| !value.is_empty()),
            effect: taint.effect.clone(),
            time_added: None,
        })
        .collect();
    Node {
        metadata: ObjectMeta {
            name: Some(kit.config.node_name.clone()),
            labels: Some(own_labels(kit)),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: Some(taints).filter(|taints| !taints.is_empty()), ..NodeSpec::default() }),
        status: Some(reporter.status(kit, jiff::Timestamp::now())),
    }
}

/// Reports the node's status until dropped. `seen` is the node as its watch sees it.
pub(crate) async fn report(kit: Arc<Kit>, mut reporter: Reporter, mut seen: watch::Receiver<Arc<Node>>) {
    let api: Api<Node> = Api::all(kit.client.clone());
    let mut sent_at = None::<tokio::time::Instant>;
    let mut lost = false;
    loop {
        let changed = reporter.look(&kit).await;
        let due = sent_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if changed || due || lost {
            let patch = Patch::Strategic(reporter.patch(&kit, jiff::Timestamp::now()));
            match send(&api, &kit.config.node_name, &patch).await {
                Ok(()) => {
                    sent_at = Some(tokio::time::Instant::now());
                    reporter.sent(&kit);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(node = kit.config.node_name, error, "node status not reported");
                    sent_at = None;
                }
            }
        }
        let spread = LOOK_EVERY.mul_f64(0.04 * rand::random::<f64>());
        lost = tokio::time::timeout(LOOK_EVERY + spread, wait_for_lost_conditions(&mut seen)).await.is_ok();
    }
}

/// Tries a few times in a row: others write the node, too (N47).
async fn send(api: &Api<Node>, name: &str, patch: &Patch<serde_json::Value>) -> Result<(), kube::Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        match api.patch_status(name, &PatchParams::default(), patch).await {
            Ok(_) => return Ok(()),
            // Somebody deleted the node: it comes back when the agent starts again, as upstream's does.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tokio::time::sleep(RETRY_FIRST).await,
        }
    }
}

/// Returns when somebody else says that this node is not ready: the agent is alive and says so at once.
async fn wait_for_lost_conditions(seen: &mut watch::Receiver<Arc<Node>>) {
    while seen.changed().await.is_ok() {
        let node = Arc::clone(&seen.borrow_and_update());
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "Unknown") {
            return;
        }
    }
    std::future::pending::<()>().await;
}
