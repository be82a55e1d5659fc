//! The engine's plans judged by what the cells hold, at the cost of the plan alone: the laws of [`crate::check`] for debug builds
//! of whatever runs an engine.
//!
//! Of the engine's own counting three sums are trusted that no decision reads ([`Judged`]), and, for what goes last, how many nodes
//! are served.

use std::collections::BTreeMap;

use super::nodes::Nodes;
use super::row::{Judged, Row};
use crate::check::{self, Problem};
use crate::daemonset::budget;
use crate::daemonset::cell::{Cell, Fit};
use crate::daemonset::plan::{CreateWhy, DeleteWhy, Plan, Step};
use crate::daemonset::pods::PodCell;
use crate::model::{Millis, NodeName};

/// What a plan asks of one node.
#[derive(Default)]
struct Asked<'a> {
    creates: Vec<CreateWhy>,
    deletes: BTreeMap<&'a str, DeleteWhy>,
}

impl Asked<'_> {
    fn goes(&self, pod: &PodCell) -> bool {
        self.deletes.contains_key(pod.uid.as_str())
    }
}

/// All that is wrong with a plan, whose steps the cells may or may not have noted yet.
pub(super) fn judge(row: &Row, nodes: &Nodes, plan: &Plan, now: Millis) -> Vec<Problem> {
    let mut asked: BTreeMap<&NodeName, Asked<'_>> = BTreeMap::new();
    for step in &plan.steps {
        match step {
            Step::Create { node, why, .. } => asked.entry(node).or_default().creates.push(*why),
            Step::Delete { pod, node, why, .. } => {
                asked.entry(node).or_default().deletes.insert(pod.uid.as_str(), *why);
            }
            _ => {}
        }
    }
    let mut problems = check::alone(plan);
    let (mut sums, mut taken) = (row.tally.judged, Taken::default());
    for (name, asked) in &asked {
        let Some(cell) = nodes.find(name).and_then(|id| row.cells.get(id)) else {
            problems.push(Problem::MakesWhereNoneBelongs { node: (*name).clone() });
            continue;
        };
        creates(row, name, cell, asked, &mut problems);
        deletes(row, name, cell, asked, now, &mut problems);
        let comes = !asked.creates.is_empty();
        sums.add(&cell.counted.judged, -1);
        sums.add(&cell.judged(&row.policy, now, |pod| asked.goes(pod), comes), 1);
        taken.add(row, cell, asked, now);
    }
    budget(row, &sums, &taken, &mut problems);
    problems
}

/// What a plan takes from the budget.
#[derive(Default)]
struct Taken {
    available: bool,
    /// Ready, and not available.
    young: bool,
    second: bool,
}

impl Taken {
    fn add(&mut self, row: &Row, cell: &Cell, asked: &Asked<'_>, now: Millis) {
        let is_taken = |pod: &&PodCell| asked.deletes.get(pod.uid.as_str()) == Some(&DeleteWhy::Outdated);
        for pod in cell.pods.iter().filter(is_taken) {
            let is_available = pod.is_available(&row.policy, now);
            self.available |= is_available;
            self.young |= pod.ready.is && !is_available;
        }
        self.second |= asked.creates.contains(&CreateWhy::Surge);
    }
}

/// P3, P7
fn budget(row: &Row, sums: &Judged, taken: &Taken, problems: &mut Vec<Problem>) {
    let budget = budget::of(&row.set.strategy, row.tally.desired).unwrap_or_default();
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let allowed = count(budget.unavailable);
    for (is_taken, lacking) in [(taken.available, count(sums.lacking)), (taken.young, count(sums.unready))] {
        if is_taken && lacking > allowed {
            problems.push(Problem::BudgetBroken { lacking, allowed });
        }
    }
    let (surging, allowed) = (count(sums.doubled), count(budget.surge));
    if taken.second && surging > allowed {
        problems.push(Problem::SurgeBroken { surging, allowed });
    }
}

/// An available pod stays.
fn serves(row: &Row, cell: &Cell, asked: &Asked<'_>, now: Millis) -> bool {
    cell.pods.iter().any(|pod| pod.stays() && !asked.goes(pod) && pod.is_available(&row.policy, now))
}

/// An available pod is none of the duplicates; that it may go for an update at once is the budget's.
fn keeps(row: &Row, cell: &Cell, asked: &Asked<'_>, now: Millis) -> bool {
    let is_duplicate = |pod: &PodCell| asked.deletes.get(pod.uid.as_str()) == Some(&DeleteWhy::Duplicate);
    let is_live = |pod: &PodCell| pod.stays() || asked.goes(pod);
    cell.pods.iter().any(|pod| is_live(pod) && !is_duplicate(pod) && pod.is_available(&row.policy, now))
}

/// P1, P2
fn creates(row: &Row, name: &NodeName, cell: &Cell, asked: &Asked<'_>, problems: &mut Vec<Problem>) {
    if asked.creates.is_empty() {
        return;
    }
    if cell.fit != Fit::Run {
        problems.push(Problem::MakesWhereNoneBelongs { node: name.clone() });
    }
    // What is asked to go with this plan may still be there when the new one comes.
    let is_live = |pod: &&PodCell| !pod.has_ended() && (pod.stays() || asked.goes(pod)) && !pod.is_terminating;
    let live = cell.pods.iter().filter(is_live).count() + 1;
    if live > 1 + usize::from(row.policy.surges) {
        problems.push(Problem::TooManyOnNode { node: name.clone(), live });
    }
}

/// P4, P8, P9, P10
fn deletes(row: &Row, name: &NodeName, cell: &Cell, asked: &Asked<'_>, now: Millis, problems: &mut Vec<Problem>) {
    for pod in &cell.pods {
        let Some(why) = asked.deletes.get(pod.uid.as_str()) else { continue };
        let is_available = pod.is_available(&row.policy, now);
        let is_early = match why {
            DeleteWhy::Replaced => !serves(row, cell, asked, now),
            DeleteWhy::OutdatedBroken => pod.ready.is,
            DeleteWhy::Duplicate => is_available && !row.policy.surges && !keeps(row, cell, asked, now),
            DeleteWhy::Forbidden => matches!(cell.fit, Fit::Run | Fit::Keep | Fit::Lost),
            DeleteWhy::NoSuchNode => cell.fit != Fit::NoNode || pod.is_bound,
            DeleteWhy::Sunset => cell.fit != Fit::Keep || row.tally.serving < row.tally.desired,
            DeleteWhy::Failed | DeleteWhy::Succeeded | DeleteWhy::Outdated => false,
        };
        if is_early {
            problems.push(Problem::GoesTooEarly { node: name.clone() });
        }
        if matches!(why, DeleteWhy::Failed | DeleteWhy::Succeeded) && !pod.has_ended() {
            problems.push(Problem::Hasty { node: name.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemonset::engine::Engine;
    use crate::daemonset::history;
    use crate::daemonset::mk::{self, PodExt as _};
    use crate::daemonset::plan::{Ref, TemplateId};
    use crate::model::{Pod, Set, Status};

    const NOW: Millis = Millis::from_secs(1000);

    /// An engine with template 1 current, these pods on `n0`, `n1` … and one node without a pod.
    fn engine(set: &Set, pods: &[Pod]) -> Engine {
        let mut engine = Engine::new(1);
        for at in 0..=pods.len() {
            engine.node(&mk::node(&format!("n{at}")));
        }
        engine.set(set.clone());
        engine.revision(Arc::new(mk::revision(1, &history::hash(1, None), 1)));
        for pod in pods {
            engine.pod(Arc::new(pod.clone()));
        }
        engine
    }

    fn create(node: &str, why: CreateWhy) -> Step {
        let (node, name, template) = (node.into(), "new".into(), TemplateId(0));
        Step::Create { node, name, template, why, failures: 0 }
    }

    fn delete(pod: &Pod, why: DeleteWhy) -> Step {
        let node = pod.target().cloned().expect("it is bound");
        let reference = Ref { name: pod.key.name.clone(), uid: pod.uid.clone() };
        Step::Delete { pod: reference, node, version: None, why }
    }

    /// Each judge catches a step that was slipped into a good plan.
    #[test]
    fn planted_steps_are_caught() {
        let pods = [mk::pod("a", "n0").hash("old"), mk::pod("b", "n1").hash("old"), mk::pod("c", "n2").unready()];
        let set = mk::set();
        let mut engine = engine(&set, &pods);
        let good = engine.decide(&set.key, NOW);
        let row = engine.rows.of(&set.key).expect("the set was told");
        assert_eq!(judge(row, &engine.nodes, &good, NOW), []);
        let lone = |pod: &Pod, why| (delete(pod, why), Problem::GoesTooEarly { node: pod.target().unwrap().clone() });
        let early = [
            lone(&pods[0], DeleteWhy::Replaced),
            lone(&pods[0], DeleteWhy::OutdatedBroken),
            lone(&pods[0], DeleteWhy::Duplicate),
            lone(&pods[0], DeleteWhy::Forbidden),
            lone(&pods[0], DeleteWhy::NoSuchNode),
            lone(&pods[0], DeleteWhy::Sunset),
        ];
        let others = [
            (create("n9", CreateWhy::Missing), Problem::MakesWhereNoneBelongs { node: "n9".into() }),
            (create("n0", CreateWhy::Missing), Problem::TooManyOnNode { node: "n0".into(), live: 2 }),
            (create("n3", CreateWhy::Missing), Problem::WrittenTwice { what: "a pod for n3".into() }),
            // n2 and n3 lack an available pod already, and one may.
            (delete(&pods[1], DeleteWhy::Outdated), Problem::BudgetBroken { lacking: 3, allowed: 1 }),
            (delete(&pods[1], DeleteWhy::Failed), Problem::Hasty { node: "n1".into() }),
        ];
        for (step, problem) in early.into_iter().chain(others) {
            let mut bad = good.clone();
            bad.steps.push(step.clone());
            assert_eq!(judge(row, &engine.nodes, &bad, NOW), [problem], "{step:?}");
        }
    }

    /// P3 of ready pods, P6, P7: what is slipped in together with what the plan asks for anyway.
    #[test]
    fn broken_budgets_are_caught() {
        let young = |name, node| mk::pod(name, node).with(|pod| pod.ready.since = Some(Millis::from_secs(995)));
        let pods = [young("a", "n0").hash("old"), young("b", "n1").hash("old"), mk::pod("c", "n2").hash("old")];
        let broken = |lacking| vec![Problem::BudgetBroken { lacking, allowed: 1 }];
        let surging = |surging| vec![Problem::SurgeBroken { surging, allowed: 1 }];
        let (slow, surge) =
            (|set: &mut Set| set.min_ready_seconds = 10, |set: &mut Set| set.strategy = mk::rolling(0, 1));
        let change = |change: fn(&mut Set)| {
            let mut set = mk::set();
            change(&mut set);
            set
        };
        let outdated = |at: usize| delete(&pods[at], DeleteWhy::Outdated);
        let second = |node| create(node, CreateWhy::Surge);
        for (what, set, steps, expect) in [
            // n3 has none at all, and so its place is taken.
            ("a young one beyond the budget", change(slow), vec![outdated(0)], broken(2)),
            ("second pods within the budget", change(surge), vec![], vec![]),
            ("one more second pod", change(surge), vec![second("n1")], surging(2)),
            ("two more", change(surge), vec![second("n1"), second("n2")], surging(3)),
        ] {
            let mut engine = engine(&set, &pods);
            let mut plan = engine.decide(&set.key, NOW);
            plan.steps.extend(steps);
            let row = engine.rows.of(&set.key).expect("the set was told");
            assert_eq!(judge(row, &engine.nodes, &plan, NOW), expect, "{what}: {plan:?}");
            plan.status = Some(Status { desired: 1, available: 2, ..Status::default() });
            let problems = judge(row, &engine.nodes, &plan, NOW);
            assert_eq!(problems.first(), Some(&Problem::StatusDoesNotAddUp), "P6, {what}");
        }
    }

    /// P7 counts what is under way, what was asked to go and is not seen going, and no node that is not there.
    #[test]
    fn what_is_on_its_way_holds_its_place() {
        let mut set = mk::set();
        set.strategy = mk::rolling(0, 1);
        let hash = history::hash(1, None);
        let old = [mk::pod("a", "n0").hash("old"), mk::pod("b", "n1").hash("old")];
        let new = mk::pod("c", "n1").hash(&hash);
        let none = || Plan::default();
        let second = |node| Plan { steps: vec![create(node, CreateWhy::Surge)], ..none() };
        let broken = [Problem::SurgeBroken { surging: 2, allowed: 1 }];
        let judged = |engine: &Engine, plan: &Plan| {
            judge(engine.rows.of(&set.key).expect("the set was told"), &engine.nodes, plan, NOW)
        };

        let mut asked = engine(&set, &old);
        let plan = asked.decide(&set.key, NOW);
        assert!(
            matches!(&plan.steps[..], [Step::Create { .. }, Step::Create { node, why: CreateWhy::Surge, .. }]
            if node.as_str() == "n0"),
            "{plan:?}"
        );
        assert_eq!(judged(&asked, &second("n1")), broken, "n0's is under way");

        let mut there = engine(&set, &[old[0].clone(), old[1].clone(), new.clone().unready()]);
        there.decide(&set.key, NOW);
        assert_eq!(judged(&there, &second("n0")), broken, "n1 has two");
        there.pod(Arc::new(new.clone()));
        let plan = there.decide(&set.key, NOW);
        assert!(plan.steps.contains(&delete(&old[1], DeleteWhy::Replaced)), "{plan:?}");
        assert_eq!(judged(&there, &second("n0"))[..], [], "the other of n1 was replaced");
        there.node_gone(&"n1".into());
        there.pod(Arc::new(new.unready()));
        there.decide(&set.key, NOW);
        assert_eq!(judged(&there, &second("n0"))[..], [], "n1 is gone, and what it has serves nobody");
    }
}
