//! What is told to the engine, and which sets then have something to decide (T2, T48–T58, T79); what was asked for and is not seen
//! yet (T136–T138, T143–T146: upstream counts expectations and remembers versions, here each write is known by itself).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cases::{NOW, counts, engine, nodes, pod};
use super::world::{Event, Fate, World, key};
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{Outcome, PATIENCE, Plan, Step};
use crate::daemonset::{Engine, history};
use crate::model::{HASH_LABEL, Key, Millis, Owner, Pod, Set, Uid, Version};

/// Set `foo<n>`, which selects `app=foo<n>` or what is told.
fn named(name: &str, labels: &str) -> Set {
    let mut set = mk::set();
    set.key = Key::new("ns", name);
    set.uid = name.into();
    set.selector = Some(crate::selector::LabelSelector { labels: mk::labels(labels), expressions: Vec::new() });
    set
}

/// Three sets; the first two select `app=shared`, the third its own.
fn three() -> Engine {
    let mut engine = Engine::new(1);
    engine.node(&mk::node("n0"));
    engine.set(named("foo1", "app=shared"));
    engine.set(named("foo2", "app=shared"));
    engine.set(named("foo3", "app=foo3"));
    engine.take_changed();
    engine
}

fn owned_by(name: &str, labels: &str) -> Pod {
    let owner = Owner { kind: "DaemonSet".into(), name: name.into(), uid: name.into() };
    mk::pod("p", "n0").with(|pod| (pod.owner, pod.labels) = (Some(owner), mk::labels(labels)))
}

fn orphan(labels: &str) -> Pod {
    mk::pod("p", "n0").with(|pod| (pod.owner, pod.labels) = (None, mk::labels(labels)))
}

/// The sets that have something to decide.
fn changed(engine: &mut Engine) -> Vec<String> {
    engine.take_changed().into_iter().map(|key| key.name.to_string()).collect()
}

/// The first create of a plan, and the name of its pod.
fn step_of(plan: &Plan) -> (&Step, &Arc<str>) {
    let named = plan.steps.iter().find_map(|step| match step {
        Step::Create { name, .. } => Some((step, name)),
        _ => None,
    });
    named.expect("a pod is made")
}

/// Another set of the same name, with its first revision.
fn make_anew(engine: &mut Engine, set: &Set) {
    let mut again = set.clone();
    again.uid = "another".into();
    engine.set(again);
    let mut revision = mk::revision(1, &history::hash(1, None), 1);
    revision.owner = Some(Owner { kind: "DaemonSet".into(), name: "web".into(), uid: "another".into() });
    engine.revision(Arc::new(revision));
}

/// T2: one create, and no other while it is out; a set that is gone is forgotten, and one of the same name starts afresh.
#[test]
fn t2_a_create_is_waited_for_and_forgotten_with_its_set() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(1), &[]);
    assert_eq!(counts(&engine.decide(&set.key, NOW)), (1, 0, 0));
    engine.set(set.clone());
    assert_eq!(counts(&engine.decide(&set.key, NOW)), (0, 0, 0), "the pod is awaited");
    engine.take_changed();
    engine.set_gone(&set.key);
    assert_eq!(changed(&mut engine), ["web"]);
    make_anew(&mut engine, &set);
    assert_eq!(counts(&engine.decide(&set.key, NOW)), (1, 0, 0));
}

/// T48, T49, R36, R177: a node matters to a set when it changes what the set is to do there; heartbeats, allocatable and labels
/// that nobody asks for do not, also not while pods are misscheduled.
#[test]
fn t48_t49_only_node_changes_that_matter_wake_a_set() {
    let mut set = mk::set();
    set.template.node_selector = mk::labels("disk=ssd");
    let mut engine = engine(&set, &nodes(1), &["n0"]);
    engine.take_changed();
    let mut tell = |labels: &str, taints: &[&str], cpu: i64| {
        let mut node = mk::node("n0");
        node.labels = mk::labels(labels);
        node.taints = taints.iter().map(|taint| mk::taint(taint)).collect();
        node.version = Version(u64::try_from(cpu).unwrap_or(0));
        node.conditions[0].heartbeat = Some(Millis(cpu));
        engine.node(&node);
        !changed(&mut engine).is_empty()
    };
    assert!(!tell("", &[], 1), "nothing changed");
    assert!(!tell("zone=a", &[], 1), "T48: a label nobody asks for, with a misscheduled pod there");
    assert!(tell("disk=ssd", &[], 1), "T48: it matches now");
    assert!(!tell("disk=ssd", &[], 2), "T48: a heartbeat");
    assert!(tell("disk=ssd", &["gpu:NoSchedule"], 2), "T49: a taint");
    assert!(tell("disk=ssd", &[], 2), "T48: the taint is gone");
}

/// T50: a new node wakes each set that is to have a pod there, once, and no other.
#[test]
fn t50_a_new_node_wakes_the_sets_that_want_it() {
    let mut engine = three();
    let mut picky = named("picky", "app=picky");
    picky.template.node_selector = mk::labels("disk=ssd");
    engine.set(picky);
    engine.take_changed();
    engine.node(&mk::node("n1"));
    assert_eq!(changed(&mut engine), ["foo1", "foo2", "foo3"]);
    assert_eq!(changed(&mut engine), [""; 0]);
}

/// T51, T57: a pod that goes wakes its set; a stranger's or nobody's wakes none.
#[test]
fn t51_t57_a_deleted_pod_wakes_its_set_alone() {
    for (pod, expect) in [
        (owned_by("foo1", "app=shared"), vec!["foo1"]),
        (owned_by("stranger", "app=shared"), vec![]),
        (orphan("app=other"), vec![]),
        (orphan("app=other").unbound(), vec![]),
    ] {
        let mut engine = three();
        let gone = pod.key.clone();
        engine.pod(Arc::new(pod));
        engine.take_changed();
        engine.pod_gone(&gone);
        assert_eq!(changed(&mut engine), expect);
    }
}

/// T52, T53, T54: an owned pod wakes its set, at first and whenever it changes; an orphan wakes each set that it matches.
#[test]
fn t52_t53_t54_a_pod_wakes_whom_it_concerns() {
    let mut engine = three();
    for (name, labels) in [("foo1", "app=shared"), ("foo3", "app=foo3")] {
        engine.pod(Arc::new(owned_by(name, labels).with(|pod| pod.key = Key::new("ns", name))));
        assert_eq!(changed(&mut engine), [name], "T52");
        engine.pod(Arc::new(owned_by(name, labels).unready().with(|pod| pod.key = Key::new("ns", name))));
        assert_eq!(changed(&mut engine), [name], "T54");
    }
    engine.pod(Arc::new(orphan("app=shared")));
    assert_eq!(changed(&mut engine), ["foo1", "foo2"], "T53");
}

/// T55, T56: an orphan whose labels come to match wakes both sets; a pod that changes hands wakes the old and the new owner, one
/// that is let go its old owner and whoever matches.
#[test]
fn t55_t56_a_pod_that_changes_hands_wakes_both() {
    let mut engine = three();
    engine.pod(Arc::new(orphan("app=other")));
    assert_eq!(changed(&mut engine), [""; 0], "T55: still nobody's");
    engine.pod(Arc::new(orphan("app=shared")));
    assert_eq!(changed(&mut engine), ["foo1", "foo2"], "T55");
    engine.pod(Arc::new(owned_by("foo2", "app=shared")));
    engine.take_changed();
    engine.pod(Arc::new(owned_by("foo1", "app=shared")));
    assert_eq!(changed(&mut engine), ["foo1", "foo2"], "T56: from foo2 to foo1");
    engine.pod(Arc::new(orphan("app=shared")));
    assert_eq!(changed(&mut engine), ["foo1", "foo2"], "T56: let go");
}

/// T58: pods of the set count where they are meant for, in any phase; others do not, and what has ended and is on its way out
/// counts for the history alone.
#[test]
fn t58_pods_are_grouped_by_node() {
    let set = mk::set();
    let texts = ["n0", "n0 succeeded t5", "n1 failed", "n1 failed terminating t6", "n2 orphan terminating"];
    let mut engine = engine(&set, &nodes(3), &texts);
    engine.pod(Arc::new(pod(9, "n2").with(|pod| {
        pod.owner = Some(
            mk::pod("x", "n2")
                .owner
                .map_or_else(|| unreachable!(), |owner| Owner { uid: Uid::from("stranger"), ..owner }),
        )
    })));
    engine.decide(&set.key, NOW);
    let grouped: Vec<(String, Vec<String>)> = engine
        .view(&set.key, NOW)
        .into_iter()
        .map(|view| (view.node.to_string(), view.pods.iter().map(|pod| pod.name.to_string()).collect()))
        .collect();
    let expect = [("n0", vec!["p00", "p01"]), ("n1", vec!["p02"]), ("n2", vec![])];
    let expect: Vec<(String, Vec<String>)> =
        expect.map(|(node, pods)| (node.to_owned(), pods.into_iter().map(str::to_owned).collect())).into();
    assert_eq!(grouped, expect);

    let mut set = mk::set();
    set.history_limit = 0;
    let finished = pod(0, "n0 old failed terminating");
    let mut old = mk::revision(2, "outdated", 0);
    old.uid = "old".into();
    let deletes = |keeps: bool| {
        let mut engine = super::cases::engine(&set, &nodes(1), &["n0"]);
        engine.revision(Arc::new(old.clone()));
        if keeps {
            engine.pod(Arc::new(finished.clone().with(|pod| pod.key = Key::new("ns", "finished"))));
        }
        let plan = engine.decide(&set.key, NOW);
        plan.steps.iter().filter(|step| matches!(step, Step::DeleteRevision(_))).count()
    };
    assert_eq!((deletes(false), deletes(true)), (1, 0), "R94: a finished pod keeps its revision");
}

/// T79: own revisions and orphans of the namespace are claimed, those of another namespace are not.
#[test]
fn t79_revisions_are_claimed_in_their_namespace() {
    use history::Claim::{Adopt, Ignore, Own, Release};
    let set = mk::set();
    let revision = |edit: &dyn Fn(&mut crate::model::Revision)| {
        let mut revision = mk::revision(1, "h", 1);
        edit(&mut revision);
        history::claim(&set, &revision)
    };
    assert_eq!(revision(&|_| {}), Own);
    assert_eq!(revision(&|revision| revision.owner = None), Adopt);
    let elsewhere = |revision: &mut crate::model::Revision| {
        (revision.owner, revision.key) = (None, Key::new("other", "web-h"));
    };
    assert_eq!(revision(&elsewhere), Ignore);
    assert_eq!(revision(&|revision| revision.labels = mk::labels("app=other")), Release);
}

/// T136, T137, T138: each create is known by its name. A pod that nobody asked for answers for none of them; what is not seen
/// after five minutes is asked for once more under the same name, so that it cannot be made twice.
#[test]
fn t136_t137_t138_what_is_asked_for_is_known_by_name() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(2), &[]);
    let plan = engine.decide(&set.key, NOW);
    assert_eq!(counts(&plan), (2, 0, 0));
    engine.pod(Arc::new(pod(7, "n0 foreign orphan")));
    engine.pod(Arc::new(pod(8, "elsewhere unbound")));
    let early = engine.decide(&set.key, NOW.plus(Millis(PATIENCE.0 - 1)));
    assert_eq!(counts(&early).0, 0, "T136: others are not taken for ours");
    let late = engine.decide(&set.key, NOW.plus(PATIENCE));
    let names = |plan: &Plan| -> BTreeSet<String> {
        let names = plan.steps.iter().filter_map(|step| match step {
            Step::Create { name, .. } => Some(name.to_string()),
            _ => None,
        });
        names.collect()
    };
    assert_eq!(names(&late), names(&plan), "T137: lapsed, and asked for again");
    assert_eq!(counts(&engine.decide(&set.key, NOW.plus(PATIENCE))).0, 0, "T138: the second asking is waited for anew");
}

/// T143, T144: nothing is decided on a view older than the claims that were made: pods and revisions apart, each up to the
/// highest version that was written; a write that changed nothing (T140) is not waited for.
#[test]
fn t143_t144_no_decision_on_a_view_before_our_own_writes() {
    let (set, orphan) = (mk::set(), |serial: usize| pod(serial, "n0 orphan").with(|pod| pod.version = Version(1)));
    for (outcomes, seen, goes_on) in [
        ([Outcome::Done { version: Version(5) }, Outcome::Done { version: Version(10) }], 0, false),
        ([Outcome::Done { version: Version(10) }, Outcome::Done { version: Version(8) }], 9, false),
        ([Outcome::Done { version: Version(10) }, Outcome::Done { version: Version(8) }], 10, true),
        ([Outcome::Done { version: Version(5) }, Outcome::Gone], 15, true),
        ([Outcome::Gone, Outcome::Gone], 0, true),
    ] {
        let mut engine = engine(&set, &nodes(1), &[]);
        engine.pod(Arc::new(orphan(1)));
        engine.pod(Arc::new(orphan(2)));
        let plan = engine.decide(&set.key, NOW);
        assert_eq!(plan.steps.len(), 2, "{plan:?}");
        for (step, outcome) in plan.steps.iter().zip(outcomes) {
            assert_eq!(engine.decide(&set.key, NOW).steps, [], "while one is unanswered");
            engine.settle(&set.key, step, outcome, NOW);
        }
        engine.revisions_seen(Version(99));
        engine.pods_seen(Version(seen));
        assert_eq!(!engine.decide(&set.key, NOW).steps.is_empty(), goes_on, "{outcomes:?} seen {seen}");
    }
}

/// T145, T146: a late answer to an earlier set of the name says nothing to the one there is; answers to a set that is gone are
/// dropped, and other sets keep what they wait for.
#[test]
fn t145_t146_late_answers_do_not_leak() {
    let set = mk::set();
    let mut engine = engine(&set, &nodes(1), &[]);
    let first = engine.decide(&set.key, NOW);
    let (old_step, old_name) = step_of(&first);
    make_anew(&mut engine, &set);
    let second = engine.decide(&set.key, NOW);
    assert_ne!(step_of(&second).1, old_name);
    for outcome in [Outcome::Refused, Outcome::Done { version: Version(3) }, Outcome::Unknown] {
        engine.settle(&set.key, old_step, outcome, NOW);
        assert_eq!(counts(&engine.decide(&set.key, NOW)).0, 0, "T145: its own create is still out");
    }
    engine.settle(&Key::new("ns", "nobody"), old_step, Outcome::Refused, NOW);
    engine.set_gone(&Key::new("ns", "nobody"));
    assert_eq!(counts(&engine.decide(&set.key, NOW)).0, 0, "T146");
    engine.set_gone(&set.key);
    engine.settle(&set.key, old_step, Outcome::Refused, NOW);
    assert_eq!(engine.decide(&set.key, NOW), Plan::default());
}

/// Two sets whose selectors overlap: each keeps to its own pods; an orphan is adopted by one of them, for the server refuses the
/// second, and both are content.
#[test]
fn overlapping_selectors_do_no_harm() {
    let mut engine = three();
    for name in ["foo1", "foo2"] {
        let mut revision = mk::revision(1, &history::hash(1, None), 1);
        (revision.key, revision.uid) = (Key::new("ns", &format!("{name}-h")), format!("{name}-h").into());
        revision.owner = Some(Owner { kind: "DaemonSet".into(), name: name.into(), uid: name.into() });
        revision.labels.extend(mk::labels("app=shared"));
        engine.revision(Arc::new(revision));
        let pod = owned_by(name, "app=shared").hash(&history::hash(1, None));
        engine.pod(Arc::new(pod.with(|pod| (pod.key, pod.uid) = (Key::new("ns", name), name.into()))));
    }
    for name in ["foo1", "foo2"] {
        assert_eq!(counts(&engine.decide(&Key::new("ns", name), NOW)), (0, 0, 0), "{name} leaves the other's alone");
    }
    engine.pod(Arc::new(orphan("app=shared")));
    let adopts = ["foo1", "foo2"].map(|name| {
        let plan = engine.decide(&Key::new("ns", name), NOW);
        assert!(matches!(plan.steps[..], [Step::Adopt(_)]), "{plan:?}");
        plan.steps.into_iter().next()
    });
    for (name, (step, outcome)) in
        ["foo1", "foo2"].into_iter().zip(adopts.into_iter().flatten().zip([Outcome::Gone, Outcome::Refused]))
    {
        engine.settle(&Key::new("ns", name), &step, outcome, NOW);
    }
    engine.pod(Arc::new(owned_by("foo1", "app=shared").hash(&history::hash(1, None)).created(50)));
    let plans = ["foo1", "foo2"].map(|name| engine.decide(&Key::new("ns", name), NOW));
    assert_eq!(plans.map(|plan| counts(&plan)), [(0, 1, 0), (0, 0, 0)], "the duplicate of foo1's goes, foo2 rests");
}

/// Revisions edited by hand: numbers at their ends, labels taken away or doubled: the fleet comes to rest.
#[test]
fn a_history_edited_by_hand_comes_to_rest() {
    for number in [i64::MAX, i64::MIN, -1, 0] {
        let mut world = World::new(&["n0", "n1"], mk::set());
        for template in [1, 2, 3] {
            world.roll_to(template);
            for _ in 0..8 {
                world.round();
                world.kubelets();
            }
        }
        let edited: Vec<_> = world.truth.revisions.values().cloned().collect();
        for (at, mut revision) in edited.into_iter().enumerate() {
            revision.number = if at == 0 { number } else { revision.number };
            if at == 1 {
                revision.labels.remove(HASH_LABEL);
            }
            world.tell(Event::Revision(revision));
        }
        for _ in 0..12 {
            world.round();
            world.kubelets();
            world.now = world.now.plus(Millis::from_secs(1));
        }
        assert_eq!(world.decide().steps, [], "at rest with {number}");
        assert_eq!(world.live().len(), 2);
        world.answer_all(Fate::Done);
        assert_eq!(key(), Key::new("ns", "web"));
    }
}

/// Names of nodes that are good labels and odd hosts: a pod is made for each, of a name of its own.
#[test]
fn odd_node_names_are_names() {
    let set = mk::set();
    let long = format!("{}.{}", "x".repeat(60), "y".repeat(190));
    let names = ["10.0.0.1", "a.b.c", "0", "x--y", long.as_str()];
    let all: Vec<_> = names.iter().map(|name| mk::node(name)).collect();
    let plan = engine(&set, &all, &[]).decide(&set.key, NOW);
    let made: BTreeSet<(&str, &str)> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Create { node, name, .. } => Some((node.as_str(), &**name)),
            _ => None,
        })
        .collect();
    assert_eq!(made.iter().map(|(node, _)| *node).collect::<BTreeSet<_>>(), names.into_iter().collect());
    assert_eq!(made.iter().map(|(_, name)| *name).collect::<BTreeSet<_>>().len(), names.len());
}
