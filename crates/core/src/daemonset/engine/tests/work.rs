//! What an event costs, in cells that are assessed: never more than what it touches (design: work in proportion to what changed).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::daemonset::engine::{Engine, Work};
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{Outcome, Step};
use crate::model::{
    HASH_LABEL, Key, Labels, Millis, Node, NodeCondition, NodeName, Owner, Pod, Revision, Set, Strategy, Version,
};
use crate::selector::LabelSelector;

const NOW: Millis = Millis::from_secs(1000);

fn key(set: usize) -> Key {
    Key::new("ns", &format!("web-{set}"))
}

/// A set that wants nodes with the label `pool`.
fn set(number: usize) -> Set {
    let mut set = mk::set();
    (set.key, set.uid) = (key(number), owner(number).uid);
    set.selector = Some(LabelSelector { labels: mk::labels(&format!("app=web-{number}")), expressions: Vec::new() });
    set.template.node_selector = mk::labels("pool=x");
    set
}

fn owner(set: usize) -> Owner {
    Owner { kind: "DaemonSet".into(), name: key(set).name, uid: format!("set-{set}").into() }
}

fn labels(set: usize, hash: &str) -> Labels {
    mk::labels(&format!("app=web-{set},{HASH_LABEL}={hash}"))
}

fn revision(set: usize) -> Revision {
    let mut revision = mk::revision(1, "old", 1);
    revision.key = Key::new("ns", &format!("web-{set}-1"));
    (revision.owner, revision.labels) = (Some(owner(set)), labels(set, "old"));
    revision
}

fn node(number: usize) -> Node {
    Node { labels: mk::labels("pool=x"), ..mk::node(&format!("n{number}")) }
}

fn node_number(name: &NodeName) -> usize {
    name.as_str()[1..].parse().expect("names of nodes end in their number")
}

fn pod(set: usize, node: usize) -> Pod {
    let pod = mk::pod(&format!("web-{set}-{node}"), &format!("n{node}"));
    Pod { labels: labels(set, "old"), owner: Some(owner(set)), ..pod }
}

/// A fleet at rest: a pod of each set on each node.
fn fleet(nodes: usize, sets: usize) -> Engine {
    let mut engine = Engine::new(1);
    (0..nodes).for_each(|number| engine.node(&node(number)));
    for number in 0..sets {
        engine.set(set(number));
        engine.revision(Arc::new(revision(number)));
        (0..nodes).for_each(|node| engine.pod(Arc::new(pod(number, node))));
    }
    assert_eq!(steps(&mut engine), []);
    engine
}

/// Decides for all that has changed.
fn steps(engine: &mut Engine) -> Vec<Step> {
    let changed = engine.take_changed();
    changed.iter().flat_map(|key| engine.decide(key, NOW).steps).collect()
}

/// Cells assessed and sets judged by an event and the decisions that follow.
fn cost(engine: &mut Engine, event: impl FnOnce(&mut Engine)) -> (u64, u64) {
    let before = engine.work();
    event(engine);
    assert_eq!(steps(engine), []);
    let Work { judged, assessed } = engine.work();
    (assessed - before.assessed, judged - before.judged)
}

/// A heartbeat costs nothing, a pod's event its cell, a node's its cell of each set; the size of the fleet does not matter.
#[test]
fn an_event_costs_what_it_touches() {
    for (nodes, sets) in [(3, 1), (3, 7), (50, 7)] {
        let mut engine = fleet(nodes, sets);
        let all = sets as u64;
        let mut heartbeat = node(1);
        heartbeat.conditions[0].heartbeat = Some(NOW);
        let mut pressed = heartbeat.clone();
        pressed.conditions.push(NodeCondition { kind: "DiskPressure".into(), ..heartbeat.conditions[0].clone() });
        let tainted = Node { taints: vec![mk::taint("gpu:NoSchedule")], ..pressed.clone() };
        let labelled = Node { labels: mk::labels("pool=x,team=blue"), ..tainted.clone() };
        let unready = pod(0, 1).unready();
        let renewed = Pod { version: Version(77), ..unready.clone() };
        for (what, expect, found) in [
            ("heartbeat", (0, 0), cost(&mut engine, |engine| engine.node(&heartbeat))),
            ("another condition", (0, 0), cost(&mut engine, |engine| engine.node(&pressed))),
            ("pod", (1, 0), cost(&mut engine, |engine| engine.pod(Arc::new(unready)))),
            ("pod's version", (0, 0), cost(&mut engine, |engine| engine.pod(Arc::new(renewed)))),
            ("taint", (all, all), cost(&mut engine, |engine| engine.node(&tainted))),
            ("label of no concern", (0, all), cost(&mut engine, |engine| engine.node(&labelled))),
            ("nothing", (0, 0), cost(&mut engine, |_| {})),
        ] {
            assert_eq!(found, expect, "{what}: {nodes} nodes, {sets} sets");
        }
    }
}

/// A node that loses the label which all sets want is looked at once for each, and twice more for what is done about it.
#[test]
fn a_label_costs_its_cells() {
    for nodes in [3, 50] {
        let mut engine = fleet(nodes, 7);
        let before = engine.work();
        engine.node(&mk::node("n1"));
        assert_eq!(steps(&mut engine).len(), 7, "each set takes its pod away");
        let work = engine.work();
        assert_eq!((work.judged - before.judged, work.assessed - before.assessed), (7, 3 * 7));
    }
}

/// The cells assessed in a rollout, per node: the same for a fleet of any size, so that it cannot cost its square.
#[test]
fn a_rollout_costs_its_nodes() {
    for (unavailable, surge) in [(1, 0), (10, 0), (0, 1), (0, 10)] {
        let per_node = [50, 200].map(|nodes| rollout(nodes, mk::rolling(unavailable, surge)) / nodes as u64);
        assert_eq!(per_node[0], per_node[1], "maxUnavailable {unavailable}, maxSurge {surge}");
        assert!(per_node[0] <= 10, "maxUnavailable {unavailable}, maxSurge {surge}: {per_node:?} cells a node");
    }
}

/// Brings template 2 to all nodes, with a decision after every event; the cells assessed for it.
fn rollout(nodes: usize, strategy: Strategy) -> u64 {
    let mut engine = fleet(nodes, 1);
    let before = engine.work().assessed;
    let mut set = set(0);
    (set.template.data, set.strategy, set.generation) = (mk::template(2).data, strategy, 2);
    engine.set(set);
    let mut revision = revision(0);
    (revision.key, revision.uid) = (Key::new("ns", "web-0-2"), "new".into());
    (revision.data, revision.number) = (mk::template(2).data, 2);
    revision.labels.insert(HASH_LABEL.into(), "new".into());
    engine.revision(Arc::new(revision));
    let mut steps = VecDeque::from(steps(&mut engine));
    let mut updated = 0;
    while let Some(step) = steps.pop_front() {
        let versions = [1, 2].map(|at| Version(engine.pods_seen.0 + at));
        engine.settle(&key(0), &step, Outcome::Done { version: versions[0] }, NOW);
        let seen = match &step {
            Step::Create { node, name, .. } => {
                updated += 1;
                let made = mk::pod(name, node.as_str()).hash("new");
                let made = Pod { labels: labels(0, "new"), owner: Some(owner(0)), version: versions[0], ..made };
                [Some(made.clone().unbound().unready()), Some(Pod { version: versions[1], ..made })]
            }
            Step::Delete { pod, node, .. } => {
                let gone = Pod { uid: pod.uid.clone(), ..self::pod(0, node_number(node)) };
                let gone = Pod { key: Key::new("ns", &pod.name), version: versions[0], ..gone };
                [Some(gone.terminating()), None]
            }
            other => panic!("not in a rollout: {other:?}"),
        };
        for (pod, version) in seen.into_iter().zip(versions) {
            match (pod, &step) {
                (Some(pod), _) => engine.pod(Arc::new(pod)),
                (None, Step::Delete { pod, .. }) => engine.pod_gone(&Key::new("ns", &pod.name)),
                (None, _) => {}
            }
            engine.pods_seen(version);
            steps.extend(self::steps(&mut engine));
        }
    }
    assert_eq!(updated, nodes, "the rollout ends");
    engine.work().assessed - before
}
