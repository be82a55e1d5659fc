//! Sets, their JSON, and which fields values have and differ in.

use super::*;

fn set(json: &Value) -> Set {
    read_fields(json).expect("a set")
}

/// A154: one JSON form, whatever order and spelling came in; what a later version may know is dropped.
#[test]
fn a154_sets_have_one_form() {
    for (sent, kept) in [
        (json!({}), json!({})),
        (json!({"f:a": {}}), json!({"f:a": {}})),
        (json!({"f:a": {".": {}}}), json!({"f:a": {}})),
        (json!({"f:a": {".": {}, "f:b": {}}}), json!({"f:a": {".": {}, "f:b": {}}})),
        (json!({"k:{ \"b\": 2, \"a\":\"x\"}": {"f:c": {}}}), json!({"k:{\"a\":\"x\",\"b\":2}": {"f:c": {}}})),
        (json!({"v:\"x/y\"": {}, "v:1": {}, "i:3": {}}), json!({"i:3": {}, "v:1": {}, "v:\"x/y\"": {}})),
        (json!({"z:later": {}, "f:a": {}}), json!({"f:a": {}})),
        (json!({"f:with:colon": {}}), json!({"f:with:colon": {}})),
    ] {
        assert_eq!(write_fields(&set(&sent)), kept, "{sent}");
    }
    for bad in
        [json!({"a": {}}), json!({"k:1": {}}), json!({"k:{}": {}}), json!({"v:[1]": {}}), json!({"i:x": {}}), json!([])]
    {
        assert!(read_fields(&bad).is_err(), "{bad}");
    }
}

#[test]
fn sets_are_taken_member_by_member() {
    let a = set(&json!({"f:a": {".": {}, "f:x": {}, "f:y": {}}, "f:b": {}}));
    let b = set(&json!({"f:a": {"f:x": {}}, "f:b": {"f:in": {}}, "f:c": {}}));
    let json = |set: Set| write_fields(&set);
    assert_eq!(
        json(a.union(&b)),
        json!({"f:a": {".": {}, "f:x": {}, "f:y": {}}, "f:b": {".": {}, "f:in": {}}, "f:c": {}})
    );
    assert_eq!(json(a.difference(&b)), json!({"f:a": {".": {}, "f:y": {}}, "f:b": {}}));
    assert_eq!(json(b.difference(&a)), json!({"f:b": {"f:in": {}}, "f:c": {}}));
    assert_eq!(json(a.intersection(&b)), json!({"f:a": {"f:x": {}}}));
    // Without a field goes all that is in it.
    assert_eq!(json(b.without_fields(&set(&json!({"f:b": {}})))), json!({"f:a": {"f:x": {}}, "f:c": {}}));
}

/// The quick questions to the JSON agree with the set operations.
#[test]
fn json_is_asked_like_the_set() {
    let all = [
        json!({"f:a": {".": {}, "f:x": {}}}),
        json!({"f:a": {"f:x": {}}}),
        json!({"f:a": {}}),
        json!({"f:b": {"k:{\"n\":1}": {".": {}, "f:y": {}}}, "f:a": {"f:x": {}}}),
        json!({"f:b": {"k:{\"n\":1}": {}}}),
        json!({}),
    ];
    for one in &all {
        for other in &all {
            let (a, b) = (set(one), set(other));
            assert_eq!(super::super::fields::touches(one, &b), !a.intersection(&b).is_empty(), "{one} touches {other}");
            assert_eq!(super::super::fields::covers(one, &b), b.difference(&a).is_empty(), "{one} covers {other}");
        }
    }
}

/// A150: conflicts list a level before what is in it, fields before keyed elements, numbers by size.
#[test]
fn a150_paths_are_listed_in_order() {
    let set = set(&json!({
        "f:spec": {"f:b": {}, "f:a": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:x": {}}, "k:{\"port\":9,\"protocol\":\"UDP\"}": {}}},
        "f:z": {}, "v:\"s\"": {}
    }));
    let shown: Vec<String> = set.paths().iter().map(|path| show(path)).collect();
    let expect =
        [".z", "[=\"s\"]", ".spec.b", ".spec.a[port=9,protocol=\"UDP\"]", ".spec.a[port=80,protocol=\"TCP\"].x"];
    assert_eq!(shown, expect);
}

/// A145, A149, A159: what an intent claims, by the marks of each place.
#[test]
fn a149_an_intent_claims_its_leaves() {
    let ds = "apps.v1.DaemonSet";
    let template = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    let in_template = |fields: Value| json!({"f:spec": {"f:template": {"f:spec": fields}}});
    for (name, object, claimed) in [
        (
            "labels one by one",
            json!({"metadata": {"labels": {"a": "1"}}}),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
        ),
        (
            "a selector as a whole",
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            json!({"f:spec": {"f:selector": {}}}),
        ),
        (
            "a node selector as a whole",
            template(json!({"nodeSelector": {"a": "b"}})),
            in_template(json!({"f:nodeSelector": {}})),
        ),
        (
            "tolerations as a whole",
            template(json!({"tolerations": [{"key": "x"}]})),
            in_template(json!({"f:tolerations": {}})),
        ),
        (
            "containers by name",
            template(json!({"containers": [{"name": "c", "image": "i", "args": ["a"]}]})),
            in_template(
                json!({"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}}}),
            ),
        ),
        (
            "ports by number and protocol, which is TCP if left out",
            template(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]})),
            in_template(json!({"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:ports": {
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}})),
        ),
        (
            "finalizers by value",
            json!({"metadata": {"finalizers": ["a/b", "c/d"]}}),
            json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}, "v:\"c/d\"": {}}}}),
        ),
        (
            "owners by uid, each as a whole",
            json!({"metadata": {"ownerReferences": [{"uid": "u", "name": "n"}]}}),
            json!({"f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}}}),
        ),
        (
            "null and empty maps",
            json!({"metadata": {"labels": {}, "annotations": null}}),
            json!({"f:metadata": {"f:labels": {}, "f:annotations": {}}}),
        ),
        (
            "quantities one by one",
            template(json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]})),
            in_template(json!({"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {},
                "f:resources": {"f:limits": {"f:cpu": {}}}}}})),
        ),
    ] {
        assert_eq!(write_fields(&fields_of(shape(ds), &object)), claimed, "{name}");
    }
}

/// A152: the added, modified and removed fields of two objects in normal form, as if their full JSON were compared.
#[test]
fn a152_differences_are_those_of_the_full_form() {
    let base = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "status": {"numberReady": 3}, "spec": {
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d"}]}}}});
    let other = json!({"metadata": {"labels": {"a": "2"}, "annotations": {"x": "y"}}, "spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i", "tty": true}]}}}});
    let diff = compare(shape("apps.v1.DaemonSet"), &base, &other, Reading::Shown);
    let containers = |fields: Value| json!({"f:template": {"f:spec": {"f:containers": fields}}});
    assert_eq!(
        write_fields(&diff.added),
        json!({"f:metadata": {"f:annotations": {".": {}, "f:x": {}}}, "f:spec": {
            "f:template": containers(json!({"k:{\"name\":\"c\"}": {"f:tty": {}}}))["f:template"],
            "f:updateStrategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}}}})
    );
    // A counter that is always written is modified to zero, not removed.
    assert_eq!(
        write_fields(&diff.modified),
        json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:status": {"f:numberReady": {}}})
    );
    assert_eq!(
        write_fields(&diff.removed),
        json!({"f:metadata": {"f:labels": {"f:b": {}}}, "f:spec": containers(json!({"k:{\"name\":\"d\"}": {".": {}, "f:name": {}, "f:resources": {}}}))})
    );
}

/// The view of a normal object as its full form gives what the full form itself gives.
#[test]
fn shown_is_the_full_form() {
    let ds = shape("apps.v1.DaemonSet");
    let one = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "c"}], "securityContext": {}}}}});
    let two = json!({"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]}}}});
    let full = |object: &Value| crate::codec::json::full(object, ds);
    for (left, right) in [(&one, &two), (&two, &one), (&one, &json!({})), (&json!({}), &two)] {
        let shown = compare(ds, left, right, Reading::Shown);
        assert_eq!(shown, compare(ds, &full(left), &full(right), Reading::Given));
        assert_eq!(shown, compare(ds, &full(left), &full(right), Reading::Shown));
    }
}
