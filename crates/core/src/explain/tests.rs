//! Words for every verdict and step.

use super::*;
use crate::daemonset::history;
use crate::daemonset::mk::{self, PodExt as _};

#[test]
fn every_node_gets_its_words() {
    let hash = history::hash(1, None);
    let mut nodes: Vec<Node> = ["a", "b", "c", "d", "e"].map(mk::node).into();
    nodes[1].taints.push(mk::taint("gpu:NoSchedule"));
    nodes[2].taints.push(mk::taint("down=yes:NoExecute"));
    let pods = [
        mk::pod("pa", "a").hash(&hash),
        mk::pod("pb", "b").hash(&hash),
        mk::pod("pc", "c").hash(&hash),
        mk::pod("pd", "d").hash("outdated"),
    ];
    let revisions = [mk::revision(1, &hash, 1)];
    let got = explain(&mk::set(), &revisions, &nodes, &pods, Millis::from_secs(100));
    let lines: Vec<String> = got
        .rows
        .iter()
        .map(|row| format!("{} {} [{}] {} -> {}", row.node, row.verdict, row.reason, row.revision, row.next))
        .collect();
    assert_eq!(
        lines,
        [
            "a run [] current -> ",
            "b keep [the taint gpu:NoSchedule is not tolerated] current -> ",
            "c no [the taint down=yes:NoExecute is not tolerated] current -> pc goes: the node may have none",
            "d run [] outdated -> is replaced when the budget allows",
            "e run []  -> a pod is made",
        ]
    );
    assert_eq!(got.summary[0], "3 of 5 nodes are to have a pod; 2 of these have an available one");
    assert_eq!(got.summary[2], "while updating, 1 node may lack an available pod");
}

#[test]
fn reasons_name_what_is_wanted_and_found() {
    let mut set = mk::set();
    set.template.node_selector = mk::labels("disk=ssd");
    let mut other = mk::node("b");
    other.labels = mk::labels("disk=hdd");
    let got = explain(&set, &[], &[mk::node("a"), other], &[], Millis(0));
    assert_eq!(got.rows[0].reason, "nodeSelector wants disk=ssd, the node has no such label");
    assert_eq!(got.rows[1].reason, "nodeSelector wants disk=ssd, the node has disk=hdd");
}

#[test]
fn sets_are_named_as_kubectl_names_them() {
    for (text, expect) in [("ds/web", Some("web")), ("web", Some("web")), ("pod/web", None), ("ds/", None)] {
        assert_eq!(parse_name(text, "ns"), expect.map(|name| Key::new("ns", name)), "{text}");
    }
    assert_eq!(Span(Millis(1)).to_string(), "1s");
    assert_eq!(Span(Millis::from_secs(190)).to_string(), "3m10s");
    assert_eq!(Span(Millis::from_secs(7500)).to_string(), "2h5m");
}
