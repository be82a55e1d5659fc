//! Tables for node health, taints, eviction, namespaces, quarantine and budgets (spec/daemonset.md §18, §19).

use std::collections::BTreeMap;

use super::disruption::{self, Count, Wanted};
use super::eviction::{Evictions, Verdict};
use super::health::Watchman;
use super::namespace::Survey;
use super::taints::Execution;
use super::{eviction, pod_gc, taints};
use crate::model::{
    Deletion, IntOrPercent, Millis, Node, NodeCondition, NodeName, Owner, Phase, Pod, Ready, Scheduling, Tri, Uid,
    Version,
};
use crate::selector::{Effect, Resources, Taint, Toleration, TolerationOperator};

fn node(name: &str, ready: Option<Tri>, heartbeat: i64) -> Node {
    let condition = |kind: &str, status| NodeCondition {
        kind: kind.into(),
        status,
        reason: "".into(),
        heartbeat: Some(Millis::from_secs(heartbeat)),
        since: None,
    };
    let conditions = ready.map_or(Vec::new(), |ready| {
        vec![
            condition("MemoryPressure", Tri::False),
            condition("DiskPressure", Tri::False),
            condition("PIDPressure", Tri::False),
            condition("Ready", ready),
        ]
    });
    Node {
        name: name.into(),
        uid: name.into(),
        version: Version(1),
        created: Millis(0),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources::default(),
        conditions,
    }
}

fn taint(text: &str) -> Taint {
    let (key, effect) = text.split_once(':').unwrap_or((text, ""));
    let key = if key.contains('/') || key == "custom" { key.to_owned() } else { format!("node.kubernetes.io/{key}") };
    Taint { key, value: String::new(), effect: Effect::parse(effect), added: None }
}

fn keys(taints: &[Taint]) -> Vec<String> {
    taints.iter().map(|taint| taint.to_string().replace("node.kubernetes.io/", "")).collect()
}

/// R124, T128: both signs must be old; a fresh lease alone keeps a node healthy.
#[test]
fn a_node_is_silent_when_lease_and_status_are() {
    let secs = Millis::from_secs;
    let name = NodeName::from("n");
    for (lease_at, status_at, now, silent) in
        [(0, 0, 50, false), (0, 0, 51, true), (30, 0, 51, false), (0, 30, 51, false), (30, 20, 81, true)]
    {
        let mut watchman = Watchman::default();
        watchman.node_is(&node("n", Some(Tri::True), 0), secs(0));
        watchman.lease_is(&name, "first", secs(0));
        if lease_at > 0 {
            watchman.lease_is(&name, "second", secs(lease_at));
        }
        if status_at > 0 {
            watchman.node_is(&node("n", Some(Tri::True), 1), secs(status_at));
        }
        watchman.lease_is(&name, if lease_at > 0 { "second" } else { "first" }, secs(now));
        watchman.node_is(&node("n", Some(Tri::True), i64::from(status_at > 0)), secs(now));
        let got = watchman.judge(&node("n", Some(Tri::True), 0), secs(now));
        assert_eq!(got.is_some(), silent, "lease {lease_at} status {status_at} now {now}");
        assert_eq!(watchman.quiet(secs(now)).count(), usize::from(silent));
        if let Some(silence) = got {
            assert!(silence.was_ready);
            let kinds: Vec<_> = silence.conditions.iter().map(|lost| (lost.kind, lost.reason)).collect();
            let lost = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
            assert_eq!(kinds, lost.map(|kind| (kind, "NodeStatusUnknown")));
        }
    }
}

/// R123, T128, A341: a node that never posted Ready has 60 s from its creation.
#[test]
fn a_node_that_never_spoke_has_the_startup_grace() {
    let mut watchman = Watchman::default();
    let node = node("n", None, 0);
    watchman.node_is(&node, Millis::from_secs(10));
    assert_eq!(watchman.judge(&node, Millis::from_secs(60)), None);
    let silence = watchman.judge(&node, Millis::from_secs(61));
    let reasons: Vec<_> = silence.iter().flat_map(|s| &s.conditions).map(|lost| lost.reason).collect();
    assert_eq!(reasons, ["NodeStatusNeverUpdated"; 4]);
    assert!(silence.is_some_and(|silence| !silence.was_ready));
}

/// Once declared, silence is not declared again, and our own write is no sign of life.
#[test]
fn silence_is_declared_once() {
    let mut watchman = Watchman::default();
    watchman.node_is(&node("n", Some(Tri::True), 0), Millis(0));
    let mut unknown = node("n", Some(Tri::Unknown), 0);
    for condition in &mut unknown.conditions {
        condition.status = Tri::Unknown;
    }
    watchman.node_is(&unknown, Millis::from_secs(52));
    assert_eq!(watchman.quiet(Millis::from_secs(53)).count(), 1);
    assert_eq!(watchman.judge(&unknown, Millis::from_secs(53)), None);
}

/// R125, T128: NoSchedule at once, NoExecute in turn, and swapped when silence follows sickness.
#[test]
fn taints_follow_conditions() {
    for (ready, before, execute, expect) in [
        (Some(Tri::True), vec![], true, None),
        (None, vec!["not-ready:NoSchedule"], false, Some(vec![])),
        (Some(Tri::False), vec![], false, Some(vec!["not-ready:NoSchedule"])),
        (Some(Tri::False), vec![], true, Some(vec!["not-ready:NoSchedule", "not-ready:NoExecute"])),
        (
            Some(Tri::Unknown),
            vec!["not-ready:NoSchedule", "not-ready:NoExecute"],
            false,
            Some(vec!["unreachable:NoSchedule", "unreachable:NoExecute"]),
        ),
        (Some(Tri::True), vec!["unreachable:NoExecute", "custom:NoExecute"], false, Some(vec!["custom:NoExecute"])),
        (Some(Tri::True), vec!["custom:NoSchedule", "out-of-service:NoExecute"], false, None),
        (Some(Tri::True), vec!["unschedulable:NoSchedule"], false, Some(vec![])),
        (Some(Tri::True), vec!["disk-pressure:NoSchedule"], false, Some(vec![])),
    ] {
        let mut node = node("n", ready, 0);
        node.taints = before.iter().map(|text| taint(text)).collect();
        let got = taints::wanted(&node, if execute { Execution::Turn } else { Execution::Wait }, Millis(7))
            .map(|taints| keys(&taints));
        assert_eq!(got, expect.map(|list| list.into_iter().map(str::to_owned).collect()), "{ready:?} {before:?}");
    }
    let mut cordoned = node("n", Some(Tri::True), 0);
    cordoned.unschedulable = true;
    cordoned.conditions[1].status = Tri::True;
    let got = taints::wanted(&cordoned, Execution::Wait, Millis(7)).unwrap_or_default();
    assert_eq!(keys(&got), ["disk-pressure:NoSchedule", "unschedulable:NoSchedule"]);
    assert_eq!(got[0].added, Some(Millis(7)));
}

/// R123: one node every ten seconds in a normal zone; nothing while all zones are down.
#[test]
fn no_execute_spreads_slowly() {
    let secs = Millis::from_secs;
    let mut pace = taints::Pace::default();
    for name in ["a", "b", "c"] {
        pace.node_is(&node(name, Some(Tri::True), 0));
    }
    assert!(!pace.all_down());
    pace.node_is(&node("a", Some(Tri::Unknown), 0));
    pace.node_is(&node("b", Some(Tri::False), 0));
    assert_eq!(pace.due(secs(100)), ["a".into()]);
    assert_eq!(pace.wake_at(), Some(secs(110)));
    assert_eq!(pace.due(secs(109)), []);
    pace.node_is(&node("b", Some(Tri::True), 0));
    assert_eq!(pace.due(secs(110)), [], "it came back in time");
    for name in ["b", "c"] {
        pace.node_is(&node(name, Some(Tri::Unknown), 0));
    }
    assert!(pace.all_down());
    assert_eq!((pace.due(secs(200)), pace.wake_at()), (vec![], None));
    let mut tainted = node("a", Some(Tri::Unknown), 0);
    tainted.taints = vec![taint("unreachable:NoExecute"), taint("unreachable:NoSchedule"), taint("custom:NoExecute")];
    let got = taints::wanted(&tainted, Execution::Pardon, Millis(7)).unwrap_or_default();
    assert_eq!(keys(&got), ["unreachable:NoSchedule", "custom:NoExecute"]);
}

/// R123: a zone with 55 % and at least three silent nodes gets none when it is small.
#[test]
fn a_partly_disrupted_small_zone_is_left_alone() {
    let mut pace = taints::Pace::default();
    for (name, ready) in
        [("a", Tri::Unknown), ("b", Tri::Unknown), ("c", Tri::Unknown), ("d", Tri::True), ("e", Tri::True)]
    {
        pace.node_is(&node(name, Some(ready), 0));
    }
    assert_eq!((pace.due(Millis(0)), pace.wake_at()), (vec![], None));
}

fn toleration(key: &str, seconds: Option<i64>) -> Toleration {
    Toleration {
        key: key.to_owned(),
        operator: TolerationOperator::Exists,
        effect: Some(Effect::NoExecute),
        seconds,
        ..Toleration::default()
    }
}

/// R127, T127, A344.
#[test]
fn no_execute_drives_pods_away() {
    let secs = Millis::from_secs;
    let added = |text: &str, at| Taint { added: Some(secs(at)), ..taint(text) };
    let now = secs(100);
    for (taints, tolerations, expect) in [
        (vec![taint("custom:NoSchedule")], vec![], Verdict::Stay),
        (vec![taint("custom:NoExecute")], vec![], Verdict::GoAt(now)),
        (vec![taint("custom:NoExecute")], vec![toleration("custom", None)], Verdict::Stay),
        (vec![taint("custom:NoExecute")], vec![toleration("custom", Some(30))], Verdict::GoAt(secs(130))),
        (vec![added("custom:NoExecute", 90)], vec![toleration("custom", Some(30))], Verdict::GoAt(secs(120))),
        (vec![taint("custom:NoExecute")], vec![toleration("custom", Some(-5))], Verdict::GoAt(now)),
        (
            vec![taint("custom:NoExecute"), taint("x/y:NoExecute")],
            vec![toleration("custom", Some(30)), toleration("x/y", Some(10))],
            Verdict::GoAt(secs(110)),
        ),
        (vec![taint("custom:NoExecute"), taint("x/y:NoExecute")], vec![toleration("custom", None)], Verdict::GoAt(now)),
    ] {
        assert_eq!(eviction::judge(&taints, &tolerations, now), expect, "{taints:?} {tolerations:?}");
    }
}

/// T127: a removed taint cancels; a longer toleration does not postpone.
#[test]
fn evictions_wait_in_order() {
    let secs = Millis::from_secs;
    let (a, b) = (Uid::from("a"), Uid::from("b"));
    let mut evictions = Evictions::default();
    assert!(!evictions.file(&a, Verdict::GoAt(secs(30))));
    assert!(!evictions.file(&a, Verdict::GoAt(secs(60))));
    evictions.file(&b, Verdict::GoAt(secs(20)));
    assert_eq!((evictions.wake_at(), evictions.next(secs(10))), (Some(secs(20)), None));
    assert!(evictions.file(&b, Verdict::Stay), "cancelled");
    assert_eq!(evictions.next(secs(30)), Some(a.clone()));
    assert_eq!((evictions.next(secs(99)), evictions.wake_at()), (None, None));
}

/// A356: the exact words.
#[test]
fn a_namespace_says_what_remains() {
    let words = |survey: &Survey| {
        survey.conditions().map(|c| format!("{}={} {}: {}", c.kind, c.bad, c.reason, c.message)).join("\n")
    };
    let good = "NamespaceDeletionDiscoveryFailure=false ResourcesDiscovered: All resources successfully discovered
NamespaceDeletionGroupVersionParsingFailure=false ParsedGroupVersions: All legacy kube types successfully parsed
NamespaceDeletionContentFailure=false ContentDeleted: All content successfully deleted, may be waiting on finalization
NamespaceContentRemaining=false ContentRemoved: All content successfully removed
NamespaceFinalizersRemaining=false ContentHasNoFinalizers: All content-preserving finalizers finished";
    assert_eq!(words(&Survey::default()), good);
    assert!(Survey::default().is_empty());
    let survey = Survey {
        remaining: BTreeMap::from([("configmaps.".to_owned(), 1), ("daemonsets.apps".to_owned(), 2)]),
        finalizers: BTreeMap::from([("example.com/x".to_owned(), 1)]),
        ..Survey::default()
    };
    let bad = words(&survey);
    for line in [
        "NamespaceContentRemaining=true SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances, daemonsets.apps has 2 resource instances",
        "NamespaceFinalizersRemaining=true SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances",
    ] {
        assert!(bad.contains(line), "{bad}");
    }
    assert!(!survey.is_empty());
}

/// R132, R133, T126, with our shorter time: a few seconds, and a node that comes back ends it.
#[test]
fn a_missing_node_is_quarantined() {
    let secs = Millis::from_secs;
    let mut quarantine = pod_gc::Quarantine::default();
    let name = NodeName::from("n");
    assert!(!quarantine.is_over(&name, secs(0)));
    assert!(!quarantine.is_over(&name, secs(4)));
    assert_eq!(quarantine.wake_at(), Some(secs(5)));
    assert!(quarantine.is_over(&name, secs(5)));
    quarantine.release(&name);
    assert!(!quarantine.is_over(&name, secs(50)));
}

/// R132, T126: which pods of which places are removed by force.
#[test]
fn t126_only_pods_that_nobody_will_end_are_removed() {
    let out = pod_gc::Place::Present { out_of_service: true };
    let here = pod_gc::Place::Present { out_of_service: false };
    let pod = |is_going: bool, phase: Phase| Pod {
        deletion: is_going.then_some(Deletion { at: Millis(0), grace: Millis(0) }),
        phase,
        ..crate::scheduling::tests::pod("p", Scheduling::default())
    };
    for phase in [Phase::Pending, Phase::Running, Phase::Failed, Phase::Succeeded] {
        for (place, going, staying) in [
            (pod_gc::Place::Unbound, Some(pod_gc::Cause::Unscheduled), None),
            (out, Some(pod_gc::Cause::OutOfService), None),
            (here, None, None),
            (pod_gc::Place::Missing, Some(pod_gc::Cause::NodeGone), Some(pod_gc::Cause::NodeGone)),
        ] {
            assert_eq!(pod_gc::judge(&pod(true, phase), place), going, "{place:?} {phase:?}");
            assert_eq!(pod_gc::judge(&pod(false, phase), place), staying, "{place:?} {phase:?}");
        }
    }
}

/// A434: integers are counted; shares need a scale, which DaemonSets do not have.
#[test]
fn a_budget_counts_its_healthy_pods() {
    let ready = |name: &str, ready: bool, kind: Option<&str>| Pod {
        ready: Ready { is: ready, since: None },
        owner: kind.map(|kind| Owner { kind: kind.into(), name: "o".into(), uid: "o".into() }),
        ..crate::scheduling::tests::pod(name, Scheduling::default())
    };
    let pods = [ready("a", true, Some("DaemonSet")), ready("b", true, Some("DaemonSet")), ready("c", false, None)];
    let none = BTreeMap::new();
    let count = |wanted, pods: &[Pod], disrupted| disruption::count(wanted, pods.iter(), disrupted, Millis(0));
    let least = |n| Wanted::MinAvailable(IntOrPercent::Int(n));
    let numbers = |count: Count| (count.expected, count.desired, count.healthy, count.allowed);
    assert_eq!(count(least(1), &pods, &none).map(numbers), Ok((3, 1, 2, 1)));
    assert_eq!(count(least(3), &pods, &none).map(numbers), Ok((3, 3, 2, 0)));
    let evicted = BTreeMap::from([("a".to_owned(), Millis(0)), ("gone".to_owned(), Millis(0))]);
    let after = count(least(1), &pods, &evicted);
    assert_eq!(after.clone().map(numbers), Ok((3, 1, 1, 0)));
    assert_eq!(after.map(|count| count.disrupted.len()), Ok(1), "the one that is gone is forgotten");
    let most = Wanted::MaxUnavailable(IntOrPercent::Int(1));
    let words = |pods: &[Pod]| count(most, pods, &none).map(numbers).map_err(|problem| problem.to_string());
    assert_eq!(words(&pods), Err("daemonsets.apps does not implement the scale subresource".to_owned()));
    assert_eq!(words(&pods[2..]), Err("found no controller ref for pod \"c\"".to_owned()));
    assert_eq!(words(&[]), Ok((0, 0, 0, 0)));
}
