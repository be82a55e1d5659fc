//! An explanation as a document: the shape of `everynode explain -o json`. Members are never left out; what is not there is null.
//!
//! docs/recipes/why-is-my-pod-not-there.md describes it. Fields may be added; none changes its meaning within `everynode.io/v1`.

use everynode_core::explain::{Allowance, Explanation, Health, PodRow, Row, Summary};
use everynode_core::model::Millis;
use serde_json::{Value, json};

use crate::clock;

/// `apiVersion` of what is printed.
pub(crate) const VERSION: &str = "everynode.io/v1";

/// The whole explanation, or only one node of it.
#[must_use]
pub fn document(explanation: &Explanation, rows: &[&Row]) -> Value {
    let key = &explanation.summary.key;
    json!({
        "apiVersion": VERSION,
        "kind": "Explanation",
        "namespace": &*key.namespace,
        "name": &*key.name,
        "asOf": clock::rfc3339(explanation.now),
        "summary": summary(&explanation.summary),
        "nodes": rows.iter().map(|row| node(row, explanation.now)).collect::<Vec<_>>(),
    })
}

/// Any document as YAML.
#[must_use]
pub fn yaml(document: &Value) -> String {
    String::from_utf8_lossy(&everynode_api::codec::yaml::encode(document)).trim_end().to_owned()
}

fn time(at: Option<Millis>) -> Value {
    at.map_or(Value::Null, |at| json!(clock::rfc3339(at)))
}

pub(crate) fn budget(budget: Option<&Allowance>) -> Value {
    budget.map_or(Value::Null, |budget| {
        json!({"field": budget.field(), "value": budget.written, "allowed": budget.allowed, "used": budget.used})
    })
}

fn summary(summary: &Summary) -> Value {
    let counts = &summary.counts;
    let held_up = summary.holds.iter().map(|hold| json!({"node": hold.node.as_str(), "why": hold.words}));
    let name = |hash: &str| format!("{}-{hash}", summary.key.name);
    json!({
        "nodes": summary.nodes,
        "desired": counts.desired,
        "current": counts.current,
        "ready": counts.ready,
        "updated": counts.updated,
        "available": counts.available,
        "unavailable": counts.unavailable,
        "misscheduled": counts.misscheduled,
        "revision": summary.hash.as_deref().map(|hash| {
            json!({"name": name(hash), "hash": hash, "number": summary.revision})
        }),
        "outdatedPods": summary.outdated,
        "rollout": summary.rolling.map(|since| json!({"since": time(since)})),
        "budget": budget(summary.budget.as_ref()),
        "heldUpBy": held_up.collect::<Vec<_>>(),
        "podsToMake": summary.due.0,
        "podsToRemove": summary.due.1,
        "lastRefusal": summary.refusal.as_ref().map(|refusal| {
            json!({"at": time(Some(refusal.at)), "times": refusal.times, "message": refusal.message})
        }),
        "notes": summary.notes,
    })
}

fn node(row: &Row, now: Millis) -> Value {
    let reason = row.verdict.reason();
    json!({
        "node": row.node.as_str(),
        "verdict": row.verdict.word(),
        "rule": reason.map(|reason| reason.rule()),
        "because": reason.map(ToString::to_string),
        "mend": reason.map(|reason| reason.mend(&row.node)),
        "pods": row.pods.iter().map(|one| pod(one, now)).collect::<Vec<_>>(),
        "charged": row.answers.map(|answers| json!({
            "who": answers.who.word(), "since": time(answers.since), "nodeNotReady": answers.is_node_down,
        })),
        "next": if row.next.words.is_empty() {
            Value::Null
        } else {
            json!({"what": row.next.words, "at": time(row.next.at)})
        },
    })
}

fn pod(pod: &PodRow, now: Millis) -> Value {
    let since = match pod.health {
        Health::NotReady { since } => since,
        Health::Starting { since } | Health::Unscheduled { since } => Some(since),
        _ => None,
    };
    let until = match pod.health {
        Health::Young { until } => Some(until),
        _ => None,
    };
    json!({
        "name": &*pod.name,
        "revision": pod.revision(),
        "hash": pod.hash.as_deref(),
        "health": pod.health.name(),
        "since": time(since),
        "availableAt": time(until),
        "trouble": pod.trouble.as_ref().map(|trouble| json!({
            "reason": trouble.reason, "message": trouble.message, "restarts": trouble.restarts,
        })),
        "inWords": pod.in_words(now),
    })
}
