//! Carries out a plan as `everynode-control` does (R67–R72, R75, R85, R86, R113): the same requests in the same order, both of
//! which `everynode-api` gives, over a pretend wire.

use std::rc::Rc;

use everynode_api::daemonset::{Order, PodMaker, wire};
use everynode_core::daemonset::Step;
use everynode_core::daemonset::plan::Outcome;
use everynode_core::model::{Key, Status, Version};
use futures::future::join_all;

use super::Plan;
use super::net::{Answer, Call, Net};

/// What became of a plan.
pub(crate) struct Report {
    pub(crate) key: Key,
    pub(crate) outcomes: Vec<(Step, Outcome)>,
    /// The status that was to be written, and the version it has now.
    pub(crate) status: Option<(Status, Option<Version>)>,
    /// Something did not work that may work later.
    pub(crate) is_retried: bool,
}

/// Carries out plans.
pub(crate) struct Executor {
    pub(crate) net: Net,
    pub(crate) plan: Rc<Plan>,
}

impl Executor {
    async fn send(&self, request: wire::Request, step: Option<&Step>) -> Answer {
        self.net.send(Call { request, step: step.cloned(), plan: Rc::clone(&self.plan) }).await
    }

    /// Does all of a plan that can be done now.
    pub(crate) async fn carry_out(self) -> Report {
        let mut order = Order::new(self.plan.plan.steps.clone());
        if order.adopts() && !self.still_there().await {
            order.adopt_nothing();
        }
        let hash = self.plan.plan.hash.as_deref().unwrap_or_default();
        let maker = if order.creates() { PodMaker::new(&self.plan.item.object, hash).ok() } else { None };
        if maker.is_none() {
            order.create_nothing();
        }
        loop {
            let batch = order.batch();
            if batch.is_empty() {
                break;
            }
            let outcomes = join_all(batch.iter().map(|step| self.do_one(maker.as_ref(), step))).await;
            order.told(batch, outcomes);
        }
        let (outcomes, is_retried) = order.end();
        let mut report = Report { key: self.plan.item.set.key.clone(), outcomes, status: None, is_retried };
        if let Some(status) = self.plan.plan.status {
            let version = self.status(&status, &mut report).await;
            report.status = Some((status, version));
        }
        report
    }

    async fn still_there(&self) -> bool {
        let set = &self.plan.item.set;
        let live = self.send(wire::Request::get(wire::set_path(set)), None).await;
        live.done().is_some_and(|live| wire::may_adopt(set, live))
    }

    async fn do_one(&self, maker: Option<&PodMaker>, step: &Step) -> Outcome {
        match (step, maker) {
            (Step::Create { .. }, Some(maker)) => self.create(maker, step).await,
            (Step::Create { .. }, None) => Outcome::NotTried,
            _ => self.one(step).await,
        }
    }

    /// Everything but creates of pods.
    async fn one(&self, step: &Step) -> Outcome {
        let item = &self.plan.item;
        let Some(request) = wire::request(&item.set, &item.object, step) else { return Outcome::NotTried };
        let path = request.path.clone();
        match self.send(request, Some(step)).await {
            Answer::Done(body) => Outcome::Done { version: wire::version_of(&body) },
            refused @ Answer::Refused { .. } => {
                let outcome = refused.refusal().map(|refusal| wire::outcome_of(step, &refusal));
                match (outcome, step) {
                    (Some(Some(outcome)), _) => outcome,
                    (_, Step::CreateRevision { hash, .. }) => self.taken_revision(&path, hash).await,
                    _ => Outcome::Refused,
                }
            }
        }
    }

    /// R86: the name is taken.
    async fn taken_revision(&self, path: &str, hash: &str) -> Outcome {
        let set = &self.plan.item.set;
        let there = self.send(wire::Request::get(format!("{path}/{}-{hash}", set.key.name)), None).await;
        let Some(there) = there.done() else { return Outcome::Unknown };
        if let Some(outcome) = wire::whose_revision(set, there) {
            return outcome;
        }
        let live = self.send(wire::Request::get(wire::set_path(set)), None).await;
        if let Some(count) = live.done().and_then(|live| wire::count_collision(set, live)) {
            self.send(count, None).await;
        }
        Outcome::Refused
    }

    async fn create(&self, maker: &PodMaker, step: &Step) -> Outcome {
        let Step::Create { node, name, .. } = step else { return Outcome::NotTried };
        let set = &self.plan.item.set;
        let Some(request) = wire::create_pod(set, maker, step) else { return Outcome::NotTried };
        let path = format!("{}/{name}", request.path);
        let answer = self.send(request, Some(step)).await;
        match (answer.done(), answer.refusal()) {
            (Some(body), _) => Outcome::Done { version: wire::version_of(body) },
            (None, refusal) => match refusal.map(|refusal| wire::outcome_of(step, &refusal)) {
                Some(Some(outcome)) => outcome,
                _ => match self.send(wire::Request::get(path), None).await {
                    Answer::Done(there) => wire::whose_pod(set, node, &there),
                    Answer::Refused { reason: "NotFound", .. } => Outcome::NameTaken,
                    Answer::Refused { .. } => Outcome::Unknown,
                },
            },
        }
    }

    /// R113: once more on the live set if the one that was read is too old.
    async fn status(&self, status: &Status, report: &mut Report) -> Option<Version> {
        let item = &self.plan.item;
        let first = self.send(wire::write_status(&item.set, item.object.clone(), status), None).await;
        if let Some(body) = first.done() {
            return Some(wire::version_of(body));
        }
        let live = self.send(wire::Request::get(wire::set_path(&item.set)), None).await;
        if let Some(live) = live.done().and_then(|live| wire::same_set(&item.set, live)) {
            let again = self.send(wire::write_status(&item.set, live, status), None).await;
            if let Some(body) = again.done() {
                return Some(wire::version_of(body));
            }
        }
        // A set that is gone needs no status.
        report.is_retried |= !matches!(live, Answer::Refused { reason: "NotFound", .. });
        None
    }
}
