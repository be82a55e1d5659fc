//! Carries out a plan: pods are made and taken away (R67–R72), in the order that [`Order`] gives.

use std::sync::Arc;

use bytes::Bytes;
use everynode_api::daemonset::wire::{self, version_of};
use everynode_api::daemonset::{Order, PodMaker};
use everynode_core::daemonset::plan::Outcome;
use everynode_core::daemonset::{Plan, Step};
use everynode_core::explain::events::{self, Said};
use everynode_core::model::NodeName;
use futures::future::join_all;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Report, SetItem, note};
use crate::api::{Api, Failure};
use crate::chain::Chain;
use crate::events::Recorder;

/// Carries out plans. Cheap to clone.
#[derive(Clone)]
pub(super) struct Executor {
    pub(super) api: Api,
    pub(super) recorder: Recorder,
}

/// What a failed write means to the engine.
pub(super) fn outcome_of(failure: &Failure) -> Outcome {
    if failure.is_not_found() {
        Outcome::Gone
    } else if failure.is_conflict() {
        Outcome::Conflict
    } else if failure.is_unknown() {
        Outcome::Unknown
    } else {
        Outcome::Refused
    }
}

impl Executor {
    pub(super) fn new(api: Api, recorder: Recorder) -> Self {
        Self { api, recorder }
    }

    /// Does all of a plan that can be done now.
    pub(super) async fn carry_out(&self, item: &Arc<SetItem>, plan: Plan) -> Report {
        let key = item.set.key.clone();
        let mut order = Order::new(plan.steps);
        // R75: once per round, and only if something is to be adopted.
        if order.adopts() && !self.still_there(item).await {
            order.adopt_nothing();
        }
        let maker = if order.creates() { self.maker(item, plan.hash.as_deref().unwrap_or_default()) } else { None };
        if maker.is_none() {
            order.create_nothing();
        }
        loop {
            let batch = order.batch();
            if batch.is_empty() {
                break;
            }
            let outcomes = join_all(batch.iter().map(|step| self.do_one(item, maker.as_ref(), step))).await;
            order.told(batch, outcomes);
        }
        let (outcomes, is_retried) = order.end();
        let mut report = Report { key, outcomes, status: None, is_retried };
        if let Some(status) = plan.status {
            let written = self.write_status(item, status).await;
            let version = written.inspect_err(|failure| {
                // A set that is gone needs no status.
                report.is_retried |= !failure.is_not_found();
                tracing::debug!(set = %report.key, error = %Chain(failure), "the status is not written");
            });
            report.status = Some((status, version.ok()));
        }
        report
    }

    fn maker(&self, item: &SetItem, hash: &str) -> Option<PodMaker> {
        PodMaker::new(&item.object, hash)
            .inspect_err(|error| tracing::warn!(set = %item.set.key, error = %Chain(error), "no pods can be made"))
            .ok()
    }

    async fn do_one(&self, item: &SetItem, maker: Option<&PodMaker>, step: &Step) -> Outcome {
        match (step, maker) {
            (Step::Create { .. }, Some(maker)) => self.create(item, maker, step).await,
            (Step::Create { .. }, None) => Outcome::NotTried,
            (Step::Delete { .. }, _) => self.delete(item, step).await,
            _ => self.claim_or_record(item, step).await,
        }
    }

    async fn create(&self, item: &SetItem, maker: &PodMaker, step: &Step) -> Outcome {
        let Step::Create { node, name, .. } = step else { return Outcome::NotTried };
        let Some(request) = wire::create_pod(&item.set, maker, step) else { return Outcome::NotTried };
        let path = request.path.clone();
        match self.ask(request).await {
            Ok(answer) => {
                self.say(item, events::created(name));
                Outcome::Done { version: version_of(&answer) }
            }
            Err(failure) if failure.is_namespace_terminating() => Outcome::NamespaceGoing,
            Err(failure) if failure.is_already_exists() => self.whose_is(item, &path, name, node).await,
            Err(failure) => {
                self.say(item, events::not_created(&Chain(&failure).to_string()));
                if failure.is_unknown() { Outcome::Unknown } else { Outcome::Refused }
            }
        }
    }

    /// The name is taken: by an earlier try of ours, or by somebody else.
    async fn whose_is(&self, item: &SetItem, path: &str, name: &str, node: &NodeName) -> Outcome {
        // A list of one: R171 does not let this controller get pods.
        let Ok(body) = self.api.get(&format!("{path}?fieldSelector=metadata.name%3D{name}")).await else {
            return Outcome::Unknown;
        };
        first_of(&body).map_or(Outcome::NameTaken, |there| wire::whose_pod(&item.set, node, there.get().as_bytes()))
    }

    async fn delete(&self, item: &SetItem, step: &Step) -> Outcome {
        let Step::Delete { pod, .. } = step else { return Outcome::NotTried };
        let Some(request) = wire::request(&item.set, &item.object, step) else { return Outcome::NotTried };
        match self.ask(request).await {
            Ok(answer) => {
                self.say(item, events::deleted(&pod.name));
                Outcome::Done { version: version_of(&answer) }
            }
            Err(failure) => {
                let outcome = outcome_of(&failure);
                if matches!(outcome, Outcome::Refused | Outcome::Unknown) {
                    self.say(item, events::not_deleted(&Chain(&failure).to_string()));
                }
                outcome
            }
        }
    }

    /// Sends a request that was made as data.
    pub(super) async fn ask(&self, request: wire::Request) -> Result<Bytes, Failure> {
        // The words of `wire` are methods, all of them.
        let method = Method::from_bytes(request.method.as_bytes()).unwrap_or_default();
        self.api.send(method, &request.path, request.content_type, request.body).await
    }

    fn say(&self, item: &SetItem, said: Said) {
        self.recorder.note(note(&item.set, said));
    }
}

/// The first item of a list.
fn first_of(list: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    let list: List<'_> = serde_json::from_slice(list).ok()?;
    list.items?.first().copied()
}
