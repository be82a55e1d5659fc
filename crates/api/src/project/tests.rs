//! What decisions read, from the wire.

use everynode_core::model::{IntOrPercent, Key, Millis, NodeName, Phase, Pin, Strategy, Tri};
use everynode_core::selector::{Effect, TolerationOperator};
use serde_json::{Value, json};

use super::*;

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn a_pod_is_read() {
    let pod = pod(&bytes(&json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "42",
            "creationTimestamp": "1970-01-01T00:00:10Z", "deletionTimestamp": "1970-01-01T00:01:00Z",
            "deletionGracePeriodSeconds": 30, "labels": {"app": "x"}, "finalizers": ["f"],
            "ownerReferences": [{"kind": "Job", "name": "j", "uid": "1"},
                                {"kind": "DaemonSet", "name": "d", "uid": "2", "controller": true}]},
        "spec": {"nodeName": "n1", "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:20Z"}]},
    })))
    .expect("a pod");
    assert_eq!((&pod.key, pod.version.0, pod.created), (&Key::new("ns", "p"), 42, Millis(10_000)));
    assert_eq!(pod.deletion.map(|deletion| deletion.grace), Some(Millis(30_000)));
    assert_eq!(pod.owner.as_ref().map(|owner| owner.uid.as_str()), Some("2"), "the controller, not the first owner");
    assert_eq!((pod.phase, pod.ready.is, pod.ready.since), (Phase::Running, true, Some(Millis(20_000))));
    assert_eq!(pod.target(), Some(&NodeName::from("n1")));
    let toleration = &pod.scheduling.tolerations[0];
    assert_eq!(
        (toleration.operator, toleration.effect, toleration.seconds),
        (TolerationOperator::Exists, Some(Effect::NoExecute), Some(9))
    );
    assert!(pod.finalized);
}

/// R54, T83: the node a pod is meant for.
#[test]
fn the_pin_is_the_first_name_in_a_match_field() {
    let field = |operator: &str, values: Value| json!({"key": "metadata.name", "operator": operator, "values": values});
    for (terms, expect) in [
        (json!([{"matchFields": [field("In", json!(["n1"]))]}]), Pin::To("n1".into())),
        (json!([{"matchFields": [field("NotIn", json!(["x"])), field("In", json!(["n1"]))]}]), Pin::To("n1".into())),
        (json!([{"matchFields": [field("In", json!(["a", "b"]))]}]), Pin::Ambiguous),
        (json!([{"matchExpressions": [field("In", json!(["n1"]))]}]), Pin::None),
        (json!([]), Pin::None),
    ] {
        let affinity =
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let got = pod(&bytes(&json!({"metadata": {"name": "p"}, "spec": {"affinity": affinity}}))).expect("a pod");
        assert_eq!(got.pin, expect, "{affinity}");
    }
}

/// What a pod asks of a node: containers and sidecars together, or the largest init step, plus overhead.
#[test]
fn requests_are_summed() {
    let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}});
    for (init, expect) in [(json!([]), 310), (json!([sidecar, asks("50m")]), 410), (json!([sidecar, asks("1")]), 1110)]
    {
        let got = pod(&bytes(&json!({"metadata": {"name": "p"}, "spec": {
            "containers": [asks("100m"), asks("200m")], "initContainers": init, "overhead": {"cpu": "10m"}}})))
        .expect("a pod");
        assert_eq!(got.scheduling.requests.get("cpu"), expect, "{init}");
    }
}

#[test]
fn a_node_is_read_leniently() {
    let node = node(&bytes(&json!({
        "metadata": {"name": "n", "labels": null},
        "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "odd": "x"}, "conditions": [{"type": "Ready", "status": "False"}]},
    })))
    .expect("a node");
    assert!(node.unschedulable && node.taints.len() == 1);
    assert_eq!(
        (node.allocatable.get("cpu"), node.allocatable.get("memory"), node.allocatable.get("odd")),
        (2000, 1 << 30, 0)
    );
    assert_eq!(node.ready(), Tri::False);
    assert!(super::node(b"{}").is_err(), "no name, no node");
    assert!(super::node(b"[").is_err());
}

/// R81: a revision's data is kept byte for byte.
#[test]
fn a_revisions_data_is_kept() {
    let text = br#"{"metadata":{"name":"r"},"revision":3,"data":{"b": 1,  "a":"\u003c"}}"#;
    let got = revision(text).expect("a revision");
    assert_eq!((&*got.data, got.number), (&br#"{"b": 1,  "a":"\u003c"}"#[..], 3));
}

#[test]
fn a_set_is_read() {
    let set = daemon_set(&json!({
        "metadata": {"name": "d", "namespace": "ns", "uid": "u", "generation": 4,
            "annotations": {"deprecated.daemonset.template.generation": "3"}},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "minReadySeconds": 5,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}},
            "template": {"spec": {"nodeSelector": {"disk": "ssd"}, "hostNetwork": true}}},
        "status": {"numberReady": 2, "observedGeneration": 4, "collisionCount": 0},
    }))
    .expect("a set");
    assert_eq!(
        set.strategy,
        Strategy::RollingUpdate {
            max_unavailable: Some(IntOrPercent::Percent(10)),
            max_surge: Some(IntOrPercent::Int(0))
        }
    );
    assert_eq!((set.template_generation, set.generation, set.history_limit), (Some(3), 4, 10));
    assert_eq!((set.status.ready, set.collision_count), (2, Some(0)), "0 and absent differ");
    assert!(set.template.host_network);
}
