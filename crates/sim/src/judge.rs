//! Judges over the truth: what the controller's writes do to the world, whatever it believed when it asked for them.
//!
//! `core::check` judges every plan over what was seen. Here each write is judged at the moment at which the server does it:
//!
//! * **J1, one pod a node.** When a pod is made, the set has no other pod for that node that may still run, terminating ones
//!   included; while it surges, at most one other that is live. Pods that come to the set otherwise (adopted, or given back by
//!   whoever took them away) are nobody's breach: they are duplicates, and go.
//! * **J2, the budget.** When a rolling update takes a pod away that is available in truth, count the nodes that were to have a pod
//!   when the plan was made and have no available one now, of which the controller could know: because it saw so when it
//!   made the plan, or because a deletion by any run of the controller made it so, nothing available has been there since, and
//!   what it still saw to be available there was taken by it, not by others. That is at most `maxUnavailable`. What became
//!   unavailable by itself after it was seen is not the controller's breach. A node of which the plan saw another available pod
//!   (the successor in a surge) is not counted either. A pod that was ready but too young to be available when the plan was made,
//!   and has come of age on the way, is judged by the law for ready pods: nobody could see it available (R186).
//! * **J3, the surge.** When a second pod is made from the surge budget, no more nodes hold a second pod made from it than
//!   `maxSurge`, but for those whose old pod was asked to go when the other one was seen to be available.
//!   What is asked for beside a pod of no use is not made from that budget (R104), whatever an earlier try was called.
//! * **J4, no hot loop.** Pods made for one node in an hour are bounded by what the back-off allows, plus what others caused.
//!
//! Availability is measured on the controller's clock, since it is that clock by which it waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use everynode_core::daemonset::Step;
use everynode_core::daemonset::budget;
use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy};
use everynode_core::model::{Key, Millis, NodeName, Pod, Set, Uid};

use crate::controller::net::Call;
use crate::controller::{Plan, is_available};
use crate::facts::{Fact, SetItem, State, owns};

/// Who asks for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The DaemonSet controller.
    Controller,
    /// Anybody else.
    Other,
}

/// A set on a node.
type Cell = (Uid, NodeName);

/// Creates on one node in an hour that the back-off allows: 1 s, doubling to 15 min.
const CREATES_AN_HOUR: usize = 14;
/// Further ones for each edit of the set, which begins the back-off afresh.
const CREATES_AN_EDIT: usize = 12;
/// Further ones for each restart of the controller, which may lose what no pod tells yet.
const CREATES_A_RESTART: usize = 2;
/// Further ones for each pod that others took away.
const CREATES_A_LOSS: usize = 3;
const HOUR: Millis = Millis::from_secs(3600);

/// What the judges remember.
#[derive(Default)]
pub(crate) struct Judge {
    /// Who took the last available pod of a cell away.
    lost: BTreeMap<Cell, Actor>,
    /// Cells that the next change may concern, and whether they had an available pod before it.
    touched: Vec<(Arc<SetItem>, NodeName, bool)>,
    /// Pods that the controller has taken away.
    taken: BTreeSet<Uid>,
    /// The pod that is about to change.
    touches: Option<Uid>,
    /// It was on its way out already.
    was_going: bool,
    /// The call under way.
    call: Option<Call>,
    /// The call deletes a pod that is available in truth.
    takes: bool,
    /// And that was ready, but too young, when the plan was made: its age alone, or the clock, has made it available.
    takes_young: bool,
    /// Why each pod was first asked for: a further try is the same intention, whatever it is called by then.
    asked: BTreeMap<Key, CreateWhy>,
    /// Pods made from the surge budget.
    surged: BTreeMap<Key, Uid>,
    creates: BTreeMap<Cell, VecDeque<Millis>>,
    losses: BTreeMap<Cell, VecDeque<Millis>>,
    edits: VecDeque<Millis>,
    restarts: VecDeque<Millis>,
}

fn within_the_hour(times: &mut VecDeque<Millis>, now: Millis) -> usize {
    while times.front().is_some_and(|at| now.since(*at) > HOUR) {
        times.pop_front();
    }
    times.len()
}

fn serves(truth: &State, set: &Set, node: &NodeName, clock: Millis) -> bool {
    truth.pods_of(set).any(|pod| pod.target() == Some(node) && !pod.is_terminating() && is_available(set, pod, clock))
}

fn is_ready(truth: &State, set: &Set, node: &NodeName) -> bool {
    truth.pods_of(set).any(|pod| pod.target() == Some(node) && !pod.is_terminating() && pod.ready.is)
}

fn is_live(pod: &Pod) -> bool {
    !pod.is_terminating() && !pod.is_terminal()
}

/// When it made the plan, the controller saw an available pod on the node beside the one that this call deletes.
fn saw_another(call: &Call, node: &NodeName) -> bool {
    let Some(Step::Delete { pod, .. }) = &call.step else { return false };
    call.plan.seen.serving.get(node).is_some_and(|serving| serving.iter().any(|uid| *uid != pod.uid))
}

impl Judge {
    /// The controller has died.
    pub(crate) fn restarted(&mut self, now: Millis) {
        self.restarts.push_back(now);
    }

    /// What is available now has not been lost, whatever made it so: to be asked before what counts as available changes.
    pub(crate) fn settle(&mut self, truth: &State, clock: Millis) {
        let sets: BTreeMap<&Uid, &Arc<SetItem>> = truth.sets.values().map(|item| (&item.set.uid, item)).collect();
        self.lost.retain(|(uid, node), _| sets.get(uid).is_some_and(|item| !serves(truth, &item.set, node, clock)));
    }

    /// Something is about to change.
    pub(crate) fn before(&mut self, truth: &State, fact: &Fact, clock: Millis) {
        self.touched.clear();
        let (key, new) = match fact {
            Fact::Pod(pod) => (&pod.key, Some(pod)),
            Fact::PodGone(key, _) => (key, None),
            Fact::Set(_) | Fact::SetGone(_) => return self.settle(truth, clock),
            _ => return,
        };
        self.touches = truth.pods.get(key).map(|pod| pod.uid.clone());
        self.was_going = truth.pods.get(key).is_some_and(|pod| pod.is_terminating());
        for pod in truth.pods.get(key).into_iter().chain(new) {
            let Some(owner) = &pod.owner else { continue };
            let Some(item) = truth.sets.values().find(|item| item.set.uid == owner.uid) else { continue };
            let Some(node) = pod.target() else { continue };
            let served = serves(truth, &item.set, node, clock);
            self.touched.push((Arc::clone(item), node.clone(), served));
        }
    }

    /// It has changed.
    pub(crate) fn after(&mut self, truth: &State, fact: &Fact, actor: Actor, clock: Millis) {
        if matches!(fact, Fact::Set(_)) && actor == Actor::Other {
            self.edits.push_back(clock);
        }
        for (item, node, served) in std::mem::take(&mut self.touched) {
            let cell = (item.set.uid.clone(), node.clone());
            if serves(truth, &item.set, &node, clock) {
                self.lost.remove(&cell);
            } else if served {
                self.lost.insert(cell.clone(), self.to_blame(actor, &node));
            }
            let ends = match fact {
                Fact::PodGone(..) => true,
                Fact::Pod(pod) => pod.is_terminating() || !owns(&item.set, pod),
                _ => false,
            };
            if ends && actor == Actor::Controller {
                self.taken.extend(self.touches.clone());
            }
            let is_loss = ends && actor == Actor::Other && !self.was_going;
            if is_loss {
                self.losses.entry(cell).or_default().push_back(clock);
            }
        }
    }

    /// The controller, unless it saw another available pod there.
    fn to_blame(&self, actor: Actor, node: &NodeName) -> Actor {
        let saw_another = self.call.as_ref().is_some_and(|call| saw_another(call, node));
        if actor == Actor::Controller && !saw_another { Actor::Controller } else { Actor::Other }
    }

    /// A plan is made.
    pub(crate) fn decided(&mut self, plan: &Plan) {
        for step in &plan.plan.steps {
            if let Step::Create { name, why, .. } = step {
                let key = Key { namespace: Arc::clone(&plan.item.set.key.namespace), name: Arc::clone(name) };
                self.asked.entry(key).or_insert(*why);
            }
        }
    }

    /// A request of the controller is about to be done.
    pub(crate) fn call_before(&mut self, truth: &State, call: &Call, clock: Millis) {
        self.call = Some(call.clone());
        let found = match &call.step {
            Some(Step::Delete { pod, .. }) => truth.pods.values().find(|there| there.uid == pod.uid),
            _ => None,
        };
        let (set, seen) = (&call.plan.item.set, &call.plan.seen);
        self.takes = found.is_some_and(|there| !there.is_terminating() && is_available(set, there, clock));
        self.takes_young = self.takes && found.is_some_and(|there| seen.young.contains(&there.uid));
    }

    /// It has been done, and has changed something.
    pub(crate) fn call_after(&mut self, truth: &State, call: &Call, now: Millis, clock: Millis) -> Vec<String> {
        self.call = None;
        match &call.step {
            Some(Step::Create { node, name, why, .. }) => {
                let made = Key { namespace: Arc::clone(&call.plan.item.set.key.namespace), name: Arc::clone(name) };
                // R104: beside a pod of no use it costs no budget, whatever it was first asked for.
                let is_rescue = *why == CreateWhy::Rescue;
                let why = if is_rescue { Some(*why) } else { self.asked.get(&made).copied() };
                if why == Some(CreateWhy::Surge)
                    && let Some(pod) = truth.pods.get(&made)
                {
                    self.surged.insert(made.clone(), pod.uid.clone());
                }
                let mut problems = Vec::new();
                problems.extend(one_a_node(truth, call, node, &made));
                problems.extend(self.surge(truth, call, why));
                problems.extend(self.hot_loop(call, node, now));
                problems
            }
            Some(Step::Delete { node, why, .. }) => self.budget(truth, call, node, *why, clock).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// J2
    fn budget(&self, truth: &State, call: &Call, node: &NodeName, why: DeleteWhy, clock: Millis) -> Option<String> {
        let rolls =
            matches!(why, DeleteWhy::Outdated | DeleteWhy::OutdatedBroken | DeleteWhy::Replaced | DeleteWhy::Sunset);
        let (set, seen) = (&call.plan.item.set, &call.plan.seen);
        if !rolls || !self.takes || !seen.desired.contains(node) || saw_another(call, node) {
            return None;
        }
        if why == DeleteWhy::OutdatedBroken && seen.clock != clock {
            // It was not available when that was judged, by a clock that has moved on since; the version is the precondition.
            return None;
        }
        let desired = i32::try_from(seen.desired.len()).unwrap_or(i32::MAX);
        let allowed = usize::try_from(budget::of(&set.strategy, desired).ok()?.unavailable).unwrap_or(0);
        let is_lacking = |node: &&NodeName| {
            let known = !seen.serving.contains_key(*node);
            let still_seen = seen.serving.get(*node);
            let taken = self.lost.get(&(set.uid.clone(), (*node).clone())) == Some(&Actor::Controller)
                && still_seen.is_none_or(|seen| seen.iter().all(|uid| self.taken.contains(uid)));
            (known || taken) && !serves(truth, set, node, clock) && !(self.takes_young && is_ready(truth, set, node))
        };
        let lacking: Vec<&NodeName> = seen.desired.iter().filter(is_lacking).collect();
        (lacking.len() > allowed).then(|| {
            format!("J2: {} takes an available pod from {node} ({why:?}): {lacking:?} lack one, {allowed} may", set.key)
        })
    }

    /// J3
    fn surge(&self, truth: &State, call: &Call, why: Option<CreateWhy>) -> Option<String> {
        if why != Some(CreateWhy::Surge) {
            return None;
        }
        let (set, seen) = (&call.plan.item.set, &call.plan.seen);
        let desired = i32::try_from(seen.desired.len()).unwrap_or(i32::MAX);
        let allowed = usize::try_from(budget::of(&set.strategy, desired).ok()?.surge).unwrap_or(0);
        let holds_two = |node: &&NodeName| {
            let here: Vec<_> = truth.pods_of(set).filter(|p| p.target() == Some(node) && is_live(p)).collect();
            here.len() > 1
                && here.iter().any(|pod| self.surged.get(&pod.key) == Some(&pod.uid))
                && !(seen.serving.contains_key(*node) && here.iter().any(|pod| seen.leaving.contains(&pod.uid)))
        };
        let twice: Vec<&NodeName> = seen.desired.iter().filter(holds_two).collect();
        (twice.len() > allowed).then(|| format!("J3: {} holds two pods on {twice:?}, {allowed} may", set.key))
    }

    /// J4
    fn hot_loop(&mut self, call: &Call, node: &NodeName, now: Millis) -> Option<String> {
        let set = &call.plan.item.set;
        let cell = (set.uid.clone(), node.clone());
        let creates = self.creates.entry(cell.clone()).or_default();
        creates.push_back(now);
        let creates = within_the_hour(creates, now);
        let losses = self.losses.get_mut(&cell).map_or(0, |times| within_the_hour(times, now));
        let (edits, restarts) = (within_the_hour(&mut self.edits, now), within_the_hour(&mut self.restarts, now));
        let allowed =
            CREATES_AN_HOUR + edits * CREATES_AN_EDIT + restarts * CREATES_A_RESTART + losses * CREATES_A_LOSS;
        (creates > allowed)
            .then(|| format!("J4: {} has made {creates} pods for {node} in an hour, {allowed} may", set.key))
    }
}

/// J1
fn one_a_node(truth: &State, call: &Call, node: &NodeName, made: &Key) -> Option<String> {
    let set = &call.plan.item.set;
    let others: Vec<_> = truth.pods_of(set).filter(|pod| pod.key != *made && pod.target() == Some(node)).collect();
    if budget::surges(&set.strategy) {
        let live: Vec<&Key> = others.iter().filter(|pod| is_live(pod)).map(|pod| &pod.key).collect();
        return (live.len() > 1)
            .then(|| format!("J1: {} makes a third pod {made} for {node}, which has {live:?}", set.key));
    }
    let there: Vec<&Key> = others.iter().filter(|pod| !pod.is_terminal()).map(|pod| &pod.key).collect();
    (!there.is_empty()).then(|| format!("J1: {} makes a second pod {made} for {node}, which has {there:?}", set.key))
}
