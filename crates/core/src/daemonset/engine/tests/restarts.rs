//! No hot loop, whatever ends and however often the controller is started anew: pods made per node and hour are bounded.

use super::world::{Fate, World, key};
use crate::daemonset::mk;
use crate::daemonset::plan::{Outcome, Step};
use crate::model::{Key, Millis, Phase, Ready, Strategy, Version};

const HOUR: Millis = Millis::from_secs(3600);
/// The first pod, the one that follows at once, then after 1, 2, 4 … 512 s, then every 900 s.
const MOST_PER_HOUR: u32 = 15;

/// How pods end in a test.
#[derive(Clone, Copy, Debug)]
struct Fault {
    strategy: Strategy,
    phase: Phase,
    /// The controller is started anew after every single write, and once more before the next.
    restarts: bool,
}

/// Every pod that is there and runs is bound and ends at once.
fn end_all(world: &mut World, phase: Phase) {
    for key in world.truth.pods.keys().cloned().collect::<Vec<_>>() {
        let since = Some(world.now);
        if !world.truth.pods[&key].is_terminal() {
            world.edit(&key, |pod| {
                pod.node = pod.target().cloned();
                pod.phase = phase;
                pod.ready = Ready { is: false, since };
            });
        }
    }
}

/// Pods made for the one node within an hour.
fn made_in_an_hour(fault: Fault) -> u32 {
    let mut set = mk::set();
    set.strategy = fault.strategy;
    let mut world = World::new(&["n0"], set);
    let end = world.now.plus(HOUR);
    let mut starts = 0;
    while world.now < end {
        world.deliver_all();
        let plan = world.decide();
        for step in std::mem::take(&mut world.open) {
            world.answer(&step, Fate::Done);
            if fault.restarts {
                starts += 1;
                world.restart(starts);
                break;
            }
        }
        end_all(&mut world, fault.phase);
        if fault.restarts {
            starts += 1;
            world.restart(starts);
        }
        world.deliver_all();
        // At once after every write, and again and again while nothing is due.
        if plan.steps.is_empty() {
            world.now = world.now.plus(Millis::from_secs(4));
        }
    }
    assert!(starts > 800 || !fault.restarts, "{starts} starts only");
    world.made.values().sum()
}

/// R59, R189, R201: the same back-off on the plain and the surge path, for pods that fail and that end well, with a controller
/// that never stops and with one that is started anew after every step.
#[test]
fn a_node_whose_pods_end_is_not_flooded() {
    for strategy in [mk::rolling(1, 0), mk::rolling(0, 1), Strategy::OnDelete] {
        for phase in [Phase::Failed, Phase::Succeeded] {
            for restarts in [false, true] {
                let fault = Fault { strategy, phase, restarts };
                let made = made_in_an_hour(fault);
                assert!((10..=MOST_PER_HOUR).contains(&made), "{made} pods in an hour: {fault:?}");
            }
        }
    }
}

/// A template that can never be admitted, a quota that is spent: asked again after 1, 2, 4 … 60 s, whatever else happens; a new
/// template is tried at once (R68; upstream's rate limit is passed by every event of a pod).
#[test]
fn a_refused_create_backs_off() {
    for strategy in [mk::rolling(1, 0), mk::rolling(0, 1)] {
        let mut set = mk::set();
        set.strategy = strategy;
        let mut world = World::new(&["n0", "n1"], set);
        world.round();
        let mut tried = 0;
        let mut last = None;
        for _ in 0..3600 {
            let plan = world.decide();
            for step in std::mem::take(&mut world.open) {
                let is_n0 = matches!(&step, Step::Create { node, .. } if node.as_str() == "n0");
                tried += u32::from(is_n0);
                world.answer(&step, if is_n0 { Fate::Refused } else { Fate::Done });
            }
            world.deliver_all();
            last = plan.wake_at;
            world.now = world.now.plus(Millis::from_secs(1));
        }
        assert!((60..=70).contains(&tried), "{tried} tries in an hour");
        assert!(last.is_some(), "it is known when to try again");
        assert_eq!(world.live().len(), 1, "R179: another node does not wait for it");
        world.roll_to(2);
        for _ in 0..3 {
            world.deliver_all();
            world.decide();
            world.answer_all(Fate::Done);
            world.deliver_all();
        }
        assert_eq!(world.live().len(), 2, "what may be admitted now is tried at once");
    }
}

/// R69: in a namespace that goes away nothing is tried for five minutes, and nothing is leaked: then it goes on.
#[test]
fn a_namespace_that_goes_is_left_alone() {
    let mut world = World::new(&["n0"], mk::set());
    world.round();
    world.decide();
    let step = world.open.pop();
    let mut tries = 0;
    let Some(step) = step.or_else(|| world.decide().steps.pop()) else { panic!("a pod is to be made") };
    let now = world.now;
    world.engine.settle(&key(), &step, Outcome::NamespaceGoing, now);
    world.open.clear();
    for _ in 0..299 {
        world.now = world.now.plus(Millis::from_secs(1));
        tries += world.decide().steps.len();
    }
    assert_eq!(tries, 0);
    world.now = world.now.plus(Millis::from_secs(1));
    assert!(matches!(world.decide().steps[..], [Step::Create { .. }]));
}

/// R65: a pod that ended is not counted against the one that stands in for it, and a user who deletes pods is obeyed at once.
#[test]
fn deleting_by_hand_is_no_failure() {
    let mut world = World::new(&["n0"], mk::set());
    for _ in 0..20 {
        world.round();
        world.kubelets();
        world.deliver_all();
        let keys: Vec<Key> = world.truth.pods.keys().cloned().collect();
        for key in keys {
            world.tell(super::world::Event::PodGone(key, Version(0)));
        }
    }
    assert!(world.made.values().sum::<u32>() >= 9, "{:?}", world.made);
    assert!(world.truth.pods.values().all(|pod| pod.failures == 0));
}

/// R31: a create that nobody answered is waited for five minutes, and then for no more: a time in the past would wake the
/// controller again and again. Found by the simulator (seeds 298 and 309, clocks that jump).
#[test]
fn what_has_lapsed_wakes_nobody() {
    let mut world = World::new(&["n0"], mk::set());
    world.round();
    world.decide();
    world.answer_all(Fate::Lost);
    let mut node = mk::node("n0");
    node.taints.push(mk::taint("gpu:NoSchedule"));
    world.tell(super::world::Event::Node(Box::new(node)));
    world.deliver_all();
    for _ in 0..3 {
        world.now = world.now.plus(Millis::from_secs(200));
        let plan = world.decide();
        assert!(plan.steps.is_empty() && plan.wake_at.is_none_or(|at| world.now < at), "{plan:?}");
    }
}

/// P2: a create was done twice under one name, because the first pod was gone before it was seen. When the first one is seen at
/// last, the second is still on its way: no third is made. Found by the simulator (seed 582).
#[test]
fn an_older_pod_of_the_name_is_not_the_one_made_last() {
    let mut world = World::new(&["n0"], mk::set());
    world.round();
    world.decide();
    world.answer_all(Fate::DoneUnheard);
    let Some(first) = world.truth.pods.keys().next().cloned() else { panic!("a pod was made") };
    world.edit(&first, |pod| {
        pod.node = pod.target().cloned();
        pod.phase = Phase::Failed;
    });
    world.tell(super::world::Event::PodGone(first.clone(), Version(0)));
    world.now = world.now.plus(Millis::from_secs(5));
    assert!(matches!(world.decide().steps[..], [Step::Create { .. }]), "it is asked once more, under the same name");
    world.answer_all(Fate::Done);
    assert!(world.truth.pods.contains_key(&first));
    for seen in ["waiting", "failed", "gone"] {
        world.deliver(0);
        let plan = world.decide();
        let makes = plan.steps.iter().any(|step| matches!(step, Step::Create { .. }));
        assert!(!makes, "{seen}: {plan:?}");
    }
}
