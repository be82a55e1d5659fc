//! Every judge catches a planted bug.

use std::collections::BTreeMap;

use super::*;
use crate::daemonset::mk::{self, PodExt as _};
use crate::daemonset::plan::{Ref, TemplateId};

fn create(node: &str) -> Step {
    Step::Create {
        node: node.into(),
        name: "new".into(),
        template: TemplateId(0),
        why: CreateWhy::Missing,
        failures: 0,
    }
}

fn delete(pod: &Pod, why: DeleteWhy) -> Step {
    let node = pod.target().cloned().expect("it is bound");
    let reference = Ref { name: pod.key.name.clone(), uid: pod.uid.clone() };
    Step::Delete { pod: reference, node, version: None, why }
}

#[test]
fn judges_catch_planted_bugs() {
    let pods = [mk::pod("a", "n0"), mk::pod("b", "n1"), mk::pod("c", "n2").unready()];
    let nodes = mk::nodes(&["n0", "n1", "n2", "n3"]);
    let set = mk::set();
    let snapshot = Snapshot { set: &set, nodes: &nodes, pods: &pods, revisions: &[], now: Millis::from_secs(100) };
    let judge = |steps: Vec<Step>| plan(&snapshot, &Memory::default(), &Plan { steps, ..Plan::default() });
    assert_eq!(judge(vec![create("n3")]), []);
    assert_eq!(judge(vec![create("n9")]), [Problem::MakesWhereNoneBelongs { node: "n9".into() }], "P1");
    assert_eq!(judge(vec![create("n0")]), [Problem::TooManyOnNode { node: "n0".into(), live: 2 }], "P2");
    // n2 and n3 lack an available pod already, and one is allowed.
    let broken = [Problem::BudgetBroken { lacking: 3, allowed: 1 }];
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::Outdated)]), broken, "P3");
    assert_eq!(judge(vec![delete(&pods[2], DeleteWhy::OutdatedBroken)]), []);
    let early = [Problem::GoesTooEarly { node: "n0".into() }];
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::Replaced)]), early, "P4");
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::OutdatedBroken)]), early, "P4");
    let duplicate = judge(vec![delete(&pods[0], DeleteWhy::Duplicate)]);
    assert_eq!(duplicate, early, "P9: none stays that is available");
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::Forbidden)]), early, "P10: the node may have one");
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::NoSuchNode)]), early, "P10: there is such a node");
    let gone = [mk::pod("d", "n9"), mk::pod("e", "n9").unbound()];
    let of_gone = |pod: &Pod, why| {
        let snapshot = Snapshot { pods: &gone, ..snapshot };
        plan(&snapshot, &Memory::default(), &Plan { steps: vec![delete(pod, why)], ..Plan::default() })
    };
    let early_there = [Problem::GoesTooEarly { node: "n9".into() }];
    assert_eq!(of_gone(&gone[0], DeleteWhy::NoSuchNode), early_there, "P10: it is bound");
    assert_eq!(of_gone(&gone[1], DeleteWhy::Forbidden), early_there, "P10: no such node forbids anything");
    assert_eq!(of_gone(&gone[1], DeleteWhy::NoSuchNode), []);
    let twice = judge(vec![create("n3"), create("n3")]);
    assert_eq!(twice, [Problem::WrittenTwice { what: "a pod for n3".into() }], "P5");
    let status = Some(Status { desired: 1, available: 2, ..Status::default() });
    let wrong = plan(&snapshot, &Memory::default(), &Plan { status, ..Plan::default() });
    assert_eq!(wrong, [Problem::StatusDoesNotAddUp], "P6");
}

#[test]
fn what_was_asked_for_counts() {
    let pods = [mk::pod("a", "n0"), mk::pod("b", "n1")];
    let nodes = mk::nodes(&["n0", "n1"]);
    let set = mk::set();
    let snapshot = Snapshot { set: &set, nodes: &nodes, pods: &pods, revisions: &[], now: Millis::from_secs(100) };
    let asked = Memory { asked: [pods[0].uid.clone()].into(), creates: BTreeMap::new(), ..Memory::default() };
    let steps = vec![delete(&pods[1], DeleteWhy::Outdated)];
    let problems = plan(&snapshot, &asked, &Plan { steps, ..Plan::default() });
    assert_eq!(problems, [Problem::BudgetBroken { lacking: 2, allowed: 1 }]);
    let creates = |is_unknown| Memory { creates: [("n2".into(), is_unknown)].into(), ..Memory::default() };
    let nodes = mk::nodes(&["n0", "n1", "n2"]);
    let wider = Snapshot { nodes: &nodes, ..snapshot };
    let judge = |memory: &Memory| plan(&wider, memory, &Plan { steps: vec![create("n2")], ..Plan::default() });
    let two = [Problem::TooManyOnNode { node: "n2".into(), live: 2 }];
    assert_eq!(judge(&creates(false)), two, "P2: one is on its way, and its fate will be told");
    assert_eq!(judge(&creates(true)), [], "the same one is asked for again");
}

/// P3 with `minReadySeconds`: young pods are taken within the budget too (R186).
#[test]
fn ready_pods_are_not_all_taken_while_they_are_young() {
    let young = |name, node| mk::pod(name, node).with(|pod| pod.ready.since = Some(Millis::from_secs(95)));
    let pods = [young("a", "n0"), young("b", "n1"), young("c", "n2")];
    let nodes = mk::nodes(&["n0", "n1", "n2"]);
    let mut set = mk::set();
    set.min_ready_seconds = 10;
    let snapshot = Snapshot { set: &set, nodes: &nodes, pods: &pods, revisions: &[], now: Millis::from_secs(100) };
    let judge = |steps: Vec<Step>| plan(&snapshot, &Memory::default(), &Plan { steps, ..Plan::default() });
    assert_eq!(judge(vec![delete(&pods[0], DeleteWhy::Outdated)]), [], "one may be without a ready pod");
    let both = judge(vec![delete(&pods[0], DeleteWhy::Outdated), delete(&pods[1], DeleteWhy::Outdated)]);
    assert_eq!(both, [Problem::BudgetBroken { lacking: 2, allowed: 1 }]);
    let broken = judge(vec![delete(&pods[0], DeleteWhy::OutdatedBroken)]);
    assert_eq!(broken, [Problem::GoesTooEarly { node: "n0".into() }]);
}

/// P7: seconds beyond the budget, counting those under way; P8: before the back-off is over, or without the count.
#[test]
fn second_pods_and_ended_ones_are_judged() {
    let pods = [mk::pod("a", "n0"), mk::pod("b", "n1"), mk::pod("c", "n2").phase(crate::model::Phase::Failed)];
    let nodes = mk::nodes(&["n0", "n1", "n2"]);
    let mut set = mk::set();
    set.strategy = mk::rolling(0, 1);
    let now = Millis::from_secs(100);
    let snapshot = Snapshot { set: &set, nodes: &nodes, pods: &pods, revisions: &[], now };
    let surge = |node: &str| match create(node) {
        Step::Create { node, name, template, failures, .. } => {
            Step::Create { node, name, template, why: CreateWhy::Surge, failures }
        }
        other => other,
    };
    let judge = |memory: &Memory, steps: Vec<Step>| plan(&snapshot, memory, &Plan { steps, ..Plan::default() });
    let none = Memory::default();
    assert_eq!(judge(&none, vec![surge("n0")]), []);
    let broken = [Problem::SurgeBroken { surging: 2, allowed: 1 }];
    assert_eq!(judge(&none, vec![surge("n0"), surge("n1")]), broken);
    let coming = Memory { creates: [("n1".into(), false)].into(), ..Memory::default() };
    assert_eq!(judge(&coming, vec![surge("n0")]), broken, "n1's is under way");
    let unseen = Memory { stale: ["n1".into()].into(), ..coming };
    assert_eq!(judge(&unseen, vec![surge("n0")]), [], "and was not seen for long");
    let two = [mk::pod("a", "n0"), mk::pod("b", "n1"), mk::pod("d", "n1").unready()];
    let (two, asked) = (Snapshot { pods: &two, ..snapshot }, |pod: &Pod| [pod.uid.clone()].into());
    let judge_two = |memory: &Memory| plan(&two, memory, &Plan { steps: vec![surge("n0")], ..Plan::default() });
    assert_eq!(judge_two(&none), broken, "n1 has two");
    assert_eq!(judge_two(&Memory { asked: asked(&pods[1]), ..Memory::default() }), broken, "one was asked to go");
    assert_eq!(judge_two(&Memory { asked: asked(&two.pods[2]), ..Memory::default() }), [], "the one that stays serves");
    let left = [mk::pod("a", "n0"), mk::pod("d", "n9"), mk::pod("e", "n9")];
    let after = Snapshot { pods: &left, ..snapshot };
    let steps = vec![surge("n0")];
    assert_eq!(plan(&after, &none, &Plan { steps, ..Plan::default() }), [], "n9 is gone, and so are its two");

    let ended = |failures| {
        let (node, name, template) = ("n2".into(), "new".into(), TemplateId(0));
        let create = Step::Create { node, name, template, why: CreateWhy::Missing, failures };
        vec![create, delete(&pods[2], DeleteWhy::Failed)]
    };
    assert_eq!(judge(&none, ended(1)), []);
    let hasty = |node: &str| [Problem::Hasty { node: node.into() }];
    assert_eq!(judge(&none, ended(0)), hasty("n2"), "the count is lost");
    let record = Backoff { generation: 0, attempts: 3, last: now };
    let waits = Memory { backoff: [("n2".into(), record)].into(), ..Memory::default() };
    assert_eq!(judge(&waits, ended(4)), hasty("n2"), "too soon");
    assert_eq!(judge(&none, vec![delete(&pods[0], DeleteWhy::Succeeded)]), hasty("n0"), "it has not ended");
}
