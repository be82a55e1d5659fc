//! Tables for the owner graph: what is garbage, and what is not (spec/daemonset.md §22).

use std::collections::BTreeMap;

use super::*;

fn kind(text: &str) -> Kind {
    Kind { group: "".into(), kind: text.into() }
}

/// `ns/name` or `name`; the uid is the name unless given.
fn identity(of: &str, at: &str, uid: &str) -> Identity {
    let (namespace, name) = at.split_once('/').unwrap_or(("", at));
    Identity { uid: uid.into(), kind: kind(of), namespace: namespace.into(), name: name.into() }
}

fn object(at: &str) -> Seen {
    let uid = at.rsplit('/').next().unwrap_or(at);
    Seen {
        identity: identity("ConfigMap", at, uid),
        version: "1".into(),
        owners: Vec::new(),
        terminating: false,
        foreground: false,
        orphan: false,
    }
}

fn owned(at: &str, owners: &[&str]) -> Seen {
    let owners = owners
        .iter()
        .map(|text| {
            let (name, blocks) = text.strip_suffix('!').map_or((*text, false), |name| (name, true));
            let (of, name) = name.split_once(':').unwrap_or(("ConfigMap", name));
            Reference { uid: name.into(), kind: kind(of), api_version: "v1".into(), name: name.into(), blocks }
        })
        .collect();
    Seen { owners, ..object(at) }
}

fn graph() -> Graph {
    let mut graph = Graph::default();
    graph.learn(BTreeMap::from([(kind("ConfigMap"), Scope::Namespaced), (kind("Node"), Scope::Cluster)]));
    graph
}

/// Acts in short words.
fn acts(graph: &mut Graph) -> Vec<String> {
    graph
        .acts()
        .into_iter()
        .map(|act| match act {
            Act::Verify(owner) => format!("verify {}/{}", owner.namespace, owner.name),
            Act::Delete { object, propagation, .. } => format!("delete {} {propagation:?}", object.name),
            Act::DropOwners { object, owners } => format!("drop {owners:?} of {}", object.name),
            Act::Unblock { object, owners } => format!("unblock {owners:?} of {}", object.name),
            Act::RemoveFinalizer { object, finalizer } => {
                format!("remove {finalizer} of {}", object.name)
            }
            Act::Warn { object, message } => format!("warn {}: {message}", object.name),
        })
        .collect()
}

const PRESENT: Answer = Answer::Present { waits_for_deletion: false };

/// R146, T125, T147, T151: an owner is asked for, and only its absence makes garbage.
#[test]
fn an_unknown_owner_is_verified_before_anything_is_deleted() {
    for (answer, expect) in [(PRESENT, vec![]), (Answer::Absent, vec!["delete child Background"])] {
        let mut graph = graph();
        graph.observe(owned("a/child", &["parent"]));
        assert_eq!(acts(&mut graph), ["verify a/parent"]);
        assert_eq!(acts(&mut graph), [""; 0], "asked once");
        graph.answer(&identity("ConfigMap", "a/parent", "parent"), answer);
        assert_eq!(acts(&mut graph), expect);
    }
}

/// R142 Background; T150: the uid decides, not the name.
#[test]
fn dependents_of_a_deleted_owner_are_deleted_in_the_background() {
    let mut graph = graph();
    graph.observe(owned("a/child", &["parent"]));
    graph.observe(object("a/parent"));
    assert_eq!(acts(&mut graph), [""; 0], "seen: no question");
    graph.forget(&identity("ConfigMap", "a/parent", "parent"));
    graph.observe(Seen { identity: identity("ConfigMap", "a/parent", "second"), ..object("a/parent") });
    assert_eq!(acts(&mut graph), ["delete child Background"]);
    assert_eq!(acts(&mut graph), [""; 0], "not twice");
    graph.failed("child");
    assert_eq!(acts(&mut graph), ["delete child Background"]);
    graph.forget(&identity("ConfigMap", "a/child", "child"));
    assert!(graph.is_empty());
}

/// R146: the watch's word is newer than a read that was under way.
#[test]
fn a_deletion_seen_during_the_read_wins() {
    let mut graph = graph();
    let parent = identity("ConfigMap", "a/parent", "parent");
    graph.observe(owned("a/child", &["parent"]));
    assert_eq!(acts(&mut graph), ["verify a/parent"]);
    graph.forget(&parent);
    graph.answer(&parent, PRESENT);
    assert_eq!(acts(&mut graph), ["delete child Background"]);
}

/// R146, T125: a solid owner keeps the object, dangling references go.
#[test]
fn a_solid_owner_keeps_its_dependent() {
    let mut graph = graph();
    graph.observe(owned("a/child", &["one", "two"]));
    graph.observe(object("a/one"));
    graph.observe(object("a/two"));
    assert_eq!(acts(&mut graph), [""; 0]);
    graph.forget(&identity("ConfigMap", "a/one", "one"));
    assert_eq!(acts(&mut graph), [r#"drop ["one"] of child"#]);
}

/// R142, R147: foreground waits for what blocks, and for nothing else.
#[test]
fn foreground_waits_for_blocking_dependents() {
    let mut graph = graph();
    for child in [owned("a/blocks", &["parent!"]), owned("a/free", &["parent"])] {
        graph.observe(child);
    }
    graph.observe(object("a/parent"));
    assert_eq!(acts(&mut graph), [""; 0]);
    let parent = Seen { terminating: true, foreground: true, ..object("a/parent") };
    graph.observe(parent.clone());
    assert_eq!(acts(&mut graph), ["delete blocks Background", "delete free Background"]);
    let going = Seen { terminating: true, version: "2".into(), ..owned("a/blocks", &["parent!"]) };
    graph.observe(going.clone());
    assert_eq!(acts(&mut graph), [""; 0], "a finalizer of its own still holds it (T125)");
    graph.forget(&going.identity);
    assert_eq!(acts(&mut graph), ["remove foregroundDeletion of parent"]);
}

/// R147: a dependent with dependents of its own is deleted in the foreground too.
#[test]
fn foreground_goes_down_the_tree() {
    let mut graph = graph();
    graph.observe(object("a/parent"));
    graph.observe(owned("a/child", &["parent!"]));
    graph.observe(owned("a/grandchild", &["child!"]));
    graph.observe(object("a/parent"));
    graph.observe(Seen { terminating: true, foreground: true, ..object("a/parent") });
    let acts = acts(&mut graph);
    assert!(acts.contains(&"delete child Foreground".to_owned()), "{acts:?}");
}

/// A513: owners that wait for each other are unblocked.
#[test]
fn a_circle_of_blocking_owners_is_broken() {
    let mut graph = graph();
    graph.observe(owned("a/one", &["two!"]));
    graph.observe(owned("a/two", &["one!"]));
    graph.observe(Seen { terminating: true, foreground: true, version: "2".into(), ..owned("a/one", &["two!"]) });
    let acts = acts(&mut graph);
    assert_eq!(acts, [r#"unblock ["one"] of two"#, "delete two Foreground"]);
}

/// T149: what vanished before it could be deleted holds nobody up, nor does what waited for dependents of its own.
#[test]
fn t149_a_dependent_that_vanishes_unblocks_its_owner() {
    for has_dependents in [false, true] {
        let mut graph = graph();
        graph.observe(object("a/parent"));
        graph.observe(owned("a/child", &["parent!"]));
        if has_dependents {
            graph.observe(owned("a/grandchild", &["child!"]));
        }
        graph.observe(Seen { terminating: true, foreground: true, ..object("a/parent") });
        assert_ne!(acts(&mut graph), [""; 0]);
        // The deletion was answered NotFound, or the event came first: either way it is gone.
        graph.forget(&identity("ConfigMap", "a/child", "child"));
        let mut expect = vec!["remove foregroundDeletion of parent"];
        let mut seen = acts(&mut graph);
        if has_dependents {
            expect.insert(0, "delete grandchild Background");
        }
        seen.sort();
        assert_eq!(seen, expect);
    }
}

/// T152.
#[test]
fn a_foreground_owner_leaves_dependents_that_others_own() {
    let mut graph = graph();
    graph.observe(owned("a/child", &["one!", "two"]));
    graph.observe(object("a/two"));
    graph.observe(Seen { terminating: true, foreground: true, ..object("a/one") });
    assert_eq!(acts(&mut graph), [r#"drop ["one"] of child"#]);
    graph.observe(Seen { version: "2".into(), ..owned("a/child", &["two"]) });
    assert_eq!(acts(&mut graph), ["remove foregroundDeletion of one"]);
}

/// R142 Orphan.
#[test]
fn orphans_are_released_before_their_owner_goes() {
    let mut graph = graph();
    graph.observe(owned("a/pod", &["set!"]));
    graph.observe(owned("a/revision", &["set!"]));
    graph.observe(object("a/set"));
    assert_eq!(acts(&mut graph), [""; 0]);
    graph.observe(Seen { terminating: true, orphan: true, ..object("a/set") });
    assert_eq!(acts(&mut graph), [r#"drop ["set"] of pod"#, r#"drop ["set"] of revision"#]);
    graph.observe(Seen { version: "2".into(), ..object("a/pod") });
    assert_eq!(acts(&mut graph), [""; 0]);
    graph.observe(Seen { version: "2".into(), ..object("a/revision") });
    assert_eq!(acts(&mut graph), ["remove orphan of set"]);
}

/// R146, T148: an owner is looked for in the dependent's namespace, in either order of observation and of the answers. Nobody
/// is deleted before it is known whether there is something to warn of.
#[test]
fn an_owner_in_another_namespace_counts_as_absent() {
    let right = owned("b/right", &["parent"]);
    let wrong = owned("a/wrong", &["parent"]);
    let there = (identity("ConfigMap", "b/parent", "parent"), PRESENT);
    let here = (identity("ConfigMap", "a/parent", "parent"), Answer::Absent);
    for order in [[&right, &wrong], [&wrong, &right]] {
        for answers in [[&there, &here], [&here, &there]] {
            let mut graph = graph();
            graph.observe(object("b/parent"));
            for seen in order {
                graph.observe(seen.clone());
            }
            let asked = acts(&mut graph);
            assert_eq!(asked.len(), 2, "{asked:?}");
            graph.answer(&answers[0].0, answers[0].1);
            assert_eq!(acts(&mut graph), [""; 0], "one answer is missing");
            graph.answer(&answers[1].0, answers[1].1);
            assert_eq!(
                acts(&mut graph),
                [
                    r#"warn wrong: ownerRef [v1/ConfigMap, namespace: a, name: parent, uid: parent] does not exist in namespace "a""#,
                    "delete wrong Background"
                ]
            );
        }
    }
}

/// R146: what waits for an answer about the same uid elsewhere does not wait for ever when nobody needs that answer any more.
#[test]
fn an_answer_that_nobody_needs_any_more_holds_up_nobody() {
    let right = owned("b/right", &["parent"]);
    let mut graph = graph();
    graph.observe(right.clone());
    graph.observe(owned("a/wrong", &["parent"]));
    assert_eq!(acts(&mut graph), ["verify b/parent", "verify a/parent"]);
    graph.answer(&identity("ConfigMap", "a/parent", "parent"), Answer::Absent);
    assert_eq!(acts(&mut graph), [""; 0]);
    graph.forget(&right.identity);
    assert_eq!(acts(&mut graph), ["delete wrong Background"]);
}

/// A512: Node → Lease is normal; an unknown kind keeps its dependent; so does a namespaced owner of a cluster object.
#[test]
fn references_across_scopes() {
    for (seen, expect) in [
        (owned("a/lease", &["Node:n1"]), vec!["verify /n1"]),
        (owned("a/custom", &["Widget:w"]), vec![]),
        (owned("cluster", &["parent"]), vec![]),
    ] {
        let mut graph = graph();
        graph.observe(seen);
        assert_eq!(acts(&mut graph), expect);
    }
    let mut graph = graph();
    graph.observe(owned("a/custom", &["Widget:w"]));
    assert_eq!(acts(&mut graph), [""; 0]);
    graph.learn(BTreeMap::from([(kind("Widget"), Scope::Namespaced)]));
    assert_eq!(acts(&mut graph), ["verify a/w"], "a kind that appears later is asked for");
}

/// A terminating object is nobody's business until its finalizers go.
#[test]
fn terminating_dependents_are_left_alone() {
    let mut graph = graph();
    graph.observe(Seen { terminating: true, ..owned("a/child", &["parent"]) });
    assert_eq!(acts(&mut graph), [""; 0]);
}
