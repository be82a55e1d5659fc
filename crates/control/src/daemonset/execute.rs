//! Carries out a plan: sends what its [`Errand`] asks, tells it the answers, and notes the events that it wants said (R67–R72).

use std::sync::Arc;

use bytes::Bytes;
use everynode_api::daemonset::{Answer, Ask, Errand, wire};
use everynode_core::daemonset::Plan;
use futures::future::join_all;
use http::Method;

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

impl Executor {
    pub(super) fn new(api: Api, recorder: Recorder) -> Self {
        Self { api, recorder }
    }

    /// Does all of a plan that can be done now.
    pub(super) async fn carry_out(&self, item: &Arc<SetItem>, plan: Plan) -> Report {
        let mut errand = Errand::new(&item.set, &item.object, plan);
        loop {
            let asks = errand.asks();
            if asks.is_empty() {
                break;
            }
            let heard = join_all(asks.into_iter().map(|ask| self.send(item, ask))).await;
            for said in errand.told(heard.iter().map(Heard::answer)) {
                self.recorder.note(note(&item.set, said));
            }
        }
        let report = errand.end();
        if let Some(error) = &report.unmade {
            tracing::warn!(set = %item.set.key, error = %Chain(error), "no pods can be made");
        }
        report
    }

    async fn send(&self, item: &SetItem, Ask { request, step }: Ask) -> Heard {
        // The words of `wire` are methods, all of them.
        let method = Method::from_bytes(request.method.as_bytes()).unwrap_or_default();
        match self.api.send(method, &request.path, request.content_type, request.body).await {
            Ok(body) => Heard::Done(body),
            Err(failure) => {
                let words = Chain(&failure).to_string();
                tracing::debug!(set = %item.set.key, ?step, path = request.path, error = words, "a request of a plan failed");
                Heard::Refused(failure, words)
            }
        }
    }
}

/// What was heard of a request.
enum Heard {
    Done(Bytes),
    /// Why not, and that in words.
    Refused(Failure, String),
}

impl Heard {
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Done(body) => Answer::Done(body),
            Self::Refused(failure, words) => Answer::Refused(refusal(failure, words)),
        }
    }
}

/// A failure, as far as its meaning depends on it.
fn refusal<'a>(failure: &'a Failure, words: &'a str) -> wire::Refusal<'a> {
    let namespace_going = failure.is_namespace_terminating();
    let (code, reason) = match failure {
        Failure::Refused(refusal) => (refusal.code, refusal.reason.as_str()),
        // Nobody knows what became of it.
        Failure::Unreachable(_) | Failure::TermOver => (504, "Timeout"),
        Failure::Request(_) => (400, "BadRequest"),
    };
    wire::Refusal { code, reason, namespace_going, words }
}
