//! Every judge catches a planted bug: a mutation of the engine's plans, in a run that is otherwise as any other.

use std::sync::Arc;

use everynode_core::daemonset::Step;
use everynode_core::daemonset::eligibility::Rules;
use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Plan, Ref, TemplateId};
use everynode_core::model::{NodeName, Pod, Set};

use crate::controller::{Bug, Planted};
use crate::facts::State;
use crate::run::{Config, run_with};

/// Seeds that a bug may take to be caught.
const SEEDS: u64 = 12;

fn create(set: &Set, node: &NodeName, why: CreateWhy) -> Step {
    let name = format!("{}-planted-{node}", set.key.name).into();
    Step::Create { node: node.clone(), name, template: TemplateId(0), why, failures: 0 }
}

fn delete(pod: &Pod, node: &NodeName, why: DeleteWhy) -> Step {
    let pod = Ref { name: Arc::clone(&pod.key.name), uid: pod.uid.clone() };
    Step::Delete { pod, node: node.clone(), version: None, why }
}

/// Pods that are there to stay, each with its node.
fn running<'s>(seen: &'s State, set: &'s Set) -> impl Iterator<Item = (&'s Arc<Pod>, &'s NodeName)> {
    let pods = seen.pods_of(set).filter(|pod| !pod.is_terminating() && !pod.is_terminal());
    pods.filter_map(|pod| Some((pod, pod.target()?)))
}

/// Asks for pods only when there is nothing else to do: a plan of claims and revisions stands alone.
fn is_settled(plan: &Plan) -> bool {
    plan.hash.is_some()
}

/// A pod for a node that has one.
fn second_pod(seen: &State, set: &Set, plan: &mut Plan) {
    if is_settled(plan) {
        plan.steps.extend(running(seen, set).map(|(_, node)| create(set, node, CreateWhy::Missing)).take(1));
    }
}

/// A rollout that takes everything at once.
fn take_all(seen: &State, set: &Set, plan: &mut Plan) {
    let ready = running(seen, set).filter(|(pod, _)| pod.ready.is);
    let steps: Vec<Step> = ready.map(|(pod, node)| delete(pod, node, DeleteWhy::Outdated)).collect();
    if is_settled(plan) && steps.len() > 3 {
        plan.steps = steps;
    }
}

/// A surge beyond the budget.
fn surge_everywhere(seen: &State, set: &Set, plan: &mut Plan) {
    if is_settled(plan) && everynode_core::daemonset::budget::surges(&set.strategy) {
        plan.steps = running(seen, set).map(|(_, node)| create(set, node, CreateWhy::Surge)).collect();
    }
}

/// Takes away what it has just made, again and again.
fn restless(seen: &State, set: &Set, plan: &mut Plan) {
    if is_settled(plan)
        && let Some((pod, node)) = running(seen, set).find(|(pod, _)| pod.ready.is)
    {
        plan.steps.retain(|step| !matches!(step, Step::Delete { .. }));
        plan.steps.push(delete(pod, node, DeleteWhy::Forbidden));
    }
}

/// Makes nothing on one of the nodes.
fn forgetful(seen: &State, set: &Set, plan: &mut Plan) {
    let rules = Rules::new(&set.template);
    let forgotten = seen.nodes.values().find(|node| rules.judge(node).runs()).map(|node| node.name.clone());
    plan.steps.retain(|step| !matches!(step, Step::Create { node, .. } if Some(node) == forgotten.as_ref()));
}

/// Tells the status as it is not.
fn liar(_: &State, _: &Set, plan: &mut Plan) {
    if let Some(status) = &mut plan.status {
        status.available = status.ready + 1;
    }
}

#[test]
fn every_judge_catches_a_planted_bug() {
    let table: [(&str, Bug, bool, &str); 8] = [
        ("second pod, in the engine", second_pod, true, "TooManyOnNode"),
        ("take all, in the engine", take_all, true, "BudgetBroken"),
        ("false status, in the engine", liar, true, "StatusDoesNotAddUp"),
        ("second pod", second_pod, false, "J1"),
        ("take all", take_all, false, "J2"),
        ("surge everywhere", surge_everywhere, false, "J3"),
        ("restless", restless, false, "J4"),
        ("forgetful", forgetful, false, "did not become right"),
    ];
    for (what, bug, is_in_engine, expect) in table {
        let caught: Vec<String> = (1..=SEEDS)
            .map(|seed| {
                run_with(&Config { seed, nodes: 6, sets: 1, trace: false }, Some(Planted { bug, is_in_engine }))
            })
            .filter_map(|outcome| outcome.breach.map(|breach| breach.what))
            .scan(false, |found, what| {
                let goes_on = !*found;
                *found |= what.contains(expect);
                goes_on.then_some(what)
            })
            .collect();
        assert!(caught.iter().any(|what| what.contains(expect)), "{what}: {caught:#?}");
    }
}
