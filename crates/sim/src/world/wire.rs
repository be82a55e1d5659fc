//! The controller's requests on their way: delays, what the wire and the server do to them, and the controller's death.

use everynode_core::daemonset::Step;
use everynode_core::model::{Key, Millis};

use super::{Event, Travelling, World};
use crate::controller::Controller;
use crate::controller::net::{Answer, CallId};
use crate::faults::Fate;
use crate::judge::Actor;

impl World {
    /// Puts what the controller's tasks have sent on the way.
    pub(super) fn send_out(&mut self) {
        for (id, call) in self.controller.net.take() {
            let fate = if self.is_healed { Fate::Plain } else { self.faults.fate(&mut self.random) };
            self.figures.count_fate(fate);
            self.figures.requests += 1;
            self.travelling.insert(id, Travelling { call, fate, arrived: 0, answer: None });
            let delay = self.latency();
            self.plan(delay, Event::Arrive(id));
        }
    }

    fn latency(&mut self) -> Millis {
        let slow = !self.is_healed && self.random.chance(20);
        Millis(if slow { self.random.between(50, 4000) } else { self.random.between(1, 8) })
    }

    /// A request reaches the server, or is lost.
    pub(super) fn arrive(&mut self, id: CallId) {
        let Some(mut travelling) = self.travelling.remove(&id) else { return };
        let answer = match travelling.fate {
            Fate::LostRequest => Answer::LOST,
            Fate::Refused(code, reason) => Answer::Refused { code, reason, namespace_going: false },
            Fate::Plain | Fate::LostAnswer | Fate::DoneBut500 | Fate::Doubled => self.carry(&travelling),
        };
        travelling.arrived += 1;
        if travelling.fate == Fate::Doubled && travelling.arrived == 1 {
            travelling.answer = Some(answer);
            self.travelling.insert(id, travelling);
            let delay = self.latency();
            self.plan(delay, Event::Arrive(id));
        } else {
            let answer = match travelling.fate {
                Fate::LostAnswer => Answer::LOST,
                Fate::DoneBut500 => Answer::Refused { code: 500, reason: "InternalError", namespace_going: false },
                // Whichever of the two is heard.
                Fate::Doubled if self.random.chance(500) => travelling.answer.take().unwrap_or(answer),
                _ => answer,
            };
            // Nobody answers: the controller waits until it gives up.
            let patience = if matches!(travelling.fate, Fate::LostAnswer | Fate::LostRequest) { 2000 } else { 0 };
            let delay = self.latency().plus(Millis(patience));
            self.plan(delay, Event::Reply(id, answer));
        }
        if !self.is_healed && self.random.chance(self.faults.crash) {
            self.crash();
        }
    }

    /// The server does it, and the judges look.
    fn carry(&mut self, travelling: &Travelling) -> Answer {
        let call = &travelling.call;
        let key = &call.plan.item.set.key;
        let is_read = call.request.method == "GET";
        let clock = self.clock();
        if self.judges {
            self.judge.call_before(&self.truth, call, clock);
        }
        let before = self.door.revision();
        let result = self.perform(&call.request, Actor::Controller);
        let is_change = self.door.revision() != before;
        if is_change {
            self.writes += 1;
        }
        if !is_read {
            let heard = result.as_ref().err().map_or(200, everynode_api::status::Status::code);
            self.trace.say(self.now, format_args!("controller {} for {key} -> {heard}", call.request.method));
        }
        if self.judges && is_change && result.is_ok() {
            for problem in self.judge.call_after(&self.truth, call, self.now, clock) {
                self.breach(problem);
            }
        }
        if let (Some(Step::Delete { .. }), true) = (&call.step, is_change) {
            self.figures.deletes += 1;
        }
        if let (Some(Step::Create { .. }), true) = (&call.step, is_change) {
            self.figures.creates += 1;
        }
        Answer::of(result)
    }

    /// The controller dies. What it had sent arrives now or never.
    pub(super) fn crash(&mut self) {
        if !self.is_running {
            return;
        }
        self.figures.crashes += 1;
        self.say(format_args!("the controller dies"));
        for (_, travelling) in std::mem::take(&mut self.travelling) {
            if travelling.arrived == 0
                && matches!(travelling.fate, Fate::Plain | Fate::LostAnswer)
                && self.random.chance(500)
            {
                self.carry(&travelling);
            }
        }
        self.runs += 1;
        self.controller = Controller::new(self.random.draw(), self.runs, self.bug);
        self.work_at = None;
        self.lanes.clear();
        self.is_running = false;
        self.judge.restarted(self.now);
        let down = Millis(self.random.between(10, 20_000));
        self.plan(down, Event::Start);
    }
}

/// The path of a pod.
pub(super) fn pod_path(key: &Key) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", key.namespace, key.name)
}
