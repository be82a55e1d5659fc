//! Collectors: garbage by the owner graph of `core`, and pods of nodes that are gone (R132, R142–R149).

use std::collections::BTreeMap;
use std::sync::Arc;

use everynode_api::value::Read;
use everynode_core::lifecycle::garbage::{
    Act, Answer, FOREGROUND, Graph, Identity, Kind as Owned, ORPHAN, Propagation, Reference, Scope, Seen,
};
use everynode_core::lifecycle::pod_gc::{self, Cause, Place};
use everynode_core::model::{Millis, Pod, Uid};
use everynode_store::EventKind;
use serde_json::{Value, json};

use super::wire::pod_path;
use super::{Event, World};
use crate::facts::Kind;

fn owned(kind: Kind) -> Owned {
    let (group, kind) = match kind {
        Kind::Node => ("", "Node"),
        Kind::Set => ("apps", "DaemonSet"),
        Kind::Pod => ("", "Pod"),
        Kind::Revision => ("apps", "ControllerRevision"),
    };
    Owned { group: group.into(), kind: kind.into() }
}

/// A graph that knows the kinds of this world.
pub(super) fn graph() -> Graph {
    let mut graph = Graph::default();
    let scope = |kind| if kind == Kind::Node { Scope::Cluster } else { Scope::Namespaced };
    graph.learn(Kind::ALL.into_iter().map(|kind| (owned(kind), scope(kind))).collect::<BTreeMap<_, _>>());
    graph
}

fn seen(kind: Kind, object: &Value) -> Seen {
    let has = |wanted: &str| object.list("metadata.finalizers").iter().any(|f| f.as_str() == Some(wanted));
    let owners = object.list("metadata.ownerReferences").iter().map(|owner| {
        let api_version = owner.text_or_empty("apiVersion");
        Reference {
            uid: owner.text_or_empty("uid").into(),
            kind: Owned {
                group: api_version.split_once('/').map_or("", |(group, _)| group).into(),
                kind: owner.text_or_empty("kind").into(),
            },
            api_version: api_version.into(),
            name: owner.text_or_empty("name").into(),
            blocks: owner.is_true("blockOwnerDeletion"),
        }
    });
    Seen {
        identity: Identity {
            uid: object.text_or_empty("metadata.uid").into(),
            kind: owned(kind),
            namespace: object.text_or_empty("metadata.namespace").into(),
            name: object.text_or_empty("metadata.name").into(),
        },
        version: object.text_or_empty("metadata.resourceVersion").into(),
        owners: owners.collect(),
        terminating: object.at("metadata.deletionTimestamp").is_some(),
        foreground: has(FOREGROUND),
        orphan: has(ORPHAN),
    }
}

fn path(of: &Identity) -> String {
    match &*of.kind.kind {
        "DaemonSet" => format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", of.namespace, of.name),
        "ControllerRevision" => format!("/apis/apps/v1/namespaces/{}/controllerrevisions/{}", of.namespace, of.name),
        "Pod" => format!("/api/v1/namespaces/{}/pods/{}", of.namespace, of.name),
        _ => format!("/api/v1/nodes/{}", of.name),
    }
}

impl World {
    pub(super) fn garbage_sees(&mut self, kind: Kind, event: &everynode_store::Event) {
        if kind == Kind::Node {
            return;
        }
        let object: Value = serde_json::from_slice(&event.entry.value).unwrap_or_default();
        let seen = seen(kind, &object);
        match event.kind {
            EventKind::Put => self.graph.observe(seen),
            EventKind::Delete => self.graph.forget(&seen.identity),
        }
        if !std::mem::replace(&mut self.is_collecting, true) {
            let delay = Millis(self.random.between(20, 800));
            self.plan(delay, Event::Collect);
        }
    }

    /// Does what the graph asks for, until it asks for nothing.
    pub(super) fn collect(&mut self) {
        self.is_collecting = false;
        loop {
            let acts = self.graph.acts();
            if acts.is_empty() {
                return;
            }
            for act in acts {
                self.garbage_act(act);
            }
        }
    }

    fn garbage_act(&mut self, act: Act) {
        match act {
            Act::Warn { .. } => {}
            Act::Verify(owner) => {
                let found = self.live(&owner);
                let answer = match found {
                    Some(object) if object.text("metadata.uid") == Some(owner.uid.as_str()) => Answer::Present {
                        waits_for_deletion: object.at("metadata.deletionTimestamp").is_some()
                            && object.list("metadata.finalizers").iter().any(|f| f.as_str() == Some(FOREGROUND)),
                    },
                    _ => Answer::Absent,
                };
                self.graph.answer(&owner, answer);
            }
            Act::Delete { object, version, propagation } => {
                let options = json!({
                    "kind": "DeleteOptions", "apiVersion": "v1",
                    "preconditions": {"uid": object.uid.as_str(), "resourceVersion": &*version},
                    "propagationPolicy": match propagation {
                        Propagation::Background => "Background",
                        Propagation::Foreground => "Foreground",
                        Propagation::Orphan => "Orphan",
                    },
                });
                let result = self.send("DELETE", &path(&object), &options);
                self.acted(&object, result.is_ok());
            }
            Act::DropOwners { object, owners } => self.edit_meta(&object, |meta| drop_owners(meta, &owners)),
            Act::Unblock { object, owners } => self.edit_meta(&object, |meta| {
                let mut list = meta.list("ownerReferences").to_vec();
                list.iter_mut().filter(|r| names(r, &owners)).for_each(|r| r["blockOwnerDeletion"] = json!(false));
                json!({"ownerReferences": list})
            }),
            Act::RemoveFinalizer { object, finalizer } => self.edit_meta(&object, |meta| {
                let kept: Vec<_> =
                    meta.list("finalizers").iter().filter(|f| f.as_str() != Some(finalizer)).cloned().collect();
                json!({"finalizers": or_null(kept)})
            }),
        }
    }

    fn live(&mut self, of: &Identity) -> Option<Value> {
        let request = everynode_api::daemonset::wire::Request::get(path(of));
        serde_json::from_slice(&self.ask(&request).ok()?).ok()
    }

    fn edit_meta(&mut self, object: &Identity, change: impl FnOnce(&Value) -> Value) {
        let Some(live) = self.live(object).filter(|live| live.text("metadata.uid") == Some(object.uid.as_str())) else {
            self.graph.forget(object);
            return;
        };
        let Some(meta) = live.at("metadata") else { return };
        let mut patch = change(meta);
        patch["uid"] = json!(object.uid.as_str());
        let request = everynode_api::daemonset::wire::Request {
            method: "PATCH",
            path: path(object),
            content_type: "application/merge-patch+json",
            body: json!({"metadata": patch}).to_string().into_bytes(),
        };
        let result = self.ask(&request);
        self.acted(object, result.is_ok());
    }

    fn acted(&mut self, object: &Identity, is_done: bool) {
        if is_done {
            return;
        }
        if self.live(object).is_none() {
            self.graph.forget(object);
        } else {
            self.graph.failed(object.uid.as_str());
            self.plan(Millis(500), Event::Collect);
        }
    }

    /// R132: pods of nodes that are gone are removed by force.
    pub(super) fn collect_pods(&mut self) {
        let mut waits = false;
        let pods: Vec<Arc<Pod>> = self.truth.pods.values().cloned().collect();
        for pod in pods {
            let place = match &pod.node {
                None => Place::Unbound,
                Some(name) if self.truth.nodes.contains_key(name) => {
                    self.quarantine.release(name);
                    continue;
                }
                Some(name) if self.quarantine.is_over(name, self.now) => Place::Missing,
                Some(_) => {
                    waits = true;
                    continue;
                }
            };
            let Some(cause) = pod_gc::judge(&pod, place) else { continue };
            if cause == Cause::NodeGone && !pod.is_terminal() {
                let patch = json!({"metadata": {"uid": pod.uid.as_str()}, "status": {"phase": "Failed"}});
                let _ = self.send("PATCH", &format!("{}/status", pod_path(&pod.key)), &patch);
            }
            self.delete_pod(&pod, Some(0));
        }
        if waits {
            self.plan(Millis(5_000), Event::PodGc);
        }
    }
}

fn names(reference: &Value, owners: &[Uid]) -> bool {
    owners.iter().any(|owner| reference.text("uid") == Some(owner.as_str()))
}

fn drop_owners(meta: &Value, owners: &[Uid]) -> Value {
    let kept: Vec<_> = meta.list("ownerReferences").iter().filter(|r| !names(r, owners)).cloned().collect();
    json!({"ownerReferences": or_null(kept)})
}

fn or_null(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { Value::Array(list) }
}
