//! What follows from a cell: a pure function of the cell, the [`Policy`] of its set and the time. It says what the node adds to
//! the counters, what is to be done at once, and what may be done when the budget allows.
//!
//! Invariants:
//! * a pod whose deletion was asked for is as good as terminating for every decision, but not for the status, which tells
//!   only what was seen;
//! * while a create is unanswered or unseen, no other is asked for;
//! * a pod that ended goes only together with the create of the one that stands in for it, which is asked for first: that one
//!   carries the count of failures, so no stop of the controller in between can lose it.

use super::backoff::Backoff;
use super::cell::{Action, Assessment, Cell, Counted, Fit, FlightState, Roll};
use super::plan::{CreateWhy, DeleteWhy, PATIENCE};
use super::pods::{DONE, PodCell};
use super::policy::Policy;
use crate::model::{Millis, Phase};

impl Cell {
    pub(crate) fn assess(&self, policy: &Policy, now: Millis) -> Assessment {
        let mut out = Assessment::default();
        self.count_status(policy, now, &mut out.counted);
        out.counted.judged = self.judged(policy, now, |_| false, false);
        self.presence(policy, now, &mut out);
        out.counted.urgent = !out.presence.is_empty();
        if policy.rolls {
            if policy.surges {
                self.roll_with_surge(policy, now, &mut out.counted);
            } else {
                self.roll(policy, now, &mut out.counted);
            }
        }
        // Of pods on their way out too: the status goes by the first pod, whatever becomes of it.
        let waits = self.pods.iter().filter_map(|pod| pod.available_at(policy, now));
        let deletes = self.pods.iter().filter_map(|pod| pod.asked).filter(|asked| *asked != DONE);
        let asked = deletes.chain(self.flight().map(|flight| flight.asked));
        // What has lapsed is waited for no more: it would wake us at once, again and again.
        let lapses = asked.map(|asked| asked.plus(PATIENCE)).filter(|lapse| now < *lapse);
        let refused = self.refused_until(policy, now);
        out.wake_at = waits.chain(lapses).chain(refused).chain(out.wake_at).min();
        out
    }

    /// R110, R111: what was seen, judged by the first pod alone.
    fn count_status(&self, policy: &Policy, now: Millis, counted: &mut Counted) {
        let first = self.pods.iter().find(|pod| !pod.is_finished());
        match self.fit {
            Fit::NoNode => {}
            Fit::Keep | Fit::Lost | Fit::Forbid => counted.misscheduled = first.is_some(),
            Fit::Run => {
                counted.desired = true;
                if let Some(pod) = first {
                    counted.current = true;
                    counted.ready = pod.ready.is;
                    counted.available = pod.is_available(policy, now);
                    counted.updated = pod.is_updated(policy);
                }
            }
        }
    }

    /// R57–R65
    fn presence(&self, policy: &Policy, now: Millis, out: &mut Assessment) {
        let staying = || self.pods.iter().enumerate().filter(|(_, pod)| pod.stays());
        match self.fit {
            Fit::NoNode => {
                let unbound = staying().filter(|(_, pod)| !pod.is_bound);
                out.presence.extend(unbound.map(|(at, _)| Action::Delete(at, DeleteWhy::NoSuchNode)));
            }
            Fit::Forbid => out.presence.extend(staying().map(|(at, _)| Action::Delete(at, DeleteWhy::Forbidden))),
            Fit::Run if !self.has_entry() => self.create(policy, now, &mut out.presence),
            Fit::Run | Fit::Keep | Fit::Lost => self.keep_one(policy, now, out),
        }
    }

    fn create(&self, policy: &Policy, now: Millis, actions: &mut Vec<Action>) {
        if self.refused_until(policy, now).is_some() {
            return;
        }
        match self.flight().map(|flight| flight.state) {
            Some(FlightState::Asked | FlightState::Made(_)) => {}
            None | Some(FlightState::Unknown) => actions.push(Action::Create(CreateWhy::Missing)),
        }
    }

    /// Something that may still run has to be seen going first: with surge, only what was asked to (R60).
    fn is_blocked(&self, policy: &Policy) -> bool {
        let is_harmless = |pod: &PodCell| pod.stays() || pod.has_ended() || (policy.surges && pod.is_terminating);
        !self.pods.iter().all(is_harmless)
    }

    /// R58–R64
    fn keep_one(&self, policy: &Policy, now: Millis, out: &mut Assessment) {
        let staying = || self.pods.iter().enumerate().filter(|(_, pod)| pod.stays());
        let running = || staying().filter(|(_, pod)| !pod.has_ended()).map(|(at, _)| at);
        let has_none = running().next().is_none();
        // The controller stopped between making one and taking away the other.
        let superseded = staying().filter(|(_, pod)| pod.has_ended() && self.is_superseded(pod));
        out.presence.extend(superseded.map(|(at, _)| Action::Delete(at, DeleteWhy::Duplicate)));
        // A second one that ended waits for the delay that the first one starts.
        if let Some((at, pod)) = self.ended() {
            let until = Backoff::until(self.backoff(), policy.observed, now);
            out.wake_at = until;
            if until.is_none() {
                if has_none && self.fit == Fit::Run && !self.is_blocked(policy) {
                    self.create(policy, now, &mut out.presence);
                }
                let is_failed = pod.phase == Phase::Failed;
                let why = if is_failed { DeleteWhy::Failed } else { DeleteWhy::Succeeded };
                out.presence.push(Action::Delete(at, why));
            }
        } else if policy.surges && has_none && self.fit == Fit::Run && !self.is_blocked(policy) {
            // R64; what ended bars the next one during its back-off with surge too (mends R189).
            self.create(policy, now, &mut out.presence);
        }
        if running().nth(1).is_none() {
            return;
        }
        let running: Vec<usize> = running().collect();
        if policy.surges {
            self.prune_surged(policy, now, &running, &mut out.presence);
        } else {
            self.prune(policy, now, &running, &mut out.presence);
        }
    }

    /// R61, but one that is available is not given up for one that is not: a set that stops surging keeps what serves.
    fn prune(&self, policy: &Policy, now: Millis, running: &[usize], actions: &mut Vec<Action>) {
        let kept = running.iter().find(|at| self.pods[**at].is_available(policy, now)).or(running.first());
        let others = running.iter().filter(|at| Some(*at) != kept);
        actions.extend(others.map(|at| Action::Delete(*at, DeleteWhy::Duplicate)));
    }

    /// R64: the oldest new and the oldest old pod; the old one goes when it is of no use or the new one is available. New and
    /// old are what they are to the rolling update (mends R207).
    fn prune_surged(&self, policy: &Policy, now: Millis, running: &[usize], actions: &mut Vec<Action>) {
        let is_new = |at: &&usize| self.pods[**at].is_updated(policy);
        let new = running.iter().find(is_new).copied();
        let old = running.iter().find(|at| !is_new(at)).copied();
        for at in running.iter().copied().filter(|at| Some(*at) != new && Some(*at) != old) {
            actions.push(Action::Delete(at, DeleteWhy::Duplicate));
        }
        if let (Some(new), Some(old)) = (new, old) {
            if self.is_barred_from_node(new) && self.pods[old].is_bound {
                actions.push(Action::Delete(new, DeleteWhy::Duplicate));
            } else if !self.pods[old].ready.is {
                actions.push(Action::Delete(old, DeleteWhy::OutdatedBroken));
            } else if self.pods[new].is_available(policy, now) {
                actions.push(Action::Delete(old, DeleteWhy::Replaced));
            }
        }
    }

    /// No scheduler binds this pod to a node that takes no more pods: as long as that is so it is nowhere.
    fn is_barred_from_node(&self, at: usize) -> bool {
        matches!(self.fit, Fit::Keep | Fit::Lost) && !self.pods[at].is_bound
    }

    /// R101: at most one updated and one outdated pod, or it is messy.
    fn classify(&self, policy: &Policy) -> Option<(Option<usize>, Option<usize>)> {
        let (mut new, mut old) = (None, None);
        for (at, pod) in self.pods.iter().enumerate().filter(|(_, pod)| pod.stays()) {
            let slot = if pod.is_updated(policy) { &mut new } else { &mut old };
            if slot.replace(at).is_some() {
                return None;
            }
        }
        Some((new, old))
    }

    /// R102. Outdated pods that are ready but not yet available are taken within the budget too (mends R186). On a lost node
    /// an outdated pod does not count, and what was asked to go there is not waited for (mends R184); an updated one counts:
    /// it may be what broke the node. One that no scheduler will bind there does not.
    fn roll(&self, policy: &Policy, now: Millis, counted: &mut Counted) {
        if self.fit != Fit::Run && !self.has_entry() {
            return;
        }
        let (available, ready) =
            (|at: usize| self.pods[at].is_available(policy, now), |at: usize| self.pods[at].ready.is);
        let broken = |at| Roll::Free(Action::Delete(at, DeleteWhy::OutdatedBroken));
        let lacks = |counted: &mut Counted, is_ready: bool| (counted.unavailable, counted.unready) = (true, !is_ready);
        match self.classify(policy) {
            Some((None, None)) if self.fit == Fit::Lost => {}
            Some((None, Some(old))) if self.fit == Fit::Lost => {
                counted.roll = if ready(old) { Roll::None } else { broken(old) };
            }
            Some((Some(new), None)) if available(new) || self.is_barred_from_node(new) => {}
            Some((Some(new), None)) => lacks(counted, ready(new)),
            Some((None, Some(old))) if available(old) => counted.roll = Roll::Candidate,
            Some((None, Some(old))) => {
                lacks(counted, ready(old));
                counted.roll = if ready(old) { Roll::Young } else { broken(old) };
            }
            _ => lacks(counted, false),
        }
    }

    /// A second pod is there or may come: one whose end was asked for is there until it is seen going, for that may be refused,
    /// and a create whose fate is not known may have been done. A pod whose successor is available is no more than a left-over
    /// (R104 step 6).
    fn holds_two(&self, is_replaced: bool, now: Millis) -> bool {
        let there = self.pods.iter().filter(|pod| !pod.is_terminating && !pod.has_ended()).count();
        let is_seen = self.flight().is_some_and(|flight| self.pods.iter().any(|pod| pod.name.is(&flight.name)));
        let may_come = self.is_coming(now) && !is_seen;
        if may_come { there > 0 } else { there > 1 && !is_replaced }
    }

    /// R104. Nodes that are gone take no part (mends R188); what is ready is never without budget (mends R186).
    fn roll_with_surge(&self, policy: &Policy, now: Millis, counted: &mut Counted) {
        if self.fit == Fit::NoNode || (self.fit != Fit::Run && !self.has_entry()) {
            return;
        }
        let available = |at: usize| self.pods[at].is_available(policy, now);
        let Some((new, old)) = self.classify(policy) else {
            counted.surging = true;
            return;
        };
        counted.serving = old.or(new).is_some_and(available);
        counted.surging = self.holds_two(new.is_some_and(available), now);
        let Some(old) = old else { return };
        let pod = &self.pods[old];
        let is_barred = self.refused_until(policy, now).is_some();
        match new {
            Some(new) if available(new) => counted.roll = Roll::Free(Action::Delete(old, DeleteWhy::Replaced)),
            Some(_) => counted.surging = true,
            // A create that was asked for is a new pod which is not available. One that was not seen for long is asked for again
            // when the budget allows.
            None if self.fit == Fit::Run && self.is_coming(now) => {
                counted.surging = true;
                let is_unknown = self.flight().is_some_and(|flight| flight.state == FlightState::Unknown);
                // A duplicate that was asked to go must be seen going first here too.
                if is_unknown && !is_barred && !self.is_leaving() {
                    let rescue = Roll::Free(Action::Create(CreateWhy::Rescue));
                    counted.roll = if pod.ready.is { Roll::Again } else { rescue };
                }
            }
            // What is asked to go must be seen going before there is a second one.
            None if self.fit == Fit::Run && self.is_leaving() => counted.surging = true,
            // The one is refused; others may have its share of the budget. The other is replaced where it ended.
            None if self.fit == Fit::Run && (is_barred || pod.has_ended()) => {}
            None if self.fit == Fit::Run && !pod.ready.is => {
                counted.roll = Roll::Free(Action::Create(CreateWhy::Rescue));
            }
            None if self.fit == Fit::Run => counted.roll = Roll::Candidate,
            None if !pod.ready.is => counted.roll = Roll::Free(Action::Delete(old, DeleteWhy::OutdatedBroken)),
            None if self.fit == Fit::Keep => counted.roll = Roll::Sunset,
            None => {}
        }
    }
}
