//! A whole node with the runtime `hollow`, against an API that exists only in the test.

mod api;

use api::Api;
use serde_json::{Value, json};

fn pod(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1,
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": image}]},
        "status": {"phase": "Pending"},
    })
}

fn state<'v>(pod: &'v Value, kind: &str) -> &'v Value {
    &pod["status"]["containerStatuses"][0]["state"][kind]
}

fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or(&Value::Null, |condition| &condition["status"])
}

#[tokio::test]
async fn a_node_registers_and_keeps_a_lease_n31_n32_n43_n52() {
    let api = Api::with_node();
    let node = api.until("nodes/node-1", |node| condition(node, "Ready") == "True").await;
    for (label, value) in [("kubernetes.io/hostname", "node-1"), ("kubernetes.io/os", "linux")] {
        assert_eq!(node["metadata"]["labels"][label], value);
    }
    let kinds: Vec<_> = node["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str()).collect();
    let expect = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(Some);
    assert_eq!(kinds, expect, "N43: Ready is last");
    assert_eq!(node["status"]["capacity"]["pods"], "110");
    let lease = api.until("leases/node-1", |lease| lease["spec"]["renewTime"].is_string()).await;
    assert_eq!(lease["spec"]["holderIdentity"], "node-1");
    assert_eq!(lease["metadata"]["ownerReferences"][0]["kind"], "Node", "N53");
}

#[tokio::test]
async fn a_bound_pod_runs_and_is_told_in_few_words_n353() {
    let api = Api::with_node();
    api.put("pods/web", pod("web", "nginx:1"));
    let seen = api.until("pods/web", |pod| condition(pod, "Ready") == "True").await;
    assert_eq!(seen["status"]["phase"], "Running");
    assert!(state(&seen, "running")["startedAt"].is_string());
    assert_eq!(seen["status"]["podIPs"][0]["ip"], seen["status"]["podIP"]);
    assert!(api.count("PATCH", "pods/web") <= 3, "N353: {} writes", api.count("PATCH", "pods/web"));
}

/// What comes before the others has done its work at once, so that manifests of real agents get ready; a sidecar stays.
#[tokio::test]
async fn init_containers_of_a_hollow_node_have_done_their_work() {
    let api = Api::with_node();
    let mut web = pod("web", "nginx:1");
    let init = |name: &str, restart: Value| json!({"name": name, "image": "init:1", "restartPolicy": restart});
    web["spec"]["initContainers"] =
        json!([init("first", Value::Null), init("beside", json!("Always")), init("last", Value::Null)]);
    api.put("pods/web", web);
    let seen = api.until("pods/web", |pod| condition(pod, "Ready") == "True").await;
    let states: Vec<bool> = seen["status"]["initContainerStatuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|status| status["state"]["terminated"]["exitCode"] == 0)
        .collect();
    assert_eq!(states, [true, false, true]);
}

#[tokio::test]
async fn a_deleted_pod_says_its_last_word_and_goes_n268() {
    let api = Api::with_node();
    api.put("pods/web", pod("web", "nginx:1"));
    let mut seen = api.until("pods/web", |pod| condition(pod, "Ready") == "True").await;
    seen["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
    seen["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    api.put("pods/web", seen);
    api.until_gone("pods/web").await;
    let last = api.last("pods/web");
    assert_eq!(last["status"]["phase"], "Succeeded");
    assert_eq!(condition(&last, "Ready"), "False");
}

#[tokio::test]
async fn failures_show_as_users_know_them_n146_n164_n89() {
    let api = Api::with_node();
    let mut big = pod("big", "nginx:1");
    big["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "9999"}});
    for (name, pod) in
        [("crash", pod("crash", "hollow-crash:1")), ("missing", pod("missing", "hollow-missing:1")), ("big", big)]
    {
        api.put(&format!("pods/{name}"), pod);
    }
    let crash = api.until("pods/crash", |pod| state(pod, "waiting")["reason"] == "CrashLoopBackOff").await;
    assert_eq!(crash["status"]["phase"], "Running");
    let status = &crash["status"]["containerStatuses"][0];
    assert_eq!((&status["restartCount"], &status["lastState"]["terminated"]["exitCode"]), (&json!(1), &json!(1)));
    let missing = api.until("pods/missing", |pod| state(pod, "waiting")["reason"] == "ErrImagePull").await;
    assert_eq!(missing["status"]["phase"], "Pending");
    let big = api.until("pods/big", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(big["status"]["reason"], "OutOfcpu");
}

#[tokio::test]
async fn a_pod_that_vanishes_is_forgotten_and_its_name_can_come_back_n83() {
    let api = Api::with_node();
    api.put("pods/web", pod("web", "nginx:1"));
    api.until("pods/web", |pod| condition(pod, "Ready") == "True").await;
    api.remove("pods/web");
    let mut again = pod("web", "nginx:1");
    again["metadata"]["uid"] = json!("uid-other");
    api.put("pods/web", again);
    api.until("pods/web", |pod| condition(pod, "Ready") == "True" && pod["metadata"]["uid"] == "uid-other").await;
}
