//! Paths and what they mean.

use super::*;

fn place(path: &str) -> Place {
    match target(path) {
        Target::Resource(place) => place,
        other => panic!("{path} is {other:?}"),
    }
}

/// A1: which words of a path are namespace, resource, name and subresource.
#[test]
fn a1_paths() {
    let cases = [
        ("/api/v1/pods", ("", "v1", "", "pods", "", "", "")),
        ("/api/v1/pods/", ("", "v1", "", "pods", "", "", "")),
        ("/api/v1/nodes/n1", ("", "v1", "", "nodes", "n1", "", "")),
        ("/api/v1/nodes/n1/status", ("", "v1", "", "nodes", "n1", "status", "")),
        ("/api/v1/namespaces", ("", "v1", "", "namespaces", "", "", "")),
        ("/api/v1/namespaces/a", ("", "v1", "a", "namespaces", "a", "", "")),
        ("/api/v1/namespaces/a/status", ("", "v1", "a", "namespaces", "a", "status", "")),
        ("/api/v1/namespaces/a/finalize", ("", "v1", "a", "namespaces", "a", "finalize", "")),
        ("/api/v1/namespaces/a/pods", ("", "v1", "a", "pods", "", "", "")),
        ("/api/v1/namespaces/a/pods/p/log", ("", "v1", "a", "pods", "p", "log", "")),
        ("/apis/apps/v1/namespaces/a/daemonsets/d", ("apps", "v1", "a", "daemonsets", "d", "", "")),
        ("/api/v1/namespaces/a/services/s/proxy/x/y", ("", "v1", "a", "services", "s", "proxy", "x/y")),
        ("/api/v1/namespaces/a/pods/p%20q", ("", "v1", "a", "pods", "p q", "", "")),
    ];
    for (path, (group, version, namespace, resource, name, subresource, rest)) in cases {
        let place = place(path);
        let got = (
            &*place.group,
            &*place.version,
            &*place.namespace,
            &*place.resource,
            &*place.name,
            &*place.subresource,
            &*place.rest,
        );
        assert_eq!(got, (group, version, namespace, resource, name, subresource, rest), "{path}");
    }
}

/// A1: `//` and an encoded slash name nothing; A107: the old watch paths.
#[test]
fn a1_nonsense_and_a107_watch() {
    for path in ["/api/v1//pods", "/api/v1/namespaces/a/pods/p%2Fq", "/api/v1/pods/%zz"] {
        assert!(matches!(target(path), Target::Nonsense(_)), "{path}");
    }
    for path in ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v3/apis/apps/v1"] {
        assert!(matches!(target(path), Target::Path(_)), "{path}");
    }
    let place = place("/apis/apps/v1/watch/namespaces/a/daemonsets/d");
    assert!(place.watch);
    assert_eq!((&*place.resource, &*place.name), ("daemonsets", "d"));
    assert_eq!(verb(&Method::GET, &place, false), "watch");
}

/// A96: booleans and repeated parameters.
#[test]
fn a96_queries() {
    let query = Query::parse(Some("watch=abc&a=False&b=0&c=&limit=5&limit=6&s=x%3Dy+z&flag"));
    assert!(query.flag("watch") && query.flag("c") && query.flag("flag"));
    assert!(!query.flag("a") && !query.flag("b") && !query.flag("absent"));
    assert_eq!(query.get("limit"), Some("5"));
    assert_eq!(query.text("s"), "x=y z");
}
