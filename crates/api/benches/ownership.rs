//! What field ownership costs a write: `cargo bench -p everynode-api --bench ownership`. Prints figures, asserts nothing.
//!
//! The pure part of one write is timed: read the stored bytes, change them, encode what comes out. *Without* has no entries and records
//! nothing, as before there was ownership; *with* has them stored and records the write; *record* is the recording alone.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use everynode_api::Object;
use everynode_api::apply::{Set, Writer, resets, update};
use everynode_api::codec::{json, normalise};
use everynode_api::registry;
use everynode_api::resource::Resource;
use everynode_api::schema::{self, Shape};
use everynode_api::value::{remove, set};
use serde_json::{Value, json};

const ROUNDS: u32 = 5_000;
const LATER: &str = "2026-11-21T10:00:10Z";

struct Case {
    name: &'static str,
    row: &'static Resource,
    object: Object,
    manager: &'static str,
    subresource: &'static str,
    /// A write; each turn brings other values.
    change: fn(&mut Object, u32),
}

fn main() {
    println!(
        "{:<24} {:>8} {:>8} {:>12} {:>12} {:>12}",
        "one write", "bytes", "entries", "without ns", "with ns", "record ns"
    );
    for case in [lease(), node(), pod()] {
        run(&case);
    }
}

fn run(case: &Case) {
    let shape = schema::table().shape(case.row.shape).unwrap_or_else(|| panic!("no shape {}", case.row.shape));
    let tracked = tracked(case, shape);
    let mut bare = tracked.clone();
    drop(remove(&mut bare, "metadata.managedFields"));
    let (bare_bytes, bytes) = (json::encode(&bare, shape), json::encode(&tracked, shape));
    let resets = resets(case.row, case.subresource);
    let without = time(|| {
        let old = read(&bare_bytes, shape);
        let mut new = old.clone();
        (case.change)(&mut new, 2);
        json::encode(&new, shape).len()
    });
    let with = time(|| {
        let old = read(&bytes, shape);
        let mut new = old.clone();
        (case.change)(&mut new, 2);
        record(case, shape, &old, &mut new, &resets);
        json::encode(&new, shape).len()
    });
    let old = read(&bytes, shape);
    let mut changed = old.clone();
    (case.change)(&mut changed, 2);
    let copy = time(|| changed.clone().as_object().map_or(0, serde_json::Map::len));
    let both = time(|| {
        let mut new = changed.clone();
        record(case, shape, &old, &mut new, &resets);
        new.as_object().map_or(0, serde_json::Map::len)
    });
    let entries = bytes.len() - bare_bytes.len();
    println!(
        "{:<24} {:>8} {entries:>8} {without:>12} {with:>12} {:>12}",
        case.name,
        bare_bytes.len(),
        both.saturating_sub(copy)
    );
}

/// Nanoseconds of one round, the best of some runs.
fn time(mut round: impl FnMut() -> usize) -> u128 {
    let run = |round: &mut dyn FnMut() -> usize| {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(round());
        }
        started.elapsed().as_nanos() / u128::from(ROUNDS)
    };
    (0..5).map(|_| run(&mut round)).min().unwrap_or_default()
}

fn read(bytes: &[u8], shape: &Shape) -> Object {
    let mut object: Object = serde_json::from_slice(bytes).unwrap_or_default();
    normalise(&mut object, shape);
    object
}

fn record(case: &Case, shape: &Shape, old: &Object, new: &mut Object, resets: &Set) {
    let writer = Writer {
        manager: case.manager,
        api_version: &case.row.api_version(),
        subresource: case.subresource,
        now: LATER,
        resets,
    };
    update(shape, Some(old), new, &writer);
}

/// The object with the entries of its maker and of its last writer.
fn tracked(case: &Case, shape: &Shape) -> Object {
    let resets = Set::default();
    let version = case.row.api_version();
    let maker = Writer {
        manager: "maker",
        api_version: &version,
        subresource: "",
        now: "2026-11-21T10:00:00Z",
        resets: &resets,
    };
    let mut object = case.object.clone();
    normalise(&mut object, shape);
    update(shape, None, &mut object, &maker);
    let old = object.clone();
    (case.change)(&mut object, 1);
    let writer = Writer { manager: case.manager, subresource: case.subresource, ..maker };
    update(shape, Some(&old), &mut object, &writer);
    object
}

fn row(group: &str, plural: &str) -> &'static Resource {
    registry::find(group, "v1", plural).unwrap_or_else(|| panic!("no row {plural}"))
}

fn lease() -> Case {
    let object = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "node-1", "namespace": "kube-node-lease", "uid": "9a5e0f9e-3d1c-4b43-9d63-0f6f3c1d2a10",
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "9a5e0f9e-3d1c-4b43-9d63-0f6f3c1d2a11"}]},
        "spec": {"holderIdentity": "node-1", "leaseDurationSeconds": 40, "renewTime": "2026-11-21T10:00:00.000000Z"}});
    let change = |lease: &mut Object, turn| set(lease, "spec.renewTime", format!("2026-11-21T10:00:0{turn}.000000Z"));
    Case {
        name: "lease renewal",
        row: row("coordination.k8s.io", "leases"),
        object,
        manager: "kubelet",
        subresource: "",
        change,
    }
}

fn node() -> Case {
    let condition = |kind: &str| {
        json!({"type": kind, "status": "False", "reason": "Fine", "message": "all is well",
        "lastHeartbeatTime": "2026-11-21T10:00:00Z", "lastTransitionTime": "2026-11-21T09:00:00Z"})
    };
    let conditions: Vec<Value> = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition).into();
    let image = |i: usize| json!({"names": [format!("registry.example/image-{i}:1.0")], "sizeBytes": 12_345_678});
    let amounts = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "uid": "9a5e0f9e-3d1c-4b43-9d63-0f6f3c1d2a11",
            "creationTimestamp": "2026-11-21T09:00:00Z",
            "labels": {"kubernetes.io/hostname": "node-1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "disk": "ssd"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "node-1"}],
            "capacity": amounts, "allocatable": amounts, "conditions": conditions,
            "images": (0..20).map(image).collect::<Vec<_>>(),
            "nodeInfo": {"kernelVersion": "6.18", "kubeletVersion": "v1.36.2", "operatingSystem": "linux", "architecture": "amd64"}}});
    let change = |node: &mut Object, turn| {
        for condition in node.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            condition["lastHeartbeatTime"] = format!("2026-11-21T10:00:0{turn}Z").into();
        }
    };
    Case { name: "node heartbeat", row: row("", "nodes"), object, manager: "kubelet", subresource: "status", change }
}

fn pod() -> Case {
    let container = |i: usize| {
        json!({"name": format!("c{i}"), "image": "registry.example/agent:1.0", "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "t", "mountPath": "/t"}],
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
    };
    let object = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-x", "namespace": "ops", "uid": "9a5e0f9e-3d1c-4b43-9d63-0f6f3c1d2a12", "labels": {"app": "web", "controller-revision-hash": "abc"},
            "creationTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"containers": [container(0), container(1)], "nodeName": "node-1", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "t", "hostPath": {"path": "/tmp"}}], "schedulerName": "default-scheduler"},
        "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}]}});
    let change = |pod: &mut Object, turn| {
        set(pod, "status.phase", "Running");
        set(pod, "status.podIP", format!("10.1.0.{turn}"));
        pod["status"]["conditions"][0]["status"] = "True".into();
    };
    Case { name: "pod status", row: row("", "pods"), object, manager: "kubelet", subresource: "status", change }
}
