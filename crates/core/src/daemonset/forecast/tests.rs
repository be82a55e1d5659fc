//! The engine played forward: which nodes, in which order, and how long.

use super::*;
use crate::daemonset::engine::Blocker;
use crate::daemonset::history;
use crate::daemonset::mk::{self, PodExt as _};
use crate::model::{IntOrPercent, Strategy, Tri};

const NOW: Millis = Millis::from_secs(100_000);
const PACE: Pace = Pace { start: Millis::from_secs(5), stop: Millis::from_secs(30) };

/// Nodes `n0`, `n1`, …, each with a pod of template 1; the set has template 2 and this strategy.
struct Fleet {
    set: Set,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    revisions: Vec<Revision>,
}

impl Fleet {
    fn new(count: usize, strategy: Strategy) -> Self {
        let old = history::hash(1, None);
        let names: Vec<String> = (0..count).map(|at| format!("n{at:03}")).collect();
        let mut set = mk::set();
        set.template = mk::template(2);
        set.template_generation = Some(2);
        set.generation = 2;
        set.strategy = strategy;
        Self {
            set,
            nodes: names.iter().map(|name| mk::node(name)).collect(),
            pods: names.iter().map(|name| mk::pod(&format!("p-{name}"), name).hash(&old)).collect(),
            revisions: vec![mk::revision(1, &old, 1)],
        }
    }

    fn play(&self) -> Forecast {
        let scene = Scene { set: &self.set, revisions: &self.revisions, nodes: &self.nodes, pods: &self.pods };
        play(&scene, PACE, NOW)
    }
}

/// `0s n000 n001 | 35s n002`
fn order(forecast: &Forecast) -> String {
    let wave = |wave: &Wave| {
        let nodes = wave.nodes.iter().map(|(node, _)| node.to_string());
        [format!("{}s", wave.at.0 / 1000)].into_iter().chain(nodes).collect::<Vec<_>>().join(" ")
    };
    forecast.waves.iter().map(wave).collect::<Vec<_>>().join(" | ")
}

fn surge(surge: IntOrPercent) -> Strategy {
    Strategy::RollingUpdate { max_unavailable: Some(IntOrPercent::Int(0)), max_surge: Some(surge) }
}

#[test]
fn a_rollout_goes_in_waves_of_its_budget() {
    for (strategy, expect, takes) in [
        (mk::rolling(1, 0), "0s n000 | 35s n001 | 70s n002", 105),
        (mk::rolling(2, 0), "0s n000 n001 | 35s n002", 70),
        (mk::rolling(9, 0), "0s n000 n001 n002", 35),
        // The new pod comes first; the old one is on its way out while the next node's turn has come.
        (surge(IntOrPercent::Int(1)), "0s n000 | 5s n001 | 10s n002", 45),
    ] {
        let forecast = Fleet::new(3, strategy).play();
        assert_eq!(order(&forecast), expect, "{strategy:?}");
        assert_eq!(forecast.takes, Millis::from_secs(takes), "{strategy:?}");
        assert_eq!(forecast.count(Change::Replaced), 3);
        assert_eq!(forecast.left, []);
        assert_eq!((forecast.before.updated, forecast.after.updated), (0, 3));
    }
}

#[test]
fn ready_pods_count_once_they_are_old_enough() {
    let mut fleet = Fleet::new(2, mk::rolling(1, 0));
    fleet.set.min_ready_seconds = 10;
    let forecast = fleet.play();
    assert_eq!(order(&forecast), "0s n000 | 45s n001");
    assert_eq!(forecast.takes, Millis::from_secs(90));
}

#[test]
fn a_new_set_comes_at_once_where_it_may() {
    let mut fleet = Fleet::new(4, mk::rolling(1, 0));
    fleet.pods.clear();
    fleet.revisions.clear();
    fleet.nodes[2].taints.push(mk::taint("gpu:NoSchedule"));
    let forecast = fleet.play();
    assert_eq!(order(&forecast), "0s n000 n001 n003");
    assert_eq!((forecast.count(Change::Gets), forecast.takes), (3, PACE.start));
    assert_eq!(forecast.before.desired, 3);
}

#[test]
fn a_selector_moves_pods() {
    let mut fleet = Fleet::new(3, mk::rolling(1, 0));
    fleet.set.template.node_selector = mk::labels("disk=ssd");
    fleet.nodes[1].labels = mk::labels("disk=ssd");
    fleet.nodes.push(mk::node("n003"));
    fleet.nodes[3].labels = mk::labels("disk=ssd");
    let forecast = fleet.play();
    assert_eq!(forecast.count(Change::Loses), 2);
    assert_eq!(forecast.count(Change::Gets), 1);
    assert_eq!(forecast.count(Change::Replaced), 1);
    // n003 lacks a pod until it is there, and pods on their way out use the budget too (R102).
    assert_eq!(order(&forecast), "0s n000 n002 n003 | 30s n001");
    assert_eq!(forecast.left, []);
}

#[test]
fn a_node_that_is_not_ready_uses_the_budget_up() {
    let mut fleet = Fleet::new(3, mk::rolling(1, 0));
    fleet.nodes[1].conditions[0].status = Tri::Unknown;
    fleet.pods[1] = fleet.pods[1].clone().unready();
    let forecast = fleet.play();
    // Its old pod is of no use, so it is asked to go; but nobody is there to stop it, and the others wait.
    assert_eq!(order(&forecast), "0s n001");
    assert_eq!(forecast.spent.unavailable, 1);
    let left: Vec<_> = forecast.left.iter().map(|view| (view.node.as_str(), view.blocker.clone())).collect();
    assert_eq!(
        left,
        [("n000", Some(Blocker::Budget)), ("n001", Some(Blocker::Terminating)), ("n002", Some(Blocker::Budget))]
    );
}

#[test]
fn nothing_happens_where_all_is_well_or_nobody_acts() {
    let mut same = Fleet::new(3, mk::rolling(1, 0));
    same.set.template = mk::template(1);
    assert!(same.play().is_still());
    assert_eq!(same.play().takes, Millis(0));
    let waiting = Fleet::new(3, Strategy::OnDelete).play();
    assert!(waiting.is_still());
    assert_eq!(waiting.left.len(), 3);
    assert!(waiting.left.iter().all(|view| view.blocker == Some(Blocker::OnDelete)));
    let mut all = Fleet::new(3, mk::rolling(1, 0));
    all.set.selector = Some(crate::selector::LabelSelector::default());
    assert!(all.play().is_still(), "an empty selector selects nothing (R38)");
}

#[test]
fn what_is_under_way_goes_on() {
    let mut fleet = Fleet::new(2, mk::rolling(1, 0));
    let new = history::hash(2, None);
    fleet.revisions.push(mk::revision(2, &new, 2));
    let young = fleet.pods[0].clone().hash(&new).unready();
    fleet.pods[0] = young.with(|pod| pod.created = NOW.since(Millis::from_secs(2)));
    let forecast = fleet.play();
    assert_eq!(order(&forecast), "3s n001", "the young pod is awaited, then the other one goes");
    assert_eq!(forecast.takes, Millis::from_secs(38));
}

#[test]
fn selectors_with_expressions_find_the_pods_that_are_made() {
    let mut fleet = Fleet::new(3, mk::rolling(1, 0));
    fleet.pods.clear();
    fleet.set.selector.as_mut().expect("it has one").expressions.push(crate::selector::Requirement {
        key: "tier".to_owned(),
        operator: crate::selector::Operator::In,
        values: vec!["node".to_owned()],
    });
    assert_eq!(fleet.play().count(Change::Gets), 3);
    assert_eq!(fleet.play().left, []);
}

#[test]
fn revisions_with_the_same_hash_are_told_apart() {
    let mut fleet = Fleet::new(1, mk::rolling(1, 0));
    let mut other = mk::revision(7, &history::hash(2, None), 1);
    other.owner = Some(crate::model::Owner { kind: "DaemonSet".into(), name: "x".into(), uid: "other".into() });
    fleet.revisions.push(other);
    let forecast = fleet.play();
    assert_eq!(forecast.hash.as_deref(), Some(&*history::hash(2, Some(1))));
    assert_eq!(forecast.left, []);
}

/// The play costs in proportion to the pods that move, also with a budget of one.
#[test]
fn a_long_rollout_is_played_to_its_end() {
    let forecast = Fleet::new(600, mk::rolling(1, 0)).play();
    assert!(!forecast.is_cut);
    assert_eq!(forecast.waves.len(), 600);
    assert_eq!(forecast.takes, Millis::from_secs(600 * 35));
}

#[test]
fn starts_are_ranked_and_outages_do_not_count() {
    let pod = |secs: i64| {
        mk::pod("p", "n").with(|pod| {
            pod.created = NOW;
            pod.ready.since = Some(NOW.plus(Millis::from_secs(secs)));
        })
    };
    let pods: Vec<Pod> = (1..=10).map(pod).chain([pod(-1), pod(40_000), pod(3).unready()]).collect();
    let starts = Starts::of(pods.iter()).expect("there are some");
    assert_eq!(starts, Starts { pods: 10, median: Millis::from_secs(5), p90: Millis::from_secs(9) });
    assert_eq!(Starts::of([].iter()), None);
    assert_eq!(Starts::of([pod(2)].iter()).map(|starts| starts.p90), Some(Millis::from_secs(2)));
}
