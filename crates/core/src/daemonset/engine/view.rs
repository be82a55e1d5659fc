//! Looking into the engine: for explanations, judges and tests.

use std::sync::Arc;

use super::nodes::NodeId;
use super::row::Row;
use super::{Engine, Rollout};
use crate::daemonset::backoff::Backoff;
use crate::daemonset::cell::{Charge, FlightState, Roll};
use crate::daemonset::eligibility::{Reason, Verdict};
use crate::daemonset::plan::{PATIENCE, TemplateId};
use crate::daemonset::pods::PodCell;
use crate::daemonset::policy::Policy;
use crate::daemonset::reference::Memory;
use crate::model::{Key, Millis, NodeName, Phase, Ready, Status};

/// What a cell waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// A create that is not answered or seen.
    Create,
    /// A deletion that is not answered or seen.
    Delete,
    /// A pod that is on its way out.
    Terminating,
    /// The back-off of a failed pod.
    BackOff {
        /// When it ends.
        until: Millis,
    },
    /// The server refused the last create.
    Refused {
        /// When it is asked for again.
        until: Millis,
    },
    /// The rolling update's budget is spent on other nodes.
    Budget,
    /// The pod is not ready.
    NotReady,
    /// The pod is ready, but not for long enough.
    TooYoung {
        /// When it is.
        until: Millis,
    },
    /// The pod is outdated and stays until someone deletes it.
    OnDelete,
}

/// A pod of a cell, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: Arc<str>,
    /// The hash on it.
    pub hash: Option<Arc<str>>,
    /// It has the current template.
    pub is_updated: bool,
    /// Its phase.
    pub phase: Phase,
    /// A scheduler has put it on its node.
    pub is_bound: bool,
    /// It is on its way out.
    pub is_terminating: bool,
    /// Is it ready, and since when?
    pub ready: Ready,
    /// It is available.
    pub is_available: bool,
    /// When it was made.
    pub created: Millis,
}

/// What of the budget of a rolling update is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Nodes that count against `maxUnavailable` (R102).
    pub unavailable: i32,
    /// Nodes that count against `maxSurge` (R104).
    pub surging: i32,
}

/// One set on one node, in all that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellView {
    /// The node.
    pub node: NodeName,
    /// Is it to have a pod?
    pub verdict: Verdict,
    /// All pods there in the order of R62, but for those that have ended and are on their way out. The first speaks for the node.
    pub pods: Vec<PodView>,
    /// From which template a pod here would be made.
    pub template: TemplateId,
    /// Since when the node lacks an available pod, and who answers for it.
    pub charge: Option<Charge>,
    /// What it waits for.
    pub blocker: Option<Blocker>,
}

impl CellView {
    /// The pod that speaks for the node (R62), if there is one.
    #[must_use]
    pub fn pod(&self) -> Option<&PodView> {
        self.pods.first()
    }
}

impl Engine {
    /// Every node and every cell of a set, by node name. Reads only; call after [`Engine::decide`].
    #[must_use]
    pub fn view(&self, key: &Key, now: Millis) -> Vec<CellView> {
        let Some(row) = self.rows.of(key) else { return Vec::new() };
        self.nodes.ids().filter_map(|id| self.view_cell(row, id, now)).collect()
    }

    /// What the engine remembers of a set beside what it saw: what its twin and the judges are handed.
    #[must_use]
    pub fn memory(&self, key: &Key, now: Millis) -> Memory {
        let mut memory = Memory::default();
        let Some(row) = self.rows.of(key) else { return memory };
        let is_fresh = |asked: Millis| now < asked.plus(PATIENCE);
        for (id, cell) in row.cells.iter() {
            let Some(name) = self.nodes.name(id) else { continue };
            if let Some(flight) = cell.flight() {
                let is_fresh = is_fresh(flight.asked);
                let unknown = flight.state == FlightState::Unknown || !is_fresh;
                let is_seen = cell.pods.iter().any(|pod| pod.name.is(&flight.name));
                if is_fresh || !is_seen {
                    memory.creates.insert(name.clone(), unknown);
                }
                if is_seen || !is_fresh {
                    memory.stale.insert(name.clone());
                }
            }
            if let Some(record) = cell.backoff() {
                memory.backoff.insert(name.clone(), *record);
            }
            if let Some(record) = cell.rare.as_ref().and_then(|rare| rare.refused) {
                memory.refused.insert(name.clone(), record);
            }
            let asked = cell.pods.iter().filter(|pod| pod.asked.is_some_and(is_fresh));
            memory.asked.extend(asked.map(|pod| pod.reference().uid));
        }
        let doubted = row.doubted.iter().filter(|(_, (_, asked))| is_fresh(*asked));
        memory.doubted = doubted.map(|(_, (pod, _))| pod.clone()).collect();
        memory.going.clone_from(&row.going_revisions);
        memory.written = row.written.map(|(status, _)| status);
        memory.status_waits = row.status_until(now).is_some();
        memory.is_gated = row.gate.is_some_and(|gate| is_fresh(gate.asked));
        memory.is_held = row.hold_until.is_some_and(|until| now < until);
        memory
    }

    /// The rollout under way, or the last one.
    #[must_use]
    pub fn rollout(&self, key: &Key) -> Option<&Rollout> {
        self.rows.of(key)?.rollout.as_ref()
    }

    /// The status as counted from what was seen.
    #[must_use]
    pub fn counted(&self, key: &Key) -> Option<Status> {
        let row = self.rows.of(key)?;
        Some(row.tally.status(row.set.generation))
    }

    /// What of the budget was in use at the last decision, before its steps took their share.
    #[must_use]
    pub fn spent(&self, key: &Key) -> Option<Spent> {
        Some(self.rows.of(key)?.spent)
    }

    /// What stands under a name, if it is a node's or has a cell.
    fn view_cell(&self, row: &Row, id: NodeId, now: Millis) -> Option<CellView> {
        let (name, node, cell) = (self.nodes.name(id)?, self.nodes.node(id), row.cells.get(id));
        if node.is_none() && cell.is_none() {
            return None;
        }
        let verdict = node.map_or(Verdict::Forbid(Reason::NoSuchNode), |node| row.rules.judge_site(node));
        let mut view = CellView {
            node: name.clone(),
            verdict,
            pods: Vec::new(),
            template: TemplateId(0),
            charge: None,
            blocker: None,
        };
        let Some(cell) = cell else { return Some(view) };
        view.template = cell.template;
        view.charge = cell.charge;
        let policy = &row.policy;
        view.pods = cell.pods.iter().filter(|pod| !pod.is_finished()).map(|pod| view_pod(pod, policy, now)).collect();
        let first = cell.pods.iter().find(|pod| !pod.is_finished());
        let until = Backoff::until(cell.backoff(), policy.observed, now);
        let refused = cell.refused_until(policy, now);
        view.blocker = match first {
            _ if cell.flight().is_some_and(|flight| flight.state != FlightState::Unknown) => Some(Blocker::Create),
            Some(pod) if pod.asked.is_some() && !pod.is_terminating => Some(Blocker::Delete),
            Some(pod) if pod.is_terminating => Some(Blocker::Terminating),
            None if refused.is_some() => refused.map(|until| Blocker::Refused { until }),
            Some(pod) if pod.has_ended() && until.is_some() => until.map(|until| Blocker::BackOff { until }),
            Some(pod) if pod.is_updated(policy) && !pod.ready.is => Some(Blocker::NotReady),
            Some(pod) if pod.is_updated(policy) && !pod.is_available(policy, now) => {
                pod.ready.since.map(|since| Blocker::TooYoung { until: since.plus(policy.min_ready) })
            }
            Some(pod) if !pod.is_updated(policy) && !policy.rolls => Some(Blocker::OnDelete),
            Some(_) if waits_for_budget(cell.counted.roll) => Some(Blocker::Budget),
            _ => None,
        };
        Some(view)
    }
}

fn waits_for_budget(roll: Roll) -> bool {
    matches!(roll, Roll::Again | Roll::Candidate | Roll::Young | Roll::Sunset)
}

fn view_pod(pod: &PodCell, policy: &Policy, now: Millis) -> PodView {
    PodView {
        name: pod.name.shared(),
        hash: pod.hash.clone(),
        is_updated: pod.is_updated(policy),
        phase: pod.phase,
        is_bound: pod.is_bound,
        is_terminating: pod.is_terminating,
        ready: pod.ready,
        is_available: pod.is_available(policy, now),
        created: pod.created,
    }
}
