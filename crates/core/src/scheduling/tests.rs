//! Tables for placing pods: filters, words, preemption, the ledger and the queue (spec/daemonset.md §20).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::model::{Deletion, HostPort, Key, Millis, Node, NodeName, Phase, Pin, Pod, Ready, Scheduling, Uid, Version};
use crate::selector::{
    Effect, NodeOperator, NodeRequirement, NodeSelector, NodeTerm, Resources, Taint, Toleration, TolerationOperator,
};

fn resources(text: &str) -> Resources {
    Resources(
        text.split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, amount)| (name.to_owned(), amount.parse().unwrap_or_default()))
            .collect(),
    )
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        uid: name.into(),
        version: Version(1),
        created: Millis(0),
        labels: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: resources("cpu=1000,memory=1000,pods=3"),
        conditions: Vec::new(),
    }
}

pub(crate) fn pod(name: &str, scheduling: Scheduling) -> Pod {
    Pod {
        key: Key::new("ns", name),
        uid: name.into(),
        version: Version(1),
        created: Millis(0),
        deletion: None,
        labels: BTreeMap::new(),
        owner: None,
        node: None,
        pin: Pin::None,
        phase: Phase::Pending,
        ready: Ready::default(),
        failures: 0,
        finalized: false,
        scheduling: Arc::new(scheduling),
    }
}

fn wants(requests: &str) -> Scheduling {
    Scheduling { scheduler: DEFAULT_SCHEDULER.to_owned(), requests: resources(requests), ..Scheduling::default() }
}

fn pinned(name: &str, to: &str, scheduling: Scheduling) -> Pod {
    Pod { pin: Pin::To(to.into()), ..pod(name, scheduling) }
}

fn bound(name: &str, to: &str, scheduling: Scheduling) -> Pod {
    Pod { node: Some(to.into()), ..pod(name, scheduling) }
}

fn port(text: &str) -> HostPort {
    let mut parts = text.split('/');
    let mut next = || parts.next().unwrap_or_default();
    HostPort { protocol: next().into(), ip: next().into(), port: next().parse().unwrap_or_default() }
}

fn ledger(nodes: Vec<Node>) -> Ledger {
    let mut ledger = Ledger::default();
    for node in nodes {
        ledger.node_is(Arc::new(node));
    }
    ledger
}

fn three() -> Ledger {
    ledger(vec![node("a"), node("b"), node("c")])
}

/// The node, or the message.
fn outcome(ledger: &Ledger, pod: &Pod) -> String {
    match ledger.place(pod) {
        Placement::On(node) => node.to_string(),
        Placement::Nowhere(refusal) => match ledger.preempt(pod, &refusal) {
            Preemption::Evict(victims) => {
                let names: Vec<&str> = victims.pods.iter().map(|(uid, _)| uid.as_str()).collect();
                format!("evict {} on {}", names.join(","), victims.node)
            }
            Preemption::No(words) => refusal.message(&words),
        },
    }
}

const NOT_HELPFUL: &str =
    "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";

/// R135–R138, A518, A519, A-T176.
#[test]
fn a_pinned_pod_goes_to_its_node_or_says_why_not() {
    let taint = |effect| Taint { key: "k".into(), value: String::new(), effect, added: None };
    let all = Toleration { operator: TolerationOperator::Exists, ..Toleration::default() };
    let skipped = "2 node(s) didn't satisfy plugin(s) [NodeAffinity]";
    for (change, scheduling, expect) in [
        (node("a"), wants(""), "a".to_owned()),
        (
            Node { taints: vec![taint(Effect::NoSchedule)], ..node("a") },
            wants(""),
            format!("0/3 nodes are available: 1 node(s) had untolerated taint(s), {skipped}. {NOT_HELPFUL}"),
        ),
        (
            Node { taints: vec![taint(Effect::NoExecute)], ..node("a") },
            Scheduling { tolerations: vec![all.clone()], ..wants("") },
            "a".to_owned(),
        ),
        (Node { taints: vec![taint(Effect::PreferNoSchedule)], ..node("a") }, wants(""), "a".to_owned()),
        (
            Node { unschedulable: true, ..node("a") },
            wants(""),
            format!("0/3 nodes are available: 1 node(s) were unschedulable, {skipped}. {NOT_HELPFUL}"),
        ),
        (Node { unschedulable: true, ..node("a") }, Scheduling { tolerations: vec![all], ..wants("") }, "a".to_owned()),
        (
            node("a"),
            Scheduling { node_selector: BTreeMap::from([("disk".into(), "hdd".into())]), ..wants("") },
            format!(
                "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, {skipped}. {NOT_HELPFUL}"
            ),
        ),
        (
            node("a"),
            wants("cpu=1001,gpu=1"),
            format!("0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient gpu, {skipped}. {NOT_HELPFUL}"),
        ),
        (
            Node { allocatable: resources("cpu=1000,memory=1000,pods=0"), ..node("a") },
            wants("cpu=1"),
            format!("0/3 nodes are available: 1 Too many pods, {skipped}. {NOT_HELPFUL}"),
        ),
    ] {
        let ledger = ledger(vec![change, node("b"), node("c")]);
        assert_eq!(outcome(&ledger, &pinned("p", "a", scheduling)), expect);
    }
}

#[test]
fn a_pinned_node_that_does_not_exist_and_no_node_at_all() {
    let gone = pinned("p", "z", wants(""));
    assert_eq!(
        outcome(&three(), &gone),
        format!("0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. {NOT_HELPFUL}")
    );
    assert_eq!(outcome(&Ledger::default(), &gone), "no nodes available to schedule pods");
}

/// R135: several terms that name nodes make a union; inside a term the names are intersected.
#[test]
fn terms_that_name_nodes_limit_the_search() {
    let field = |values: &[&str]| NodeRequirement {
        key: "metadata.name".into(),
        operator: NodeOperator::In,
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    for (fields, expect) in [
        (vec![vec![field(&["b"])]], "b".to_owned()),
        (vec![vec![field(&["c"])], vec![field(&["b"])]], "b".to_owned()),
        (
            vec![vec![field(&["a"]), field(&["b"])]],
            format!("0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. {NOT_HELPFUL}"),
        ),
    ] {
        let terms = fields.into_iter().map(|fields| NodeTerm { fields, ..NodeTerm::default() }).collect();
        let pod = pod("p", Scheduling { required: Some(NodeSelector { terms }), ..wants("") });
        assert_eq!(outcome(&three(), &pod), expect);
    }
}

/// R137.
#[test]
fn host_ports_conflict_by_protocol_port_and_address() {
    for (taken, wanted, fits) in [
        ("TCP//80", "TCP//80", false),
        ("TCP//80", "UDP//80", true),
        ("TCP//80", "TCP//81", true),
        ("TCP/1.2.3.4/80", "TCP/0.0.0.0/80", false),
        ("TCP/0.0.0.0/80", "TCP/1.2.3.4/80", false),
        ("TCP/1.2.3.4/80", "TCP/1.2.3.5/80", true),
        ("TCP/1.2.3.4/80", "TCP/1.2.3.4/80", false),
    ] {
        let with = |text| Scheduling { host_ports: vec![port(text)], ..wants("") };
        let mut ledger = three();
        ledger.pod_is(&bound("old", "a", with(taken)));
        let got = outcome(&ledger, &pinned("new", "a", with(wanted)));
        if fits {
            assert_eq!(got, "a", "{taken} {wanted}");
        } else {
            assert_eq!(
                got,
                "0/3 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. no new claims to deallocate, preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
            );
        }
    }
}

/// Room is counted while pods come, end and go; a terminal pod takes none.
#[test]
fn the_ledger_follows_pods() {
    let mut ledger = three();
    let first = pinned("first", "a", wants("cpu=600"));
    let second = pinned("second", "a", wants("cpu=600"));
    assert_eq!(ledger.assume(&first, &"a".into()), None);
    assert!(outcome(&ledger, &second).starts_with("0/3 nodes are available: 1 Insufficient cpu"));
    assert_eq!(ledger.pod_is(&first), None, "an event from before the binding does not undo it");
    assert!(outcome(&ledger, &second).starts_with("0/3"));
    let running = Pod { node: Some("a".into()), ..first.clone() };
    ledger.pod_is(&running);
    assert!(outcome(&ledger, &second).starts_with("0/3"));
    assert_eq!(ledger.pod_is(&Pod { phase: Phase::Failed, ..running.clone() }), Some("a".into()));
    assert_eq!(outcome(&ledger, &second), "a");
    ledger.pod_is(&running);
    assert_eq!(ledger.pod_gone(&running.uid), Some("a".into()));
    assert_eq!(outcome(&ledger, &second), "a");
    ledger.node_gone(&"a".into());
    assert!(outcome(&ledger, &second).starts_with("0/2 nodes are available: 2 node(s) didn't satisfy"));
}

/// A519b: plain pods spread.
#[test]
fn plain_pods_spread() {
    let mut ledger = three();
    let mut got = Vec::new();
    for name in ["1", "2", "3", "4"] {
        let pod = pod(name, wants("cpu=100"));
        if let Placement::On(node) = ledger.place(&pod) {
            ledger.assume(&pod, &node);
            got.push(node.to_string());
        }
    }
    assert_eq!(got, ["a", "b", "c", "a"]);
}

/// R139, A-T177: the least important pods that suffice, on the pinned node only.
#[test]
fn a_critical_pod_preempts_on_its_own_node() {
    let with = |priority, requests| Scheduling { priority, ..wants(requests) };
    let mut ledger = three();
    for (name, at, priority) in [("low", "a", 1), ("lower", "a", 0), ("other", "b", 0)] {
        ledger.pod_is(&bound(name, at, with(priority, "cpu=400")));
    }
    let critical = pinned("critical", "a", with(2_000_001_000, "cpu=500"));
    assert_eq!(outcome(&ledger, &critical), "evict lower on a");
    assert_eq!(outcome(&ledger, &pinned("big", "a", with(9, "cpu=900"))), "evict low,lower on a");
    let never = Scheduling { never_preempts: true, ..with(9, "cpu=900") };
    assert!(
        outcome(&ledger, &pinned("never", "a", never))
            .ends_with("preemption: not eligible due to preemptionPolicy=Never.")
    );
    // While the victim leaves, its room is kept for the preemptor, and nobody else is asked to go.
    ledger.nominate(&critical, &"a".into());
    let leaving = Deletion { at: Millis(9), grace: Millis(9) };
    ledger.pod_is(&Pod { deletion: Some(leaving), ..bound("lower", "a", with(0, "cpu=400")) });
    assert!(outcome(&ledger, &critical).ends_with("not eligible due to a terminating pod on the nominated node."));
    ledger.pod_gone(&Uid::from("lower"));
    assert!(outcome(&ledger, &pinned("thief", "a", with(0, "cpu=200"))).starts_with("0/3"));
    assert_eq!(outcome(&ledger, &critical), "a");
}

/// R138: who is tried when.
#[test]
fn the_queue_wakes_those_whom_a_change_may_help() {
    let mut queue = Queue::default();
    let now = Millis(0);
    let low = pinned("low", "a", wants(""));
    let plain = pod("plain", wants(""));
    let high = pinned("high", "b", Scheduling { priority: 5, ..wants("") });
    for pod in [&low, &plain, &high, &low] {
        queue.add(pod);
    }
    let mut order = Vec::new();
    while let Some(uid) = queue.next(now) {
        order.push(uid.to_string());
        queue.park(&uid, now);
    }
    assert_eq!(order, ["high", "low", "plain"]);
    queue.wake(&NodeName::from("a"), now);
    assert_eq!(queue.next(now), Some("low".into()), "pinned there: at once");
    assert_eq!(queue.next(now), None, "the plain pod waits out its back-off");
    assert_eq!(queue.wake_at(), Some(Millis(1000)));
    assert_eq!(queue.next(Millis(1000)), Some("plain".into()));
    queue.park(&"plain".into(), Millis(1000));
    queue.wake(&NodeName::from("c"), Millis(1000));
    assert_eq!(queue.wake_at(), Some(Millis(3000)), "the second back-off is twice the first");
    queue.remove(&"plain".into());
    assert_eq!(queue.wake_at(), Some(Millis(300_000)), "the parked pod is tried again after five minutes");
    assert_eq!(queue.next(Millis(300_000)), Some("high".into()));
    for uid in ["low", "high"] {
        queue.remove(&uid.into());
    }
    assert!(queue.is_empty() && queue.wake_at().is_none());
}

/// A516, A-T178.
#[test]
fn whose_pods_are_ours() {
    for (pod, ours) in [
        (pod("p", wants("")), true),
        (pod("p", Scheduling { gated: true, ..wants("") }), false),
        (pod("p", Scheduling { scheduler: "other".into(), ..wants("") }), false),
        (bound("p", "a", wants("")), false),
        (Pod { phase: Phase::Failed, ..pod("p", wants("")) }, false),
        (Pod { deletion: Some(Deletion { at: Millis(1), grace: Millis(1) }), ..pod("p", wants("")) }, false),
    ] {
        assert_eq!(is_waiting(&pod), ours);
    }
}
