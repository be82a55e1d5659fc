//! What will happen: the engine played forward in virtual time over a snapshot, with pods that come and go at a given pace.
//!
//! ```text
//! scene ─> world: engine + pods + what is due ──decide──> steps ──carried out at once──> pods due to get ready, to be gone
//!                        ▲                                                                        │
//!                        └────────────────────── the next thing that is due ◄─────────────────────┘
//! ```
//! There is no second policy here: which pod goes when is the engine's plan, as the controller would carry it out.
//!
//! Assumed: the server refuses nothing, nodes stay as they are, a new pod on a ready node gets ready after [`Pace::start`], one on
//! a node that is not ready never does, and a pod that has been unready for long stays so.
//!
//! Not here: resources and ports (a scheduler's business), words (`explain`), clocks.

mod history;
mod world;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use history::Starts;
pub(crate) use world::World;

use super::engine::{CellView, Spent};
use super::plan::{Plan, Problem, Step};
use crate::model::{Millis, Node, NodeName, Pod, Revision, Set, Status};

/// All that there is of one set.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The set.
    pub set: &'a Set,
    /// Revisions of its namespace.
    pub revisions: &'a [Revision],
    /// All nodes.
    pub nodes: &'a [Node],
    /// Pods; those of other namespaces do no harm.
    pub pods: &'a [Pod],
}

/// How quickly pods come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the creation of a pod until it is ready.
    pub start: Millis,
    /// From the deletion of a pod until it is gone.
    pub stop: Millis,
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It gets a pod and had none.
    Gets,
    /// Its pod goes, and none comes.
    Loses,
    /// Its pod goes and another one comes.
    Replaced,
}

/// Nodes on which something begins at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// When, from the beginning.
    pub at: Millis,
    /// In the order of the engine's steps.
    pub nodes: Vec<(NodeName, Change)>,
}

/// What will happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The hash of the set's revision.
    pub hash: Option<Arc<str>>,
    /// The nodes that change, in order.
    pub waves: Vec<Wave>,
    /// Until the last thing has happened.
    pub takes: Millis,
    /// How the nodes stand that are not as they should be when nothing happens any more.
    pub left: Vec<CellView>,
    /// The counters before the first step.
    pub before: Status,
    /// The counters when nothing happens any more.
    pub after: Status,
    /// What of the budget was in use before the first step on a pod.
    pub spent: Spent,
    /// What is wrong with the set as a whole.
    pub problem: Option<Problem>,
    /// It was not played to its end, because that is too long.
    pub is_cut: bool,
}

impl Forecast {
    /// How many nodes change like this.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.waves.iter().flat_map(|wave| &wave.nodes).filter(|(_, other)| *other == change).count()
    }

    /// Nothing happens.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.waves.is_empty()
    }
}

/// Steps of the play per node and pod, beyond which something goes round in circles.
const ROUNDS: usize = 40;

/// Plays a set forward from `now` until nothing happens any more.
#[must_use]
pub fn play(scene: &Scene<'_>, pace: Pace, now: Millis) -> Forecast {
    let mut world = World::new(scene, Some(pace), now);
    let before = world.inhabited();
    let (_, mut plan) = world.open();
    let mut touched = Touched::default();
    let mut forecast = Forecast {
        hash: plan.hash.clone(),
        waves: Vec::new(),
        takes: Millis(0),
        left: Vec::new(),
        before: world.counted(),
        after: Status::default(),
        spent: world.spent(),
        problem: plan.problem,
        is_cut: true,
    };
    let mut last = now;
    let mut available = forecast.before.available;
    for _ in 0..ROUNDS * (scene.nodes.len() + scene.pods.len() + 10) {
        touched.note(&plan, world.now());
        if !plan.steps.is_empty() {
            last = world.now();
        }
        let again = plan.more || !plan.steps.is_empty();
        let wake = plan.wake_at;
        world.carry_out(plan);
        if !again {
            match world.pass(wake) {
                None => {
                    forecast.is_cut = false;
                    break;
                }
                Some(true) => last = world.now(),
                Some(false) => {}
            }
        }
        plan = world.decide();
        let counted = world.counted().available;
        if std::mem::replace(&mut available, counted) != counted {
            last = world.now();
        }
    }
    forecast.takes = last.since(now);
    forecast.waves = touched.waves(now, &before, &world.inhabited());
    forecast.after = world.counted();
    forecast.left = world.view().into_iter().filter(is_left).collect();
    forecast
}

/// Not as it should be.
fn is_left(view: &CellView) -> bool {
    let is_updated = view.pod().is_some_and(|pod| pod.is_updated);
    if view.verdict.runs() {
        !(is_updated && view.pod().is_some_and(|pod| pod.is_available) && view.pods.len() == 1)
    } else {
        let may_stay = is_updated && view.verdict.flags().1;
        !(view.pods.is_empty() || may_stay)
    }
}

/// When something first happened on each node.
#[derive(Default)]
struct Touched {
    seen: BTreeSet<NodeName>,
    order: Vec<(Millis, NodeName)>,
}

impl Touched {
    fn note(&mut self, plan: &Plan, now: Millis) {
        for step in &plan.steps {
            if let Step::Create { node, .. } | Step::Delete { node, .. } = step
                && self.seen.insert(node.clone())
            {
                self.order.push((now, node.clone()));
            }
        }
    }

    fn waves(self, start: Millis, before: &BTreeSet<NodeName>, after: &BTreeSet<NodeName>) -> Vec<Wave> {
        let mut waves: BTreeMap<Millis, Vec<(NodeName, Change)>> = BTreeMap::new();
        for (at, node) in self.order {
            let change = match (before.contains(&node), after.contains(&node)) {
                (false, true) => Change::Gets,
                (true, true) => Change::Replaced,
                (_, false) => Change::Loses,
            };
            waves.entry(at.since(start)).or_default().push((node, change));
        }
        waves.into_iter().map(|(at, nodes)| Wave { at, nodes }).collect()
    }
}
