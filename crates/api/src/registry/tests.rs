//! Every row is complete, and can be found by its names.

use std::collections::BTreeSet;

use super::*;
use crate::resource::Verb;

#[test]
fn rows_are_unique_and_agree_with_their_groups() {
    // A301, A300: every (group, version, plural) once, every group known, subresources and verbs in discovery order.
    let mut seen = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for row in all() {
        assert!(seen.insert((row.group, row.version, row.plural)), "{row:?} stands twice");
        let group = groups().iter().find(|g| g.name == row.group).unwrap_or_else(|| panic!("{row:?} has no group"));
        assert!(group.versions.contains(&row.version), "{row:?}: version not in its group");
        assert!(row.verbs.is_sorted(), "{row:?}: verbs out of order");
        assert!(row.subresources.iter().map(|s| s.name).is_sorted(), "{row:?}: subresources out of order");
        match row.storage {
            Storage::Own => assert!(keys.insert(row.store_key), "{row:?}: store key stands twice"),
            Storage::View(_) => assert_eq!(row.stored().store_key, row.store_key, "{row:?}: view of another key"),
            Storage::Virtual => assert_eq!(row.verbs, [Verb::Create], "{row:?}: virtual kinds are only created"),
        }
    }
    for group in groups() {
        assert_eq!(group.versions.len(), group.version_priorities.len());
        assert!(all().iter().any(|r| r.group == group.name), "group {:?} is empty", group.name);
    }
}

#[test]
fn keys_are_those_of_the_real_server() {
    // A283.
    let rows = [
        ("", "v1", "nodes", "", "n", "/registry/minions/n"),
        ("", "v1", "services", "ns", "s", "/registry/services/specs/ns/s"),
        ("", "v1", "endpoints", "ns", "s", "/registry/services/endpoints/ns/s"),
        ("apps", "v1", "daemonsets", "ns", "d", "/registry/daemonsets/ns/d"),
        ("events.k8s.io", "v1", "events", "ns", "e", "/registry/events/ns/e"),
        (
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            "",
            "c",
            "/registry/apiextensions.k8s.io/customresourcedefinitions/c",
        ),
        ("networking.k8s.io", "v1", "ingresses", "ns", "i", "/registry/ingress/ns/i"),
    ];
    for (group, version, plural, ns, name, key) in rows {
        assert_eq!(find(group, version, plural).map(|r| r.key(ns, name)).as_deref(), Some(key));
    }
    assert_eq!(find("events.k8s.io", "v1", "events").map(|r| r.stored().group), Some(""));
    assert_eq!(find_kind("apps", "v1", "DaemonSet").map(|r| r.plural), Some("daemonsets"));
}
