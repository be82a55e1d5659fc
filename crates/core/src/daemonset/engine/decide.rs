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
use crate::daemonset::cell::{Action, Flight, FlightState, Roll};
use crate::daemonset::names;
use crate::daemonset::plan::{BURST, CreateWhy, DeleteWhy, PATIENCE, Plan, Remark, Step};
use crate::model::{Key, Millis, Strategy};

/// How many creates and deletes a plan still has room for (R67).
struct Room {
    creates: usize,
    deletes: usize,
}

impl Room {
    /// No room for one of the two; the rest waits for the next plan.
    fn is_spent(&self, plan: &mut Plan) -> bool {
        let is_spent = self.creates == 0 || self.deletes == 0;
        plan.more |= is_spent;
        is_spent
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
        let mut plan = Plan::default();
        if row.set.selector.as_ref().is_some_and(crate::selector::LabelSelector::is_empty) {
            if row.remarked < row.set.generation {
                row.remarked = row.set.generation;
                plan.remarks.push(Remark::SelectingAll);
            }
            return plan;
        }
        if row.set.terminating {
            return plan;
        }
        if let Some(gate) = row.gate {
            if now < gate.asked.plus(PATIENCE) {
                plan.wake_at = Some(gate.asked.plus(PATIENCE));
                return plan;
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
        plan.hash.clone_from(&row.policy.hash);
        self.status(row, &mut plan, now);
        row.spent = super::Spent { unavailable: row.tally.unavailable, surging: row.tally.surging };
        self.act(row, &mut plan, now);
        let cleanup = revisions::cleanup_steps(row, &old);
        for step in &cleanup {
            if let Step::DeleteRevision(revision) = step {
                row.going_revisions.insert(revision.uid.clone());
            }
        }
        plan.steps.extend(cleanup);
        let timer = row.timers.first().map(|(at, _)| *at);
        let hold = row.hold_until.filter(|until| now < *until);
        plan.wake_at = timer.into_iter().chain(hold).chain(plan.wake_at).min();
        plan
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
    fn status(&self, row: &mut Row, plan: &mut Plan, now: Millis) {
        let status = row.tally.status(row.set.generation);
        let known = row.written.map_or(row.set.status, |(written, _)| written);
        let is_newer = known.observed_generation < row.set.generation;
        let mut same_generation = status;
        same_generation.observed_generation = known.observed_generation;
        if same_generation == known && !is_newer {
            return;
        }
        let until = row.status_until(now).filter(|_| !is_newer);
        if until.is_some() {
            plan.wake_at = until;
            return;
        }
        row.written = Some((status, crate::model::Version(u64::MAX)));
        row.status_at = Some(now);
        plan.status = Some(status);
    }

    /// Presence, then the rolling update.
    fn act(&mut self, row: &mut Row, plan: &mut Plan, now: Millis) {
        if row.hold_until.is_some_and(|until| now < until) {
            return;
        }
        row.hold_until = None;
        let mut room = Room { creates: BURST, deletes: BURST };
        let mut last = None;
        while let Some(seat) = after(&row.queues.urgent, last) {
            if room.is_spent(plan) {
                return;
            }
            if let Some(cell) = row.cells.get(seat.id) {
                self.work.assessed += 1;
                let actions = cell.assess(&row.policy, now).presence;
                self.apply(row, seat.id, &actions, &mut room, plan, now);
            }
            last = Some(seat);
        }
        if matches!(row.set.strategy, Strategy::OnDelete) {
            return;
        }
        match budget::of(&row.set.strategy, row.tally.desired) {
            Ok(budget) => self.roll(row, budget, &mut room, plan, now),
            Err(problem) => plan.problem = Some(problem),
        }
    }

    /// R102, R104, R105.
    fn roll(&mut self, row: &mut Row, budget: budget::Budget, room: &mut Room, plan: &mut Plan, now: Millis) {
        self.free(row, false, room, plan, now);
        // It has its place already, unless others had to take theirs meanwhile.
        if row.tally.surging <= budget.surge {
            self.free(row, true, room, plan, now);
        }
        let allowed = budget.unavailable.saturating_sub(row.tally.unready);
        let heads = heads(&row.queues.young, allowed);
        self.take(row, &heads, Action::Delete(0, DeleteWhy::Outdated), room, plan, now);
        let (allowed, action) = if budget.surge > 0 {
            (budget.surge.saturating_sub(row.tally.surging), Action::Create(CreateWhy::Surge))
        } else {
            (budget.unavailable.saturating_sub(row.tally.unavailable), Action::Delete(0, DeleteWhy::Outdated))
        };
        let heads = self::heads(&row.queues.candidates, allowed);
        self.take(row, &heads, action, room, plan, now);
        let allowed = row.tally.serving.saturating_sub(row.tally.desired);
        let heads = self::heads(&row.queues.sunset, allowed);
        self.take(row, &heads, Action::Delete(0, DeleteWhy::Sunset), room, plan, now);
    }

    /// What needs no budget: creates of second pods that are asked for once more, or all the others.
    fn free(&mut self, row: &mut Row, again: bool, room: &mut Room, plan: &mut Plan, now: Millis) {
        let mut last = None;
        while let Some(seat) = after(&row.queues.free, last) {
            if room.is_spent(plan) {
                return;
            }
            if let Some(Roll::Free(action)) = row.cells.get(seat.id).map(|cell| cell.counted.roll)
                && (action == Action::Create(CreateWhy::Surge)) == again
            {
                self.apply(row, seat.id, &[action], room, plan, now);
            }
            last = Some(seat);
        }
    }

    /// Acts on the cells that the budget has chosen.
    fn take(&mut self, row: &mut Row, ids: &[NodeId], action: Action, room: &mut Room, plan: &mut Plan, now: Millis) {
        for id in ids.iter().copied() {
            if room.is_spent(plan) {
                return;
            }
            let Some(cell) = row.cells.get(id) else { continue };
            let action = match action {
                // The one pod that stays is the outdated one.
                Action::Delete(_, why) => {
                    let stays = |pod: &crate::daemonset::cell::PodCell| !pod.is_terminating && pod.asked.is_none();
                    let Some(at) = cell.pods.iter().position(stays) else { continue };
                    Action::Delete(at, why)
                }
                create @ Action::Create(_) => create,
            };
            self.apply(row, id, &[action], room, plan, now);
        }
    }

    /// Puts actions of one cell into the plan, marks them as asked for, and counts the cell anew.
    fn apply(&mut self, row: &mut Row, id: NodeId, actions: &[Action], room: &mut Room, plan: &mut Plan, now: Millis) {
        for action in actions {
            match *action {
                Action::Create(why) => {
                    let Some(creates) = room.creates.checked_sub(1) else {
                        plan.more = true;
                        continue;
                    };
                    room.creates = creates;
                    self.create(row, id, why, plan, now);
                }
                Action::Delete(at, why) => {
                    let Some(deletes) = room.deletes.checked_sub(1) else {
                        plan.more = true;
                        continue;
                    };
                    room.deletes = deletes;
                    self.delete(row, (id, at), why, plan, now);
                }
            }
        }
        self.refresh_cell(row, id, now);
    }

    fn create(&mut self, row: &mut Row, id: NodeId, why: CreateWhy, plan: &mut Plan, now: Millis) {
        let (Some(cell), Some(node)) = (row.cells.get_mut(id), self.nodes.name(id)) else { return };
        let (pod, is_doubtful) = match cell.flight() {
            Some(flight) => (Arc::clone(&flight.name), true),
            None => {
                self.serial = self.serial.wrapping_add(1);
                (names::pod(&row.set.key.name, self.seed, self.serial).into(), false)
            }
        };
        let failures = cell.failures(&row.policy, now);
        let template = cell.template;
        cell.rare().flight =
            Some(Flight { name: Arc::clone(&pod), asked: now, state: FlightState::Asked, is_doubtful });
        plan.steps.push(Step::Create { node: node.clone(), name: pod, template, why, failures });
    }

    /// Asks for the end of the pod at this place of a cell.
    fn delete(&self, row: &mut Row, (id, at): (NodeId, usize), why: DeleteWhy, plan: &mut Plan, now: Millis) {
        let (Some(cell), Some(node)) = (row.cells.get_mut(id), self.nodes.name(id)) else { return };
        let Some(pod) = cell.pods.get_mut(at) else { return };
        pod.asked = Some(now);
        let reference = pod.reference();
        // It was judged useless: that must still be so when it goes.
        let version = (why == DeleteWhy::OutdatedBroken).then_some(pod.version);
        if matches!(why, DeleteWhy::Failed | DeleteWhy::Succeeded) {
            cell.rare().backoff = Some(Backoff::next(cell.backoff(), row.policy.observed, now));
        }
        match why {
            DeleteWhy::Failed => {
                plan.remarks.push(Remark::FailedPod { pod: Arc::clone(&reference.name), node: node.clone() });
            }
            DeleteWhy::Succeeded => {
                plan.remarks.push(Remark::SucceededPod { pod: Arc::clone(&reference.name), node: node.clone() });
            }
            DeleteWhy::Outdated | DeleteWhy::OutdatedBroken | DeleteWhy::Replaced | DeleteWhy::Sunset => {
                if let Some(rollout) = &mut row.rollout {
                    rollout.replaced = rollout.replaced.saturating_add(1);
                }
            }
            DeleteWhy::Duplicate | DeleteWhy::Forbidden | DeleteWhy::NoSuchNode => {}
        }
        plan.steps.push(Step::Delete { pod: reference, node: node.clone(), version, why });
    }
}
