//! The engine's plans judged by what the cells hold, at the cost of the plan alone: the laws of [`crate::check`] for debug builds
//! of whatever runs an engine.
//!
//! Of the engine's own counting only one sum is trusted: the nodes that are to have a pod and hold no available one that stays,
//! which no decision reads.

use std::collections::BTreeMap;

use super::nodes::Nodes;
use super::row::Row;
use crate::check::Problem;
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
    let mut problems = Vec::new();
    let mut lacking = row.tally.lacking;
    let mut takes_available = false;
    for (name, asked) in &asked {
        let Some(cell) = nodes.find(name).and_then(|id| row.cells.get(id)) else {
            problems.push(Problem::MakesWhereNoneBelongs { node: (*name).clone() });
            continue;
        };
        creates(row, name, cell, asked, &mut problems);
        deletes(row, name, cell, asked, now, &mut problems);
        lacking += i32::from(cell.fit == Fit::Run && !cell.counted.lacking && !serves(row, cell, asked, now));
        takes_available |= cell.fit == Fit::Run
            && cell.pods.iter().any(|pod| {
                asked.deletes.get(pod.uid.as_str()) == Some(&DeleteWhy::Outdated) && pod.is_available(&row.policy, now)
            });
    }
    let budget = budget::of(&row.set.strategy, row.tally.desired).unwrap_or_default();
    if takes_available && lacking > budget.unavailable {
        let count = |number: i32| usize::try_from(number).unwrap_or(0);
        problems.push(Problem::BudgetBroken { lacking: count(lacking), allowed: count(budget.unavailable) });
    }
    problems
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

/// P1, P2, P5
fn creates(row: &Row, name: &NodeName, cell: &Cell, asked: &Asked<'_>, problems: &mut Vec<Problem>) {
    if asked.creates.is_empty() {
        return;
    }
    if cell.fit != Fit::Run {
        problems.push(Problem::MakesWhereNoneBelongs { node: name.clone() });
    }
    if asked.creates.len() > 1 {
        problems.push(Problem::WrittenTwice { what: format!("a pod for {name}") });
    }
    // What is asked to go with this plan may still be there when the new one comes.
    let is_live = |pod: &&PodCell| !pod.has_ended() && (pod.stays() || asked.goes(pod)) && !pod.is_terminating;
    let live = cell.pods.iter().filter(is_live).count() + 1;
    if live > 1 + usize::from(row.policy.surges) {
        problems.push(Problem::TooManyOnNode { node: name.clone(), live });
    }
}

/// P4, P8, P9
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
    use crate::model::Pod;

    const NOW: Millis = Millis::from_secs(1000);

    /// An engine with template 1 current, these pods on `n0`, `n1` … and one node without a pod.
    fn engine(pods: &[Pod]) -> Engine {
        let mut engine = Engine::new(1);
        for at in 0..=pods.len() {
            engine.node(&mk::node(&format!("n{at}")));
        }
        engine.set(mk::set());
        engine.revision(Arc::new(mk::revision(1, &history::hash(1, None), 1)));
        for pod in pods {
            engine.pod(Arc::new(pod.clone()));
        }
        engine
    }

    fn create(node: &str) -> Step {
        let (node, name, template) = (node.into(), "new".into(), TemplateId(0));
        Step::Create { node, name, template, why: CreateWhy::Missing, failures: 0 }
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
        let mut engine = engine(&pods);
        let set = mk::set();
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
            (create("n9"), Problem::MakesWhereNoneBelongs { node: "n9".into() }),
            (create("n0"), Problem::TooManyOnNode { node: "n0".into(), live: 2 }),
            (create("n3"), Problem::WrittenTwice { what: "a pod for n3".into() }),
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
}
