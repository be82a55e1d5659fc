//! Jobs on the wire: what is read, and what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use everynode_api::project::ProjectError;
use everynode_core::lifecycle::job::{self, End, Plan, Tally};
use everynode_core::model::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::meta::{HasMeta, Meta, Wire};

/// A Job, with what its pods are made of.
pub(super) struct Job {
    pub(super) meta: Meta,
    /// It completed or failed, and is left alone.
    pub(super) finished: bool,
    /// `completionMode: Indexed`, which is not run.
    pub(super) indexed: bool,
    /// `spec.managedBy` names somebody else.
    pub(super) foreign: bool,
    /// `spec.ttlSecondsAfterFinished`, counted from the end.
    pub(super) expires: Option<Millis>,
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    pub(super) decision: job::Job,
    pub(super) template: Value,
    pub(super) status: Value,
}

impl HasMeta for Job {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Deserialize)]
struct WireJob {
    metadata: Wire,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    parallelism: Option<i32>,
    completions: Option<i32>,
    backoff_limit: Option<i32>,
    active_deadline_seconds: Option<i64>,
    ttl_seconds_after_finished: Option<i64>,
    suspend: Option<bool>,
    completion_mode: Option<String>,
    managed_by: Option<String>,
    template: Value,
}

fn time(value: Option<&Value>) -> Option<Millis> {
    let at: jiff::Timestamp = value?.as_str()?.parse().ok()?;
    Some(Millis(at.as_millisecond()))
}

pub(super) fn project(bytes: &[u8]) -> Result<Job, ProjectError> {
    let wire: WireJob = serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "Job", source })?;
    let (spec, status) = (wire.spec, wire.status);
    let end = status.get("conditions").and_then(Value::as_array).into_iter().flatten().find(|condition| {
        condition["status"] == "True" && (condition["type"] == "Complete" || condition["type"] == "Failed")
    });
    let count = |name: &str| status.get(name).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    let ttl = spec.ttl_seconds_after_finished.map(Millis::from_secs);
    Ok(Job {
        meta: wire.metadata.project(),
        finished: end.is_some(),
        indexed: spec.completion_mode.as_deref() == Some("Indexed"),
        foreign: spec.managed_by.is_some_and(|by| by != "kubernetes.io/job-controller"),
        expires: end.and_then(|end| time(end.get("lastTransitionTime"))).zip(ttl).map(|(at, ttl)| at.plus(ttl)),
        succeeded: count("succeeded"),
        failed: count("failed"),
        decision: job::Job {
            parallelism: spec.parallelism.unwrap_or(1),
            completions: spec.completions,
            backoff_limit: spec.backoff_limit.unwrap_or(6),
            deadline: spec.active_deadline_seconds.map(Millis::from_secs),
            suspended: spec.suspend.unwrap_or(false),
            started: time(status.get("startTime")),
        },
        template: spec.template,
        status,
    })
}

/// A pod of this Job.
pub(super) fn pod(job: &Job) -> Value {
    let mut metadata = json!({
        "generateName": format!("{}-", job.meta.key.name),
        "namespace": &*job.meta.key.namespace,
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": &*job.meta.key.name, "uid": job.meta.uid.as_str(),
            "controller": true, "blockOwnerDeletion": true,
        }],
    });
    for part in ["labels", "annotations"] {
        if let Some(value) = job.template.pointer(&format!("/metadata/{part}")) {
            metadata[part] = value.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": job.template["spec"]})
}

/// The status to write, if it differs. A merge patch: what is null goes.
pub(super) fn status(job: &Job, tally: &Tally, plan: &Plan, now: Millis) -> Option<Value> {
    let some = |count: i32| if count > 0 { json!(count) } else { Value::Null };
    let ended = plan.end.is_some();
    let mut status = json!({
        "active": if ended { Value::Null } else { some(plan.active) },
        "ready": if ended { 0 } else { plan.ready },
        "succeeded": some(tally.succeeded()),
        "failed": some(tally.failed()),
        "terminating": plan.terminating + if ended { plan.active } else { 0 },
    });
    if job.decision.started.is_none() && !job.decision.suspended {
        status["startTime"] = json!(clock::rfc3339(now));
    }
    let mut conditions = job.status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    for (kind, truth, reason, message) in wanted_conditions(job, plan) {
        set(&mut conditions, kind, truth, reason, message, now);
    }
    if plan.end == Some(End::Complete) {
        status["completionTime"] = json!(clock::rfc3339(now));
    }
    if !conditions.is_empty() {
        status["conditions"] = Value::Array(conditions);
    }
    let is_same = |name: &String, value: &Value| {
        let before = job.status.get(name).unwrap_or(&Value::Null);
        before == value || (before.is_null() && *value == json!(0))
    };
    let changes: BTreeMap<String, Value> = status
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !is_same(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!changes.is_empty()).then(|| json!(changes))
}

type Wanted = (&'static str, &'static str, &'static str, &'static str);

fn wanted_conditions(job: &Job, plan: &Plan) -> Vec<Wanted> {
    let was_suspended = job.status.pointer("/conditions").and_then(Value::as_array).is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Suspended" && condition["status"] == "True")
    });
    match plan.end {
        Some(End::Complete) => vec![
            ("SuccessCriteriaMet", "True", End::Complete.reason(), End::Complete.message()),
            ("Complete", "True", End::Complete.reason(), End::Complete.message()),
        ],
        Some(end) => {
            vec![
                ("FailureTarget", "True", end.reason(), end.message()),
                ("Failed", "True", end.reason(), end.message()),
            ]
        }
        None if job.decision.suspended => vec![("Suspended", "True", "JobSuspended", "Job suspended")],
        None if was_suspended => vec![("Suspended", "False", "JobResumed", "Job resumed")],
        None => Vec::new(),
    }
}

fn set(conditions: &mut Vec<Value>, kind: &str, truth: &str, reason: &str, message: &str, now: Millis) {
    if conditions.iter().any(|old| old["type"] == kind && old["status"] == truth) {
        return;
    }
    conditions.retain(|old| old["type"] != kind);
    let now = clock::rfc3339(now);
    conditions.push(json!({
        "type": kind, "status": truth, "lastProbeTime": now, "lastTransitionTime": now,
        "reason": reason, "message": message,
    }));
}

/// For the status of a Job that was looked at the first time.
pub(super) fn tally(job: &Job, pods: &[Arc<everynode_core::model::Pod>]) -> Tally {
    let pods: Vec<_> = pods.iter().map(|pod| &**pod).collect();
    Tally::new(job.succeeded, job.failed, &pods)
}
