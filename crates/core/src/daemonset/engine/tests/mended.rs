//! What upstream is known to do badly (section 25), and the cases proven by execution (T129–T135): what is done here, one by one.

use std::sync::Arc;

use super::cases::{NOW, both, counts, engine, gone, nodes, pod, surging, sync};
use super::rollouts::{fleet, pass, settle};
use super::world::Fate;
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{DeleteWhy, Plan, Problem, Step};
use crate::daemonset::{Engine, history};
use crate::model::{GENERATION_LABEL, Millis, Node, Revision, Set, Strategy, Tri};

/// A node that has gone silent, as the node lifecycle leaves it.
fn unreachable(name: &str) -> Node {
    let mut node = mk::node(name);
    node.conditions[0].status = Tri::Unknown;
    node.taints = vec![
        mk::taint("node.kubernetes.io/unreachable:NoSchedule"),
        mk::taint("node.kubernetes.io/unreachable:NoExecute"),
    ];
    node
}

fn four_and_one_lost() -> Vec<Node> {
    let mut all = nodes(4);
    all[0] = unreachable("n0");
    all
}

/// T129, R184: the lost node's old pod goes, and the update goes on elsewhere: the node is not desired, so it has no share in the
/// budget either, neither before its pod is asked to go nor while that cannot be done.
#[test]
fn t129_a_lost_node_does_not_hold_the_rollout_up() {
    let set = mk::set();
    let plan = sync(&set, &four_and_one_lost(), &["n0 old unready", "n1 old", "n2 old", "n3 old"]);
    assert_eq!(gone(&plan), ["p00", "p01"], "upstream: p00 alone, and then nothing ever");
    let status = plan.status.expect("it differs from none");
    let got = (status.desired, status.available, status.misscheduled, status.updated);
    assert_eq!(got, (3, 3, 1, 0));
    let plan = sync(&set, &four_and_one_lost(), &["n0 old unready terminating", "n1 old", "n2 old", "n3 old"]);
    assert_eq!(gone(&plan), ["p01"], "what cannot go on a lost node is not waited for");
    let plan =
        sync(&set, &four_and_one_lost(), &["n0 old unready terminating", "n1 old terminating", "n2 old", "n3 old"]);
    assert_eq!(counts(&plan).1, 0, "the others still keep the budget");
}

/// R184: a lost node where the new revision is not available may have been lost because of it, and counts; a pod that still
/// serves there stays, for there would be none in its stead.
#[test]
fn r184_what_a_lost_node_counts() {
    let set = mk::set();
    let plan = sync(&set, &four_and_one_lost(), &["n0 new unready", "n1 old", "n2 old", "n3 old"]);
    assert_eq!(gone(&plan), [""; 0], "the new revision may be what broke n0");
    let plan = sync(&set, &four_and_one_lost(), &["n0 old", "n1", "n2", "n3"]);
    assert_eq!(gone(&plan), [""; 0], "it is rolled when the node is back");
    let plan = sync(&surging(1), &four_and_one_lost(), &["n0 old", "n1", "n2", "n3"]);
    assert_eq!(gone(&plan), [""; 0], "with surge too");
    let mut tainted = nodes(2);
    tainted[0].taints.push(mk::taint("gpu:NoSchedule"));
    let plan = sync(&set, &tainted, &["n0 old terminating", "n1 old"]);
    assert_eq!(gone(&plan), [""; 0], "R103: on a node that is well, what terminates is waited for");
}

/// R42, R102, R104: a pod that was made for a node which has come to take no more pods will not be bound. It holds nothing up, and
/// goes where another one is there; upstream counts it for ever (found by the simulator, seeds 2257, 3326, 4806).
#[test]
fn what_no_scheduler_binds_holds_nothing_up() {
    let mut tainted = nodes(2);
    tainted[0].taints.push(mk::taint("gpu:NoSchedule"));
    let plan = sync(&mk::set(), &tainted, &["n0 new unbound", "n1 old"]);
    assert_eq!(gone(&plan), ["p01"], "one may be unavailable, and n0 is not to have a pod");
    let plan = sync(&mk::set(), &nodes(2), &["n0 new unbound", "n1 old"]);
    assert_eq!(gone(&plan), [""; 0], "on a node that takes pods it is waited for");
    let plan = sync(&surging(1), &tainted, &["n0 old t1", "n0 new unbound t5", "n1 old unready"]);
    assert_eq!((gone(&plan), counts(&plan).0), (vec!["p01".to_owned()], 1), "n1 is rescued; the one that serves stays");
    let plan = sync(&surging(1), &tainted, &["n0 old t1", "n0 new unready t5", "n1 old unready"]);
    assert_eq!(gone(&plan), [""; 0], "one that is bound may get ready");
    let plan = sync(&surging(1), &tainted, &["n0 old t1", "n1 new"]);
    assert_eq!(gone(&plan), ["p00"], "R105: when enough others serve it goes");
}

/// R66: a clock that is set back makes young again what was available; it counts as it is now (seed 4264).
#[test]
fn a_clock_that_is_set_back_is_believed() {
    let mut set = mk::set();
    set.min_ready_seconds = 30;
    let mut engine = engine(&set, &nodes(2), &["n0 new r20", "n1 new r900"]);
    assert_eq!(counts(&engine.decide(&set.key, NOW.plus(Millis::from_secs(15)))), (0, 0, 0));
    engine.pod(Arc::new(pod(1, "n1 old r900")));
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(gone(&plan), [""; 0], "n0 lacks an available pod already");
    assert_eq!(gone(&engine.decide(&set.key, plan.wake_at.expect("n0's pod comes of age"))), ["p01"]);
}

/// T130, R189: see `pods_that_end_wait` and `restarts`: one pod, not one per pass.
#[test]
fn t130_with_surge_a_failing_node_does_not_gather_pods() {
    let set = surging(1);
    let mut engine = engine(&set, &nodes(1), &["n0 failed"]);
    let made: usize = (0..50).map(|_| counts(&engine.decide(&set.key, NOW)).0).sum();
    assert_eq!(made, 1);
}

/// T131: a stale hash and the present generation: nothing goes, all count as updated.
#[test]
fn t131_the_generation_speaks_for_a_pod_of_this_set() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(2), &[]);
    for (serial, text) in ["n0 old", "n1 old"].into_iter().enumerate() {
        let mut pod = pod(serial, text);
        pod.labels.insert(GENERATION_LABEL.into(), "1".into());
        engine.pod(Arc::new(pod));
    }
    let plan = engine.decide(&set.key, NOW);
    assert_eq!((counts(&plan), plan.status.map(|status| status.updated)), ((0, 0, 0), Some(2)));
}

/// R190: the same labels on pods that are older than the set say nothing: generations of another set of that name.
#[test]
fn r190_generations_of_an_earlier_set_do_not_count() {
    let mut set = mk::set();
    set.created = Millis::from_secs(500);
    let mut engine = engine(&set, &nodes(2), &[]);
    for (serial, text) in ["n0 old t400", "n1 new t400"].into_iter().enumerate() {
        let mut pod = pod(serial, text);
        pod.labels.insert(GENERATION_LABEL.into(), "1".into());
        engine.pod(Arc::new(pod));
    }
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(plan.status.map(|status| status.updated), Some(1), "the hash of n1's pod speaks for itself");
    assert_eq!(gone(&plan), ["p00"]);
}

/// T132, R188: a pod on a vanished node takes no part; the others roll.
#[test]
fn t132_a_vanished_node_does_not_hold_a_surge_up() {
    let plan = sync(&surging(1), &nodes(2), &["gone old", "n0 old", "n1 old"]);
    assert_eq!((counts(&plan), plan.problem), ((1, 0, 0), None));
}

/// T133: no `maxUnavailable` where there is a block: pods are made, nothing is rolled, and the plan says why.
#[test]
fn t133_numbers_that_cannot_be_read_stop_the_rollout_alone() {
    let mut set = mk::set();
    let max_surge = Some(crate::model::IntOrPercent::Int(1));
    set.strategy = Strategy::RollingUpdate { max_unavailable: None, max_surge };
    let plan = sync(&set, &nodes(2), &["n0 old"]);
    assert_eq!((counts(&plan), plan.problem), ((1, 0, 0), Some(Problem::BadBudget)));
}

/// T134, R62: bound before unbound, whatever their age.
#[test]
fn t134_a_bound_pod_is_kept_over_an_older_unbound_one() {
    assert_eq!(gone(&sync(&mk::set(), &nodes(1), &["n0 unbound t1", "n0 t9"])), ["p00"]);
    assert_eq!(gone(&sync(&mk::set(), &nodes(1), &["n0 unbound t1", "n0 t9 unready"])), ["p00"]);
}

/// T135, R191: of two equal revisions one survives; pods of the other take its hash, pods of another template do not: they are
/// outdated and stay so.
#[test]
fn t135_pods_of_another_template_are_not_relabelled() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(3), &["n0", "n1 old"]);
    let mut bare = pod(2, "n2");
    bare.labels.remove("controller-revision-hash");
    engine.pod(Arc::new(bare));
    let mut twin = mk::revision(1, "twin", 7);
    twin.uid = "twin".into();
    engine.revision(Arc::new(twin));
    let plan = engine.decide(&set.key, NOW);
    let [Step::Relabel { pod, hash }] = &plan.steps[..] else { panic!("{plan:?}") };
    assert_eq!((&*pod.name, &**hash), ("p00", "twin"));
}

/// R186: ready pods that are merely young are replaced within the budget when the template changes again, the oldest promise
/// first: none that serves goes while there are others to do.
#[test]
fn r186_young_pods_do_not_all_go_at_once() {
    let mut set = mk::set();
    set.min_ready_seconds = 30;
    set.strategy = mk::rolling(2, 0);
    let plan = sync(&set, &nodes(5), &["n0 old r5", "n1 old r5", "n2 old r5", "n3 old r5", "n4 old r5"]);
    assert_eq!(gone(&plan), ["p00", "p01"], "upstream: all five");
    let plan = sync(&set, &nodes(4), &["n0 old r5", "n1 old r99", "n2 old unready", "n3 old terminating r99"]);
    assert_eq!(gone(&plan), ["p02"], "two nodes are without a ready pod already");
    let mut set = surging(1);
    set.min_ready_seconds = 30;
    let plan = sync(&set, &nodes(3), &["n0 old r5", "n1 old r5", "n2 old r5"]);
    assert_eq!(counts(&plan), (1, 0, 0), "with surge: one second pod, upstream three");
}

/// R186 and P3 through many edits: with `minReadySeconds`, edited again and again, the fleet serves all the time.
#[test]
fn r186_back_to_back_edits_leave_enough_ready() {
    let mut world = fleet(6, mk::rolling(2, 0));
    world.set(|set| set.min_ready_seconds = 30);
    world.now = world.now.plus(Millis::from_secs(60));
    for template in 2..12 {
        world.roll_to(template % 5 + 1);
        for _ in 0..3 {
            pass(&mut world);
            let ready = world.live().values().flatten().filter(|pod| pod.ready.is).count();
            assert!(ready >= 4, "{ready} ready");
            world.kubelets();
            world.now = world.now.plus(Millis::from_secs(3));
        }
    }
}

/// R192: a revision of another release says the same in other words: it is the current one, and nothing restarts; where there is
/// one with the very bytes, that one is.
#[test]
fn r192_a_revision_in_other_words_is_the_current_one() {
    let set = mk::set();
    let foreign = |hash: &str, number: i64| {
        let mut revision = mk::revision(9, hash, number);
        revision.rewritten = Some(Arc::clone(&set.template.data));
        revision
    };
    let decide = |revisions: Vec<Revision>| -> Plan {
        let mut engine = Engine::new(1);
        engine.node(&mk::node("n0"));
        engine.set(set.clone());
        revisions.into_iter().for_each(|revision| engine.revision(Arc::new(revision)));
        engine.pod(Arc::new(mk::pod("p", "n0").hash("foreign")));
        engine.decide(&set.key, NOW)
    };
    let plan = decide(vec![foreign("foreign", 1)]);
    assert_eq!((plan.hash.as_deref(), &plan.steps[..]), (Some("foreign"), &[][..]), "adopted as it is");
    let plan = decide(vec![foreign("older", 1), foreign("foreign", 2)]);
    assert_eq!((plan.hash.as_deref(), &plan.steps[..]), (Some("foreign"), &[][..]), "the newest of several");
    let plan = decide(vec![foreign("foreign", 1), mk::revision(1, "own", 2)]);
    assert_eq!(plan.hash.as_deref(), Some("own"), "the bytes go before the meaning");
}

/// R199: the observed generation says that a spec was seen, also where nothing of it can be done.
#[test]
fn r199_observed_means_seen() {
    let mut set = mk::set();
    set.generation = 7;
    set.strategy = Strategy::OnDelete;
    let status = sync(&set, &nodes(1), &["n0 old"]).status.expect("a status");
    assert_eq!((status.observed_generation, status.updated), (7, 0));
}

/// R205: a revision without a hash label takes the end of its name, as much as a label holds.
#[test]
fn r205_a_missing_label_fits() {
    assert_eq!(history::missing_label("web-5d4f"), "web-5d4f", "R83: its own name");
    let long = format!("{}-5d4f", "x".repeat(200));
    let label = history::missing_label(&long);
    assert!(label.len() <= 63 && label.ends_with("-5d4f"), "{label}");
    assert_eq!(history::missing_label(&format!("abc-{}", "y".repeat(62))), "y".repeat(62), "begins as a label must");
}

/// R207: presence and rolling agree on what is new: here by the generation, against the hash.
#[test]
fn r207_new_and_old_are_the_same_everywhere() {
    let set = surging(1);
    let mut engine = engine(&set, &nodes(1), &["n0 old t1"]);
    let mut new = pod(9, "n0 old unready t50");
    new.labels.insert(GENERATION_LABEL.into(), "1".into());
    engine.pod(Arc::new(new));
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(
        counts(&plan),
        (0, 0, 0),
        "one of each: upstream takes the younger for a duplicate and makes it again for ever"
    );
}

/// R61: a set that stops surging keeps the pod that serves.
#[test]
fn what_serves_is_kept_when_surging_ends() {
    let [_, set] = both();
    let plan = sync(&set, &nodes(2), &["n0 old unready t1", "n0 new t50", "n1 old t1", "n1 new t50 unready"]);
    assert_eq!(gone(&plan), ["p00", "p03"]);
    let whys = plan.steps.iter().all(|step| matches!(step, Step::Delete { why: DeleteWhy::Duplicate, .. }));
    assert!(whys, "{plan:?}");
}

/// The budget changed in mid-rollout: what is under way counts against the new one.
#[test]
fn a_smaller_budget_counts_what_is_under_way() {
    let mut world = fleet(6, mk::rolling(3, 0));
    world.roll_to(2);
    assert_eq!(pass(&mut world), (0, 3));
    world.set(|set| set.strategy = mk::rolling(1, 0));
    world.kubelets();
    assert_eq!(pass(&mut world), (3, 0), "three lack one");
    assert_eq!(pass(&mut world), (0, 0));
    world.kubelets();
    assert_eq!(pass(&mut world), (0, 1));
    world.set(|set| set.strategy = mk::rolling(0, 2));
    settle(&mut world);
    settle(&mut world);
    settle(&mut world);
    assert!(world.live().values().all(|pods| pods.len() == 1));
}

/// The judge of the truth catches a second pod that is taken behind the engine's back.
#[test]
#[should_panic(expected = "2 pods are taken, 1 may be")]
fn the_judge_of_the_truth_catches_a_planted_bug() {
    let mut world = fleet(3, mk::rolling(1, 0));
    world.roll_to(2);
    pass(&mut world);
    world.budget_holds();
    let hash = world.hash();
    let victim = world.live().into_values().flatten().find(|pod| pod.labels["controller-revision-hash"] != hash);
    let victim = victim.expect("two are left");
    let reference = crate::daemonset::plan::Ref { name: victim.key.name.clone(), uid: victim.uid.clone() };
    let node = victim.target().cloned().expect("it is bound");
    let step = Step::Delete { pod: reference, node, version: None, why: DeleteWhy::Outdated };
    world.answer(&step, Fate::Done);
    world.budget_holds();
}

/// R195: a pod that was deleted and made anew under the same name is not what was judged.
#[test]
fn r195_deletes_mean_one_incarnation() {
    let set: Set = mk::set();
    let plan = sync(&set, &nodes(1), &["n0 failed"]);
    let uids = plan.steps.iter().filter_map(|step| match step {
        Step::Delete { pod, .. } => Some(pod.uid.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(uids.collect::<Vec<_>>(), ["pod-p00"]);
    let broken = sync(&set, &nodes(1), &["n0 old unready"]);
    let Step::Delete { version: Some(_), .. } = &broken.steps[0] else { panic!("judged in one version: {broken:?}") };
}
