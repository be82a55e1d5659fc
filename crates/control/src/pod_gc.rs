//! Removes pods that nobody will finish (R132, R133): those of vanished nodes, those that never ran and are to go, and the
//! oldest of too many that ended.
//!
//! Not here: the judgement (`everynode_core::lifecycle::pod_gc`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everynode_core::lifecycle::pod_gc::{self, Cause, PERIOD, Place, Quarantine, TERMINAL_MAX};
use everynode_core::lifecycle::taints::OUT_OF_SERVICE;
use everynode_core::model::{Millis, Node, NodeName, Pod, Tri, Uid};
use serde_json::json;

use crate::api::{Api, Failure};
use crate::cache::Delta;
use crate::chain::Chain;
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock, pods};

enum Message {
    Node(Delta<Node>),
    Pod(Delta<Pod>),
    Removed(Arc<Pod>, Result<(), Failure>),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let mut collector = Collector {
        api: context.clients.api("pod-garbage-collector"),
        inbox: Inbox::new(),
        nodes: BTreeMap::new(),
        pods: BTreeMap::new(),
        ended: BTreeSet::new(),
        quarantine: Quarantine::default(),
        busy: BTreeSet::new(),
        unsynced: 2,
        look_at: clock::now().plus(PERIOD),
    };
    collector.inbox.follow(&context.feeds.nodes(), Message::Node);
    collector.inbox.follow(&context.feeds.pods(), Message::Pod);
    loop {
        let wake_at = collector.quarantine.wake_at().unwrap_or(Millis::NEVER).min(collector.look_at);
        if let Some(message) = collector.inbox.next(Some(wake_at)).await {
            collector.take(message);
        }
        while let Some(message) = collector.inbox.try_next() {
            collector.take(message);
        }
        let now = clock::now();
        if collector.unsynced == 0 && (collector.look_at <= now || wake_at <= now) {
            collector.look_at = now.plus(PERIOD);
            collector.look(now);
        }
    }
}

struct Collector {
    api: Api,
    inbox: Inbox<Message>,
    nodes: BTreeMap<NodeName, Arc<Node>>,
    /// Pods by node; the empty name stands for none.
    pods: BTreeMap<NodeName, BTreeMap<Uid, Arc<Pod>>>,
    /// Pods that have ended.
    ended: BTreeSet<(NodeName, Uid)>,
    quarantine: Quarantine,
    busy: BTreeSet<Uid>,
    unsynced: u8,
    look_at: Millis,
}

fn place(pod: &Pod) -> NodeName {
    pod.node.clone().unwrap_or_else(|| NodeName::from(""))
}

impl Collector {
    fn take(&mut self, message: Message) {
        match message {
            Message::Node(Delta::Put { new, .. }) => {
                self.quarantine.release(&new.name);
                self.nodes.insert(new.name.clone(), new);
            }
            Message::Node(Delta::Gone(node)) => {
                self.nodes.remove(&node.name);
                // The quarantine begins now, not with the next look.
                if self.pods.contains_key(&node.name) {
                    self.quarantine.is_over(&node.name, clock::now());
                }
            }
            Message::Pod(Delta::Put { old, new }) => {
                if let Some(old) = old.filter(|old| old.uid != new.uid || old.node != new.node) {
                    self.pod_gone(&old);
                }
                if new.is_terminal() {
                    self.ended.insert((place(&new), new.uid.clone()));
                }
                self.pods.entry(place(&new)).or_default().insert(new.uid.clone(), new);
            }
            Message::Pod(Delta::Gone(pod)) => self.pod_gone(&pod),
            Message::Node(Delta::Synced) | Message::Pod(Delta::Synced) => {
                self.unsynced = self.unsynced.saturating_sub(1);
            }
            Message::Removed(pod, result) => {
                self.busy.remove(&pod.uid);
                if let Err(failure) = result {
                    tracing::warn!(pod = %pod.key, error = %Chain(&failure), "cannot remove a pod; trying again");
                }
            }
        }
    }

    fn pod_gone(&mut self, pod: &Pod) {
        let place = place(pod);
        self.ended.remove(&(place.clone(), pod.uid.clone()));
        if let Some(pods) = self.pods.get_mut(&place) {
            pods.remove(&pod.uid);
            if pods.is_empty() {
                self.pods.remove(&place);
                self.quarantine.release(&place);
            }
        }
    }

    /// Nodes are looked at, not pods: only unbound ones and those of suspicious nodes cost anything.
    fn look(&mut self, now: Millis) {
        let mut found: Vec<(Arc<Pod>, Cause)> = Vec::new();
        for (name, pods) in &self.pods {
            let place = match self.nodes.get(name) {
                _ if name.as_str().is_empty() => Place::Unbound,
                Some(node) => Place::Present { out_of_service: is_out_of_service(node) },
                None if self.quarantine.is_over(name, now) => Place::Missing,
                None => continue,
            };
            if place == (Place::Present { out_of_service: false }) {
                continue;
            }
            let judged = pods.values().filter_map(|pod| Some((Arc::clone(pod), pod_gc::judge(pod, place)?)));
            found.extend(judged);
        }
        for (pod, cause) in found {
            self.remove(pod, Some(cause));
        }
        self.remove_excess();
    }

    fn remove_excess(&mut self) {
        if self.ended.len() <= TERMINAL_MAX {
            return;
        }
        let ended = self.ended.iter().filter_map(|(place, uid)| self.pods.get(place)?.get(uid));
        let excess = pod_gc::excess(ended.clone().map(|pod| &**pod), TERMINAL_MAX);
        let uids: BTreeSet<&Uid> = excess.iter().map(|(_, uid)| uid).collect();
        let pods: Vec<Arc<Pod>> = ended.filter(|pod| uids.contains(&pod.uid)).cloned().collect();
        for pod in pods {
            self.remove(pod, None);
        }
    }

    fn remove(&mut self, pod: Arc<Pod>, cause: Option<Cause>) {
        if !self.busy.insert(pod.uid.clone()) {
            return;
        }
        let api = self.api.clone();
        self.inbox.act(async move {
            let result = remove(&api, &pod, cause).await;
            Message::Removed(pod, result)
        });
    }
}

/// R132 (2): not ready, and a person has said that it is off.
fn is_out_of_service(node: &Node) -> bool {
    node.ready() != Tri::True && node.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// By force: marked as failed, then deleted without grace.
async fn remove(api: &Api, pod: &Pod, cause: Option<Cause>) -> Result<(), Failure> {
    if cause == Some(Cause::NodeGone) && node_exists(api, pod).await? {
        return Ok(());
    }
    if !pod.is_terminal() {
        let mut status = json!({"phase": "Failed"});
        if cause == Some(Cause::NodeGone) {
            status["conditions"] = json!([pods::disruption("DeletionByPodGC", "PodGC: node no longer exists")]);
        }
        match pods::patch_status(api, pod, status).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) if !failure.is_conflict() => return Err(failure),
            _ => {}
        }
    }
    tracing::info!(pod = %pod.key, ?cause, "removing a pod by force");
    pods::delete(api, pod, Some(0)).await
}

/// R132 (3): the cache may be behind; the server's word counts.
async fn node_exists(api: &Api, pod: &Pod) -> Result<bool, Failure> {
    match api.get(&format!("/api/v1/nodes/{}", place(pod))).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_not_found() => Ok(false),
        Err(failure) => Err(failure),
    }
}
