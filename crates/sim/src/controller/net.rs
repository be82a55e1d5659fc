//! The wire between the controller and the server: requests go out, and answers come when the world says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use everynode_api::daemonset;
use everynode_api::daemonset::wire::{Refusal, Request};
use everynode_api::status::Status;
use everynode_core::daemonset::Step;

use super::Plan;

/// Names one request.
pub(crate) type CallId = u64;

/// What the controller hears of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Done: the object's bytes.
    Done(Bytes),
    /// The server said no.
    Refused { code: u16, reason: &'static str, namespace_going: bool },
}

impl Answer {
    /// The wire broke, or nobody answered in time.
    pub(crate) const LOST: Self = Self::Refused { code: 504, reason: "Timeout", namespace_going: false };

    pub(crate) fn of(result: Result<Bytes, Status>) -> Self {
        match result {
            Ok(bytes) => Self::Done(bytes),
            Err(status) => {
                let causes = status.details().map(|details| details.causes.as_slice()).unwrap_or_default();
                let namespace_going = causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
                Self::Refused { code: status.code(), reason: status.reason().as_str(), namespace_going }
            }
        }
    }

    /// As the errand is told it. Nobody reads the words.
    pub(super) fn heard(&self) -> daemonset::Answer<'_> {
        match self {
            Self::Done(body) => daemonset::Answer::Done(body),
            Self::Refused { code, reason, namespace_going } => {
                let (code, namespace_going) = (*code, *namespace_going);
                daemonset::Answer::Refused(Refusal { code, reason, namespace_going, words: reason })
            }
        }
    }
}

/// A request on its way, with what the judges want to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    /// The step that it carries out; none for reads and statuses.
    pub(crate) step: Option<Step>,
    /// The plan that asks for it.
    pub(crate) plan: Rc<Plan>,
}

#[derive(Default)]
struct Lines {
    serial: CallId,
    outbox: Vec<(CallId, Call)>,
    waiting: BTreeMap<CallId, Waker>,
    answers: BTreeMap<CallId, Answer>,
}

/// One end for the tasks that send, one for the world. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Net(Rc<RefCell<Lines>>);

impl Net {
    /// A wire whose requests are named from `first` on: no two runs of a controller may share a name.
    pub(crate) fn new(first: CallId) -> Self {
        Self(Rc::new(RefCell::new(Lines { serial: first, ..Lines::default() })))
    }

    /// Sends a request and waits for what becomes of it.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        let id = {
            let mut lines = self.0.borrow_mut();
            lines.serial += 1;
            let id = lines.serial;
            lines.outbox.push((id, call));
            id
        };
        poll_fn(|context| {
            let mut lines = self.0.borrow_mut();
            if let Some(answer) = lines.answers.remove(&id) {
                return Poll::Ready(answer);
            }
            lines.waiting.insert(id, context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The requests sent since this was last asked.
    pub(crate) fn take(&self) -> Vec<(CallId, Call)> {
        std::mem::take(&mut self.0.borrow_mut().outbox)
    }

    /// Answers a request.
    pub(crate) fn answer(&self, id: CallId, answer: Answer) {
        let waker = {
            let mut lines = self.0.borrow_mut();
            lines.answers.insert(id, answer);
            lines.waiting.remove(&id)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
