//! Keeps the status of PodDisruptionBudgets, on which evictions are decided (A434).
//!
//! Not here: the count (`everynode_core::lifecycle::disruption`) and the evictions themselves (the server's).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_api::project::{ProjectError, WireLabelSelector, int_or_percent};
use everynode_core::lifecycle::disruption::{self, Wanted};
use everynode_core::model::{IntOrPercent, Key, Millis, Pod};
use everynode_core::selector::LabelSelector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch, collection};
use crate::cache::Delta;
use crate::chain::Chain;
use crate::events::{About, Kind, Note, Recorder};
use crate::inbox::Inbox;
use crate::meta::{HasMeta, Meta, Wire};
use crate::{Context, ControllerError, clock};

/// How long to wait after a failed write.
const AGAIN: Duration = Duration::from_secs(1);

struct Budget {
    meta: Meta,
    selector: Option<LabelSelector>,
    wanted: Wanted,
    disrupted: BTreeMap<String, Millis>,
    status: Value,
}

impl HasMeta for Budget {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Deserialize)]
struct WireBudget {
    metadata: Wire,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    selector: Option<WireLabelSelector>,
    min_available: Option<Value>,
    max_unavailable: Option<Value>,
}

fn project(bytes: &[u8]) -> Result<Budget, ProjectError> {
    let wire: WireBudget =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "PodDisruptionBudget", source })?;
    let wanted = match (&wire.spec.min_available, &wire.spec.max_unavailable) {
        (Some(least), _) => Wanted::MinAvailable(int_or_percent(least)),
        (None, Some(most)) => Wanted::MaxUnavailable(int_or_percent(most)),
        // The API's default.
        (None, None) => Wanted::MinAvailable(IntOrPercent::Int(1)),
    };
    let disrupted = wire.status.get("disruptedPods").and_then(Value::as_object).into_iter().flatten();
    let time = |at: &Value| {
        let at: Option<jiff::Timestamp> = at.as_str().and_then(|at| at.parse().ok());
        Millis(at.map_or(0, jiff::Timestamp::as_millisecond))
    };
    Ok(Budget {
        meta: wire.metadata.project(),
        selector: wire.spec.selector.map(WireLabelSelector::project),
        wanted,
        disrupted: disrupted.map(|(name, at)| (name.clone(), time(at))).collect(),
        status: wire.status,
    })
}

enum Message {
    Budget(Delta<Budget>),
    Pod(Delta<Pod>),
    Written(Arc<Budget>, Result<(), Failure>),
    Again(Key),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("disruption-controller");
    let recorder = Recorder::start(api.clone(), "controllermanager");
    let budgets = context.feeds.open("disruption budgets", "/apis/policy/v1/poddisruptionbudgets", project);
    let pods = context.feeds.pods();
    pods.synced().await;
    let mut inbox = Inbox::new();
    inbox.follow(&budgets, Message::Budget);
    inbox.follow(&pods, Message::Pod);
    // Most namespaces have no budget, and then a pod costs one look-up.
    let mut known: BTreeSet<Key> = BTreeSet::new();
    let mut dirty: BTreeSet<Key> = BTreeSet::new();
    let mut busy: BTreeSet<Key> = BTreeSet::new();
    loop {
        let mut next = inbox.next(None).await;
        while let Some(message) = next {
            match message {
                Message::Budget(Delta::Put { new, .. }) => {
                    known.insert(new.meta.key.clone());
                    dirty.insert(new.meta.key.clone());
                }
                Message::Budget(Delta::Gone(gone)) => {
                    known.remove(&gone.meta.key);
                }
                Message::Pod(Delta::Put { new: pod, .. } | Delta::Gone(pod)) => {
                    let of = known.range(Key::new(&pod.key.namespace, "")..);
                    dirty.extend(of.take_while(|key| key.namespace == pod.key.namespace).cloned());
                }
                Message::Written(budget, Err(failure)) if !failure.is_not_found() && !failure.is_conflict() => {
                    tracing::debug!(budget = %budget.meta.key, error = %Chain(&failure), "trying again");
                    let key = budget.meta.key.clone();
                    inbox.act(async move {
                        tokio::time::sleep(AGAIN).await;
                        Message::Again(key)
                    });
                }
                Message::Written(budget, _) => {
                    busy.remove(&budget.meta.key);
                    dirty.insert(budget.meta.key.clone());
                }
                Message::Again(key) => {
                    busy.remove(&key);
                    dirty.insert(key);
                }
                Message::Budget(Delta::Synced) | Message::Pod(Delta::Synced) => {}
            }
            next = inbox.try_next();
        }
        for key in std::mem::take(&mut dirty) {
            let Some(budget) = budgets.get(&key).filter(|_| !busy.contains(&key)) else { continue };
            let Some(status) = judge(&budget, &pods.namespace(&key.namespace), &recorder) else { continue };
            busy.insert(key);
            inbox.act(write(api.clone(), budget, status));
        }
    }
}

/// The status to write, if it differs from what is there.
fn judge(budget: &Budget, pods: &[Arc<Pod>], recorder: &Recorder) -> Option<Value> {
    let matching = |pod: &&Pod| budget.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
    let pods: Vec<&Pod> = pods.iter().map(|pod| &**pod).filter(matching).collect();
    let now = clock::now();
    let mut notes = Vec::new();
    if pods.is_empty() {
        notes.push(note(budget, Kind::Normal, "NoPods", "No matching pods found".to_owned()));
    }
    let (count, reason, message) = match disruption::count(budget.wanted, pods.iter().copied(), &budget.disrupted, now)
    {
        Ok(count) if count.allowed > 0 => (count, "SufficientPods", String::new()),
        Ok(count) => (count, "InsufficientPods", String::new()),
        Err(problem) => {
            let words = format!("Failed to calculate the number of expected pods: {problem}");
            notes.push(note(budget, Kind::Warning, "CalculateExpectedPodCountFailed", words));
            (disruption::Count::default(), "SyncFailed", problem.to_string())
        }
    };
    let is_failed = reason == "SyncFailed";
    let mut status = if is_failed && budget.status.is_object() { budget.status.clone() } else { json!({}) };
    status["disruptionsAllowed"] = json!(count.allowed);
    if !is_failed {
        status["currentHealthy"] = json!(count.healthy);
        status["desiredHealthy"] = json!(count.desired);
        status["expectedPods"] = json!(count.expected);
    }
    status["observedGeneration"] = json!(budget.meta.generation);
    if !count.disrupted.is_empty() {
        let disrupted: BTreeMap<&String, String> =
            count.disrupted.iter().map(|(name, at)| (name, clock::rfc3339(*at))).collect();
        status["disruptedPods"] = json!(disrupted);
    }
    let state = if reason == "SufficientPods" { "True" } else { "False" };
    let old = budget.status.pointer("/conditions/0");
    let same = old.filter(|old| old["status"] == state);
    status["conditions"] = json!([{
        "type": "DisruptionAllowed",
        "status": state,
        "observedGeneration": budget.meta.generation,
        "lastTransitionTime": same.map_or_else(|| json!(clock::rfc3339(now)), |old| old["lastTransitionTime"].clone()),
        "reason": reason,
        "message": message,
    }]);
    if essence(&status) == essence(&budget.status) {
        return None;
    }
    notes.into_iter().for_each(|note| recorder.note(note));
    Some(status)
}

/// What counts as a difference: a server may write the rest in its own way.
fn essence(status: &Value) -> [Value; 9] {
    [
        "/disruptionsAllowed",
        "/currentHealthy",
        "/desiredHealthy",
        "/expectedPods",
        "/observedGeneration",
        "/conditions/0/status",
        "/conditions/0/reason",
        "/conditions/0/message",
        "/disruptedPods",
    ]
    .map(|pointer| match status.pointer(pointer) {
        None => Value::Null,
        // Absent and zero are the same on the wire.
        Some(value) if *value == json!(0) || *value == json!("") || *value == json!({}) => Value::Null,
        Some(value) => value.clone(),
    })
}

async fn write(api: Api, budget: Arc<Budget>, status: Value) -> Message {
    let path = format!(
        "{}/{}/status",
        collection("policy", "v1", &budget.meta.key.namespace, "poddisruptionbudgets"),
        budget.meta.key.name
    );
    let mut status = status;
    // A merge patch keeps what it does not name.
    if budget.status.get("disruptedPods").is_some() && status.get("disruptedPods").is_none() {
        status["disruptedPods"] = Value::Null;
    }
    let patch = json!({
        "metadata": {"uid": budget.meta.uid.as_str(), "resourceVersion": budget.meta.version.0.to_string()},
        "status": status,
    });
    let result = api.patch(&path, Patch::Merge, &patch).await.map(drop);
    Message::Written(budget, result)
}

fn note(budget: &Budget, kind: Kind, reason: &'static str, message: String) -> Note {
    Note { about: About::of("policy/v1", "PodDisruptionBudget", &budget.meta), kind, reason, message }
}
