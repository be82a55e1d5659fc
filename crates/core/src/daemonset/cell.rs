//! One set on one node: what is there, and what follows from it.
//!
//! A [`Cell`] holds facts; [`Cell::assess`] says, as a pure function of the cell, the [`Policy`] of its set and the time, what the
//! node adds to the counters, what is to be done at once, and what may be done when the budget allows.
//!
//! Invariants:
//! * a pod whose deletion was asked for is as good as terminating for every decision, but not for the status, which tells
//!   only what was seen;
//! * while a create is unanswered or unseen, no other is asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use super::backoff::Backoff;
use super::plan::{CreateWhy, DeleteWhy, TemplateId};
use crate::model::{Millis, Phase, Pod, Ready, Uid, Version};

/// What a verdict comes down to (R42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// shouldRun
    Run,
    /// shouldContinue only
    Keep,
    /// neither
    Forbid,
    /// There is no such node.
    NoNode,
}

/// What a set wants of every cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The strategy is RollingUpdate.
    pub(crate) rolls: bool,
    /// R63
    pub(crate) surges: bool,
    /// `minReadySeconds`
    pub(crate) min_ready: Millis,
    /// Hash label of the current revision, once there is one.
    pub(crate) hash: Option<Arc<str>>,
    /// The template's generation.
    pub(crate) generation: Option<i64>,
    /// `status.observedGeneration`, part of the back-off's key.
    pub(crate) observed: i64,
}

/// A pod in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodCell {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Uid,
    pub(crate) version: Version,
    pub(crate) created: Millis,
    pub(crate) is_bound: bool,
    pub(crate) phase: Phase,
    pub(crate) is_terminating: bool,
    pub(crate) ready: Ready,
    pub(crate) hash: Option<Arc<str>>,
    pub(crate) generation: Option<i64>,
    /// When its deletion was asked for.
    pub(crate) asked: Option<Millis>,
}

impl PodCell {
    pub(crate) fn new(pod: &Pod, hash: Option<Arc<str>>) -> Self {
        // R96 compares with the decimal value, so other spellings of a number do not count.
        let label = pod.labels.get(crate::model::GENERATION_LABEL);
        let generation = label.and_then(|text| text.parse::<i64>().ok().filter(|n| n.to_string() == *text));
        Self {
            name: Arc::clone(&pod.key.name),
            uid: pod.uid.clone(),
            version: pod.version,
            created: pod.created,
            is_bound: pod.node.is_some(),
            phase: pod.phase,
            is_terminating: pod.is_terminating(),
            ready: pod.ready,
            hash,
            generation,
            asked: None,
        }
    }

    /// R62: bound before unbound, then older, then by name.
    pub(crate) fn precedes(&self, other: &Self) -> Ordering {
        (!self.is_bound, self.created, &self.name).cmp(&(!other.is_bound, other.created, &other.name))
    }

    /// R56: neither there nor in the way.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_terminating && matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }

    /// Not on its way out.
    fn stays(&self) -> bool {
        !self.is_terminating && self.asked.is_none()
    }

    /// R96
    pub(crate) fn is_updated(&self, policy: &Policy) -> bool {
        (policy.hash.is_some() && self.hash == policy.hash)
            || (policy.generation.is_some() && self.generation == policy.generation)
    }

    /// R64 compares the hash label alone.
    fn has_current_hash(&self, policy: &Policy) -> bool {
        self.hash == policy.hash
    }

    /// R66
    pub(crate) fn is_available(&self, policy: &Policy, now: Millis) -> bool {
        self.ready.is
            && (policy.min_ready.0 <= 0 || self.ready.since.is_some_and(|since| since.plus(policy.min_ready) <= now))
    }

    /// When it becomes available by mere waiting.
    fn available_at(&self, policy: &Policy, now: Millis) -> Option<Millis> {
        let at = self.ready.since.filter(|_| self.ready.is)?.plus(policy.min_ready);
        (now < at).then_some(at)
    }
}

/// A create that was asked for and whose pod has not been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) name: Arc<str>,
    pub(crate) asked: Millis,
    pub(crate) state: FlightState,
    /// Some earlier try may have made the pod: a later no does not take that back, so the name stays.
    pub(crate) is_doubtful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlightState {
    /// No answer yet.
    Asked,
    /// Made in this version, not seen yet.
    Made(Version),
    /// It is not known whether it was made: ask again under the same name.
    Unknown,
}

/// Who has to answer for a node without an available pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The node: it was bad before the present revision came, or is not ready itself.
    Node,
    /// The revision: its pod is there and not available, or it is being brought.
    Revision,
    /// Neither can be told.
    Unknown,
}

/// A node without an available pod: since when, and who answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Since when there is no available pod.
    pub since: Millis,
    /// Who.
    pub who: Charged,
}

/// What few cells have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rare {
    pub(crate) flight: Option<Flight>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) charge: Option<Charge>,
}

/// One set on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fit: Fit,
    pub(crate) template: TemplateId,
    /// In the order of R62.
    pub(crate) pods: Vec<PodCell>,
    pub(crate) rare: Option<Box<Rare>>,
    /// What was last added to the set's counters and queues for this cell.
    pub(crate) counted: Counted,
    pub(crate) wake_at: Option<Millis>,
}

/// What a cell adds to the counters of its set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) desired: bool,
    pub(crate) current: bool,
    pub(crate) misscheduled: bool,
    pub(crate) ready: bool,
    pub(crate) available: bool,
    pub(crate) updated: bool,
    /// R102: counts against maxUnavailable.
    pub(crate) unavailable: bool,
    /// R104: counts against maxSurge.
    pub(crate) surging: bool,
    /// R104 step 2: has an available pod for the purpose of R105.
    pub(crate) serving: bool,
    /// What is to be done at once.
    pub(crate) urgent: bool,
    /// What the rolling update may do here.
    pub(crate) roll: Roll,
}

/// What the rolling update may do in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Roll {
    /// Nothing.
    #[default]
    None,
    /// At once: take these pods away, or make one.
    Free(Action),
    /// R102, R104 step 5: when the budget allows.
    Candidate,
    /// R105: when enough others are available.
    Sunset,
}

/// What to do with a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create(CreateWhy),
    /// The pod at this place in the order of R62.
    Delete(usize, DeleteWhy),
}

/// Everything that follows from a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub(crate) counted: Counted,
    pub(crate) presence: Vec<Action>,
    pub(crate) wake_at: Option<Millis>,
}

impl Cell {
    pub(crate) fn new(fit: Fit) -> Self {
        Self { fit, template: TemplateId(0), pods: Vec::new(), rare: None, counted: Counted::default(), wake_at: None }
    }

    pub(crate) fn flight(&self) -> Option<&Flight> {
        self.rare.as_ref()?.flight.as_ref()
    }

    pub(crate) fn backoff(&self) -> Option<&Backoff> {
        self.rare.as_ref()?.backoff.as_ref()
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Nothing there to remember.
    pub(crate) fn is_blank(&self) -> bool {
        self.fit != Fit::Run
            && self.pods.is_empty()
            && self.rare.as_ref().is_none_or(|rare| rare.flight.is_none() && rare.backoff.is_none())
    }

    /// R57: there is a pod of some sort.
    fn has_entry(&self) -> bool {
        self.pods.iter().any(|pod| !pod.is_finished())
    }

    /// A pod was asked to go and has not been seen going.
    fn is_leaving(&self) -> bool {
        self.pods.iter().any(|pod| pod.asked.is_some() && !pod.is_terminating)
    }

    /// There is an available pod that is not on its way out.
    pub(crate) fn has_available(&self, policy: &Policy, now: Millis) -> bool {
        self.pods.iter().any(|pod| pod.stays() && pod.is_available(policy, now))
    }

    pub(crate) fn assess(&self, policy: &Policy, now: Millis) -> Assessment {
        let mut out = Assessment::default();
        self.count_status(policy, now, &mut out.counted);
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
        let asked = self.pods.iter().filter_map(|pod| pod.asked).chain(self.flight().map(|flight| flight.asked));
        let lapses = asked.map(|asked| asked.plus(super::plan::PATIENCE));
        out.wake_at = waits.chain(lapses).chain(out.wake_at).min();
        out
    }

    /// R110, R111: what was seen, judged by the first pod alone.
    fn count_status(&self, policy: &Policy, now: Millis, counted: &mut Counted) {
        let first = self.pods.iter().find(|pod| !pod.is_finished());
        match self.fit {
            Fit::NoNode => {}
            Fit::Keep | Fit::Forbid => counted.misscheduled = first.is_some(),
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
            Fit::Run if !self.has_entry() => self.create(CreateWhy::Missing, &mut out.presence),
            Fit::Run | Fit::Keep => self.keep_one(policy, now, out),
        }
    }

    fn create(&self, why: CreateWhy, actions: &mut Vec<Action>) {
        match self.flight().map(|flight| flight.state) {
            Some(FlightState::Asked | FlightState::Made(_)) => {}
            None | Some(FlightState::Unknown) => actions.push(Action::Create(why)),
        }
    }

    /// R58–R64
    fn keep_one(&self, policy: &Policy, now: Millis, out: &mut Assessment) {
        let until = Backoff::until(self.backoff(), policy.observed, now);
        let mut has_failed = false;
        let mut running = Vec::new();
        for (at, pod) in self.pods.iter().enumerate().filter(|(_, pod)| pod.stays()) {
            match pod.phase {
                Phase::Failed => {
                    // A second failed pod waits for the delay that the first one starts.
                    if until.is_none() && !has_failed {
                        out.presence.push(Action::Delete(at, DeleteWhy::Failed));
                    }
                    has_failed = true;
                }
                Phase::Succeeded => out.presence.push(Action::Delete(at, DeleteWhy::Succeeded)),
                _ => running.push(at),
            }
        }
        out.wake_at = until.filter(|_| has_failed);
        if !policy.surges {
            // R61
            out.presence.extend(running.iter().skip(1).map(|at| Action::Delete(*at, DeleteWhy::Duplicate)));
            return;
        }
        if running.is_empty() {
            // R64, but a failed pod in its back-off bars the next one here as it does without surge (mends R189); and what
            // is asked to go must be seen going first.
            if self.fit == Fit::Run && !has_failed && !self.is_leaving() {
                self.create(CreateWhy::Missing, &mut out.presence);
            }
            return;
        }
        if running.len() > 1 {
            self.prune_surged(policy, now, &running, &mut out.presence);
        }
    }

    /// R64: the oldest new and the oldest old pod; the old one goes when it is of no use or the new one is available.
    fn prune_surged(&self, policy: &Policy, now: Millis, running: &[usize], actions: &mut Vec<Action>) {
        let is_new = |at: &&usize| self.pods[**at].has_current_hash(policy);
        let new = running.iter().find(is_new).copied();
        let old = running.iter().find(|at| !is_new(at)).copied();
        for at in running.iter().copied().filter(|at| Some(*at) != new && Some(*at) != old) {
            actions.push(Action::Delete(at, DeleteWhy::Duplicate));
        }
        if let (Some(new), Some(old)) = (new, old) {
            if !self.pods[old].ready.is {
                actions.push(Action::Delete(old, DeleteWhy::OutdatedBroken));
            } else if self.pods[new].is_available(policy, now) {
                actions.push(Action::Delete(old, DeleteWhy::Replaced));
            }
        }
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

    /// R102
    fn roll(&self, policy: &Policy, now: Millis, counted: &mut Counted) {
        if self.fit != Fit::Run && !self.has_entry() {
            return;
        }
        let available = |at: usize| self.pods[at].is_available(policy, now);
        match self.classify(policy) {
            Some((Some(new), None)) if available(new) => {}
            Some((None, Some(old))) if available(old) => counted.roll = Roll::Candidate,
            Some((None, Some(old))) => {
                counted.unavailable = true;
                counted.roll = Roll::Free(Action::Delete(old, DeleteWhy::OutdatedBroken));
            }
            _ => counted.unavailable = true,
        }
    }

    /// R104. Nodes that are gone take no part (mends R188).
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
        let Some(old) = old else { return };
        match new {
            Some(new) if available(new) => counted.roll = Roll::Free(Action::Delete(old, DeleteWhy::Replaced)),
            Some(_) => counted.surging = true,
            // A create that was asked for is a new pod which is not available.
            None if self.flight().is_some() => {
                counted.surging = true;
                let is_unknown = self.flight().is_some_and(|flight| flight.state == FlightState::Unknown);
                if is_unknown && self.fit == Fit::Run {
                    counted.roll = Roll::Free(Action::Create(CreateWhy::Surge));
                }
            }
            // What is asked to go must be seen going before there is a second one.
            None if self.fit == Fit::Run && self.is_leaving() => counted.surging = true,
            None if !available(old) => {
                counted.roll = Roll::Free(if self.fit == Fit::Run {
                    Action::Create(CreateWhy::Rescue)
                } else {
                    Action::Delete(old, DeleteWhy::OutdatedBroken)
                });
            }
            None => counted.roll = if self.fit == Fit::Run { Roll::Candidate } else { Roll::Sunset },
        }
    }
}
