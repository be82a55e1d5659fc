//! What to do for one set, now.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::nodes::{NodeId, Turn};
use super::queues::after;
use super::row::{Gate, Row};
use super::rows::RowId;
use super::{Engine, judge, revisions};
use crate::daemonset::backoff::Backoff;
use crate::daemonset::budget;
use crate::daemonset::cell::{Action, Cell, Flight, FlightState, Roll};
use crate::daemonset::names;
use crate::daemonset::plan::{BURST, CreateWhy, DeleteWhy, PATIENCE, Plan, Remark, Step};
use crate::model::{Key, Millis, Strategy};

/// A plan in the making, with the room that is left in it (R67).
struct Draft {
    plan: Plan,
    creates: usize,
    deletes: usize,
    now: Millis,
}

impl Draft {
    fn new(hash: Option<Arc<str>>, now: Millis) -> Self {
        Self { plan: Plan { hash, ..Plan::default() }, creates: BURST, deletes: BURST, now }
    }

    /// No room for one of the two; the rest waits for the next plan.
    fn is_full(&mut self) -> bool {
        let is_full = self.creates == 0 || self.deletes == 0;
        self.plan.more |= is_full;
        is_full
    }

    /// Takes the room for an action, if there is any.
    fn has_room(&mut self, action: Action) -> bool {
        let room = match action {
            Action::Create(_) => &mut self.creates,
            Action::Delete(..) => &mut self.deletes,
        };
        let left = room.checked_sub(1);
        *room = left.unwrap_or_default();
        self.plan.more |= left.is_none();
        left.is_some()
    }

    fn wake_at(&mut self, at: Option<Millis>) {
        self.plan.wake_at = self.plan.wake_at.into_iter().chain(at).min();
    }
}

/// The first `allowed` of a queue.
fn heads(queue: &BTreeSet<Turn>, allowed: i32) -> Vec<NodeId> {
    let allowed = usize::try_from(allowed).unwrap_or(0);
    if queue.is_empty() {
        return Vec::new();
    }
    queue.iter().take(allowed.min(BURST + 1)).map(|(_, seat)| seat.id).collect()
}

impl Engine {
    /// R40: the plan for a set. Its steps count as asked for from now on; tell of each by [`Engine::settle`].
    pub fn decide(&mut self, key: &Key, now: Millis) -> Plan {
        let Some(id) = self.rows.id(key) else { return Plan::default() };
        let Some(mut row) = self.rows.take(id) else { return Plan::default() };
        let plan = self.decide_row(id, &mut row, now);
        if cfg!(debug_assertions) {
            // A plan that breaks a law must not leave a debug build; tests and simulations are debug builds.
            assert_eq!(judge::judge(&row, &self.nodes, &plan, now), [], "{key}: {plan:?}");
        }
        self.rows.put_back(id, row);
        #[cfg(test)]
        self.audit();
        plan
    }

    fn decide_row(&mut self, id: RowId, row: &mut Row, now: Millis) -> Plan {
        if row.set.selector.as_ref().is_some_and(crate::selector::LabelSelector::is_empty) {
            let is_new = row.remarked < row.set.generation;
            row.remarked = row.set.generation;
            return Plan { remarks: is_new.then_some(Remark::SelectingAll).into_iter().collect(), ..Plan::default() };
        }
        if row.set.terminating {
            return Plan::default();
        }
        if let Some(gate) = row.gate {
            let until = gate.asked.plus(PATIENCE);
            if now < until {
                return Plan { wake_at: Some(until), ..Plan::default() };
            }
            row.gate = None;
        }
        row.doubted.retain(|_, (_, asked)| now < asked.plus(PATIENCE));
        let claims = self.claim_steps(row);
        if !claims.is_empty() {
            return self.gated(id, row, claims, now);
        }
        let old = match self.history_steps(row, now) {
            Ok(old) => old,
            Err(steps) => return self.gated(id, row, steps, now),
        };
        // Only now: what is updated goes by the current hash.
        self.refresh(row, now);
        let mut draft = Draft::new(row.policy.hash.clone(), now);
        self.status(row, &mut draft);
        row.spent = super::Spent { unavailable: row.tally.unavailable, surging: row.tally.surging };
        self.act(row, &mut draft);
        let cleanup = revisions::cleanup_steps(row, &old);
        for step in &cleanup {
            if let Step::DeleteRevision(revision) = step {
                row.going_revisions.insert(revision.uid.clone());
            }
        }
        draft.plan.steps.extend(cleanup);
        draft.wake_at(row.timers.first().map(|(at, _)| *at));
        draft.wake_at(row.hold_until.filter(|until| now < *until));
        draft.plan
    }

    fn gated(&mut self, id: RowId, row: &mut Row, steps: Vec<Step>, now: Millis) -> Plan {
        if steps.is_empty() {
            return Plan::default();
        }
        row.gate = Some(Gate { unanswered: steps.len(), asked: now, ..Gate::default() });
        self.gated.insert(id);
        Plan { steps, wake_at: Some(now.plus(PATIENCE)), ..Plan::default() }
    }

    /// Assesses what changed, and what time has changed.
    fn refresh(&mut self, row: &mut Row, now: Millis) {
        if now < row.decided_at {
            // The clock was set back: what was available is too young again, and what had lapsed is waited for.
            row.cells.touch_all();
        }
        row.decided_at = now;
        while let Some((at, _)) = row.timers.first()
            && *at <= now
        {
            if let Some((_, id)) = row.timers.pop_first()
                && let Some(cell) = row.cells.touch(id)
            {
                cell.wake_at = None;
            }
        }
        while let Some(id) = row.cells.take_dirty() {
            self.refresh_cell(row, id, now);
        }
    }

    fn refresh_cell(&mut self, row: &mut Row, id: NodeId, now: Millis) {
        self.work.assessed += 1;
        row.refresh(id, &mut self.nodes, now);
    }

    /// R110–R112: what was seen, if it is not what stands there.
    fn status(&self, row: &mut Row, draft: &mut Draft) {
        let status = row.tally.status(row.set.generation);
        let known = row.written.map_or(row.set.status, |(written, _)| written);
        let is_newer = known.observed_generation < row.set.generation;
        let mut same_generation = status;
        same_generation.observed_generation = known.observed_generation;
        if same_generation == known && !is_newer {
            return;
        }
        let until = row.status_until(draft.now).filter(|_| !is_newer);
        if until.is_some() {
            draft.wake_at(until);
            return;
        }
        row.written = Some((status, crate::model::Version(u64::MAX)));
        row.status_at = Some(draft.now);
        draft.plan.status = Some(status);
    }

    /// Presence, then the rolling update.
    fn act(&mut self, row: &mut Row, draft: &mut Draft) {
        if row.hold_until.is_some_and(|until| draft.now < until) {
            return;
        }
        row.hold_until = None;
        let mut last = None;
        while let Some(seat) = after(&row.queues.urgent, last) {
            if draft.is_full() {
                return;
            }
            if let Some(cell) = row.cells.get(seat.id) {
                self.work.assessed += 1;
                let actions = cell.assess(&row.policy, draft.now).presence;
                self.apply(row, seat.id, &actions, draft);
            }
            last = Some(seat);
        }
        if matches!(row.set.strategy, Strategy::OnDelete) {
            return;
        }
        match budget::of(&row.set.strategy, row.tally.desired) {
            Ok(budget) => self.roll(row, budget, draft),
            Err(problem) => draft.plan.problem = Some(problem),
        }
    }

    /// R102, R104, R105.
    fn roll(&mut self, row: &mut Row, budget: budget::Budget, draft: &mut Draft) {
        let second = |_: &Cell| Some(Action::Create(CreateWhy::Surge));
        let outdated = |cell: &Cell| cell.only(DeleteWhy::Outdated);
        self.free(row, draft);
        // What may have been made has its place already, unless others had to take theirs meanwhile.
        let allowed = if row.tally.surging <= budget.surge { i32::MAX } else { 0 };
        self.take(row, &heads(&row.queues.again, allowed), second, draft);
        let allowed = budget.unavailable.saturating_sub(row.tally.unready);
        self.take(row, &heads(&row.queues.young, allowed), outdated, draft);
        if budget.surge > 0 {
            let allowed = budget.surge.saturating_sub(row.tally.surging);
            self.take(row, &heads(&row.queues.candidates, allowed), second, draft);
        } else {
            let allowed = budget.unavailable.saturating_sub(row.tally.unavailable);
            self.take(row, &heads(&row.queues.candidates, allowed), outdated, draft);
        }
        let allowed = row.tally.serving.saturating_sub(row.tally.desired);
        self.take(row, &heads(&row.queues.sunset, allowed), |cell| cell.only(DeleteWhy::Sunset), draft);
    }

    /// What needs no budget.
    fn free(&mut self, row: &mut Row, draft: &mut Draft) {
        let mut last = None;
        while let Some(seat) = after(&row.queues.free, last) {
            if draft.is_full() {
                return;
            }
            if let Some(Roll::Free(action)) = row.cells.get(seat.id).map(|cell| cell.counted.roll) {
                self.apply(row, seat.id, &[action], draft);
            }
            last = Some(seat);
        }
    }

    /// Acts on the cells that the budget has chosen.
    fn take(&mut self, row: &mut Row, ids: &[NodeId], act: impl Fn(&Cell) -> Option<Action>, draft: &mut Draft) {
        for id in ids.iter().copied() {
            if draft.is_full() {
                return;
            }
            if let Some(action) = row.cells.get(id).and_then(&act) {
                self.apply(row, id, &[action], draft);
            }
        }
    }

    /// Puts actions of one cell into the plan, marks them as asked for, and counts the cell anew.
    fn apply(&mut self, row: &mut Row, id: NodeId, actions: &[Action], draft: &mut Draft) {
        for action in actions.iter().copied() {
            if draft.has_room(action) {
                match action {
                    Action::Create(why) => self.create(row, id, why, draft),
                    Action::Delete(at, why) => self.delete(row, (id, at), why, draft),
                }
            }
        }
        self.refresh_cell(row, id, draft.now);
    }

    fn create(&mut self, row: &mut Row, id: NodeId, why: CreateWhy, draft: &mut Draft) {
        let (Some(cell), Some(node)) = (row.cells.get_mut(id), self.nodes.name(id)) else { return };
        let (name, is_doubtful) = match cell.flight() {
            Some(flight) => (Arc::clone(&flight.name), true),
            None => {
                self.serial = self.serial.wrapping_add(1);
                (names::pod(&row.set.key.name, self.seed, self.serial).into(), false)
            }
        };
        let (node, template) = (node.clone(), cell.template);
        let failures = cell.failures(&row.policy, draft.now);
        let (asked, state) = (draft.now, FlightState::Asked);
        cell.rare().flight = Some(Flight { name: Arc::clone(&name), asked, state, is_doubtful });
        draft.plan.steps.push(Step::Create { node, name, template, why, failures });
    }

    /// Asks for the end of the pod at this place of a cell.
    fn delete(&self, row: &mut Row, (id, at): (NodeId, usize), why: DeleteWhy, draft: &mut Draft) {
        let (Some(cell), Some(node)) = (row.cells.get_mut(id), self.nodes.name(id)) else { return };
        let Some(pod) = cell.pods.get_mut(at) else { return };
        pod.asked = Some(draft.now);
        let reference = pod.reference();
        // It was judged useless: that must still be so when it goes.
        let version = (why == DeleteWhy::OutdatedBroken).then_some(pod.version);
        if matches!(why, DeleteWhy::Failed | DeleteWhy::Succeeded) {
            cell.rare().backoff = Some(Backoff::next(cell.backoff(), row.policy.observed, draft.now));
        }
        let (pod, at_node) = (Arc::clone(&reference.name), node.clone());
        match why {
            DeleteWhy::Failed => draft.plan.remarks.push(Remark::FailedPod { pod, node: at_node }),
            DeleteWhy::Succeeded => draft.plan.remarks.push(Remark::SucceededPod { pod, node: at_node }),
            DeleteWhy::Outdated | DeleteWhy::OutdatedBroken | DeleteWhy::Replaced | DeleteWhy::Sunset => {
                if let Some(rollout) = &mut row.rollout {
                    rollout.replaced = rollout.replaced.saturating_add(1);
                }
            }
            DeleteWhy::Duplicate | DeleteWhy::Forbidden | DeleteWhy::NoSuchNode => {}
        }
        draft.plan.steps.push(Step::Delete { pod: reference, node: node.clone(), version, why });
    }
}
