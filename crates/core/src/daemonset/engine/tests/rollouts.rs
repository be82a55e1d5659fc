//! Cases of section 26 that take several syncs: rolling updates, revisions, ownership.

use super::cases::{NOW, pod};
use super::world::{Event, Fate, World, key};
use crate::daemonset::history;
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{DeleteWhy, Plan, Step};
use crate::model::{Key, Millis, Strategy};

fn counts(plan: &Plan) -> (usize, usize) {
    let creates = plan.steps.iter().filter(|step| matches!(step, Step::Create { .. })).count();
    let deletes = plan.steps.iter().filter(|step| matches!(step, Step::Delete { .. })).count();
    (creates, deletes)
}

/// A fleet where all pods of template 1 run and are ready.
pub(super) fn fleet(count: usize, strategy: Strategy) -> World {
    let names: Vec<String> = (0..count).map(|i| format!("n{i:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut set = mk::set();
    set.strategy = strategy;
    let mut world = World::new(&names, set);
    settle(&mut world);
    assert_eq!(world.live().len(), count);
    world
}

pub(super) fn settle(world: &mut World) {
    for _ in 0..6 {
        world.round();
        world.kubelets();
        world.now = world.now.plus(Millis::from_secs(1));
    }
    world.round();
}

/// One sync, carried out and seen; revisions come first.
pub(super) fn pass(world: &mut World) -> (usize, usize) {
    world.deliver_all();
    let mut plan = world.decide();
    while plan.steps.iter().any(|step| matches!(step, Step::CreateRevision { .. } | Step::RenumberRevision { .. })) {
        world.answer_all(Fate::Done);
        world.deliver_all();
        plan = world.decide();
    }
    world.answer_all(Fate::Done);
    world.deliver_all();
    counts(&plan)
}

/// Terminating pods go; nothing else moves.
pub(super) fn finish_deletions(world: &mut World) {
    for key in world.truth.pods.keys().cloned().collect::<Vec<_>>() {
        if world.truth.pods[&key].is_terminating() {
            world.tell(Event::PodGone(key, crate::model::Version(0)));
        }
    }
}

/// T68: within the budget, node by node.
#[test]
fn a_rolling_update_keeps_its_budget() {
    let mut world = fleet(5, mk::rolling(2, 0));
    world.roll_to(2);
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(pass(&mut world));
        world.kubelets();
    }
    assert_eq!(seen, [(0, 2), (2, 0), (0, 2), (2, 0), (0, 1), (1, 0), (0, 0)]);
}

/// T69: with surge the new pod comes first.
#[test]
fn a_surging_update_brings_the_new_pod_first() {
    let mut world = fleet(5, mk::rolling(0, 2));
    world.roll_to(2);
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(pass(&mut world));
        seen.push(pass(&mut world));
        world.kubelets();
    }
    seen.retain(|counts| *counts != (0, 0));
    assert_eq!(seen, [(2, 0), (2, 2), (1, 2), (0, 1)]);
    assert!(world.live().values().all(|pods| pods.len() == 1));
}

/// T71: new pods that never become ready stop the rollout.
#[test]
fn an_update_stops_at_pods_that_never_get_ready() {
    let mut world = fleet(5, mk::rolling(3, 0));
    world.roll_to(2);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(pass(&mut world));
        finish_deletions(&mut world);
    }
    assert_eq!(seen, [(0, 3), (3, 0), (0, 0), (0, 0)]);
}

/// T72: after a bad update a second one replaces the broken pods first, and only those.
#[test]
fn a_second_update_mends_the_first() {
    let mut world = fleet(5, mk::rolling(2, 0));
    world.roll_to(2);
    for _ in 0..3 {
        pass(&mut world);
        finish_deletions(&mut world);
    }
    world.roll_to(3);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(pass(&mut world));
        finish_deletions(&mut world);
    }
    assert_eq!(seen, [(0, 2), (2, 0), (0, 0)]);
}

/// T74: broken old pods go without regard to the budget, healthy ones stay when it is spent.
#[test]
fn broken_pods_are_replaced_beyond_the_budget() {
    let mut world = fleet(100, mk::rolling(10, 0));
    world.roll_to(2);
    pass(&mut world);
    world.answer_all(Fate::Done);
    // 88 new and not ready, 2 old and not ready, 10 old and healthy.
    let hash = history::hash(2, None);
    for (i, key) in world.truth.pods.keys().cloned().collect::<Vec<_>>().into_iter().enumerate() {
        world.edit(&key, |pod| {
            pod.deletion = None;
            pod.ready.is = i >= 90;
            if i < 88 {
                *pod = pod.clone().hash(&hash);
                pod.labels.insert("pod-template-generation".into(), "2".into());
            }
        });
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(pass(&mut world));
        finish_deletions(&mut world);
    }
    seen.retain(|counts| *counts != (0, 0));
    assert_eq!(seen, [(0, 2), (2, 0)]);
}

/// T75, T76: pods that were never ready are all replaced at once.
#[test]
fn never_ready_pods_are_replaced_at_once() {
    for (strategy, expect) in [(mk::rolling(3, 0), (0, 5)), (mk::rolling(0, 3), (5, 0))] {
        let mut world = fleet(5, strategy);
        for key in world.truth.pods.keys().cloned().collect::<Vec<_>>() {
            world.edit(&key, |pod| pod.ready.is = false);
        }
        world.roll_to(2);
        assert_eq!(pass(&mut world), expect, "{strategy:?}");
    }
}

/// T73: ten broken of twenty; whatever is edited, exactly the broken ones are replaced, until the budget reaches beyond them.
#[test]
fn t73_healthy_pods_stay_while_broken_ones_use_up_the_budget() {
    let mut world = fleet(20, mk::rolling(1, 0));
    let healthy: Vec<Key> = world.truth.pods.keys().take(10).cloned().collect();
    for key in world.truth.pods.keys().skip(10).cloned().collect::<Vec<_>>() {
        world.edit(&key, |pod| pod.ready.is = false);
    }
    for (template, unavailable) in (2..).zip([7, 0, 3, 9, 1, 8, 2, 6, 4, 5, 11]) {
        world.set(|set| set.strategy = mk::rolling(unavailable, 0));
        world.roll_to(template);
        let expect = if unavailable == 11 { 11 } else { 10 };
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(pass(&mut world));
            finish_deletions(&mut world);
        }
        assert_eq!(seen, [(0, expect), (expect, 0), (0, 0)], "maxUnavailable {unavailable}");
        let left = healthy.iter().filter(|key| world.truth.pods.contains_key(*key)).count();
        assert_eq!(left, 20 - expect);
    }
}

/// T76: five that never got ready are rescued at once, beyond the budget; then one that fails while others surge.
#[test]
fn t76_a_surge_past_broken_pods() {
    let mut world = fleet(5, mk::rolling(0, 3));
    for key in world.truth.pods.keys().cloned().collect::<Vec<_>>() {
        world.edit(&key, |pod| pod.ready.is = false);
    }
    world.roll_to(2);
    assert_eq!((pass(&mut world), pass(&mut world)), ((5, 0), (0, 5)));
    world.kubelets();
    world.kubelets();
    world.now = world.now.plus(Millis::from_secs(100));
    world.set(|set| set.min_ready_seconds = 15);
    world.roll_to(3);
    assert_eq!(pass(&mut world), (3, 0));
    let uncovered = world.live().into_values().find(|pods| pods.len() == 1).expect("two have one pod");
    world.edit(&uncovered[0].key, |pod| pod.ready.is = false);
    assert_eq!(pass(&mut world), (1, 0), "it is rescued");
    let hash = world.hash();
    let is_new = |pod: &crate::model::Pod| pod.labels["controller-revision-hash"] == hash;
    let surged =
        world.live().into_values().filter(|pods| pods.iter().any(is_new) && pods.iter().any(|pod| pod.ready.is));
    let make_ready = |world: &mut World, key: &Key| {
        let since = Some(world.now);
        world.edit(key, |pod| {
            pod.node = pod.target().cloned();
            pod.ready = crate::model::Ready { is: true, since };
        });
    };
    for pods in surged.take(2) {
        let new = pods.into_iter().find(is_new).expect("it has a new one");
        make_ready(&mut world, &new.key);
    }
    world.now = world.now.plus(Millis::from_secs(20));
    assert_eq!(pass(&mut world), (1, 3));
    for pod in world.live().into_values().flatten().filter(|pod| !pod.ready.is) {
        make_ready(&mut world, &pod.key);
    }
    world.now = world.now.plus(Millis::from_secs(20));
    assert_eq!((pass(&mut world), pass(&mut world)), ((0, 2), (0, 0)));
}

/// T77, T113, R108: OnDelete waits for the user; the switch rolls only what is outdated.
#[test]
fn on_delete_waits_for_the_user() {
    let mut world = fleet(3, Strategy::OnDelete);
    world.set(|set| set.strategy = mk::rolling(1, 0));
    assert_eq!(pass(&mut world), (0, 0), "T77");
    world.set(|set| set.strategy = Strategy::OnDelete);
    world.roll_to(2);
    assert_eq!(pass(&mut world), (0, 0), "T113");
    assert_eq!(world.truth.revisions.len(), 2);
    let hash = world.hash();
    let first = world.truth.pods.values().next().cloned().expect("a pod");
    world.delete_by(&first);
    settle(&mut world);
    let updated = |world: &World| {
        world.truth.pods.values().filter(|pod| pod.labels.get("controller-revision-hash") == Some(&hash)).count()
    };
    assert_eq!(updated(&world), 1, "R108: what is deleted comes back new");
    world.set(|set| set.strategy = mk::rolling(3, 0));
    settle(&mut world);
    assert_eq!(updated(&world), 3);
}

/// T115, R83: back to the old template before the rollout is over restarts no untouched pod; its revision is renumbered.
#[test]
fn rolling_back_touches_only_what_was_rolled() {
    let mut world = fleet(4, mk::rolling(1, 0));
    let before: Vec<Key> = world.truth.pods.keys().cloned().collect();
    world.roll_to(2);
    pass(&mut world);
    finish_deletions(&mut world);
    pass(&mut world);
    world.roll_to(1);
    settle(&mut world);
    let kept = before.iter().filter(|key| world.truth.pods.contains_key(*key)).count();
    assert_eq!(kept, 3);
    let numbers: Vec<(u32, i64)> =
        world.truth.revisions.values().map(|r| (u32::from(*r.data == *mk::template(1).data), r.number)).collect();
    assert!(numbers.contains(&(1, 3)) && numbers.contains(&(0, 2)), "{numbers:?}");
}

/// T103, R86: another template has taken the name.
#[test]
fn a_hash_collision_is_counted() {
    let mut world = fleet(1, mk::rolling(1, 0));
    let hash = history::hash(2, None);
    let mut squatter = mk::revision(9, &hash, 5);
    squatter.owner = None;
    squatter.labels = mk::labels("app=somebody-else");
    world.tell(Event::Revision(squatter));
    world.roll_to(2);
    settle(&mut world);
    assert_eq!(world.truth.set.as_ref().and_then(|set| set.collision_count), Some(1));
    assert_eq!(world.hash(), history::hash(2, Some(1)));
    settle(&mut world);
    assert!(world.live().values().flatten().all(|p| p.labels["controller-revision-hash"] == world.hash()));
}

/// T104, T135, R84: of two equal revisions one survives, and all pods carry its hash.
#[test]
fn equal_revisions_are_merged() {
    let mut world = fleet(2, mk::rolling(1, 0));
    let mut twin = mk::revision(1, "twin", 7);
    twin.uid = "twin".into();
    world.tell(Event::Revision(twin));
    let before: Vec<Key> = world.truth.pods.keys().cloned().collect();
    settle(&mut world);
    assert_eq!(world.truth.revisions.len(), 1);
    assert!(world.truth.pods.values().all(|pod| pod.labels["controller-revision-hash"] == "twin"));
    assert!(before.iter().all(|key| world.truth.pods.contains_key(key)), "no restart");
}

/// R94: old revisions beyond the limit go, but never one that a pod carries.
#[test]
fn old_revisions_are_cleaned_up() {
    let mut world = fleet(2, mk::rolling(1, 0));
    world.set(|set| {
        set.history_limit = 1;
        set.strategy = mk::rolling(9, 0);
    });
    for template in 2..6 {
        world.roll_to(template);
        settle(&mut world);
    }
    let mut numbers: Vec<i64> = world.truth.revisions.values().map(|revision| revision.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [4, 5]);
    world.set(|set| {
        set.history_limit = 0;
        set.strategy = Strategy::OnDelete;
    });
    world.roll_to(6);
    settle(&mut world);
    let mut numbers: Vec<i64> = world.truth.revisions.values().map(|revision| revision.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [5, 6], "5 is still on the pods");
}

/// T84, T148 of the set: orphans that match are adopted, and nothing else happens before that.
#[test]
fn matching_orphans_are_adopted_first() {
    let mut world = fleet(1, mk::rolling(1, 0));
    let mut orphan = pod(77, "n000 old orphan");
    orphan.uid = "orphan".into();
    world.tell(Event::Pod(Box::new(orphan)));
    world.tell(Event::Pod(Box::new(pod(78, "n000 foreign orphan"))));
    world.tell(Event::Pod(Box::new(pod(79, "n000 orphan terminating"))));
    world.deliver_all();
    let plan = world.decide();
    let [Step::Adopt(what)] = &plan.steps[..] else { panic!("{plan:?}") };
    assert_eq!(what.uid.as_str(), "orphan");
    world.deliver_all();
    assert!(world.decide().steps.is_empty(), "R77: nothing while an adoption is open");
    settle(&mut world);
    assert_eq!(world.live().values().flatten().count(), 1, "one of the two was a duplicate");
}

/// T70: a node that loses eligibility gives up its pod when enough others serve.
#[test]
fn a_pod_on_a_node_that_may_get_no_new_one_goes_last() {
    let mut world = fleet(5, mk::rolling(0, 1));
    let mut node = mk::node("n000");
    node.taints.push(mk::taint("node-role.kubernetes.io/control-plane:NoSchedule"));
    world.tell(Event::Node(Box::new(node)));
    world.roll_to(2);
    assert_eq!(pass(&mut world), (1, 1), "desired is 4, and 4 others are available");
    settle(&mut world);
    for _ in 0..4 {
        settle(&mut world);
    }
    assert_eq!(world.live().len(), 4);
}

/// R186 as upstream has it, and P3: within the budget whatever is edited in between.
#[test]
fn back_to_back_edits_keep_the_budget() {
    let mut world = fleet(10, mk::rolling(3, 0));
    for template in 2..6 {
        world.roll_to(template);
        for _ in 0..3 {
            let plan = {
                world.deliver_all();
                world.decide()
            };
            let taken = plan.steps.iter().filter(|step| matches!(step, Step::Delete { why: DeleteWhy::Outdated, .. }));
            assert!(taken.count() <= 3);
            world.answer_all(Fate::Done);
            let available = world.live().values().flatten().filter(|pod| pod.ready.is).count();
            assert!(available >= 7, "{available} available at template {template}");
        }
        world.kubelets();
    }
    assert!(world.now >= NOW);
    assert_eq!(key().to_string(), "ns/web");
}
