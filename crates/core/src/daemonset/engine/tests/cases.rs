//! Cases of section 26, one sync each: what is there, how many creates, deletes and remarks follow.

use std::sync::Arc;

use crate::check;
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{Outcome, Plan, Remark, Step};
use crate::daemonset::reference::{self, Snapshot};
use crate::daemonset::{Engine, history};
use crate::model::{GENERATION_LABEL, Key, Millis, Node, Phase, Pod, Revision, Set, Strategy, Tri, Version};
use crate::selector::{NodeOperator, NodeRequirement, NodeSelector, NodeTerm};

pub(super) const NOW: Millis = Millis::from_secs(1000);

/// `n3`, `n3 old`, `n3 failed`, `n3 new unready t50`: a pod on a node, ready and of the present template unless told otherwise.
pub(super) fn pod(serial: usize, text: &str) -> Pod {
    let mut words = text.split(' ');
    let node = words.next().unwrap_or_default();
    let hash = history::hash(1, None);
    let mut pod = mk::pod(&format!("p{serial:02}"), node).hash(&hash).created(i64::try_from(serial).unwrap_or(0));
    for word in words {
        pod = match word {
            "new" => pod.hash(&hash),
            "old" => pod.hash("outdated"),
            "unready" => pod.unready(),
            "failed" => pod.phase(Phase::Failed),
            "succeeded" => pod.phase(Phase::Succeeded),
            "terminating" => pod.terminating(),
            "unbound" => pod.unbound().unready(),
            "foreign" => pod.with(|pod| pod.labels = mk::labels("app=other")),
            "orphan" => pod.with(|pod| pod.owner = None),
            other => match other.split_at(1) {
                ("t", secs) => pod.created(secs.parse().expect("t and seconds")),
                ("r", secs) => {
                    let at = NOW.0 - 1000 * secs.parse::<i64>().expect("r and seconds");
                    pod.with(|pod| pod.ready.since = Some(Millis(at)))
                }
                _ => panic!("what is {other:?}?"),
            },
        };
    }
    pod
}

/// Nodes `n0` … `n<count-1>`.
pub(super) fn nodes(count: usize) -> Vec<Node> {
    (0..count).map(|i| mk::node(&format!("n{i}"))).collect()
}

/// The revision of template 1.
fn current() -> Arc<Revision> {
    Arc::new(mk::revision(1, &history::hash(1, None), 1))
}

/// An engine that has seen the set with the revision of template 1, these nodes and these pods.
pub(super) fn engine(set: &Set, nodes: &[Node], pods: &[&str]) -> Engine {
    let mut engine = Engine::new(1);
    for node in nodes {
        engine.node(node);
    }
    engine.set(set.clone());
    engine.revision(current());
    for (serial, text) in pods.iter().enumerate() {
        engine.pod(Arc::new(pod(serial, text)));
    }
    engine
}

pub(super) fn counts(plan: &Plan) -> (usize, usize, usize) {
    let creates = plan.steps.iter().filter(|step| matches!(step, Step::Create { .. })).count();
    let deletes = plan.steps.iter().filter(|step| matches!(step, Step::Delete { .. })).count();
    (creates, deletes, plan.remarks.len())
}

/// The engine's plan, which is its twin's and breaks no law.
pub(super) fn sync(set: &Set, nodes: &[Node], pods: &[&str]) -> Plan {
    let mut engine = engine(set, nodes, pods);
    let memory = engine.memory(&set.key, NOW);
    let plan = engine.decide(&set.key, NOW);
    let nodes = nodes.iter().map(|node| (node.name.clone(), node.clone())).collect();
    let pods: Vec<Pod> = pods.iter().enumerate().map(|(serial, text)| pod(serial, text)).collect();
    let revisions = [current()];
    let snapshot = Snapshot { set, nodes: &nodes, pods: &pods, revisions: &revisions, now: NOW };
    assert_eq!(reference::bare(&plan), reference::bare(&reference::plan(&snapshot, &memory)), "engine (left) and twin");
    assert_eq!(check::plan(&snapshot, &memory, &plan), [], "{plan:?}");
    plan
}

/// The names of the pods that are to go.
pub(super) fn gone(plan: &Plan) -> Vec<String> {
    let names = plan.steps.iter().filter_map(|step| match step {
        Step::Delete { pod, .. } => Some(pod.name.to_string()),
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

pub(super) fn both() -> [Set; 2] {
    let mut on_delete = mk::set();
    on_delete.strategy = Strategy::OnDelete;
    [mk::set(), on_delete]
}

fn times(count: usize, text: &str) -> impl Iterator<Item = &str> {
    std::iter::repeat_n(text, count)
}

#[test]
fn presence_on_plain_nodes() {
    for (case, count, pods, expect) in [
        ("T3: five nodes", 5, vec![], (5, 0, 0)),
        ("T9: no nodes", 0, vec![], (0, 0, 0)),
        ("T10: one node", 1, vec![], (1, 0, 0)),
        ("T17: it runs already", 1, vec!["n0"], (0, 0, 0)),
        ("T30: a normal pod", 1, vec!["n0"], (0, 0, 0)),
        ("T30: a failed pod; what stands in for it is asked for too", 1, vec!["n0 failed"], (1, 1, 1)),
        ("T30: one failed, three normal", 1, vec!["n0 failed", "n0", "n0", "n0"], (0, 3, 1)),
        ("R58: a succeeded pod", 1, vec!["n0 succeeded"], (1, 1, 1)),
        ("T36: a terminating pod", 1, vec!["n0 terminating"], (0, 0, 0)),
        ("R56: terminating, but finished", 1, vec!["n0 failed terminating"], (1, 0, 0)),
        ("T38: missing nodes, one pod unbound", 0, vec!["gone unbound", "gone"], (0, 1, 0)),
        ("T134: an unbound older pod beside a bound one", 1, vec!["n0 unbound t1", "n0 t9"], (0, 1, 0)),
    ] {
        for set in both() {
            assert_eq!(counts(&sync(&set, &nodes(count), &pods)), expect, "{case} {:?}", set.strategy);
        }
    }
}

/// T20: one, two, five and two mislabelled pods; the mislabelled ones are released first, then the rest is done.
#[test]
fn duplicates_are_pruned_and_strangers_released() {
    let mut pods = vec!["n1"];
    pods.extend(times(2, "n2"));
    pods.extend(times(5, "n3"));
    for set in both() {
        assert_eq!(counts(&sync(&set, &nodes(5), &pods)), (2, 5, 0));
        pods.extend(times(2, "n4 foreign"));
        let plan = sync(&set, &nodes(5), &pods);
        assert_eq!(plan.steps.len(), 2);
        assert!(plan.steps.iter().all(|step| matches!(step, Step::Release(_))), "{plan:?}");
        pods.truncate(8);
    }
    // R62: the older of two is kept.
    assert_eq!(gone(&sync(&mk::set(), &nodes(3), &["n2 t50", "n2 t40"])), ["p00"]);
}

/// T21, T22, T24, T27: only nodes that match; elsewhere all pods go at once.
#[test]
fn only_matching_nodes_count() {
    let mut labelled = nodes(10);
    for node in &mut labelled[5..] {
        node.labels = mk::labels("disk=ssd");
    }
    let mut set = mk::set();
    set.template.node_selector = mk::labels("disk=ssd");
    assert_eq!(counts(&sync(&set, &labelled, &[])), (5, 0, 0), "T22 without pods");
    assert_eq!(counts(&sync(&set, &labelled, &["n1", "n1", "n1", "n4"])), (5, 4, 0), "T22");
    let mut pods = vec!["n0"];
    pods.extend(times(3, "n1"));
    pods.extend(times(4, "n2"));
    pods.extend(times(13, "n6"));
    pods.push("n9");
    assert_eq!(counts(&sync(&set, &labelled, &pods)), (3, 20, 0), "T23");
    set.template.node_selector = mk::labels("disk=none");
    assert_eq!(counts(&sync(&set, &labelled, &[])), (0, 0, 0), "T24");
    set.template.node_selector.clear();
    let requirement =
        NodeRequirement { key: "disk".into(), operator: NodeOperator::In, values: vec!["ssd".into(), "nvme".into()] };
    let term = NodeTerm { expressions: vec![requirement], fields: vec![] };
    set.template.required = Some(NodeSelector { terms: vec![term] });
    assert_eq!(counts(&sync(&set, &labelled, &[])), (5, 0, 0), "T27");
}

/// T25, T26
#[test]
fn a_node_name_in_the_template() {
    let mut set = mk::set();
    set.template.node_name = Some("n0".into());
    assert_eq!(counts(&sync(&set, &nodes(2), &[])), (1, 0, 0));
    set.template.node_name = Some("missing".into());
    assert_eq!(counts(&sync(&set, &nodes(2), &[])), (0, 0, 0));
    set.template.node_name = Some("n0".into());
    set.template.node_selector = mk::labels("color=blue");
    assert_eq!(counts(&sync(&set, &nodes(2), &[])), (0, 0, 0));
}

/// T32–T35, T37, R46
#[test]
fn taints_decide() {
    for (taint, pods, expect) in [
        ("T32 gpu:NoSchedule", vec!["n0"], (0, 0, 0)),
        ("T33 gpu:NoExecute", vec!["n0"], (0, 1, 0)),
        ("T34 gpu:NoSchedule", vec![], (0, 0, 0)),
        ("T35 node.kubernetes.io/not-ready:NoExecute", vec![], (1, 0, 0)),
        ("T35 node.kubernetes.io/unreachable:NoExecute", vec![], (1, 0, 0)),
        ("T37 node.kubernetes.io/disk-pressure:NoSchedule", vec![], (1, 0, 0)),
        ("T37 node.kubernetes.io/memory-pressure:NoSchedule", vec![], (1, 0, 0)),
        ("T37 node.kubernetes.io/pid-pressure:NoSchedule", vec![], (1, 0, 0)),
        ("R47 node.kubernetes.io/unschedulable:NoSchedule", vec![], (1, 0, 0)),
        ("R47 node.kubernetes.io/network-unavailable:NoSchedule", vec![], (0, 0, 0)),
        ("R46 node.kubernetes.io/not-ready:NoSchedule", vec![], (0, 0, 0)),
        ("R43 gpu:PreferNoSchedule", vec![], (1, 0, 0)),
    ] {
        let mut node = mk::node("n0");
        node.taints.push(mk::taint(taint.split_once(' ').expect("a case and a taint").1));
        for set in both() {
            assert_eq!(counts(&sync(&set, std::slice::from_ref(&node), &pods)), expect, "{taint}");
        }
    }
    let mut node = mk::node("n0");
    node.taints.push(mk::taint("node.kubernetes.io/network-unavailable:NoSchedule"));
    let mut set = mk::set();
    set.template.host_network = true;
    assert_eq!(counts(&sync(&set, &[node], &[])), (1, 0, 0), "R47: tolerated on the host's network");
}

/// T11–T14, T18, R43: readiness, a network that is not there, resources and ports are for the scheduler and the kubelet to judge.
#[test]
fn t11_t12_t14_t18_what_is_not_looked_at() {
    let with = |kind: &str, status: Tri| {
        let mut node = mk::node("n0");
        node.conditions[0].kind = kind.into();
        node.conditions[0].status = status;
        node
    };
    let mut small = mk::node("n0");
    small.allocatable.0.insert("cpu".to_owned(), 0);
    for (case, node, pods) in [
        ("T11: not ready", with("Ready", Tri::False), vec![]),
        ("T12: too small, and in use", small, vec!["n0 foreign orphan"]),
        ("T14: no network", with("NetworkUnavailable", Tri::True), vec![]),
        ("T18: another's pod there", mk::node("n0"), vec!["n0 foreign orphan"]),
    ] {
        for set in both() {
            assert_eq!(counts(&sync(&set, std::slice::from_ref(&node), &pods)), (1, 0, 0), "{case}");
        }
    }
    let mut pair = nodes(2);
    pair[1].labels = mk::labels("size=large");
    for mut set in both() {
        set.template.node_selector = mk::labels("size=large");
        assert_eq!(counts(&sync(&set, &pair, &[])), (1, 0, 0), "T13");
    }
}

/// T15, T19
#[test]
fn nothing_for_a_terminating_or_all_selecting_set() {
    let mut set = mk::set();
    set.terminating = true;
    assert_eq!(sync(&set, &nodes(1), &[]), Plan::default());
    let mut set = mk::set();
    set.selector = Some(crate::selector::LabelSelector::default());
    let plan = sync(&set, &nodes(1), &["n0 foreign orphan"]);
    assert_eq!((counts(&plan), &plan.remarks[..]), ((0, 0, 1), &[Remark::SelectingAll][..]));
}

/// The pod that ended is gone, the one that stands in for it was made, and has ended too.
fn end_again(engine: &mut Engine, plan: &Plan, old: &str, text: &str) -> String {
    let made = plan.steps.iter().find_map(|step| match step {
        Step::Create { name, failures, .. } => Some((step, name.to_string(), *failures)),
        _ => None,
    });
    let (step, name, failures) = made.expect("a pod is made");
    engine.pod_gone(&Key::new("ns", old));
    let mut new = pod(1, text);
    (new.key, new.uid, new.failures) = (Key::new("ns", &name), name.as_str().into(), failures);
    engine.pod(Arc::new(new));
    engine.settle(&Key::new("ns", "web"), step, Outcome::Done { version: Version(0) }, NOW);
    name
}

/// T31, R201: a pod that ended, well or badly, is not taken away again before its delay is over, with or without surge (T130,
/// R189), and the one that stands in for it carries the count.
#[test]
fn pods_that_end_wait() {
    let [rolling, on_delete] = both();
    for (set, ended) in [(rolling, "n0 failed"), (on_delete, "n0 succeeded"), (surging(1), "n0 failed")] {
        let mut engine = engine(&set, &nodes(1), &[ended]);
        let first = engine.decide(&set.key, NOW);
        assert_eq!(counts(&first), (1, 1, 1));
        let Step::Create { failures: 1, .. } = first.steps[0] else { panic!("made first, with the count: {first:?}") };
        let name = end_again(&mut engine, &first, "p00", ended);
        let early = engine.decide(&set.key, NOW.plus(Millis(999)));
        assert_eq!(counts(&early), (0, 0, 0));
        assert_eq!(early.wake_at, Some(NOW.plus(Millis(1000))), "R59: looks again when the delay is over");
        let second = engine.decide(&set.key, NOW.plus(Millis(1000)));
        assert_eq!(counts(&second), (1, 1, 1));
        end_again(&mut engine, &second, &name, ended);
        assert_eq!(counts(&engine.decide(&set.key, NOW.plus(Millis(2999)))), (0, 0, 0), "the delay has doubled");
        assert_eq!(counts(&engine.decide(&set.key, NOW.plus(Millis(3000)))), (1, 1, 1));
    }
}

pub(super) fn surging(max_surge: i32) -> Set {
    let mut set = mk::set();
    set.strategy = mk::rolling(0, max_surge);
    set
}

/// T59–T63, R60, R64.
#[test]
fn presence_with_surge() {
    let mut many = vec!["n1"];
    many.extend(times(2, "n2"));
    many.extend(times(5, "n3"));
    assert_eq!(counts(&sync(&surging(1), &nodes(5), &many)), (2, 5, 0), "T59");
    let set = surging(1);
    let plan = sync(&set, &nodes(5), &["n1 new unready", "n1 old t50", "n1 old t60", "n2 new"]);
    assert_eq!((counts(&plan), gone(&plan)), ((3, 1, 0), vec!["p02".to_owned()]), "T60");
    let plan = sync(&set, &nodes(5), &["n0 unready", "n0 old", "n1 old", "n2 old", "n3 old", "n4 old terminating"]);
    assert_eq!(counts(&plan), (1, 0, 0), "T61");
    let plan = sync(&set, &nodes(5), &["n1 unready", "n1 old unready t50", "n1 old t60", "n2 new"]);
    assert_eq!((counts(&plan), gone(&plan)), ((3, 2, 0), vec!["p01".to_owned(), "p02".to_owned()]), "T62");
    let mut patient = surging(1);
    patient.min_ready_seconds = 15;
    let plan = sync(&patient, &nodes(1), &["n0 new r10", "n0 old t50", "n0 old t60"]);
    assert_eq!(gone(&plan), ["p02"], "T63 after 10 s");
    let plan = sync(&patient, &nodes(1), &["n0 new r20", "n0 old t50", "n0 old t60"]);
    assert_eq!(gone(&plan), ["p01", "p02"], "T63 after 20 s");
    assert_eq!(counts(&sync(&set, &nodes(1), &["n0 terminating"])), (1, 0, 0), "R60");
}

/// T28, T29, R110–R112
#[test]
fn status_counts() {
    let set = mk::set();
    for (pods, expect) in [
        (vec![], (3, 0, 0, 0, 0, 0)),
        (vec!["n0 unready", "n1 unready"], (3, 2, 0, 0, 2, 0)),
        (vec!["n0", "n1 old", "n2 terminating"], (3, 3, 3, 3, 2, 0)),
        (vec!["n0 old", "n0 new t5"], (3, 1, 1, 1, 0, 0)),
        (vec!["gone"], (3, 0, 0, 0, 0, 0)),
    ] {
        let status = sync(&set, &nodes(3), &pods).status.expect("it differs from none");
        let got = (status.desired, status.current, status.ready, status.available, status.updated, status.misscheduled);
        assert_eq!(got, expect, "{pods:?}");
        assert_eq!((status.unavailable, status.observed_generation), (3 - status.available, 1));
    }
    let mut tainted = nodes(1);
    tainted[0].taints.push(mk::taint("gpu:NoSchedule"));
    let status = sync(&set, &tainted, &["n0"]).status.expect("it differs from none");
    assert_eq!((status.desired, status.misscheduled), (0, 1), "R43: kept, and counted as misscheduled");
    let mut same = mk::set();
    same.status = status;
    assert_eq!(sync(&same, &tainted, &["n0"]).status, None, "R112: nothing to write");
}

/// T80, R96: either label makes a pod an updated one.
#[test]
fn either_label_makes_a_pod_updated() {
    for (hash, generation, expect) in [(true, true, 1), (false, true, 1), (true, false, 1), (false, false, 0)] {
        let set = mk::set();
        let mut engine = engine(&set, &nodes(1), &[]);
        let mut pod = mk::pod("p", "n0");
        if hash {
            pod = pod.hash(&history::hash(1, None));
        }
        pod.labels.insert(GENERATION_LABEL.into(), if generation { "1" } else { "0" }.into());
        engine.pod(Arc::new(pod));
        let status = engine.decide(&set.key, NOW).status.expect("it differs from none");
        assert_eq!(status.updated, expect, "hash {hash}, generation {generation}");
    }
}
