//! What was asked for and may have been done, or not: it counts until it is known. Most were found by the simulator.

use std::sync::Arc;

use super::cases::{NOW, counts, engine, gone, nodes, pod, surging};
use crate::daemonset::Engine;
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{CreateWhy, Outcome, PATIENCE, Plan, Step};
use crate::model::{Millis, NodeName, Set, Uid, Version};

fn after(secs: i64) -> Millis {
    NOW.plus(Millis::from_secs(secs))
}

/// Decides; nothing is known of what becomes of it.
fn unheard(engine: &mut Engine, set: &Set, now: Millis) -> Plan {
    let plan = engine.decide(&set.key, now);
    for step in &plan.steps {
        engine.settle(&set.key, step, Outcome::Unknown, now);
    }
    plan
}

fn made(plan: &Plan) -> Vec<(&NodeName, &str, CreateWhy)> {
    let creates = plan.steps.iter().filter_map(|step| match step {
        Step::Create { node, name, why, .. } => Some((node, &**name, *why)),
        _ => None,
    });
    creates.collect()
}

/// P2: a second pod that may be there already is not asked for again beside a duplicate that is still there (seed 908).
#[test]
fn no_third_pod_beside_a_duplicate() {
    let set = surging(1);
    let mut engine = engine(&set, &nodes(1), &["n0 old t1"]);
    assert_eq!(counts(&unheard(&mut engine, &set, NOW)).0, 1);
    engine.pod(Arc::new(pod(7, "n0 old t5")));
    let plan = engine.decide(&set.key, after(5));
    assert_eq!((counts(&plan).0, gone(&plan)), (0, vec!["p07".to_owned()]));
    assert_eq!(counts(&engine.decide(&set.key, after(5))).0, 0, "it is not seen going");
    engine.pod(Arc::new(pod(7, "n0 old t5 terminating")));
    assert_eq!(counts(&engine.decide(&set.key, after(5))).0, 1);
}

/// R104, P7: a second pod may be on its way to a node whose pod has become current again (a rollback): it has its place in the
/// surge budget until it is seen, or was not seen for five minutes (seed 4862).
#[test]
fn a_doubtful_second_pod_counts_beside_a_current_one() {
    let set = surging(1);
    let mut engine = engine(&set, &nodes(2), &["n0 old", "n1 old"]);
    let plan = unheard(&mut engine, &set, NOW);
    assert_eq!(made(&plan).iter().map(|made| made.0.as_str()).collect::<Vec<_>>(), ["n0"]);
    engine.pod(Arc::new(pod(0, "n0 new")));
    assert_eq!(counts(&engine.decide(&set.key, after(5))), (0, 0, 0));
    assert_eq!(counts(&engine.decide(&set.key, after(299))), (0, 0, 0));
    let plan = engine.decide(&set.key, NOW.plus(PATIENCE));
    assert_eq!(made(&plan).iter().map(|made| made.0.as_str()).collect::<Vec<_>>(), ["n1"]);
}

/// R104, P7: second pods that may be there are asked for once more only while they are within the budget (seeds 7282, 7302).
#[test]
fn a_second_pod_is_asked_for_again_within_the_budget() {
    let mut set = surging(2);
    let mut engine = engine(&set, &nodes(2), &["n0 old", "n1 old"]);
    let first = unheard(&mut engine, &set, NOW);
    assert_eq!(counts(&first).0, 2);
    set.strategy = mk::rolling(0, 1);
    engine.set(set.clone());
    assert_eq!(counts(&engine.decide(&set.key, after(5))).0, 0, "two may be there, one may");
    let plan = engine.decide(&set.key, NOW.plus(PATIENCE));
    assert_eq!(made(&plan), made(&first)[..1], "none of them is, so one is asked for, under its name");
}

/// R104, P7: an outdated pod of no use that was asked to go holds its place until it is seen going, for by then it may be of use
/// and stay (seed 1937); one whose successor is available holds none (T69).
#[test]
fn what_was_asked_to_go_is_there_until_it_is_seen_going() {
    let set = surging(1);
    let mut of_no_use = engine(&set, &nodes(2), &["n0 old unready t1", "n0 new unready t5", "n1 old"]);
    let plan = of_no_use.decide(&set.key, NOW);
    assert_eq!((counts(&plan).0, gone(&plan)), (0, vec!["p00".to_owned()]));
    of_no_use.pod(Arc::new(pod(0, "n0 old unready t1 terminating")));
    assert_eq!(counts(&of_no_use.decide(&set.key, NOW)).0, 1);
    let plan = engine(&set, &nodes(2), &["n0 old t1", "n0 new t5", "n1 old"]).decide(&set.key, NOW);
    assert_eq!((counts(&plan).0, gone(&plan)), (1, vec!["p00".to_owned()]));
}

/// P3, R31: a deletion that was done is waited for until it is seen, however late that is and wherever the clock is set meanwhile:
/// nothing else is taken for it (seed 18882).
#[test]
fn a_deletion_that_was_done_is_not_forgotten() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(2), &["n0 old", "n1 old"]);
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(gone(&plan), ["p00"]);
    engine.settle(&set.key, &plan.steps[0], Outcome::Done { version: Version(90) }, NOW);
    let plan = engine.decide(&set.key, after(650));
    assert_eq!((counts(&plan), plan.wake_at), ((0, 0, 0), None));
    engine.pod_gone(&pod(0, "n0").key);
    assert_eq!(counts(&engine.decide(&set.key, after(651))), (1, 0, 0));
}

/// R105: a node that takes no more pods gives its outdated one up when enough others serve, also while a second one may be on its
/// way there, which nobody will bind (seed 4379).
#[test]
fn a_doubtful_second_pod_keeps_no_old_one() {
    let set = surging(1);
    let mut engine = engine(&set, &nodes(2), &["n0 old", "n1 new"]);
    assert_eq!(counts(&unheard(&mut engine, &set, NOW)).0, 1);
    let mut tainted = nodes(1);
    tainted[0].taints.push(mk::taint("gpu:NoSchedule"));
    engine.node(&Arc::new(tainted.remove(0)));
    assert_eq!(gone(&engine.decide(&set.key, after(5))), ["p00"]);
}

/// P2, R77: a pod that may have been adopted is adopted once more, whoever is still seen to own it; its node is not empty (seed
/// 7496).
#[test]
fn a_doubtful_adoption_is_repeated() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(1), &["n0 orphan"]);
    let first = unheard(&mut engine, &set, NOW);
    assert!(matches!(first.steps[..], [Step::Adopt(_)]), "{first:?}");
    // What is seen is older than what was done.
    engine.pod(Arc::new(pod(0, "n0").with(|pod| {
        if let Some(owner) = &mut pod.owner {
            owner.uid = Uid::from("an earlier set");
        }
    })));
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(plan.steps, first.steps);
    engine.settle(&set.key, &plan.steps[0], Outcome::Refused, NOW);
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(plan.steps, first.steps, "a no to this try says nothing of the first");
    engine.settle(&set.key, &plan.steps[0], Outcome::Done { version: Version(50) }, NOW);
    assert_eq!(counts(&engine.decide(&set.key, NOW)), (0, 0, 0), "it is not seen yet");
    engine.pod(Arc::new(pod(0, "n0").with(|pod| pod.version = Version(50))));
    engine.pods_seen(Version(50));
    assert!(engine.decide(&set.key, NOW).steps.is_empty());
}

/// What is seen to be ours by the time the lost answer is given up needs no second adoption, only, here, to be let go (seed 12496).
#[test]
fn an_adoption_that_was_seen_is_not_in_doubt() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(1), &["n0 orphan"]);
    let first = engine.decide(&set.key, NOW);
    engine.pod(Arc::new(pod(0, "n0 foreign")));
    engine.settle(&set.key, &first.steps[0], Outcome::Unknown, NOW);
    assert!(matches!(engine.decide(&set.key, NOW).steps[..], [Step::Release(_)]));
}

/// The same with nobody to ask: after five minutes what is seen is believed.
#[test]
fn a_doubtful_adoption_is_not_repeated_for_ever() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(1), &["n0 orphan"]);
    unheard(&mut engine, &set, NOW);
    engine.pod_gone(&pod(0, "n0").key);
    assert!(matches!(engine.decide(&set.key, after(299)).steps[..], [Step::Adopt(_)]));
    let plan = engine.decide(&set.key, after(299).plus(PATIENCE));
    assert_eq!(counts(&plan).0, 1);
}
