//! Writing a pod's status: one write under way, changes meanwhile become the next one (section 20.4 of the rules).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PartialObjectMeta, Patch, PatchParams, Preconditions, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use super::{Did, Message, Worker};
use crate::status::{self, Transitions};

/// Changes within this time go into one write (N353).
const WINDOW: Duration = Duration::from_millis(10);
/// Wait after a write that failed, and its growth.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_CAP: Duration = Duration::from_secs(10);

/// How a write ended.
pub(crate) enum Outcome {
    /// The API has this status, in this version of the object.
    Written(Value, Option<u64>),
    /// The object is marked for the end; its watch will say when it is gone.
    Deleted,
    /// The object of this uid is gone.
    Gone,
    /// It will be tried again.
    Failed,
}

/// What the API knows and what it shall know.
pub(super) struct Writer {
    known: Value,
    /// Version of the object with it; older ones that the watch still brings say nothing new.
    version: Option<u64>,
    transitions: Transitions,
    /// The pod had ended before the agent saw it: its status is somebody's last word.
    frozen: bool,
    under_way: bool,
    changed_at: Option<Instant>,
    retry_at: Option<Instant>,
    failures: u32,
    delete_done: bool,
}

impl Writer {
    pub(super) fn new(pod: &Pod, frozen: bool) -> Self {
        Self {
            known: Value::Null,
            version: None,
            transitions: Transitions::of(pod),
            frozen,
            under_way: false,
            changed_at: None,
            retry_at: None,
            failures: 0,
            delete_done: false,
        }
    }

    /// Hears a version of the pod, which may carry a status that somebody else wrote.
    pub(super) fn hear(&mut self, pod: &Pod) {
        if version(&pod.metadata).is_some_and(|seen| self.version.is_some_and(|written| seen <= written)) {
            return;
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let known = self.known.get("phase").and_then(Value::as_str);
        if known.is_some() && !self.under_way && known != phase {
            self.known = Value::Null;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.under_way
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        self.retry_at.or(self.changed_at.map(|at| at + WINDOW))
    }

    /// Notes the end of a write; true when the object is gone.
    pub(super) fn wrote(&mut self, outcome: Outcome) -> bool {
        self.under_way = false;
        self.failures = if matches!(outcome, Outcome::Failed) { self.failures + 1 } else { 0 };
        self.retry_at = None;
        match outcome {
            Outcome::Written(status, version) => (self.known, self.version) = (status, version),
            Outcome::Deleted => self.delete_done = true,
            Outcome::Gone => return true,
            Outcome::Failed => {
                let wait = RETRY_FIRST * 2_u32.saturating_pow(self.failures.min(8));
                self.retry_at = Some(Instant::now() + wait.min(RETRY_CAP));
            }
        }
        false
    }
}

impl Worker {
    /// Starts the next write, if one is due.
    pub(super) fn write(&mut self) {
        let writer = &mut self.writer;
        if self.gone || writer.under_way || writer.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        if !writer.frozen {
            let status =
                status::render(&self.kit, &self.pod, &self.machine, &self.sandbox.ips, &mut writer.transitions);
            if status != writer.known {
                let since = *writer.changed_at.get_or_insert_with(Instant::now);
                // The last word is not held back: the deletion waits for it.
                if since.elapsed() >= WINDOW || self.delete_asked {
                    writer.changed_at = None;
                    writer.under_way = true;
                    self.send_status(status);
                }
                return;
            }
            writer.changed_at = None;
        }
        if self.delete_asked && !self.writer.delete_done {
            self.writer.under_way = true;
            self.send_delete();
        }
    }

    fn api(&self) -> Api<PartialObjectMeta<Pod>> {
        Api::namespaced(self.kit.client.clone(), &self.pod.namespace().unwrap_or_default())
    }

    fn send_status(&self, status: Value) {
        let (api, post, pod) = (self.api(), self.post.clone(), Arc::clone(&self.pod));
        tokio::spawn(Box::pin(async move {
            let patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": status });
            let result = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await;
            let outcome = match result {
                Ok(answer) => Outcome::Written(status, version(&answer.metadata)),
                Err(error) => failed(&pod, &error, "pod status not written"),
            };
            let _ = post.send(Message::Did(Did::Wrote(outcome)));
        }));
    }

    fn send_delete(&self) {
        let (api, post, pod) = (self.api(), self.post.clone(), Arc::clone(&self.pod));
        tokio::spawn(Box::pin(async move {
            let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
            let params = DeleteParams {
                grace_period_seconds: Some(0),
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            let outcome = match api.delete(&pod.name_any(), &params).await {
                Ok(_) => Outcome::Deleted,
                Err(error) => failed(&pod, &error, "pod not deleted"),
            };
            let _ = post.send(Message::Did(Did::Wrote(outcome)));
        }));
    }
}

fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_deref()?.parse().ok()
}

/// Gone, when the object of this uid does not exist any more (N268, N290).
fn failed(pod: &Pod, error: &kube::Error, what: &'static str) -> Outcome {
    if let kube::Error::Api(status) = error
        && (status.code == 404 || status.code == 409)
    {
        return Outcome::Gone;
    }
    let error = error as &dyn std::error::Error;
    tracing::warn!(pod = pod.name_any(), namespace = pod.namespace(), error, "{what}");
    Outcome::Failed
}
