//! What became of the steps.

use super::Engine;
use super::nodes::NodeId;
use super::row::Row;
use crate::daemonset::backoff::Backoff;
use crate::daemonset::cell::FlightState;
use crate::daemonset::plan::{Outcome, PATIENCE, Ref, Step, key_in};
use crate::daemonset::pods::DONE;
use crate::model::{Key, Millis, Status, Uid, Version};

impl Engine {
    /// Tells what became of a step of a plan of this set.
    pub fn settle(&mut self, key: &Key, step: &Step, outcome: Outcome, now: Millis) {
        let seen = self.pods_seen;
        let Some(id) = self.rows.id(key) else { return };
        let is_ours = matches!(step, Step::Adopt(pod) if self.is_of(id, &key_in(key, &pod.name)));
        let Some(row) = self.rows.get_mut(id) else { return };
        match step {
            Step::Create { node, name, .. } => {
                if let Some(node) = self.nodes.find(node)
                    && let Some(version) = settle_create(row, node, name, outcome, seen, now)
                {
                    self.made.insert((version, id, node));
                }
            }
            Step::Delete { pod, node, .. } => {
                if let Some(node) = self.nodes.find(node) {
                    settle_delete(row, node, &pod.uid, outcome);
                }
            }
            Step::Adopt(pod) => {
                settle_adopt(row, pod, outcome, is_ours, now);
                settle_gate(row, outcome, true);
            }
            Step::Release(_) | Step::Relabel { .. } => settle_gate(row, outcome, true),
            Step::AdoptRevision(_)
            | Step::ReleaseRevision(_)
            | Step::LabelRevision(_)
            | Step::CreateRevision { .. }
            | Step::RenumberRevision { .. } => settle_gate(row, outcome, false),
            Step::DeleteRevision(revision) => {
                if matches!(outcome, Outcome::Refused | Outcome::Conflict | Outcome::NotTried | Outcome::Unknown) {
                    row.going_revisions.remove(&revision.uid);
                }
                settle_gate(row, outcome, false);
            }
        }
        self.open_gates();
    }

    /// Tells what became of writing a status: the version it has now, or nothing when it was not written.
    pub fn settle_status(&mut self, key: &Key, status: Status, version: Option<Version>) {
        let Some(id) = self.rows.id(key) else { return };
        let Some(row) = self.rows.get_mut(id) else { return };
        // Seen already, or superseded.
        if row.written.is_none_or(|(written, _)| written != status) {
            return;
        }
        row.written = version.filter(|version| *version > row.set.version).map(|version| (status, version));
        if version.is_none() {
            self.changed.insert(id);
        }
    }
}

/// The version at which the pod must be seen, if it is not yet.
fn settle_create(
    row: &mut Row,
    node: NodeId,
    name: &std::sync::Arc<str>,
    outcome: Outcome,
    seen: Version,
    now: Millis,
) -> Option<Version> {
    let cell = row.cells.touch(node)?;
    if cell.flight().is_none_or(|flight| flight.name != *name) {
        return None;
    }
    // A write that made no pod: the next one waits a while. What was not tried does not.
    cell.rare().refused = match outcome {
        Outcome::Done { .. } => None,
        Outcome::NotTried | Outcome::NamespaceGoing => cell.rare().refused,
        Outcome::Gone | Outcome::Conflict | Outcome::Refused | Outcome::NameTaken | Outcome::Unknown => {
            Some(Backoff::next(cell.rare().refused.as_ref(), row.policy.observed, now))
        }
    };
    let is_there = cell.pods.iter().any(|pod| pod.name.is(name));
    let flight = cell.rare().flight.as_mut().filter(|flight| flight.name == *name)?;
    match outcome {
        Outcome::Done { version } if version > seen => {
            flight.state = FlightState::Made(version);
            return Some(version);
        }
        Outcome::Unknown | Outcome::Refused | Outcome::NotTried if is_there => cell.rare().flight = None,
        Outcome::Unknown => flight.state = FlightState::Unknown,
        // This try was refused; whether an earlier one was made is still not known.
        Outcome::Refused | Outcome::NotTried if flight.is_doubtful => flight.state = FlightState::Unknown,
        Outcome::NamespaceGoing => {
            cell.rare().flight = None;
            // R69: nothing can be made here any more; look again in a while, should the set outlive it.
            row.hold_until = Some(now.plus(PATIENCE));
        }
        // Done and told already: the pod is known, or gone again.
        Outcome::Done { .. }
        | Outcome::Gone
        | Outcome::Conflict
        | Outcome::Refused
        | Outcome::NameTaken
        | Outcome::NotTried => cell.rare().flight = None,
    }
    None
}

fn settle_delete(row: &mut Row, node: NodeId, uid: &Uid, outcome: Outcome) {
    let asked = match outcome {
        // What was done will be seen.
        Outcome::Done { .. } | Outcome::Gone => Some(DONE),
        // Deleting twice does no harm: the same pod is meant.
        Outcome::Conflict
        | Outcome::Refused
        | Outcome::NameTaken
        | Outcome::NotTried
        | Outcome::NamespaceGoing
        | Outcome::Unknown => None,
    };
    let Some(cell) = row.cells.touch(node) else { return };
    if let Some(pod) = cell.pods.iter_mut().find(|pod| pod.uid.is(uid.as_str())) {
        pod.asked = asked;
    }
}

/// An adoption that was done and not seen would leave the pod's node to look empty: it is asked for again until the answer is
/// heard or the pod is seen to be ours. A no to one try says nothing of an earlier one.
fn settle_adopt(row: &mut Row, pod: &Ref, outcome: Outcome, is_ours: bool, now: Millis) {
    let key = key_in(&row.set.key, &pod.name);
    match outcome {
        Outcome::Unknown if is_ours => {}
        Outcome::Unknown => drop(row.doubted.insert(key, (pod.clone(), now))),
        Outcome::Done { .. } | Outcome::Gone => drop(row.doubted.remove(&key)),
        Outcome::Conflict | Outcome::Refused | Outcome::NameTaken | Outcome::NotTried | Outcome::NamespaceGoing => {}
    }
}

fn settle_gate(row: &mut Row, outcome: Outcome, is_pod: bool) {
    let Some(gate) = &mut row.gate else { return };
    gate.unanswered = gate.unanswered.saturating_sub(1);
    if let Outcome::Done { version } = outcome {
        let seen = if is_pod { &mut gate.pods } else { &mut gate.revisions };
        *seen = (*seen).max(version);
    }
}
