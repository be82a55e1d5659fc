//! Words for every verdict, step, wait and summary.

use std::collections::BTreeMap;

use super::outlook::{Basis, Outlook};
use super::words::{Count, Span, brief, cut};
use super::*;
use crate::daemonset::forecast::Starts;
use crate::daemonset::history;
use crate::daemonset::mk::{self, PodExt as _};
use crate::model::{Deletion, IntOrPercent, Node, Phase, Pod, Revision, Set, Strategy, Tri};

const NOW: Millis = Millis::from_secs(10_000);

/// A fleet at rest, to be disturbed.
struct Fleet {
    set: Set,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    revisions: Vec<Revision>,
    facts: Facts,
}

fn ago(secs: i64) -> Millis {
    NOW.since(Millis::from_secs(secs))
}

impl Fleet {
    fn new(names: &[&str]) -> Self {
        let hash = history::hash(1, None);
        let mut set = mk::set();
        set.status.observed_generation = 1;
        Self {
            set,
            nodes: names.iter().map(|name| mk::node(name)).collect(),
            pods: names.iter().map(|name| mk::pod(&format!("p{name}"), name).hash(&hash)).collect(),
            revisions: vec![mk::revision(1, &hash, 1)],
            facts: Facts::default(),
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene { set: &self.set, revisions: &self.revisions, nodes: &self.nodes, pods: &self.pods }
    }

    fn explain(&self) -> Explanation {
        explain(&self.scene(), &self.facts, NOW)
    }

    /// `node verdict [because] health -> next`
    fn lines(&self) -> Vec<String> {
        let line = |row: &Row| {
            let line = fold::one(row, NOW);
            format!("{} {} [{}] {} -> {}", line.who, line.verdict, line.because, line.health, line.next)
        };
        self.explain().rows.iter().map(line).collect()
    }

    fn summary(&self) -> Vec<String> {
        self.explain().summary.lines(NOW)
    }
}

#[test]
fn every_node_gets_its_words() {
    let mut fleet = Fleet::new(&["a", "b", "c", "d", "e"]);
    fleet.nodes[1].taints.push(mk::taint("gpu:NoSchedule"));
    fleet.nodes[2].taints.push(mk::taint("down=yes:NoExecute"));
    fleet.pods[3] = fleet.pods[3].clone().hash("outdated");
    fleet.pods.pop();
    assert_eq!(
        fleet.lines(),
        [
            "a run [] available -> ",
            "b keep [the taint gpu:NoSchedule is not tolerated] available -> ",
            "c no [the taint down=yes:NoExecute is not tolerated] available -> the pod goes: the node may have none",
            "d run [] available -> the pod is replaced when the budget allows",
            "e run [] no pod; the revision answers for it -> a pod is made",
        ]
    );
    assert_eq!(
        fleet.summary(),
        [
            "DaemonSet ns/web: 3 of 5 nodes to have a pod, 2 with an available one",
            "  desired 3, current 2, ready 2, up to date 1, available 2; 2 pods where none is to be",
            &format!(
                "  revision 1 (web-{}), rolling out for 2 h 46 min: 1 outdated pod to be replaced",
                history::hash(1, None)
            ),
            "  budget: 1 node may lack an available pod at a time (maxUnavailable 1), 1 in use",
            "  now: 1 pod to be made, 1 pod to go",
        ]
    );
}

type Change = fn(&mut Fleet);

/// One node, disturbed in some way.
fn held_against(rows: &[(Change, &str)]) {
    for (change, expect) in rows {
        let mut fleet = Fleet::new(&["a"]);
        change(&mut fleet);
        assert_eq!(fleet.lines(), [*expect]);
    }
}

#[test]
fn a_pod_says_how_it_is_and_what_is_waited_for() {
    held_against(&[
        (|_| {}, "a run [] available -> "),
        (
            |fleet| fleet.pods[0] = fleet.pods[0].clone().unready().with(|pod| pod.ready.since = Some(ago(90))),
            "a run [] not ready for 1 min 30 s; the revision answers for it -> waits for the pod to get ready",
        ),
        (
            |fleet| {
                fleet.pods[0].ready.since = Some(ago(18));
                fleet.set.min_ready_seconds = 60;
            },
            "a run [] ready, available in 42 s; the revision answers for it -> the pod counts as available in 42 s",
        ),
        (
            |fleet| fleet.pods[0] = fleet.pods[0].clone().phase(Phase::Failed),
            "a run [] failed; the revision answers for it -> a pod is made; the pod goes: it failed",
        ),
        (
            |fleet| {
                let pod = fleet.pods[0].clone().phase(Phase::Pending).unbound();
                fleet.pods[0] = pod.with(|pod| pod.created = ago(5));
                let trouble = Trouble {
                    reason: "Unschedulable".to_owned(),
                    message: "0/1 nodes are available: 1 Insufficient cpu.".to_owned(),
                    restarts: 0,
                };
                fleet.facts.troubles.insert("pa".into(), trouble);
            },
            "a run [] not scheduled for 5 s: Unschedulable (0/1 nodes are available: 1 Insufficient cpu.); \
             the revision answers for it -> waits for the pod to get ready",
        ),
        (
            |fleet| {
                let pod = fleet.pods[0].clone().phase(Phase::Pending).with(|pod| pod.created = ago(70));
                fleet.pods[0] = pod;
                let trouble = Trouble { reason: "ImagePullBackOff".to_owned(), restarts: 2, ..Trouble::default() };
                fleet.facts.troubles.insert("pa".into(), trouble);
            },
            "a run [] starting for 1 min 10 s: ImagePullBackOff, started again 2 times; the revision answers for it \
             -> waits for the pod to get ready",
        ),
    ]);
}

#[test]
fn a_pod_that_goes_or_stays_says_why() {
    held_against(&[
        (
            |fleet| {
                let deletion = Deletion { at: NOW.plus(Millis::from_secs(12)), grace: Millis::from_secs(30) };
                fleet.pods[0].deletion = Some(deletion);
            },
            "a run [] terminating -> the old pod is gone at the latest in 12 s",
        ),
        (
            |fleet| {
                fleet.pods[0].deletion = Some(Deletion { at: ago(200), grace: Millis::from_secs(30) });
                fleet.nodes[0].conditions[0].status = Tri::Unknown;
                fleet.nodes[0].conditions[0].since = Some(ago(300));
            },
            "a run [] terminating; the node answers for it: it is not ready for 5 min -> the old pod should be gone \
             since 3 min 20 s; its node does not answer",
        ),
        (
            |fleet| {
                fleet.pods[0].deletion = Some(Deletion { at: ago(200), grace: Millis::from_secs(30) });
                fleet.pods[0].finalized = true;
            },
            "a run [] terminating -> the old pod should be gone since 3 min 20 s; it has finalizers",
        ),
        (
            |fleet| {
                fleet.set.strategy = Strategy::OnDelete;
                fleet.set.template = mk::template(2);
                fleet.set.template_generation = Some(2);
            },
            "a run [] available -> stays until somebody deletes the pod (OnDelete)",
        ),
        (|fleet| fleet.set.terminating = true, "a run [] available -> nothing: the DaemonSet is being deleted"),
        (|fleet| fleet.nodes.clear(), "a no [there is no such node] available -> "),
    ]);
}

#[test]
fn a_rollout_names_who_holds_it_up() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    let new = history::hash(2, None);
    fleet.set.template = mk::template(2);
    fleet.set.template_generation = Some(2);
    let mut revision = mk::revision(2, &new, 2);
    revision.created = ago(720);
    fleet.revisions.push(revision);
    let stuck = fleet.pods[1].clone().hash(&new).phase(Phase::Running);
    fleet.pods[1] = stuck.with(|pod| pod.ready.since = Some(ago(700)));
    fleet
        .facts
        .troubles
        .insert("pb".into(), Trouble { reason: "CrashLoopBackOff".to_owned(), message: String::new(), restarts: 7 });
    assert_eq!(
        fleet.summary()[2..],
        [
            format!("  revision 2 (web-{new}), rolling out for 12 min: 2 outdated pods to be replaced"),
            "  budget: 1 node may lack an available pod at a time (maxUnavailable 1), 1 in use".to_owned(),
            "  held up by b: its pod is not ready for 11 min 40 s: CrashLoopBackOff, started again 7 times; the revision \
             answers for it"
                .to_owned(),
        ]
    );
    assert_eq!(fleet.lines()[0], "a run [] available -> the pod is replaced when the budget allows");
}

/// A rollback brings back an old revision: its age says nothing, its first new pod does.
#[test]
fn a_rollback_began_with_its_first_pod() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    let new = history::hash(2, None);
    let mut revision = mk::revision(2, &new, 2);
    revision.created = ago(1000);
    fleet.revisions.push(revision);
    fleet.revisions[0].number = 3;
    fleet.set.template_generation = Some(3);
    fleet.pods[1] = fleet.pods[1].clone().hash(&new);
    fleet.pods[2].created = ago(60);
    assert_eq!(fleet.explain().summary.rolling, Some(Some(ago(60))));
    fleet.pods[2].created = ago(2000);
    assert_eq!(fleet.explain().summary.rolling, Some(None), "no pod has come yet");
}

#[test]
fn a_refusal_is_told_where_a_pod_is_missing() {
    let mut fleet = Fleet::new(&["a", "b"]);
    let message = "pods \"web-x\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1";
    fleet.facts.refusal = Some(Refusal { at: ago(12), times: 37, message: message.to_owned() });
    assert_eq!(fleet.explain().summary.refusal, None, "no pod is missing");
    fleet.pods.pop();
    assert_eq!(
        fleet.summary().last().map(String::as_str),
        Some(&*format!("  refused: a pod, 12 s ago, 37 times so far: {message}"))
    );
    assert_eq!(fleet.lines()[1], "b run [] no pod -> a pod is made; the server refused the last try");
}

#[test]
fn what_concerns_the_set_as_a_whole_is_noted() {
    let rows: &[(Change, &[&str])] = &[
        (|_| {}, &[]),
        (|fleet| fleet.set.terminating = true, &["it is being deleted: no pod is made, and its pods go with it"]),
        (
            |fleet| fleet.set.selector = Some(crate::selector::LabelSelector::default()),
            &["its selector selects nothing, so nothing is done"],
        ),
        (
            |fleet| fleet.set.generation = 4,
            &["the controller has not seen the last change yet (it saw generation 1 of 4); is it running?"],
        ),
        (
            |fleet| {
                fleet.set.strategy =
                    Strategy::RollingUpdate { max_unavailable: Some(IntOrPercent::Invalid), max_surge: None };
            },
            &["nothing is updated: maxUnavailable or maxSurge cannot be read"],
        ),
        (|fleet| fleet.pods[0].owner = None, &["to be done first: the pod pa is adopted"]),
        (|fleet| fleet.revisions.clear(), &["to be done first: the template is recorded as revision 1"]),
    ];
    for (change, expect) in rows {
        let mut fleet = Fleet::new(&["a"]);
        change(&mut fleet);
        assert_eq!(fleet.explain().summary.notes, *expect);
    }
}

#[test]
fn alike_nodes_share_a_line() {
    let names: Vec<String> = (0..40).map(|at| format!("n{at:02}")).collect();
    let mut fleet = Fleet::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fleet.set.template.node_selector = mk::labels("disk=ssd");
    for (at, node) in fleet.nodes.iter_mut().enumerate() {
        // Different values there do not keep nodes apart.
        node.labels = mk::labels(&if at < 12 { format!("disk=hdd{at}") } else { "disk=ssd".to_owned() });
    }
    fleet.pods.drain(..12);
    let odd = fleet.pods[3].clone().unready();
    fleet.pods[3] = odd.with(|pod| pod.ready.since = Some(ago(5)));
    let lines = fold::fold(&fleet.explain().rows, 10, NOW);
    let text: Vec<String> = lines
        .iter()
        .map(|line| {
            format!("{}|{}|{}|{}|{}|{}", line.who, line.verdict, line.pod, line.revision, line.health, line.because)
        })
        .collect();
    assert_eq!(
        text,
        [
            "27 nodes|run|27 pods|current|available|",
            "12 nodes|no||||nodeSelector wants disk=ssd",
            &format!(
                "n15|run|pn15|current ({})|not ready for 5 s; the revision answers for it|",
                history::hash(1, None)
            ),
        ]
    );
    assert_eq!(fold::fold(&fleet.explain().rows, 40, NOW).len(), 40);
}

#[test]
fn reasons_name_what_is_wanted_found_and_to_be_done() {
    let mut fleet = Fleet::new(&["a", "b"]);
    fleet.pods.clear();
    fleet.set.template.node_selector = mk::labels("disk=ssd");
    fleet.nodes[1].labels = mk::labels("disk=hdd");
    let rows = fleet.explain().rows;
    assert_eq!(rows[0].because(), "nodeSelector wants disk=ssd, the node has no such label");
    assert_eq!(rows[1].because(), "nodeSelector wants disk=ssd, the node has disk=hdd");
    let mend = |row: &Row| row.verdict.reason().map(|reason| reason.mend(&row.node)).unwrap_or_default();
    assert_eq!(mend(&rows[0]), "kubectl label node a disk=ssd");
    assert_eq!(mend(&rows[1]), "kubectl label node b disk=ssd --overwrite");
    fleet.set.template.node_selector.clear();
    fleet.nodes[0].taints.push(mk::taint("gpu=yes:NoSchedule"));
    let rows = fleet.explain().rows;
    assert_eq!(
        mend(&rows[0]),
        "tolerate it in spec.template.spec.tolerations, or: kubectl taint node a gpu:NoSchedule-"
    );
    assert_eq!(rows[0].verdict.reason().map(crate::daemonset::eligibility::Reason::rule), Some("Taint"));
}

#[test]
fn what_will_be_is_told_with_what_it_rests_on() {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    fleet.set.template = mk::template(2);
    fleet.set.template_generation = Some(2);
    let starts = Starts { pods: 3, median: Millis::from_secs(4), p90: Millis::from_secs(9) };
    let lines = |fleet: &Fleet, basis| Outlook::of(&fleet.scene(), basis, Millis::from_secs(30), NOW).lines();
    assert_eq!(
        lines(&fleet, Basis::Own(starts)),
        [
            "3 nodes to have the pod replaced; 3 nodes to have one",
            "budget: 1 node may lack an available pod at a time (maxUnavailable 1), 0 in use",
            "time: 12 s to 1 min 42 s in 3 waves, by how long pods take to stop; 1 min 57 s if they start slowly too",
            "pods start in 4 s (half of its 3 pods; nine of ten within 9 s), stop within 30 s",
        ]
    );
    fleet.nodes[1].conditions[0].status = Tri::Unknown;
    fleet.pods[1] = fleet.pods[1].clone().unready();
    assert_eq!(
        lines(&fleet, Basis::Nothing)[4],
        "it stops before 2 nodes: the budget is used up by b (its old pod does not go: the node is not ready)"
    );
    fleet.set.strategy = Strategy::OnDelete;
    assert_eq!(
        lines(&fleet, Basis::Nothing),
        [
            "no pod is touched; 3 nodes to have one",
            "3 nodes to keep the outdated pod until somebody deletes it (OnDelete)",
        ]
    );
    let mut new = Fleet::new(&["a"]);
    new.pods.clear();
    new.set.min_ready_seconds = 5;
    assert_eq!(
        lines(&new, Basis::Nothing),
        [
            "1 node to get a pod; 1 node to have one",
            "time: about 15 s in 1 wave",
            "no history: assuming that pods start in 10 s, and count 5 s after they are ready",
        ]
    );
}

#[test]
fn sets_are_named_as_kubectl_names_them() {
    for (text, expect) in [
        ("ds/web", Ok("web")),
        ("web", Ok("web")),
        ("DaemonSet/web", Ok("web")),
        ("daemonsets.apps/web", Ok("web")),
        ("deploy/web", Err("deploy/web is no DaemonSet; only DaemonSets can be explained: name one as ds/NAME")),
        ("ds/", Err("\"ds/\" names no DaemonSet; name one as ds/NAME")),
        ("", Err("\"\" names no DaemonSet; name one as ds/NAME")),
        ("ds/a/b", Err("\"ds/a/b\" names no DaemonSet; name one as ds/NAME")),
    ] {
        let got = parse_name(text, "ns").map_err(|error| error.to_string());
        assert_eq!(got, expect.map(|name| Key::new("ns", name)).map_err(str::to_owned), "{text}");
    }
}

#[test]
fn spans_and_counts_read_well() {
    for (millis, expect) in [
        (0, "0 s"),
        (1, "1 s"),
        (42_000, "42 s"),
        (60_000, "1 min"),
        (190_000, "3 min 10 s"),
        (7_500_000, "2 h 5 min"),
        (90_000_000, "1 d 1 h"),
        (-5, "0 s"),
    ] {
        assert_eq!(Span(Millis(millis)).to_string(), expect);
    }
    let counts: BTreeMap<usize, &str> =
        [(0, "0 nodes"), (1, "1 node"), (999, "999 nodes"), (10_000, "10,000 nodes"), (1_234_567, "1,234,567 nodes")]
            .into();
    for (number, expect) in counts {
        assert_eq!(Count(number, "node").to_string(), expect);
    }
    assert_eq!(brief("one\ntwo"), "one");
    assert_eq!(brief(&"x".repeat(200)).chars().count(), 160);
    assert_eq!(cut("abcdef", 4), "abc…");
}

/// R116: the events' words, which clients match on.
#[test]
fn events_are_worded_as_upstream() {
    use crate::daemonset::plan::Remark;
    let ns = "ns".into();
    let said = [
        events::created("web-x"),
        events::not_created("no"),
        events::deleted("web-x"),
        events::not_deleted("no"),
        events::remark(&Remark::SelectingAll, &ns),
        events::remark(&Remark::FailedPod { pod: "web-x".into(), node: "a".into() }, &ns),
        events::remark(&Remark::SucceededPod { pod: "web-x".into(), node: "a".into() }, &ns),
    ];
    let text: Vec<String> =
        said.iter().map(|said| format!("{} {}: {}", said.is_warning, said.reason, said.message)).collect();
    assert_eq!(
        text,
        [
            "false SuccessfulCreate: Created pod: web-x",
            "true FailedCreate: Error creating: no",
            "false SuccessfulDelete: Deleted pod: web-x",
            "true FailedDelete: Error deleting: no",
            "true SelectingAll: This daemon set is selecting all pods. A non-empty selector is required.",
            "true FailedDaemonPod: Found failed daemon pod ns/web-x on node a, will try to kill it",
            "false SucceededDaemonPod: Found succeeded daemon pod ns/web-x on node a, will try to delete it",
        ]
    );
}
