//! A plan on its way to the server: what is asked now, what the answers mean, what became of it all (R67–R72, R75, R86, R113).
//!
//! ```text
//! asks() ─> requests, to be sent at once ─> told(answers) ─> asks() … until nothing is asked ─> end(): the report
//! ```
//! Whoever carries a plan out sends and reports; there is nothing else to decide.
//!
//! Not here: which steps go together ([`super::order`]), single requests and answers ([`super::wire`]), sending
//! (`everynode-control`, and the simulator).

use everynode_core::daemonset::plan::Outcome;
use everynode_core::daemonset::{Plan, Step};
use everynode_core::explain::events::{self, Said};
use everynode_core::model::{Set, Status, Version};
use serde_json::Value;

use super::PodMaker;
use super::order::Order;
use super::pod::MakeError;
use super::wire::{self, Refusal, Request};

#[cfg(test)]
mod tests;

/// A request, and the step that it carries out; none for what is only read, and for the status.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request.
    pub request: Request,
    /// The step.
    pub step: Option<Step>,
}

/// What is heard of a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It was done: the object's bytes.
    Done(&'a [u8]),
    /// It was not, as far as is known.
    Refused(Refusal<'a>),
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// Of each step.
    pub outcomes: Vec<(Step, Outcome)>,
    /// The status that was to be written, and the version it has now.
    pub status: Option<(Status, Option<Version>)>,
    /// Something did not work that may work later.
    pub is_retried: bool,
    /// Why no pods could be made.
    pub unmade: Option<MakeError>,
}

/// A plan on its way.
#[derive(Debug)]
pub struct Errand<'a> {
    set: &'a Set,
    object: &'a Value,
    maker: Option<PodMaker>,
    order: Order,
    stage: Stage,
    status: Option<Status>,
    /// But for the outcomes, which the order gathers.
    report: Report,
}

#[derive(Debug)]
enum Stage {
    /// R75: the set is read live before anything is adopted.
    Look,
    /// Steps that go together.
    Steps(Vec<Talk>),
    /// R113.
    Status(Status, Put),
    Over,
}

/// What is asked about the status.
#[derive(Debug)]
enum Put {
    /// To write it into the set as it was read.
    Read,
    /// For the set as it is.
    Look,
    /// To write it into that one.
    Live(Value),
}

/// One step, and how far it has come.
#[derive(Debug)]
struct Talk {
    step: Step,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// This is to be asked.
    Ask(Request, About),
    /// The answer is to come.
    Wait(About),
    /// All is known.
    End(Outcome),
}

/// What a question of a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The step itself.
    Step,
    /// The pod whose name is taken.
    TakenPod,
    /// R86: the revision whose name is taken.
    TakenRevision,
    /// R86: the set, whose collisions of hashes are to be counted.
    LiveSet,
    /// R86: the count.
    Count,
}

impl Talk {
    fn ask(&mut self) -> Option<Ask> {
        let about = match &self.next {
            Next::Ask(_, about) => *about,
            Next::Wait(_) | Next::End(_) => return None,
        };
        let step = (about == About::Step).then(|| self.step.clone());
        match std::mem::replace(&mut self.next, Next::Wait(about)) {
            Next::Ask(request, _) => Some(Ask { request, step }),
            Next::Wait(_) | Next::End(_) => None,
        }
    }
}

impl<'a> Errand<'a> {
    /// Nothing is asked yet. `object` is the set as it was read.
    #[must_use]
    pub fn new(set: &'a Set, object: &'a Value, plan: Plan) -> Self {
        let (mut order, mut report) = (Order::new(plan.steps), Report::default());
        let mut maker = None;
        if order.creates() {
            match PodMaker::new(object, plan.hash.as_deref().unwrap_or_default()) {
                Ok(made) => maker = Some(made),
                Err(error) => {
                    report.unmade = Some(error);
                    order.create_nothing();
                }
            }
        }
        let stage = if order.adopts() { Stage::Look } else { Stage::Steps(Vec::new()) };
        let mut errand = Self { set, object, maker, order, stage, status: plan.status, report };
        errand.go_on();
        errand
    }

    /// What is to be sent at once, each request once; nothing when all is done.
    pub fn asks(&mut self) -> Vec<Ask> {
        let set = self.set;
        let alone = |request| vec![Ask { request, step: None }];
        let look = || Request::get(wire::set_path(set));
        match &mut self.stage {
            Stage::Look => alone(look()),
            Stage::Steps(talks) => talks.iter_mut().filter_map(Talk::ask).collect(),
            Stage::Status(status, Put::Read) => alone(wire::write_status(set, self.object.clone(), status)),
            Stage::Status(_, Put::Look) => alone(look()),
            Stage::Status(status, Put::Live(live)) => alone(wire::write_status(set, live.take(), status)),
            Stage::Over => Vec::new(),
        }
    }

    /// What was heard of all that was asked, in that order; gives what is to be said of it to users.
    pub fn told<'b>(&mut self, answers: impl IntoIterator<Item = Answer<'b>>) -> Vec<Said> {
        let mut said = Vec::new();
        let mut answers = answers.into_iter();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Look => {
                let is_there = matches!(answers.next(), Some(Answer::Done(live)) if wire::may_adopt(self.set, live));
                if !is_there {
                    self.order.adopt_nothing();
                }
                self.stage = Stage::Steps(Vec::new());
            }
            Stage::Steps(mut talks) => {
                for (talk, about) in talks.iter_mut().filter_map(|talk| match talk.next {
                    Next::Wait(about) => Some((talk, about)),
                    _ => None,
                }) {
                    let Some(answer) = answers.next() else { break };
                    if about == About::Step {
                        said.extend(say(&talk.step, &answer));
                    }
                    talk.next = self.hear(&talk.step, about, answer);
                }
                self.stage = Stage::Steps(talks);
            }
            Stage::Status(status, put) => {
                let answer = answers.next();
                self.stage = answer.map_or(Stage::Over, |answer| self.hear_of_status(status, put, answer));
            }
            Stage::Over => {}
        }
        self.go_on();
        said
    }

    /// What became of it all.
    #[must_use]
    pub fn end(self) -> Report {
        let (outcomes, is_retried) = self.order.end();
        Report { outcomes, is_retried: is_retried || self.report.is_retried, ..self.report }
    }

    /// Goes on to the next batch, and after the last to the status, once all is known of the steps under way.
    fn go_on(&mut self) {
        while let Stage::Steps(talks) = &mut self.stage {
            if talks.iter().any(|talk| !matches!(talk.next, Next::End(_))) {
                return;
            }
            let ended = std::mem::take(talks).into_iter().map(|talk| match talk.next {
                Next::End(outcome) => (talk.step, outcome),
                Next::Ask(..) | Next::Wait(_) => (talk.step, Outcome::Unknown),
            });
            let (batch, outcomes): (Vec<Step>, Vec<Outcome>) = ended.unzip();
            self.order.told(batch, outcomes);
            let batch = self.order.batch();
            self.stage = if batch.is_empty() {
                self.status.take().map_or(Stage::Over, |status| Stage::Status(status, Put::Read))
            } else {
                Stage::Steps(batch.into_iter().map(|step| Talk { next: self.begin(&step), step }).collect())
            };
        }
    }

    fn begin(&self, step: &Step) -> Next {
        let request = match (step, &self.maker) {
            (Step::Create { .. }, Some(maker)) => wire::create_pod(self.set, maker, step),
            _ => wire::request(self.set, self.object, step),
        };
        request.map_or(Next::End(Outcome::NotTried), |request| Next::Ask(request, About::Step))
    }

    fn hear(&self, step: &Step, about: About, answer: Answer<'_>) -> Next {
        let set = self.set;
        let live = || Request::get(wire::set_path(set));
        match (about, answer) {
            (About::Step, Answer::Done(there)) => Next::End(Outcome::Done { version: wire::version_of(there) }),
            (About::Step, Answer::Refused(refusal)) => match (wire::outcome_of(step, &refusal), step) {
                (Some(outcome), _) => Next::End(outcome),
                (None, Step::Create { name, .. }) => Next::Ask(wire::pods_named(set, name), About::TakenPod),
                (None, Step::CreateRevision { hash, .. }) => {
                    Next::Ask(Request::get(wire::revision_of(set, hash)), About::TakenRevision)
                }
                (None, _) => Next::End(Outcome::Refused),
            },
            (About::TakenPod, Answer::Done(there)) => Next::End(wire::whose_pod(set, step, there)),
            (About::TakenPod | About::TakenRevision, Answer::Refused(_)) => Next::End(Outcome::Unknown),
            (About::TakenRevision, Answer::Done(there)) => {
                wire::whose_revision(set, there).map_or_else(|| Next::Ask(live(), About::LiveSet), Next::End)
            }
            (About::LiveSet, Answer::Done(live)) => match wire::count_collision(set, live) {
                Some(count) => Next::Ask(count, About::Count),
                // The set that was judged is too old.
                None => Next::End(Outcome::Refused),
            },
            (About::LiveSet, Answer::Refused(_)) | (About::Count, _) => Next::End(Outcome::Refused),
        }
    }

    /// R113: once more into the live set, if the one that was read is too old.
    fn hear_of_status(&mut self, status: Status, put: Put, answer: Answer<'_>) -> Stage {
        self.report.status = Some((status, None));
        match (put, answer) {
            (Put::Read | Put::Live(_), Answer::Done(there)) => {
                self.report.status = Some((status, Some(wire::version_of(there))));
            }
            (Put::Read, Answer::Refused(_)) => return Stage::Status(status, Put::Look),
            (Put::Look, Answer::Done(live)) => match wire::same_set(self.set, live) {
                Some(live) => return Stage::Status(status, Put::Live(live)),
                // Another set of that name: this one's end is still to be seen.
                None => self.report.is_retried = true,
            },
            // A set that is gone needs no status.
            (Put::Look | Put::Live(_), Answer::Refused(refusal)) => {
                self.report.is_retried |= refusal.reason != "NotFound";
            }
        }
        Stage::Over
    }
}

/// What is said to users of the answer to a step (R116): that pods come and go, or why not.
fn say(step: &Step, answer: &Answer<'_>) -> Option<Said> {
    let Answer::Refused(refusal) = answer else {
        return match step {
            Step::Create { name, .. } => Some(events::created(name)),
            Step::Delete { pod, .. } => Some(events::deleted(&pod.name)),
            _ => None,
        };
    };
    let is_told = matches!(wire::outcome_of(step, refusal), Some(Outcome::Refused | Outcome::Unknown));
    match step {
        Step::Create { .. } if is_told => Some(events::not_created(refusal.words)),
        Step::Delete { .. } if is_told => Some(events::not_deleted(refusal.words)),
        _ => None,
    }
}
