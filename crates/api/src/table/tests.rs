//! Columns and cells as kubectl users know them.

use serde_json::json;

use super::*;
use crate::registry::all;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[test]
fn every_kind_prints_as_many_cells_as_columns() {
    // A172, also for an object that has nothing.
    for row in all() {
        for object in [json!({}), json!({"metadata": {"name": "x", "creationTimestamp": "1970-01-01T00:00:00Z"}})] {
            assert_eq!((row.printer.cells)(&object, at(5)).len(), row.printer.columns.len(), "{row:?}");
        }
    }
}

fn pod(status: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "a"}, {"name": "b"}]}, "status": status})
}

#[test]
fn the_status_of_a_pod_in_one_word() {
    // A183, A184: (status, ready, word, restarts).
    let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
    let side = json!({"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}});
    let running = |name: &str| json!({"name": name, "ready": true, "state": {"running": {}}});
    let waiting = |name: &str, why: &str| {
        json!({"name": name, "restartCount": 2, "state": {"waiting": {"reason": why}},
        "lastState": {"terminated": {"finishedAt": "1970-01-01T00:05:00Z"}}})
    };
    let ended = |name: &str, code: i64, why: &str| json!({"name": name, "state": {"terminated": {"exitCode": code, "reason": why}}});
    let rows = [
        (json!({"phase": "Pending"}), "0/3", "Pending", "0"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/3", "Evicted", "0"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/3",
            "SchedulingGated",
            "0",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
            "0/3",
            "Init:0/2",
            "0",
        ),
        (json!({"phase": "Pending", "initContainerStatuses": [ended("i", 3, "")]}), "0/3", "Init:ExitCode:3", "0"),
        (
            json!({"phase": "Pending", "initContainerStatuses": [waiting("i", "ErrImagePull")]}),
            "0/3",
            "Init:ErrImagePull",
            "2 (5m ago)",
        ),
        (
            json!({"phase": "Running", "initContainerStatuses": [done, side], "containerStatuses": [running("a"), running("b")]}),
            "3/3",
            "Running",
            "1",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [waiting("a", "CrashLoopBackOff"), running("b")]}),
            "1/3",
            "CrashLoopBackOff",
            "2 (5m ago)",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [ended("a", 0, "Completed"), running("b")]}),
            "1/3",
            "NotReady",
            "0",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [ended("a", 0, "Completed"), ended("b", 1, "Error")]}),
            "0/3",
            "Error",
            "0",
        ),
    ];
    for (status, ready, word, restarts) in rows {
        let cells = (PODS.cells)(&pod(status.clone()), at(600));
        assert_eq!(cells[1..4], [json!(ready), json!(word), json!(restarts)], "{status}");
    }
    let mut leaving = pod(json!({"phase": "Running"}));
    leaving["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
    assert_eq!((PODS.cells)(&leaving, at(600))[2], json!("Terminating"));
}

#[test]
fn nodes_services_and_revisions() {
    // A185, A186, A180.
    let node = json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/edge": "", "kubernetes.io/role": "a"}},
        "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    assert_eq!((NODES.cells)(&node, at(0))[1..3], [json!("NotReady,SchedulingDisabled"), json!("a,edge")]);
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIPs": ["10.0.0.1"],
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
    assert_eq!(
        (SERVICES.cells)(&service, at(0))[1..5],
        [json!("NodePort"), json!("10.0.0.1"), json!("<none>"), json!("80:30080/TCP")]
    );
    let revision = json!({"metadata": {"name": "r", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet",
        "name": "web", "controller": true}]}, "revision": 3});
    assert_eq!((CONTROLLER_REVISIONS.cells)(&revision, at(0))[1..3], [json!("daemonset.apps/web"), json!(3)]);
}
