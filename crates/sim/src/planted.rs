//! Every judge catches a planted bug: a mutation of the engine's plans, in a run that is otherwise as any other.

use std::sync::Arc;

use everynode_core::daemonset::Step;
use everynode_core::daemonset::eligibility::Rules;
use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Plan, Ref, TemplateId};
use everynode_core::model::{Millis, NodeName, Pod, Set, Status};

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
fn second_pod(seen: &State, set: &Set, plan: &mut Plan, _: Millis) {
    if is_settled(plan) {
        plan.steps.extend(running(seen, set).map(|(_, node)| create(set, node, CreateWhy::Missing)).take(1));
    }
}

/// A rollout that takes everything at once.
fn take_all(seen: &State, set: &Set, plan: &mut Plan, _: Millis) {
    let ready = running(seen, set).filter(|(pod, _)| pod.ready.is);
    let steps: Vec<Step> = ready.map(|(pod, node)| delete(pod, node, DeleteWhy::Outdated)).collect();
    if is_settled(plan) && steps.len() > 3 {
        plan.steps = steps;
    }
}

/// A surge beyond the budget.
fn surge_everywhere(seen: &State, set: &Set, plan: &mut Plan, _: Millis) {
    let steps: Vec<Step> = running(seen, set).map(|(_, node)| create(set, node, CreateWhy::Surge)).collect();
    if is_settled(plan) && everynode_core::daemonset::budget::surges(&set.strategy) && steps.len() > 3 {
        plan.steps = steps;
    }
}

/// Takes away what it has just made, again and again.
fn restless(seen: &State, set: &Set, plan: &mut Plan, _: Millis) {
    if is_settled(plan)
        && let Some((pod, node)) = running(seen, set).find(|(pod, _)| pod.ready.is)
    {
        plan.steps.retain(|step| !matches!(step, Step::Delete { .. }));
        plan.steps.push(delete(pod, node, DeleteWhy::Forbidden));
    }
}

/// Makes nothing on one of the nodes.
fn forgetful(seen: &State, set: &Set, plan: &mut Plan, _: Millis) {
    let rules = Rules::new(&set.template);
    let forgotten = seen.nodes.values().find(|node| rules.judge(node).runs()).map(|node| node.name.clone());
    plan.steps.retain(|step| !matches!(step, Step::Create { node, .. } if Some(node) == forgotten.as_ref()));
}

/// Tells the status as it is not.
fn liar(_: &State, _: &Set, plan: &mut Plan, _: Millis) {
    if let Some(status) = &mut plan.status {
        status.available = status.ready + 1;
    }
}

/// Looks at things every ten minutes when all is well, and tells a status that is put right at once.
fn busybody(_: &State, set: &Set, plan: &mut Plan, now: Millis) {
    const PAUSE: i64 = 600_000;
    let is_time = now.0.rem_euclid(PAUSE) < 500;
    if is_settled(plan) && plan.steps.is_empty() && plan.status.is_none() {
        if is_time {
            plan.status = Some(Status { misscheduled: set.status.misscheduled + 1, ..set.status });
        }
        let next = now.0 - now.0.rem_euclid(PAUSE) + PAUSE;
        plan.wake_at = Some(plan.wake_at.map_or(Millis(next), |at| at.min(Millis(next))));
    }
}

/// The first breach of a seed that a bug leads to and that says so.
fn is_caught(bug: Bug, is_in_engine: bool, expect: &str) -> Result<(), Vec<String>> {
    let mut others = Vec::new();
    for seed in 1..=SEEDS {
        let config = Config { seed, nodes: 6, sets: 1, trace: false };
        match run_with(&config, Some(Planted { bug, is_in_engine })).breach {
            Some(breach) if breach.what.contains(expect) => return Ok(()),
            other => others.extend(other.map(|breach| breach.what)),
        }
    }
    Err(others)
}

/// In the engine, where the judges over the plan see it.
#[test]
fn the_judges_of_plans_catch_planted_bugs() {
    let table: [(&str, Bug, &str); 5] = [
        ("second pod", second_pod, "TooManyOnNode"),
        ("take all", take_all, "BudgetBroken"),
        ("surge everywhere", surge_everywhere, "SurgeBroken"),
        ("take from a good node", restless, "GoesTooEarly"),
        ("false status", liar, "StatusDoesNotAddUp"),
    ];
    for (what, bug, expect) in table {
        assert_eq!(is_caught(bug, true, expect), Ok(()), "{what}");
    }
}

/// J1. From here on the bugs sit behind the engine, where only the truth tells.
#[test]
fn a_second_pod_is_caught() {
    assert_eq!(is_caught(second_pod, false, "J1"), Ok(()));
}

/// J2
#[test]
fn a_broken_budget_is_caught() {
    assert_eq!(is_caught(take_all, false, "J2"), Ok(()));
}

/// J3
#[test]
fn a_surge_beyond_the_budget_is_caught() {
    assert_eq!(is_caught(surge_everywhere, false, "J3"), Ok(()));
}

/// J4
#[test]
fn a_hot_loop_is_caught() {
    assert_eq!(is_caught(restless, false, "J4"), Ok(()));
}

/// The engine's twin sees what no other judge does: here that nothing is done though there is something to do.
#[test]
fn what_the_twin_does_otherwise_is_caught() {
    assert_eq!(is_caught(forgetful, true, "its twin decides"), Ok(()));
}

/// Rest.
#[test]
fn a_controller_that_does_not_rest_is_caught() {
    assert_eq!(is_caught(busybody, false, "times more when all was right"), Ok(()));
}

/// Liveness.
#[test]
fn a_forgotten_node_is_caught() {
    assert_eq!(is_caught(forgetful, false, "did not become right"), Ok(()));
}
