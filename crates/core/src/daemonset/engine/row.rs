//! One set: its cells, and the counters and queues over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cells::Cells;
use super::nodes::{NodeId, Nodes};
use super::queues::Queues;
use crate::daemonset::backoff::Backoff;
use crate::daemonset::cell::{self, Cell, Charge, Charged, Counted, Fit, Flight, FlightState};
use crate::daemonset::eligibility::Rules;
use crate::daemonset::plan::{PATIENCE, Ref, STATUS_PAUSE};
use crate::daemonset::pods::PodCell;
use crate::daemonset::policy::Policy;
use crate::model::{HASH_LABEL, Key, Labels, Millis, Pod, Revision, Set, Status, Uid, Version};

/// A change of template under way: an object of its own, rebuilt from what the API tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Hash of the revision that is brought.
    pub hash: Arc<str>,
    /// When it was first seen to be the current one.
    pub since: Millis,
    /// Pods taken away for it since then.
    pub replaced: u32,
}

/// Writes that are to be answered and seen before anything else is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    pub(super) unanswered: usize,
    pub(super) pods: Version,
    pub(super) revisions: Version,
    pub(super) asked: Millis,
}

/// Sums over the cells of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) desired: i32,
    pub(super) current: i32,
    pub(super) misscheduled: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    pub(super) updated: i32,
    pub(super) unavailable: i32,
    pub(super) unready: i32,
    pub(super) surging: i32,
    pub(super) serving: i32,
    pub(super) judged: Judged,
}

/// Sums for the judge alone ([`cell::Judged`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) lacking: i32,
    pub(super) unready: i32,
    pub(super) doubled: i32,
}

impl Judged {
    pub(super) fn add(&mut self, judged: &cell::Judged, sign: i32) {
        self.lacking += sign * i32::from(judged.lacking);
        self.unready += sign * i32::from(judged.unready);
        self.doubled += sign * i32::from(judged.doubled);
    }
}

impl Tally {
    pub(super) fn add(&mut self, counted: &Counted, sign: i32) {
        for (sum, is) in [
            (&mut self.desired, counted.desired),
            (&mut self.current, counted.current),
            (&mut self.misscheduled, counted.misscheduled),
            (&mut self.ready, counted.ready),
            (&mut self.available, counted.available),
            (&mut self.updated, counted.updated),
            (&mut self.unavailable, counted.unavailable),
            (&mut self.unready, counted.unready),
            (&mut self.surging, counted.surging),
            (&mut self.serving, counted.serving),
        ] {
            *sum += sign * i32::from(is);
        }
        self.judged.add(&counted.judged, sign);
    }

    pub(super) fn status(&self, observed_generation: i64) -> Status {
        Status {
            current: self.current,
            misscheduled: self.misscheduled,
            desired: self.desired,
            ready: self.ready,
            updated: self.updated,
            available: self.available,
            unavailable: self.desired - self.available,
            observed_generation,
        }
    }
}

pub(super) struct Row {
    pub(super) set: Set,
    pub(super) rules: Rules,
    pub(super) policy: Policy,
    pub(super) cells: Cells,
    pub(super) tally: Tally,
    pub(super) queues: Queues,
    pub(super) timers: BTreeSet<(Millis, NodeId)>,
    /// Orphaned pods that match.
    pub(super) orphans: BTreeSet<Key>,
    /// Pods that may have been adopted: nobody knows, since when.
    pub(super) doubted: BTreeMap<Key, (Ref, Millis)>,
    /// Pods of ours that no longer match.
    pub(super) strays: BTreeMap<Key, Ref>,
    /// Hashes on claimed pods, and how many carry each.
    pub(super) hashes: BTreeMap<Arc<str>, u32>,
    pub(super) gate: Option<Gate>,
    /// The revisions that are not current, once the history is in order; nothing when it must be looked at again.
    pub(super) old_revisions: Option<Arc<[Arc<Revision>]>>,
    /// Revisions asked to go.
    pub(super) going_revisions: BTreeSet<Uid>,
    /// The status that was written last, until it is seen.
    pub(super) written: Option<(Status, Version)>,
    /// When a status was last asked to be written.
    pub(super) status_at: Option<Millis>,
    /// What of the budget was in use when pods were last decided on, before the steps of that plan.
    pub(super) spent: super::Spent,
    /// When it was last decided.
    pub(super) decided_at: Millis,
    /// Nothing is made before that.
    pub(super) hold_until: Option<Millis>,
    pub(super) rollout: Option<Rollout>,
    /// Told once per generation.
    pub(super) remarked: i64,
}

impl Row {
    pub(super) fn new(set: Set) -> Self {
        Self {
            rules: Rules::new(&set.template),
            policy: Policy::of(&set, None),
            cells: Cells::default(),
            tally: Tally::default(),
            queues: Queues::default(),
            timers: BTreeSet::new(),
            orphans: BTreeSet::new(),
            doubted: BTreeMap::new(),
            strays: BTreeMap::new(),
            hashes: BTreeMap::new(),
            gate: None,
            old_revisions: None,
            going_revisions: BTreeSet::new(),
            written: None,
            status_at: None,
            spent: super::Spent::default(),
            decided_at: Millis(i64::MIN),
            hold_until: None,
            rollout: None,
            remarked: 0,
            set,
        }
    }

    /// Until when a status of the same generation has to wait, if that is still to come.
    pub(super) fn status_until(&self, now: Millis) -> Option<Millis> {
        let at = self.status_at?;
        let until = at.plus(STATUS_PAUSE);
        (at <= now && now < until).then_some(until)
    }

    /// True when labels are those of this set's pods (R38: an empty or absent selector matches none).
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.set.selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
    }

    /// Brings the policy up to date with the set and its current hash; every cell follows.
    pub(super) fn set_policy(&mut self, policy: Policy) {
        if self.policy != policy {
            self.policy = policy;
            self.cells.touch_all();
        }
    }

    /// What a node is to this set now; true when that changed its cell.
    pub(super) fn put_fit(&mut self, id: NodeId, fit: Fit, nodes: &mut Nodes) -> bool {
        match self.cells.get(id).map(|cell| cell.fit) {
            Some(before) if before == fit => false,
            Some(_) => {
                if let Some(cell) = self.cells.touch(id) {
                    cell.fit = fit;
                }
                true
            }
            None if fit == Fit::Run => {
                self.add_cell(id, fit, nodes);
                true
            }
            None => false,
        }
    }

    fn add_cell(&mut self, id: NodeId, fit: Fit, nodes: &mut Nodes) {
        nodes.hold(id);
        self.cells.insert(id, Cell::new(fit));
    }

    /// Puts a pod into the cell of a node; false when it differs from what is there in its version alone.
    pub(super) fn put_pod(&mut self, id: NodeId, pod: &Pod, nodes: &mut Nodes) -> bool {
        if self.cells.get(id).is_none() {
            self.add_cell(id, Fit::of(&self.rules, nodes.node(id)), nodes);
        }
        let label = pod.labels.get(HASH_LABEL).map(String::as_str);
        let place = |cell: &Cell| cell.pods.iter().position(|old| old.name.is(&pod.key.name));
        let at = self.cells.get(id).and_then(place);
        let known = at.and_then(|at| self.cells.get(id)?.pods.get(at));
        let (hash, is_counted) = match known {
            Some(known) if known.hash.as_deref() == label => (known.hash.clone(), true),
            _ => (self.count_hash(label), false),
        };
        let mut new = PodCell::new(pod, hash);
        let Some(cell) = self.cells.get_mut(id) else { return false };
        let is_awaited = cell.flight().is_some_and(|flight| new.name.is(&flight.name));
        if let Some(old) = at.and_then(|at| cell.pods.get_mut(at)) {
            if old.uid == new.uid && !new.is_terminating {
                new.asked = old.asked;
            }
            old.version = new.version;
            if *old == new && !is_awaited {
                return false;
            }
        }
        let Some(cell) = self.cells.touch(id) else { return false };
        // While an answer is still to come the request may be on its way once more; only then is it over. An older pod of that
        // name, made by an earlier try and gone since, is not the one that was made last.
        let is_over = |flight: &Flight| match flight.state {
            FlightState::Asked => false,
            FlightState::Made(at) => at <= new.version,
            FlightState::Unknown => true,
        };
        if is_awaited && cell.flight().is_some_and(is_over) {
            cell.rare().flight = None;
        }
        let old = match at.and_then(|at| cell.pods.get_mut(at)) {
            Some(old) if old.precedes(&new).is_eq() => Some(std::mem::replace(old, new)),
            _ => {
                let old = cell.pods.remove(&pod.key.name);
                cell.pods.insert(new);
                old
            }
        };
        if let Some(old) = old.filter(|_| !is_counted) {
            self.forget_hash(old.hash.as_ref());
        }
        true
    }

    /// Takes a pod out of the cell of a node.
    pub(super) fn take_pod(&mut self, id: NodeId, name: &str) {
        if let Some(gone) = self.cells.touch(id).and_then(|cell| cell.pods.remove(name)) {
            self.forget_hash(gone.hash.as_ref());
        }
    }

    /// The shared copy of a hash, counted once more.
    pub(super) fn count_hash(&mut self, hash: Option<&str>) -> Option<Arc<str>> {
        let hash = hash?;
        if let Some((known, count)) = self.hashes.get_key_value(hash).map(|(known, count)| (Arc::clone(known), *count))
        {
            self.hashes.insert(Arc::clone(&known), count + 1);
            return Some(known);
        }
        let known: Arc<str> = hash.into();
        self.hashes.insert(Arc::clone(&known), 1);
        Some(known)
    }

    pub(super) fn forget_hash(&mut self, hash: Option<&Arc<str>>) {
        let Some(hash) = hash else { return };
        if let Some(count) = self.hashes.get_mut(hash) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.hashes.remove(hash);
            }
        }
    }

    /// Assesses a cell and moves its share in counters and queues.
    pub(super) fn refresh(&mut self, id: NodeId, nodes: &mut Nodes, now: Millis) {
        let rolling = self.rollout.is_some();
        let (Some(cell), Some(turn)) = (self.cells.get_mut(id), nodes.turn(id)) else { return };
        lapse(cell, &self.policy, now);
        let assessment = cell.assess(&self.policy, now);
        charge(cell, &self.policy, nodes.is_ready(id), rolling, now);
        let old = std::mem::replace(&mut cell.counted, assessment.counted);
        let woken = std::mem::replace(&mut cell.wake_at, assessment.wake_at);
        let is_blank = cell.is_blank();
        if woken != assessment.wake_at {
            if let Some(at) = woken {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = assessment.wake_at {
                self.timers.insert((at, id));
            }
        }
        if old != assessment.counted {
            self.tally.add(&old, -1);
            self.tally.add(&assessment.counted, 1);
            self.queues.recount(turn, &old, &assessment.counted);
        }
        if is_blank {
            self.cells.remove(id);
            nodes.release(id);
        }
    }
}

/// R31: what was not answered or seen for five minutes is no longer waited for.
fn lapse(cell: &mut Cell, policy: &Policy, now: Millis) {
    for pod in &mut cell.pods {
        pod.asked = pod.asked.filter(|asked| now < asked.plus(PATIENCE));
    }
    if let Some(rare) = &mut cell.rare {
        rare.backoff = rare.backoff.filter(|record| !record.is_forgotten(now));
        rare.refused = rare.refused.filter(|record| !record.is_forgotten(now));
    }
    // What another controller, or this one before it was started anew, has counted.
    if cell.backoff().is_none()
        && let Some((_, pod)) = cell.ended()
        && pod.is_updated(policy)
        && let Some(record) = Backoff::resumed(policy.observed, pod.failures, pod.created, now)
    {
        cell.rare().backoff = Some(record);
    }
    if let Some(rare) = &mut cell.rare
        && let Some(flight) = &mut rare.flight
        && now >= flight.asked.plus(PATIENCE)
    {
        // Ask again under the same name: if it was made after all, the name is taken.
        flight.state = FlightState::Unknown;
        if cell.pods.iter().any(|pod| pod.name.is(&flight.name)) {
            rare.flight = None;
        }
    }
    if cell.rare.as_ref().is_some_and(|rare| rare.is_blank()) {
        cell.rare = None;
    }
}

/// Records since when a node lacks an available pod, and who answers for it.
fn charge(cell: &mut Cell, policy: &Policy, is_ready: bool, rolling: bool, now: Millis) {
    if cell.fit != Fit::Run || cell.has_available(policy, now) {
        cell.charge = None;
        return;
    }
    // Before the current revision is known nobody can be told to have it.
    if policy.hash.is_none() || cell.charge.is_some() {
        return;
    }
    let who = if !is_ready {
        Charged::Node
    } else {
        match cell.pods.iter().find(|pod| pod.stays()) {
            Some(pod) if pod.is_updated(policy) => Charged::Revision,
            Some(_) => Charged::Node,
            None if rolling => Charged::Revision,
            None => Charged::Unknown,
        }
    };
    cell.charge = Some(Charge { since: now, who });
}
