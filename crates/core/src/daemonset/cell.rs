//! One set on one node: what is there, and what follows from it.
//!
//! A [`Cell`] holds facts. What follows from them is said by [`Cell::assess`], in `assess`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::backoff::Backoff;
use super::eligibility::{Rules, Site};
use super::plan::{CreateWhy, DeleteWhy, PATIENCE, Ref, TemplateId};
use super::pods::Pods;
use super::text::Text;
use crate::model::{Millis, Phase, Pod, Ready, Uid, Version};

/// What a verdict comes down to (R42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// shouldRun
    Run,
    /// shouldContinue only
    Keep,
    /// shouldContinue only, and the node is not ready: nobody there may carry out what is asked for (R184).
    Lost,
    /// neither
    Forbid,
    /// There is no such node.
    NoNode,
}

impl Fit {
    /// What a node is to a set.
    pub(crate) fn of(rules: &Rules, node: Option<&impl Site>) -> Self {
        let Some(node) = node else { return Self::NoNode };
        match rules.flags(node) {
            (true, _) => Self::Run,
            (false, true) if !node.is_ready() => Self::Lost,
            (false, true) => Self::Keep,
            (false, false) => Self::Forbid,
        }
    }
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
    /// When the set was made: generations of pods that are not younger were counted by another set of its name (R190).
    pub(crate) born: Millis,
    /// `status.observedGeneration`, part of the back-off's key.
    pub(crate) observed: i64,
}

/// When a deletion was asked for that is known to be done: it is waited for until it is seen, whatever the clock says.
pub(crate) const DONE: Millis = Millis(i64::MAX);

/// A pod in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodCell {
    pub(crate) name: Text,
    pub(crate) uid: Text,
    pub(crate) version: Version,
    pub(crate) created: Millis,
    pub(crate) is_bound: bool,
    pub(crate) phase: Phase,
    pub(crate) is_terminating: bool,
    pub(crate) ready: Ready,
    pub(crate) hash: Option<Arc<str>>,
    pub(crate) generation: Option<i64>,
    /// How many pods ended here before it was made.
    pub(crate) failures: u32,
    /// When its deletion was asked for.
    pub(crate) asked: Option<Millis>,
}

impl PodCell {
    pub(crate) fn new(pod: &Pod, hash: Option<Arc<str>>) -> Self {
        let label = pod.labels.get(crate::model::GENERATION_LABEL);
        let generation = label.filter(|text| is_plain(text)).and_then(|text| text.parse().ok());
        Self {
            name: Text::new(&pod.key.name),
            uid: Text::new(pod.uid.shared()),
            version: pod.version,
            created: pod.created,
            is_bound: pod.node.is_some(),
            phase: pod.phase,
            is_terminating: pod.is_terminating(),
            ready: pod.ready,
            hash,
            generation,
            failures: pod.failures,
            asked: None,
        }
    }

    /// As steps name it.
    pub(crate) fn reference(&self) -> Ref {
        Ref { name: self.name.shared(), uid: Uid::from(self.uid.shared()) }
    }

    /// R62: bound before unbound, then older, then by name.
    pub(crate) fn precedes(&self, other: &Self) -> Ordering {
        (!self.is_bound, self.created, &self.name).cmp(&(!other.is_bound, other.created, &other.name))
    }

    /// R56: neither there nor in the way.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_terminating && self.has_ended()
    }

    /// It failed, or ended as a daemon must not.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }

    /// Not on its way out.
    pub(crate) fn stays(&self) -> bool {
        !self.is_terminating && self.asked.is_none()
    }

    /// R96, but the generation speaks only for pods of this very set (mends R190).
    pub(crate) fn is_updated(&self, policy: &Policy) -> bool {
        (policy.hash.is_some() && self.hash == policy.hash)
            || (policy.generation.is_some() && self.generation == policy.generation && self.created > policy.born)
    }

    /// R66
    pub(crate) fn is_available(&self, policy: &Policy, now: Millis) -> bool {
        self.ready.is
            && (policy.min_ready.0 <= 0 || self.ready.since.is_some_and(|since| since.plus(policy.min_ready) <= now))
    }

    /// When it becomes available by mere waiting.
    pub(super) fn available_at(&self, policy: &Policy, now: Millis) -> Option<Millis> {
        let at = self.ready.since.filter(|_| self.ready.is)?.plus(policy.min_ready);
        (now < at).then_some(at)
    }
}

/// A text that is a number is its plain spelling (R96 compares decimal texts).
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|digit: char| ('1'..='9').contains(&digit)) || text == "0"
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
    /// Creates that were refused.
    pub(crate) refused: Option<Backoff>,
}

impl Rare {
    /// Nothing.
    pub(crate) fn is_blank(&self) -> bool {
        self.flight.is_none() && self.backoff.is_none() && self.refused.is_none()
    }
}

/// One set on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fit: Fit,
    pub(crate) template: TemplateId,
    /// It has changed since it was assessed.
    pub(crate) is_dirty: bool,
    /// In the order of R62.
    pub(crate) pods: Pods,
    pub(crate) rare: Option<Box<Rare>>,
    /// While the node lacks an available pod.
    pub(crate) charge: Option<Charge>,
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
    /// As `unavailable`, and there is not even a ready pod (R186).
    pub(crate) unready: bool,
    /// Is to have a pod and has no available one that stays: for the judge alone, no decision reads it.
    pub(crate) lacking: bool,
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
    /// At once: take these pods away, or make one. A second one that may have been made already is asked for once more only
    /// while the budget is not overdrawn.
    Free(Action),
    /// R102, R104 step 5: when the budget allows.
    Candidate,
    /// Ready, but not yet available: taking it costs no available pod, but a ready one (R186).
    Young,
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
        Self {
            fit,
            template: TemplateId(0),
            is_dirty: false,
            pods: Pods::None,
            rare: None,
            charge: None,
            counted: Counted::default(),
            wake_at: None,
        }
    }

    pub(crate) fn flight(&self) -> Option<&Flight> {
        self.rare.as_ref()?.flight.as_ref()
    }

    pub(crate) fn backoff(&self) -> Option<&Backoff> {
        self.rare.as_ref()?.backoff.as_ref()
    }

    /// Until when no create may be asked for, because the last one was refused.
    pub(crate) fn refused_until(&self, policy: &Policy, now: Millis) -> Option<Millis> {
        Backoff::until_asked_again(self.rare.as_ref()?.refused.as_ref(), policy.observed, now)
    }

    /// How many pods have ended here before one that is made now.
    pub(crate) fn failures(&self, policy: &Policy, now: Millis) -> u32 {
        let is_one_more = self.ended().is_some();
        Backoff::attempts(self.backoff(), policy.observed, now).saturating_add(u32::from(is_one_more))
    }

    /// A pod that stands in for this one is there: it was made after more had ended.
    pub(crate) fn is_superseded(&self, pod: &PodCell) -> bool {
        self.pods.iter().any(|other| other.stays() && other.failures > pod.failures)
    }

    /// The pod that ended and has nothing to stand in for it yet, with its place.
    pub(crate) fn ended(&self) -> Option<(usize, &PodCell)> {
        let is_last = |pod: &PodCell| pod.stays() && pod.has_ended() && !self.is_superseded(pod);
        self.pods.iter().enumerate().find(|(_, pod)| is_last(pod))
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Nothing there to remember.
    pub(crate) fn is_blank(&self) -> bool {
        self.fit != Fit::Run && self.pods.is_empty() && self.rare.as_ref().is_none_or(|rare| rare.is_blank())
    }

    /// R57: there is a pod of some sort.
    pub(super) fn has_entry(&self) -> bool {
        self.pods.iter().any(|pod| !pod.is_finished())
    }

    /// A pod was asked to go and has not been seen going.
    pub(super) fn is_leaving(&self) -> bool {
        self.pods.iter().any(|pod| pod.asked.is_some() && !pod.is_terminating)
    }

    /// A create that may have been done a short while ago.
    pub(super) fn is_coming(&self, now: Millis) -> bool {
        self.flight().is_some_and(|flight| now < flight.asked.plus(PATIENCE))
    }

    /// There is an available pod that is not on its way out.
    pub(crate) fn has_available(&self, policy: &Policy, now: Millis) -> bool {
        self.pods.iter().any(|pod| pod.stays() && pod.is_available(policy, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R96 compares decimal texts, so other spellings of a number do not count.
    #[test]
    fn numbers_are_written_in_one_way() {
        for (text, expect) in [
            ("0", true),
            ("7", true),
            ("10", true),
            ("-3", true),
            ("", false),
            ("+7", false),
            ("07", false),
            ("-0", false),
        ] {
            assert_eq!(is_plain(text), expect, "{text}");
        }
    }
}
