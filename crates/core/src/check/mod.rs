//! Judges: what must hold of every plan, whoever made it. They serve tests, the simulator and debug builds.
//!
//! A judge looks at what was seen, what was asked for before, and what is asked for now, and names what is wrong. It knows
//! nothing of how a plan is made.
//!
//! Invariants judged:
//! * P1 a node never gets a pod that its verdict does not call for;
//! * P2 counting what is asked for, a node never has more than one live pod, two while surging;
//! * P3 no available pod is taken away for an update when that brings the nodes without an available pod above the budget, nor a
//!   ready one when that brings the nodes without a ready pod above it;
//! * P4 with surge, an available pod goes only after its successor on the node, or enough others, are available; and what goes
//!   because it is of no use is not ready;
//! * P5 no object is written to twice in one plan;
//! * P6 the status adds up;
//! * P7 no second pod is made for an update when that brings the nodes that hold one above the budget; one that was asked to go
//!   still is one, unless the pod that stays is available;
//! * P8 what is taken as ended has ended, its back-off is over, and what is made in its stead carries the count;
//! * P9 of duplicates an available one goes only where an available one is kept;
//! * P10 what goes because its node may have none goes from such a node; what goes because its node is not there is not bound.
//!
//! [`plan`] looks at the whole fleet. The engine judges each of its own plans in debug builds at the cost of the plan alone
//! (`daemonset/engine/judge.rs`), in the same terms, [`alone`] included: by all of these laws, but that a back-off was over and
//! whether a create was out (P8, P2), which cells know no more once they have noted the plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::daemonset::backoff::Backoff;
use crate::daemonset::budget;
use crate::daemonset::eligibility::Rules;
use crate::daemonset::plan::{CreateWhy, DeleteWhy, Plan, Step};
use crate::daemonset::reference::{Memory, Snapshot};
use crate::model::{Millis, NodeName, Pod, Status, Uid};

#[cfg(test)]
mod tests;

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// P1
    MakesWhereNoneBelongs {
        /// Where.
        node: NodeName,
    },
    /// P2
    TooManyOnNode {
        /// Where.
        node: NodeName,
        /// How many live pods there would be.
        live: usize,
    },
    /// P3
    BudgetBroken {
        /// Nodes without an available pod, after the plan.
        lacking: usize,
        /// How many may be.
        allowed: usize,
    },
    /// P7
    SurgeBroken {
        /// Nodes that hold, or are to get, a second pod.
        surging: usize,
        /// How many may.
        allowed: usize,
    },
    /// P8
    Hasty {
        /// Where.
        node: NodeName,
    },
    /// P4, P9, P10
    GoesTooEarly {
        /// Where.
        node: NodeName,
    },
    /// P5
    WrittenTwice {
        /// The object's uid, or the node of a second create.
        what: String,
    },
    /// P6
    StatusDoesNotAddUp,
}

/// All that is wrong with a plan.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, memory: &Memory, plan: &Plan) -> Vec<Problem> {
    let judge = Judge::new(snapshot, memory, plan);
    let mut problems = Vec::new();
    judge.creates(&mut problems);
    judge.budget(&mut problems);
    judge.surge(&mut problems);
    judge.second_pods(&mut problems);
    judge.ended(&mut problems);
    judge.duplicates(&mut problems);
    judge.misplaced(&mut problems);
    problems.extend(alone(plan));
    problems
}

/// What is wrong with a plan whatever was seen: P5, P6, and the count of P8.
pub(crate) fn alone(plan: &Plan) -> Vec<Problem> {
    let mut problems = repeats(plan);
    problems.extend(lost_counts(plan));
    problems.extend(plan.status.filter(|status| !adds_up(status)).map(|_| Problem::StatusDoesNotAddUp));
    problems
}

/// P6
fn adds_up(status: &Status) -> bool {
    status.available <= status.ready
        && status.ready <= status.current
        && status.current <= status.desired
        && status.updated <= status.current
        && status.unavailable == status.desired - status.available
        && status.misscheduled >= 0
}

struct Judge<'a> {
    snapshot: &'a Snapshot<'a>,
    memory: &'a Memory,
    plan: &'a Plan,
    rules: Rules,
    /// Pods of the set by node, but for those that were asked to go before.
    pods: BTreeMap<&'a NodeName, Vec<&'a Pod>>,
    /// How many pods a node has that were asked to go before and are not seen going.
    leaving: BTreeMap<&'a NodeName, usize>,
    /// Asked to go now.
    going: BTreeMap<&'a Uid, DeleteWhy>,
}

impl<'a> Judge<'a> {
    fn new(snapshot: &'a Snapshot<'a>, memory: &'a Memory, plan: &'a Plan) -> Self {
        let set = snapshot.set;
        let mut pods: BTreeMap<&NodeName, Vec<&Pod>> = BTreeMap::new();
        let mut leaving: BTreeMap<&NodeName, usize> = BTreeMap::new();
        for pod in snapshot.pods {
            let is_ours = pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid)
                && set.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
            let is_live = !pod.is_terminal() && !pod.is_terminating();
            if let (true, true, Some(node)) = (is_ours, is_live, pod.target()) {
                if memory.asked.contains(&pod.uid) {
                    *leaving.entry(node).or_default() += 1;
                } else {
                    pods.entry(node).or_default().push(pod);
                }
            }
        }
        let going = plan.steps.iter().filter_map(|step| match step {
            Step::Delete { pod, why, .. } => Some((&pod.uid, *why)),
            _ => None,
        });
        Self { snapshot, memory, plan, rules: Rules::new(&set.template), pods, leaving, going: going.collect() }
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let wait = Millis::from_secs(i64::from(self.snapshot.set.min_ready_seconds));
        pod.ready.is && (wait.0 <= 0 || pod.ready.since.is_some_and(|since| since.plus(wait) <= self.snapshot.now))
    }

    fn runs(&self, node: &NodeName) -> bool {
        self.snapshot.nodes.get(node).is_some_and(|node| self.rules.judge(node).runs())
    }

    fn live(&self, node: &NodeName) -> &[&'a Pod] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    fn staying(&self, node: &NodeName) -> impl Iterator<Item = &&'a Pod> {
        self.live(node).iter().filter(|pod| !self.going.contains_key(&pod.uid))
    }

    fn makes(&self) -> impl Iterator<Item = (&'a NodeName, CreateWhy)> {
        self.plan.steps.iter().filter_map(|step| match step {
            Step::Create { node, why, .. } => Some((node, *why)),
            _ => None,
        })
    }

    /// P1, P2
    fn creates(&self, problems: &mut Vec<Problem>) {
        let most = 1 + usize::from(budget::surges(&self.snapshot.set.strategy));
        for (node, _) in self.makes() {
            if !self.runs(node) {
                problems.push(Problem::MakesWhereNoneBelongs { node: node.clone() });
            }
            // What is asked to go now may still be there when the new one comes. A create whose fate will be told makes another
            // pod; one that is asked for again makes the same.
            let coming = usize::from(self.memory.creates.get(node) == Some(&false));
            let live = self.live(node).len() + coming + 1;
            if live > most {
                problems.push(Problem::TooManyOnNode { node: node.clone(), live });
            }
        }
    }

    /// Pods that go for an update, within its budget.
    fn taken(&self) -> impl Iterator<Item = &'a Pod> {
        let is_taken = |pod: &&Pod| self.going.get(&pod.uid) == Some(&DeleteWhy::Outdated);
        self.pods.values().flatten().copied().filter(is_taken)
    }

    fn budget_of(&self, desired: usize) -> budget::Budget {
        budget::of(&self.snapshot.set.strategy, i32::try_from(desired).unwrap_or(i32::MAX)).unwrap_or_default()
    }

    /// P3
    fn budget(&self, problems: &mut Vec<Problem>) {
        let nodes: Vec<&NodeName> = self.snapshot.nodes.keys().filter(|node| self.runs(node)).collect();
        let allowed = usize::try_from(self.budget_of(nodes.len()).unavailable).unwrap_or(0);
        let mut judge = |takes: bool, serves: &dyn Fn(&Pod) -> bool| {
            let lacking = nodes.iter().filter(|node| !self.staying(node).any(|pod| serves(pod))).count();
            if takes && lacking > allowed {
                problems.push(Problem::BudgetBroken { lacking, allowed });
            }
        };
        judge(self.taken().any(|pod| self.is_available(pod)), &|pod| self.is_available(pod));
        judge(self.taken().any(|pod| pod.ready.is && !self.is_available(pod)), &|pod| pod.ready.is);
    }

    /// P4
    fn surge(&self, problems: &mut Vec<Problem>) {
        let desired = self.snapshot.nodes.keys().filter(|node| self.runs(node)).count();
        let serving = self.pods.keys().filter(|node| self.staying(node).any(|pod| self.is_available(pod))).count();
        for (node, pods) in &self.pods {
            for pod in pods {
                let is_early = match self.going.get(&pod.uid) {
                    Some(DeleteWhy::Replaced) => !self.staying(node).any(|other| self.is_available(other)),
                    Some(DeleteWhy::Sunset) => serving < desired,
                    Some(DeleteWhy::OutdatedBroken) => pod.ready.is,
                    _ => false,
                };
                if is_early {
                    problems.push(Problem::GoesTooEarly { node: (*node).clone() });
                }
            }
        }
    }

    /// P7
    fn second_pods(&self, problems: &mut Vec<Problem>) {
        if self.makes().all(|(_, why)| why != CreateWhy::Surge) {
            return;
        }
        let desired = self.snapshot.nodes.keys().filter(|node| self.runs(node)).count();
        let allowed = usize::try_from(self.budget_of(desired).surge).unwrap_or(0);
        let coming = self.memory.creates.keys().filter(|node| !self.memory.stale.contains(*node));
        let made: BTreeSet<&NodeName> = self.makes().map(|(node, _)| node).chain(coming).collect();
        let holds_two = |node: &&NodeName| {
            let there = self.live(node).len() + self.leaving.get(*node).copied().unwrap_or(0);
            // What is on its way out beside one that is available was replaced.
            let is_replaced = matches!(self.staying(node).collect::<Vec<_>>()[..], [pod] if self.is_available(pod));
            if made.contains(*node) { there > 0 } else { there > 1 && !is_replaced }
        };
        // What is on a node that is gone serves nobody, and goes (R188).
        let there: BTreeSet<&NodeName> = self.pods.keys().chain(self.leaving.keys()).copied().collect();
        let surging =
            there.iter().filter(|node| self.snapshot.nodes.contains_key(**node)).filter(|node| holds_two(node)).count();
        if surging > allowed {
            problems.push(Problem::SurgeBroken { surging, allowed });
        }
    }

    /// P8
    fn ended(&self, problems: &mut Vec<Problem>) {
        let (observed, now) = (self.snapshot.set.status.observed_generation, self.snapshot.now);
        for step in &self.plan.steps {
            let Step::Delete { pod, node, why: DeleteWhy::Failed | DeleteWhy::Succeeded, .. } = step else { continue };
            let waits = Backoff::until(self.memory.backoff.get(node), observed, now).is_some();
            let has_ended = self.snapshot.pods.iter().any(|seen| seen.uid == pod.uid && seen.is_terminal());
            if waits || !has_ended {
                problems.push(Problem::Hasty { node: node.clone() });
            }
        }
    }

    /// P10
    fn misplaced(&self, problems: &mut Vec<Problem>) {
        for step in &self.plan.steps {
            let Step::Delete { pod, node, why, .. } = step else { continue };
            let there = self.snapshot.nodes.get(node);
            let is_wrong = match why {
                DeleteWhy::Forbidden => there.is_none_or(|node| self.rules.judge(node).flags() != (false, false)),
                DeleteWhy::NoSuchNode => {
                    there.is_some() || self.snapshot.pods.iter().any(|seen| seen.uid == pod.uid && seen.node.is_some())
                }
                _ => false,
            };
            if is_wrong {
                problems.push(Problem::GoesTooEarly { node: node.clone() });
            }
        }
    }

    /// P9; with surge the oldest of each template stays (T62).
    fn duplicates(&self, problems: &mut Vec<Problem>) {
        if budget::surges(&self.snapshot.set.strategy) {
            return;
        }
        for (node, pods) in &self.pods {
            let goes = |pod: &&Pod| self.going.get(&pod.uid) == Some(&DeleteWhy::Duplicate);
            // The one that is kept may go for an update at once; that is the budget's.
            let (gone, kept): (Vec<&Pod>, Vec<&Pod>) = pods.iter().copied().partition(goes);
            let serves = |pods: &[&Pod]| pods.iter().any(|pod| self.is_available(pod));
            if serves(&gone) && !serves(&kept) {
                problems.push(Problem::GoesTooEarly { node: (*node).clone() });
            }
        }
    }
}

/// P5
fn repeats(plan: &Plan) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for step in &plan.steps {
        let what = match step {
            Step::Create { node, .. } => format!("a pod for {node}"),
            Step::CreateRevision { hash, .. } => format!("revision {hash}"),
            Step::Adopt(what)
            | Step::Release(what)
            | Step::AdoptRevision(what)
            | Step::ReleaseRevision(what)
            | Step::LabelRevision(what)
            | Step::DeleteRevision(what)
            | Step::RenumberRevision { revision: what, .. }
            | Step::Relabel { pod: what, .. }
            | Step::Delete { pod: what, .. } => what.uid.to_string(),
        };
        if !seen.insert(what.clone()) {
            problems.push(Problem::WrittenTwice { what });
        }
    }
    problems
}

/// P8: a pod that is made where one has ended carries the count.
fn lost_counts(plan: &Plan) -> impl Iterator<Item = Problem> {
    let uncounted: BTreeSet<&NodeName> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Create { node, failures: 0, .. } => Some(node),
            _ => None,
        })
        .collect();
    plan.steps.iter().filter_map(move |step| match step {
        Step::Delete { node, why: DeleteWhy::Failed | DeleteWhy::Succeeded, .. } if uncounted.contains(node) => {
            Some(Problem::Hasty { node: node.clone() })
        }
        _ => None,
    })
}
