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
}
