//! One set on one node: what is there.
//!
//! A [`Cell`] holds facts. What follows from them is said by [`Cell::assess`], in `assess`. Its pods are in `pods`.

use std::sync::Arc;

use super::backoff::Backoff;
use super::eligibility::{Rules, Site};
use super::plan::{CreateWhy, DeleteWhy, PATIENCE, TemplateId};
use super::pods::{PodCell, Pods};
use super::policy::Policy;
use crate::model::{Millis, Version};

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
    /// For the judge alone: no decision reads it.
    pub(crate) judged: Judged,
    /// R104: counts against maxSurge.
    pub(crate) surging: bool,
    /// R104 step 2: has an available pod for the purpose of R105.
    pub(crate) serving: bool,
    /// What is to be done at once.
    pub(crate) urgent: bool,
    /// What the rolling update may do here.
    pub(crate) roll: Roll,
}

/// What the laws of the budget count (P3, P7), by the pods that stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Is to have a pod, and has no available one.
    pub(crate) lacking: bool,
    /// Is to have a pod, and has no ready one.
    pub(crate) unready: bool,
    /// Has a second pod, or may get one.
    pub(crate) doubled: bool,
}

/// What the rolling update may do in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Roll {
    /// Nothing.
    #[default]
    None,
    /// At once: it costs no budget.
    Free(Action),
    /// A second pod that may have been made already is asked for once more, while the budget is not overdrawn.
    Again,
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

    /// Takes the one pod away that stays: what the budget chooses has no other.
    pub(crate) fn only(&self, why: DeleteWhy) -> Option<Action> {
        let at = self.pods.iter().position(PodCell::stays)?;
        Some(Action::Delete(at, why))
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

    /// What the laws count here, when these pods go too and, maybe, one more comes.
    pub(crate) fn judged(&self, policy: &Policy, now: Millis, goes: impl Fn(&PodCell) -> bool, comes: bool) -> Judged {
        let staying = || self.pods.iter().filter(|pod| pod.stays() && !goes(pod));
        let is_to_have_one = self.fit == Fit::Run;
        Judged {
            lacking: is_to_have_one && !staying().any(|pod| pod.is_available(policy, now)),
            unready: is_to_have_one && !staying().any(|pod| pod.ready.is),
            doubled: policy.surges && self.is_doubled(policy, now, goes, comes),
        }
    }

    /// P7: a second pod is there until it is seen going, or may come. What is on its way out beside one that is available was
    /// replaced; what is on a node that is gone serves nobody.
    fn is_doubled(&self, policy: &Policy, now: Millis, goes: impl Fn(&PodCell) -> bool, comes: bool) -> bool {
        let live = || self.pods.iter().filter(|pod| !pod.is_terminating && !pod.has_ended());
        if self.fit == Fit::NoNode || live().next().is_none() {
            return false;
        }
        let is_unseen = |flight: &Flight| !self.pods.iter().any(|pod| pod.name.is(&flight.name));
        if comes || (self.is_coming(now) && self.flight().is_some_and(is_unseen)) {
            return true;
        }
        let mut staying = live().filter(|pod| pod.asked.is_none() && !goes(pod));
        let is_replaced =
            matches!((staying.next(), staying.next()), (Some(pod), None) if pod.is_available(policy, now));
        live().nth(1).is_some() && !is_replaced
    }

    /// There is an available pod that is not on its way out.
    pub(crate) fn has_available(&self, policy: &Policy, now: Millis) -> bool {
        self.pods.iter().any(|pod| pod.stays() && pod.is_available(policy, now))
    }
}
