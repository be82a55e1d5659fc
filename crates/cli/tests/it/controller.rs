//! `everynode controller` in processes of its own, on a server that runs every controller but this one: it takes a fleet over and
//! hands it back, with the rights of `deploy/` and no more, and another replica goes on where one was killed.
//!
//! `upstream-fleet.json` is what kube-controller-manager 1.36.2 left behind in a recorded session after one rolling update.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use everynode_control::api::{Api, Patch};
use everynode_e2e::process::{self, Everynode};
use serde_json::{Value, json};

use crate::rights::{deployed, manifests, rights};
use crate::{PATIENCE, binary, tempdir};

const LOOK_EVERY: Duration = Duration::from_millis(20);
const NODES: usize = 3;
const SET: &str = "/apis/apps/v1/namespaces/fleet/daemonsets/web";
const REVISIONS: &str = "/apis/apps/v1/namespaces/fleet/controllerrevisions";
const PODS: &str = "/api/v1/namespaces/fleet/pods";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/everynode-system/leases/everynode-controller";

/// A server with hollow nodes and without a DaemonSet controller.
struct Cluster {
    api: Api,
    server: Everynode,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempdir();
        let nodes = NODES.to_string();
        let server = ["up", "--runtime", "hollow", "--node-name", "node", "--nodes", &nodes];
        let words = [&server[..], &["--controllers", "*,-daemonset-controller"]].concat();
        let server = Everynode::start(binary(), dir.path(), &words).expect("everynode starts");
        let read = kube::config::Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await.expect("a config");
        let api = Api::new(kube::Client::try_from(config).expect("a client"));
        let cluster = Self { api, server, _dir: dir };
        cluster.create("/api/v1/namespaces", json!({"metadata": {"name": "fleet"}})).await;
        cluster.until("/api/v1/namespaces/fleet/serviceaccounts/default", |_| true).await;
        let all_ready = |list: &Value| items(list).filter(|node| is_ready(node)).count() == NODES;
        cluster.until("/api/v1/nodes", all_ready).await;
        cluster
    }

    async fn create(&self, path: &str, object: Value) -> Value {
        let body = self.api.create(path, &object).await.unwrap_or_else(|failure| panic!("{path}: {failure}"));
        serde_json::from_slice(&body).expect("an object")
    }

    async fn get(&self, path: &str) -> Option<Value> {
        match self.api.get(path).await {
            Ok(body) => Some(serde_json::from_slice(&body).expect("an object")),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => panic!("{path}: {failure}"),
        }
    }

    async fn patch(&self, path: &str, patch: Value) {
        let result = self.api.patch(path, Patch::Strategic, &patch).await;
        result.unwrap_or_else(|failure| panic!("{path}: {failure}"));
    }

    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(path, async || {
            self.get(path)
                .await
                .ok_or_else(|| "it is not there".to_owned())
                .and_then(|object| if wanted(&object) { Ok(object) } else { Err(object.to_string()) })
        })
        .await
    }

    /// What upstream's controller leaves behind: a set in its second revision, with pods that run and a status.
    async fn fleet(&self, orphans: usize) -> Value {
        let fleet: Value = serde_json::from_str(include_str!("upstream-fleet.json")).expect("JSON");
        let set = self.create("/apis/apps/v1/namespaces/fleet/daemonsets", fleet["create"].clone()).await;
        self.patch(SET, fleet["update"].clone()).await;
        let uid = set["metadata"]["uid"].as_str().expect("a uid");
        let ours = |object: &Value| -> Value {
            serde_json::from_str(&object.to_string().replace("${uid}", uid)).expect("JSON")
        };
        for revision in fleet["revisions"].as_array().into_iter().flatten() {
            self.create(REVISIONS, ours(revision)).await;
        }
        for (index, pod) in fleet["pods"].as_array().into_iter().flatten().enumerate() {
            let mut pod = ours(pod);
            if index < orphans {
                pod["metadata"]["ownerReferences"] = Value::Null;
            }
            self.create(PODS, pod).await;
        }
        self.until(PODS, |list| items(list).filter(|pod| is_ready(pod)).count() == NODES).await;
        let mut set = self.get(SET).await.expect("is there");
        set["status"] = fleet["status"].clone();
        let replaced = self.api.replace(&format!("{SET}/status"), &set).await;
        serde_json::from_slice(&replaced.expect("the status is written")).expect("an object")
    }

    /// Versions of all that a DaemonSet controller may write, by name.
    async fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        let mut note = |object: &Value| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            versions.insert(text("name"), text("resourceVersion"));
        };
        note(&self.get(SET).await.expect("is there"));
        for path in [PODS, REVISIONS] {
            items(&self.get(path).await.expect("a list")).for_each(&mut note);
        }
        versions
    }

    /// A rollout to this image, watched: never two nodes without a ready pod, never two live pods on one node.
    async fn watch_rollout(&self, image: &str) {
        eventually("the rollout ends", async || {
            let pods = self.get(PODS).await.expect("a list");
            let mut live = BTreeMap::<&str, usize>::new();
            let mut ready = BTreeMap::<&str, usize>::new();
            for pod in items(&pods).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()) {
                let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
                *live.entry(node).or_default() += usize::from(!node.is_empty());
                *ready.entry(node).or_default() += usize::from(is_ready(pod));
            }
            assert!(live.values().all(|pods| *pods <= 1), "two live pods on a node: {live:?}");
            let served = ready.values().filter(|pods| **pods > 0).count();
            assert!(served + 1 >= NODES, "more than one node without a pod: {ready:?}");
            let set = self.get(SET).await.expect("is there");
            if is_rolled_out(&set, image) { Ok(()) } else { Err(set["status"].to_string()) }
        })
        .await;
    }

    /// What upstream's controller would find, and have nothing to do about.
    async fn assert_handed_back(&self) {
        let set = self.get(SET).await.expect("is there");
        let status = &set["status"];
        assert_eq!(status["observedGeneration"], set["metadata"]["generation"]);
        let revisions = self.get(REVISIONS).await.expect("a list");
        let newest = items(&revisions).max_by_key(|revision| revision["revision"].as_i64()).expect("a revision");
        let image = &newest["data"]["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*image, set["spec"]["template"]["spec"]["containers"][0]["image"]);
        let hash = &newest["metadata"]["labels"]["controller-revision-hash"];
        let name = newest["metadata"]["name"].as_str().unwrap_or_default();
        assert_eq!(name.strip_prefix("web-"), hash.as_str());
        let generation = &set["metadata"]["annotations"]["deprecated.daemonset.template.generation"];
        let pods = self.get(PODS).await.expect("a list");
        assert_eq!(items(&pods).count(), NODES);
        for pod in items(&pods) {
            let meta = &pod["metadata"];
            assert_eq!(meta["labels"]["controller-revision-hash"], *hash);
            assert_eq!(meta["labels"]["pod-template-generation"], *generation);
            assert_eq!(meta["generateName"], "web-");
            let owner = json!([{
                "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web", "uid": set["metadata"]["uid"],
                "controller": true, "blockOwnerDeletion": true,
            }]);
            assert_eq!(meta["ownerReferences"], owner);
        }
    }
}

fn is_rolled_out(set: &Value, image: &str) -> bool {
    let status = &set["status"];
    set["spec"]["template"]["spec"]["containers"][0]["image"] == image
        && status["observedGeneration"] == set["metadata"]["generation"]
        && status["updatedNumberScheduled"] == NODES
        && status["numberAvailable"] == NODES
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(last) if Instant::now() > until => panic!("waited in vain: {what}; last seen: {last}"),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// A running `everynode controller`; killed when dropped.
struct Controller {
    child: Child,
    /// Of its metrics and health.
    address: String,
    log: PathBuf,
}

impl Controller {
    fn start(kubeconfig: &Path, log: &Path, further: &[&str]) -> Self {
        let stderr = std::fs::File::create(log).expect("a log");
        let mut child = Command::new(binary())
            .args(["controller", "--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig)
            .args(further)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("everynode starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let (_, address) = line.trim().split_once("http://").unwrap_or_else(|| panic!("{line:?}: {}", read(log)));
        Self { child, address: address.to_owned(), log: log.to_owned() }
    }

    /// `GET`: the status and the body.
    fn ask(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
    }

    /// The number of a series; 0 when it is not there.
    fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.ask("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// It sees all, and has decided about the set at least once.
    async fn until_decided(&self) {
        eventually("the controller decides", async || {
            let (code, text) = self.ask("/readyz");
            let worked = self.metric("workqueue_work_duration_seconds_count{name=\"daemonset\"}");
            let depth = self.metric("workqueue_depth{name=\"daemonset\"}");
            if code == 200 && worked >= 1.0 && depth == 0.0 { Ok(()) } else { Err(format!("{text}, {worked} times")) }
        })
        .await;
    }

    async fn until_leader(&self) {
        eventually("it leads", async || {
            let leads = self.metric("leader_election_master_status{name=\"everynode-controller\"}");
            if leads == 1.0 { Ok(()) } else { Err(read(&self.log)) }
        })
        .await;
    }

    /// SIGTERM; what it has logged.
    fn end(mut self) -> String {
        assert!(process::end(&mut self.child).expect("ends").success(), "{}", read(&self.log));
        read(&self.log)
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Taken over without a single write, rolled out, handed back: 0 restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_taken_over_and_handed_back() {
    let cluster = Cluster::start().await;
    cluster.fleet(0).await;
    let before = cluster.versions().await;
    let log = cluster.server.data_dir.join("controller.log");
    let controller = Controller::start(&cluster.server.kubeconfig(), &log, &[]);
    controller.until_decided().await;
    assert_eq!(cluster.versions().await, before, "nothing was to be done");
    let (_, metrics) = controller.ask("/metrics");
    assert!(!metrics.contains("everynode_daemonset_steps_total{"), "{metrics}");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert!(!metrics.contains(&format!("method=\"{method}\"")), "no write was tried: {metrics}");
    }
    assert!(metrics.contains("everynode_daemonset_budget_left{namespace=\"fleet\",daemonset=\"web\"} 1"), "{metrics}");

    cluster.patch(SET, image("registry.example/agent:3.0")).await;
    cluster.watch_rollout("registry.example/agent:3.0").await;
    let outdated = "everynode_daemonset_steps_total{kind=\"DeletePod\",reason=\"Outdated\",outcome=\"Done\"}";
    assert!(controller.metric(outdated) >= 3.0);
    let log = controller.end();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
    cluster.assert_handed_back().await;

    // Once more: what we leave, we find in order.
    let before = cluster.versions().await;
    let log = cluster.server.data_dir.join("controller-2.log");
    let controller = Controller::start(&cluster.server.kubeconfig(), &log, &[]);
    controller.until_decided().await;
    assert_eq!(cluster.versions().await, before);
    controller.end();
    assert!(cluster.server.end().expect("ends").success());
}

impl Cluster {
    async fn deploy(&self) {
        for (path, object) in deployed() {
            self.create(&path, object).await;
        }
    }

    /// A kubeconfig with a token of the controller's service account.
    async fn account_kubeconfig(&self) -> PathBuf {
        let path = "/api/v1/namespaces/everynode-system/serviceaccounts/everynode-controller/token";
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.create(path, request).await;
        let admin: Value = serde_saphyr::from_str(&read(&self.server.kubeconfig())).expect("YAML");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": admin["clusters"][0]["cluster"]}],
            "users": [{"name": "x", "user": {"token": answer["status"]["token"]}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        });
        let path = self.server.data_dir.join("account.kubeconfig");
        std::fs::write(&path, kubeconfig.to_string()).expect("written");
        path
    }
}

/// With a lease that no machine is too slow to renew.
const ELECT: [&str; 5] = [
    "--leader-elect",
    "--leader-elect-resource-namespace=everynode-system",
    "--leader-elect-lease-duration=90s",
    "--leader-elect-renew-deadline=80s",
    "--leader-elect-retry-period=500ms",
];
/// A condition that pods wait for until the test gives it.
const GATE: &str = "test.example/may-be-ready";

/// R171: the rights in `deploy/` suffice for all that the controller does: claims, a rollout, history, events, the lease; and
/// with its account's token, leader election and its lease given up in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_in_deploy_suffice() {
    let cluster = Cluster::start().await;
    cluster.deploy().await;
    cluster.fleet(1).await;
    let before = cluster.versions().await;
    let log = cluster.server.data_dir.join("controller.log");
    let controller = Controller::start(&cluster.account_kubeconfig().await, &log, &ELECT);
    controller.until_leader().await;
    let orphan = format!("{PODS}/web-x7k2p");
    cluster.until(&orphan, |pod| pod["metadata"]["ownerReferences"][0]["name"] == "web").await;
    controller.until_decided().await;
    let mut after = cluster.versions().await;
    assert_ne!(after.remove("web-x7k2p"), before.get("web-x7k2p").cloned(), "it was claimed");
    assert!(after.iter().all(|(name, version)| before.get(name) == Some(version)), "{before:?} {after:?}");

    // A released pod, a failed one, a lost template, a history of one: every kind of step.
    cluster.patch(SET, json!({"spec": {"revisionHistoryLimit": 1}})).await;
    cluster.patch(SET, image("registry.example/agent:3.0")).await;
    cluster.watch_rollout("registry.example/agent:3.0").await;
    cluster.patch(SET, image("registry.example/agent:1.0")).await;
    cluster.watch_rollout("registry.example/agent:1.0").await;
    cluster.until(REVISIONS, |list| items(list).count() == 2).await;
    let pods = cluster.get(PODS).await.expect("a list");
    let free = items(&pods).next().and_then(|pod| pod["metadata"]["name"].as_str()).expect("a pod").to_owned();
    cluster.patch(&format!("{PODS}/{free}"), json!({"metadata": {"labels": {"app": "free"}}})).await;
    let is_free = |pod: &Value| pod["metadata"]["ownerReferences"].is_null();
    cluster.until(&format!("{PODS}/{free}"), is_free).await;
    cluster.until(PODS, |list| items(list).filter(|pod| is_ready(pod)).count() == NODES + 1).await;
    let of_set = "/api/v1/namespaces/fleet/events?fieldSelector=reason%3DSuccessfulCreate";
    cluster.until(of_set, |list| items(list).next().is_some()).await;

    let log = controller.end();
    assert!(!log.contains("forbidden") && !log.contains("WARN") && !log.contains("ERROR"), "{log}");
    let lease = cluster.get(LEASE).await.expect("is there");
    assert!(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().is_empty(), "given up: {lease}");
    assert!(cluster.server.end().expect("ends").success());
}

/// No right in `deploy/` beyond R171, and the pod as strict as its namespace asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifests_are_modest() {
    let cluster = Cluster::start().await;
    cluster.deploy().await;
    let upstream =
        cluster.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:daemon-set-controller");
    let upstream = upstream.await.expect("is there");
    let allowed = rights(&upstream);
    let role = manifests("20-rights.yaml").into_iter().find(|object| object["kind"] == "ClusterRole").expect("a role");
    let asked = rights(&role);
    assert!(asked.len() > 15, "{asked:?}");
    for right in &asked {
        assert!(allowed.contains(right), "{right:?} is not R171's");
    }
    let deployment = manifests("30-controller.yaml").remove(0);
    let mut pod = deployment["spec"]["template"].clone();
    pod["metadata"]["name"] = json!("try");
    cluster.create("/api/v1/namespaces/everynode-system/pods?dryRun=All", pod).await;
    cluster.create("/apis/apps/v1/namespaces/everynode-system/deployments?dryRun=All", deployment).await;
    assert!(cluster.server.end().expect("ends").success());
}

impl Cluster {
    /// Lets all pods get ready that wait for it. Never ends.
    async fn open_gates(&self) {
        loop {
            let pods = self.get(PODS).await.expect("a list");
            for pod in items(&pods).filter(|pod| pod["spec"]["readinessGates"].is_array()) {
                let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
                if conditions.into_iter().any(|condition| condition["type"] == GATE) {
                    continue;
                }
                let path = format!("{PODS}/{}/status", pod["metadata"]["name"].as_str().unwrap_or_default());
                let opened = json!({"status": {"conditions": [{"type": GATE, "status": "True"}]}});
                // It may be gone by now.
                let _ = self.api.patch(&path, Patch::Strategic, &opened).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// kill -9 in mid-rollout: the one that stood by goes on within the budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_replica_goes_on_where_the_first_was_killed() {
    let cluster = Cluster::start().await;
    cluster.deploy().await;
    cluster.fleet(0).await;
    let kubeconfig = cluster.account_kubeconfig().await;
    let log = |name: &str| cluster.server.data_dir.join(name);
    let first = Controller::start(&kubeconfig, &log("first.log"), &ELECT);
    first.until_leader().await;
    let second = Controller::start(&kubeconfig, &log("second.log"), &ELECT);
    eventually("the second stands by", async || match second.ask("/readyz") {
        (200, _) => Ok(()),
        (_, text) => Err(text),
    })
    .await;
    assert_eq!(second.metric("leader_election_master_status{name=\"everynode-controller\"}"), 0.0);
    // It cannot get beyond the first node, so that the controller is killed in the middle of it.
    let mut gated = image("registry.example/agent:3.0");
    gated["spec"]["template"]["spec"]["readinessGates"] = json!([{"conditionType": GATE}]);
    cluster.patch(SET, gated).await;
    let replaced = |pod: &Value| pod["spec"]["containers"][0]["image"] == "registry.example/agent:3.0";
    cluster.until(PODS, |list| items(list).any(replaced)).await;
    first.kill();
    let pods = cluster.get(PODS).await.expect("a list");
    assert_eq!(items(&pods).filter(|pod| replaced(pod)).count(), 1, "the budget is one");
    // As if the rest of its time had passed.
    cluster.patch(LEASE, json!({"spec": {"leaseDurationSeconds": 1}})).await;
    tokio::select! {
        () = cluster.watch_rollout("registry.example/agent:3.0") => {}
        () = cluster.open_gates() => {}
    }
    second.until_leader().await;
    cluster.assert_handed_back().await;
    let lease = cluster.get(LEASE).await.expect("is there");
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease}");
    assert!(!second.end().contains("ERROR"));
    assert!(cluster.server.end().expect("ends").success());
}
