//! Just enough of an API server for one node: objects in a map, watches of pods and nodes, merges of statuses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use everynode_agent::Config;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// No wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// The last form of every object, gone ones too.
    last: BTreeMap<String, Value>,
    requests: Vec<(String, String)>,
    revision: u64,
}

struct Shared {
    state: Mutex<State>,
    changes: broadcast::Sender<(String, Value)>,
    version: watch::Sender<u64>,
}

/// The API, and the node that lives on it until this is dropped.
pub(super) struct Api {
    shared: Arc<Shared>,
    _node: DropGuard,
    _dir: tempfile::TempDir,
}

/// `pods/NAME`, `nodes/NAME`, `leases/NAME`: objects by what the path ends with.
fn key(path: &str) -> String {
    let parts: Vec<_> = path.trim_end_matches("/status").rsplit('/').take(2).collect();
    format!("{}/{}", parts[1], parts[0])
}

impl Shared {
    fn put(&self, key: &str, mut object: Value, kind: &str) -> Value {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        state.last.insert(key.to_owned(), object.clone());
        if kind == "DELETED" {
            state.objects.remove(key);
        } else {
            state.objects.insert(key.to_owned(), object.clone());
        }
        let revision = state.revision;
        drop(state);
        let _ = self.changes.send((key.to_owned(), json!({"type": kind, "object": object})));
        self.version.send_replace(revision);
        object
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(key).cloned()
    }

    fn list(&self, plural: &str) -> Value {
        let state = self.state.lock().unwrap();
        let prefix = format!("{plural}/");
        let items: Vec<_> =
            state.objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, object)| object).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": state.revision.to_string()}, "items": items})
    }

    fn watch(&self, plural: &str) -> Body {
        let prefix = format!("{plural}/");
        let receiver = self.changes.subscribe();
        let events = futures::stream::unfold(receiver, async |mut receiver| {
            let change = receiver.recv().await.ok()?;
            Some((change, receiver))
        });
        let lines = events.filter_map(move |(key, event)| {
            let line = key.starts_with(&prefix).then(|| Ok::<_, std::io::Error>(format!("{event}\n")));
            std::future::ready(line)
        });
        Body::from_stream(lines)
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: Value) -> Result<Body, (u16, &'static str)> {
        let key = key(path);
        let plural = path.rsplit('/').next().unwrap_or_default();
        let missing = || (404, "NotFound");
        self.state.lock().unwrap().requests.push((method.to_string(), key.clone()));
        let object = match method.as_str() {
            "GET" if query.contains("watch=true") => return Ok(self.watch(plural)),
            "GET" if matches!(plural, "pods" | "nodes") => self.list(plural),
            "GET" => self.get(&key).ok_or_else(missing)?,
            "POST" => {
                let mut object = body;
                if object["metadata"]["uid"].is_null() {
                    object["metadata"]["uid"] = json!(format!("uid-of-{plural}"));
                }
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.put(&format!("{plural}/{name}"), object, "ADDED")
            }
            "PUT" => self.put(&key, body, "MODIFIED"),
            "PATCH" => {
                let mut object = self.get(&key).ok_or_else(missing)?;
                let uid = &body["metadata"]["uid"];
                if !uid.is_null() && *uid != object["metadata"]["uid"] {
                    return Err((409, "Conflict"));
                }
                for (field, value) in body["status"].as_object().into_iter().flatten() {
                    object["status"][field] = value.clone();
                }
                self.put(&key, object, "MODIFIED")
            }
            "DELETE" => {
                let object = self.get(&key).ok_or_else(missing)?;
                assert_eq!(body["gracePeriodSeconds"], 0, "N268");
                assert_eq!(body["preconditions"]["uid"], object["metadata"]["uid"], "N268");
                self.put(&key, object, "DELETED")
            }
            _ => return Err((405, "MethodNotAllowed")),
        };
        Ok(Body::from(object.to_string()))
    }
}

impl Api {
    /// An API with one hollow node, `node-1`, that comes up on it.
    pub(super) fn with_node() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changes: broadcast::channel(1024).0,
            version: watch::channel(0).0,
        });
        let dir = tempfile::tempdir().unwrap();
        let config = Config::hollow("node-1", dir.path().to_owned(), ("127.0.0.1".to_owned(), 6443));
        let shutdown = CancellationToken::new();
        tokio::spawn(everynode_agent::run(client(Arc::clone(&shared)), config, shutdown.clone()));
        Self { shared, _node: shutdown.drop_guard(), _dir: dir }
    }

    /// Puts an object as a user would.
    pub(super) fn put(&self, key: &str, object: Value) {
        self.shared.put(key, object, "MODIFIED");
    }

    /// Takes an object away at once.
    pub(super) fn remove(&self, key: &str) {
        let object = self.shared.get(key).expect("an object to remove");
        self.shared.put(key, object, "DELETED");
    }

    /// Waits until an object is as wanted.
    pub(super) async fn until(&self, key: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.wait(|shared| shared.get(key).filter(|object| wanted(object))).await;
        found.unwrap_or_else(|| panic!("{key} never became as wanted: {:#}", self.last(key)))
    }

    /// Waits until an object is gone.
    pub(super) async fn until_gone(&self, key: &str) {
        let gone = self.wait(|shared| shared.get(key).is_none().then_some(())).await;
        assert!(gone.is_some(), "{key} is still there: {:#}", self.last(key));
    }

    async fn wait<T>(&self, look: impl Fn(&Shared) -> Option<T>) -> Option<T> {
        let mut version = self.shared.version.subscribe();
        let wait = async {
            loop {
                version.borrow_and_update();
                if let Some(found) = look(&self.shared) {
                    return found;
                }
                let _ = version.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok()
    }

    /// The last form of an object, gone or not.
    pub(super) fn last(&self, key: &str) -> Value {
        self.shared.state.lock().unwrap().last.get(key).cloned().unwrap_or_default()
    }

    /// Requests of a method about an object.
    pub(super) fn count(&self, method: &str, key: &str) -> usize {
        let state = self.shared.state.lock().unwrap();
        state.requests.iter().filter(|(of, about)| of == method && about == key).count()
    }
}

fn client(shared: Arc<Shared>) -> kube::Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let shared = Arc::clone(&shared);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let query = parts.uri.query().unwrap_or_default();
            let answer = shared.answer(&parts.method, parts.uri.path(), query, body);
            let (code, body) = answer.map_or_else(
                |(code, reason)| {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                        "message": reason, "reason": reason, "code": code});
                    (code, Body::from(status.to_string()))
                },
                |body| (200, body),
            );
            Ok::<_, std::convert::Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    kube::Client::new(service, "default")
}
