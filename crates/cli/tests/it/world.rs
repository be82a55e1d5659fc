//! A whole everynode in this process, with a store in memory: the server, the controllers, and kubelets that are played.
//!
//! Nodes are objects that a test makes; nothing runs anywhere. Waiting is for a condition, with a deadline.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use everynode_control::api::{Api, Patch};
use everynode_server::{Identity, Running, Server};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{PATIENCE, tempdir};

pub(crate) type Request = http::Request<kube::client::Body>;

/// An image that no registry has: its pods never become ready.
pub(crate) const MISSING: &str = "example.org/missing:1";
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Well within the time after which a silent node counts as lost.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// A server and its controllers.
pub(crate) struct World {
    pub(crate) api: Api,
    running: Running,
    stop: oneshot::Sender<()>,
    controllers: JoinHandle<()>,
    kubelets: Option<JoinHandle<()>>,
    /// Held for each of the kubelets' rounds: whether there is one.
    are_busy: Arc<Mutex<bool>>,
    heart: JoinHandle<()>,
    dir: tempfile::TempDir,
}

impl World {
    /// All controllers, and no kubelet.
    pub(crate) async fn start() -> Self {
        Self::without(&[]).await
    }

    /// All controllers, a namespace `a`, and so many nodes with kubelets that are played.
    pub(crate) async fn of_nodes(nodes: usize) -> Self {
        Self::start().await.populated(nodes).await
    }

    /// Adds the namespace `a` and nodes, and plays the kubelets.
    pub(crate) async fn populated(mut self, nodes: usize) -> Self {
        self.namespace("a").await;
        for i in 1..=nodes {
            self.node(&format!("node-{i}"), "1").await;
        }
        self.play_kubelets();
        self
    }

    /// All controllers but these.
    pub(crate) async fn without(left_out: &[&str]) -> Self {
        Self::with(left_out, |_| false).await
    }

    /// All controllers, which are answered 500 on these paths.
    pub(crate) async fn broken(breaks: fn(&str) -> bool) -> Self {
        Self::with(&[], breaks).await
    }

    async fn with(left_out: &[&str], breaks: fn(&str) -> bool) -> Self {
        let dir = tempdir();
        let running = server(dir.path()).await;
        let whole = Client::new(running.service(Identity::masters("test")), "default");
        // As in the real thing: each controller has the rights of its account, so that these tests are about them, too.
        let own = running.service(Identity::anonymous());
        let clients = everynode_control::Clients::per_controller(move |account| {
            let identity = match account {
                everynode_control::Clients::CACHES => Identity::member("system:kube-controller-manager", &[]),
                "kube-scheduler" => Identity::member("system:kube-scheduler", &[]),
                account => Identity::account("kube-system", account),
            };
            watched(own.of(identity), move |request| breaks(request.uri().path()))
        });
        let kept: BTreeSet<String> =
            everynode_control::names().filter(|name| !left_out.contains(name)).map(str::to_owned).collect();
        let root_ca = Some(running.pki().ca_pem().to_owned());
        let config = everynode_control::Config { controllers: Some(kept), root_ca, seed: 7, ..Default::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let controllers = tokio::spawn(everynode_control::run(clients, config, async {
            let _ = stopped.await;
        }));
        let are_busy = Arc::new(Mutex::new(true));
        let api = Api::new(whole);
        let heart = tokio::spawn(beat(api.clone()));
        Self { api, running, stop, controllers, kubelets: None, are_busy, heart, dir }
    }

    /// A client that is this account of a pod, and shows `note` what it asks.
    pub(crate) fn account(
        &self,
        namespace: &str,
        name: &str,
        note: impl Fn(&mut Request) + Clone + Send + 'static,
    ) -> Client {
        let service = self.running.service(Identity::account(namespace, name));
        watched(service, move |request| {
            note(request);
            false
        })
    }

    /// Plays the kubelets from now on: bound pods become ready unless their image is missing, deleted ones go.
    pub(crate) fn play_kubelets(&mut self) {
        let (api, are_busy) = (self.api.clone(), Arc::clone(&self.are_busy));
        self.kubelets = Some(tokio::spawn(async move {
            loop {
                let busy = are_busy.lock().await;
                if *busy {
                    look_after_pods(&api).await;
                }
                drop(busy);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }));
    }

    /// Whether the kubelets do anything. A round that has begun is ended first.
    pub(crate) async fn let_kubelets_work(&self, work: bool) {
        *self.are_busy.lock().await = work;
    }

    pub(crate) async fn stop(self) {
        if let Some(kubelets) = self.kubelets {
            kubelets.abort();
        }
        self.heart.abort();
        let _ = self.stop.send(());
        self.controllers.await.expect("controllers end");
        self.running.stop(Duration::from_secs(1)).await;
    }

    /// The admin's kubeconfig, for a real `kubectl`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let url = format!("https://{}", self.running.address());
        let text = everynode_server::kubeconfig::for_admin(self.running.pki(), &url, jiff::Timestamp::now());
        let path = self.dir.path().join("test.kubeconfig");
        everynode_server::kubeconfig::write(&path, &text.expect("a kubeconfig")).expect("written");
        path
    }

    /// A namespace whose default account is there, so that pods may be made.
    pub(crate) async fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.create("/api/v1/namespaces", namespace).await;
        self.until(&format!("/api/v1/namespaces/{name}/serviceaccounts/default"), |_| true).await;
    }

    pub(crate) async fn create(&self, path: &str, object: Value) -> Value {
        let body = self.api.create(path, &object).await.unwrap_or_else(|failure| panic!("{path}: {failure}"));
        serde_json::from_slice(&body).expect("an object")
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        match self.api.get(path).await {
            Ok(body) => Some(serde_json::from_slice(&body).expect("an object")),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => panic!("{path}: {failure}"),
        }
    }

    /// The items of a collection.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn patch(&self, path: &str, patch: Value) -> Value {
        let body =
            self.api.patch(path, Patch::Merge, &patch).await.unwrap_or_else(|failure| panic!("{path}: {failure}"));
        serde_json::from_slice(&body).expect("an object")
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) {
        self.api.delete(path, &options).await.unwrap_or_else(|failure| panic!("{path}: {failure}"));
    }

    /// Waits until the object is there and as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let found = eventually(async || {
            last = self.get(path).await;
            last.clone().filter(&wanted)
        });
        match found.await {
            Some(object) => object,
            None => panic!("{path} did not become as wanted: {last:?}"),
        }
    }

    /// Waits until the items of a collection are as wanted.
    pub(crate) async fn until_items(&self, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let is_wanted = |list: &Value| list["items"].as_array().is_some_and(|items| wanted(items));
        self.until(path, is_wanted).await["items"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn until_gone(&self, path: &str) {
        let gone = eventually(async || self.get(path).await.is_none().then_some(()));
        assert!(gone.await.is_some(), "{path} is still there");
    }

    /// A ready node with room for ten pods.
    pub(crate) async fn node(&self, name: &str, cpu: &str) {
        self.node_with(name, cpu, json!({}), json!([])).await;
    }

    /// A ready node with these labels and taints.
    pub(crate) async fn node_with(&self, name: &str, cpu: &str, labels: Value, taints: Value) {
        let resources = json!({"cpu": cpu, "memory": "1Gi", "pods": "10"});
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints},
            "status": {
                "capacity": resources, "allocatable": resources,
                "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": now(), "lastTransitionTime": now()}],
            },
        });
        self.create("/api/v1/nodes", node).await;
        let is_admitted = |node: &Value| !has_taint(node, "node.kubernetes.io/not-ready");
        self.until(&node_path(name), is_admitted).await;
    }

    /// Waits until a set of the namespace `a` counts so many desired, current, ready, updated and available.
    pub(crate) async fn until_counts(&self, name: &str, expect: [i64; 5]) -> Value {
        self.until(&set_path(name), |set| counts(set) == expect).await
    }
}

/// A client whose requests are seen, and may be altered, on their way; where `breaks` says so, the answer becomes a 500.
fn watched(
    service: everynode_server::Service,
    breaks: impl Fn(&mut Request) -> bool + Clone + Send + 'static,
) -> Client {
    let looking = tower::service_fn(move |mut request: Request| {
        let (mut service, is_broken) = (service.clone(), breaks(&mut request));
        async move {
            let mut response = tower::Service::call(&mut service, request).await?;
            if is_broken {
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    Client::new(looking, "default")
}

/// Signs of life of all nodes: a test may take longer than a silent node is believed in.
async fn beat(api: Api) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let Ok(body) = api.get("/api/v1/nodes").await else { continue };
        let list: Value = serde_json::from_slice(&body).expect("a list");
        for node in list["items"].as_array().into_iter().flatten() {
            let path = format!("{}/status", node_path(node["metadata"]["name"].as_str().unwrap_or_default()));
            let sign = json!({"status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": now()}]}});
            // It may be gone by now.
            let _ = api.patch(&path, Patch::Strategic, &sign).await;
        }
    }
}

/// What the kubelets of all nodes would do now.
async fn look_after_pods(api: &Api) {
    let Ok(body) = api.get("/api/v1/pods").await else { return };
    let list: Value = serde_json::from_slice(&body).expect("a list");
    for pod in list["items"].as_array().into_iter().flatten() {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/spec/nodeName").is_empty() {
            continue;
        }
        let path = format!("{}/{}", pods(text("/metadata/namespace")), text("/metadata/name"));
        let uid = text("/metadata/uid");
        // Somebody else may be quicker: then there is nothing left to do.
        if pod.pointer("/metadata/deletionTimestamp").is_some() {
            let is_dead = pod.pointer("/metadata/deletionGracePeriodSeconds") == Some(&json!(0));
            if !is_dead {
                let _ = api.delete(&path, &json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})).await;
            }
        } else if text("/status/phase") == "Pending" && text("/spec/containers/0/image") != MISSING {
            let _ = api.patch(&format!("{path}/status"), Patch::Strategic, &ready(uid, true)).await;
        }
    }
}

/// A status patch that makes a pod ready, or not.
pub(crate) fn ready(uid: &str, is_ready: bool) -> Value {
    let status = if is_ready { "True" } else { "False" };
    let conditions = json!([{"type": "Ready", "status": status, "lastTransitionTime": now()}]);
    json!({"metadata": {"uid": uid}, "status": {"phase": "Running", "conditions": conditions}})
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

async fn server(dir: &Path) -> Running {
    let config = everynode_server::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        also_listen: Vec::new(),
        data_dir: dir.to_owned(),
        advertise: None,
        names: Vec::new(),
    };
    let store = everynode_server::open_store(dir, Some("memory:")).expect("a store in memory");
    Server::start(config, store).await.expect("the server starts")
}

/// Looks until something is found, or patience ends.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(found) = look().await {
            return Some(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// Desired, current, ready, updated, available; all -1 while the newest generation has not been seen.
pub(crate) fn counts(set: &Value) -> [i64; 5] {
    if set["status"]["observedGeneration"] != set["metadata"]["generation"] {
        return [-1; 5];
    }
    let members = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    members.map(|member| set["status"][member].as_i64().unwrap_or(0))
}

pub(crate) fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

pub(crate) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// The pod of this name in the namespace `a`.
pub(crate) fn pod_path(pod: &Value) -> String {
    format!("{}/{}", pods("a"), pod["metadata"]["name"].as_str().unwrap_or_default())
}

pub(crate) const SETS: &str = "/apis/apps/v1/namespaces/a/daemonsets";
pub(crate) const REVISIONS: &str = "/apis/apps/v1/namespaces/a/controllerrevisions";

/// A set of the namespace `a`.
pub(crate) fn set_path(name: &str) -> String {
    format!("{SETS}/{name}")
}

/// A set named `name` whose pods ask for nothing and go at once.
pub(crate) fn daemon_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": "example.org/logger:1"}],
                },
            },
        },
    })
}

/// A patch of a set's pod spec.
pub(crate) fn with_spec(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

/// A patch that gives a set's pods another image.
pub(crate) fn with_image(image: &str) -> Value {
    with_spec(json!({"containers": [{"name": "main", "image": image}]}))
}

pub(crate) fn node_of(pod: &Value) -> Option<&str> {
    pod.pointer("/spec/nodeName").and_then(Value::as_str)
}

pub(crate) fn hash_of(object: &Value) -> &str {
    object["metadata"]["labels"]["controller-revision-hash"].as_str().unwrap_or_default()
}

pub(crate) fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

pub(crate) fn has_taint(node: &Value, key: &str) -> bool {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.into_iter().flatten().any(|taint| taint["key"] == key)
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}
