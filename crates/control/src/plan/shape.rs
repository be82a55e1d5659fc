//! A plan as a document: the shape of `everynode plan -o json`. Members are never left out; what is not there is null.
//!
//! docs/recipes/plan-before-you-apply.md describes it. Fields may be added; none changes its meaning within `everynode.io/v1`.

use everynode_core::daemonset::forecast::{Change, Forecast};
use everynode_core::explain::outlook::{Basis, Outlook, left_in_words};
use everynode_core::model::Millis;
use serde_json::{Value, json};

use super::{Fate, Planned, SetPlan};
use crate::clock;
use crate::explain::shape::{VERSION, budget};

/// The plan of all objects.
#[must_use]
pub fn document(planned: &[Planned]) -> Value {
    json!({
        "apiVersion": VERSION,
        "kind": "Plan",
        "asOf": clock::rfc3339(clock::now()),
        "objects": planned.iter().map(object).collect::<Vec<_>>(),
    })
}

fn object(planned: &Planned) -> Value {
    let (change, set, refusal) = match &planned.fate {
        Fate::Set(set) => (set.class.name(), Some(set), None),
        Fate::Skipped => ("skipped", None, None),
        Fate::Refused { message, mend } => ("refused", None, Some(json!({"message": message, "mend": mend}))),
    };
    json!({
        "kind": planned.kind,
        "namespace": &*planned.key.namespace,
        "name": &*planned.key.name,
        "change": change,
        "refusal": refusal,
        "fields": set.map(|set| fields(set)),
        "notes": set.map(|set| &set.notes),
        "outlook": set.map(|set| outlook(&set.outlook)),
    })
}

fn fields(set: &SetPlan) -> Vec<Value> {
    set.changes.iter().map(|change| json!({"field": change.field, "from": change.from, "to": change.to})).collect()
}

/// Seconds, rounded up.
fn seconds(span: Millis) -> i64 {
    (span.0.max(0) + 999) / 1000
}

fn outlook(outlook: &Outlook) -> Value {
    let forecast = &outlook.forecast;
    let (start, slow_start) = outlook.basis.starts();
    let sample = match outlook.basis {
        Basis::Own(starts) | Basis::Fleet(starts) => starts.pods,
        Basis::Given(_) | Basis::Nothing => 0,
    };
    json!({
        "desired": forecast.before.desired,
        "gets": forecast.count(Change::Gets),
        "loses": forecast.count(Change::Loses),
        "replaced": forecast.count(Change::Replaced),
        "budget": budget(outlook.budget.as_ref()),
        "estimate": {
            "seconds": seconds(forecast.takes),
            "quickSeconds": seconds(outlook.quick),
            "slowSeconds": seconds(outlook.slow),
            "basis": outlook.basis.name(),
            "samplePods": sample,
            "podStartSeconds": seconds(start),
            "podStartP90Seconds": seconds(slow_start),
            "podStopSeconds": seconds(outlook.pace.stop),
            "minReadySeconds": seconds(outlook.min_ready),
        },
        "waves": waves(forecast),
        "left": forecast.left.iter().map(|view| {
            json!({"node": view.node.as_str(), "why": left_in_words(view)})
        }).collect::<Vec<_>>(),
        "problem": forecast.problem.map(|problem| problem.to_string()),
    })
}

fn waves(forecast: &Forecast) -> Vec<Value> {
    let node = |(node, change): &(everynode_core::model::NodeName, Change)| json!({"node": node.as_str(), "change": change.word()});
    let wave = |wave: &everynode_core::daemonset::forecast::Wave| json!({"atSeconds": seconds(wave.at), "nodes": wave.nodes.iter().map(node).collect::<Vec<_>>()});
    forecast.waves.iter().map(wave).collect()
}
