//! Gives pods to nodes (R134–R139, A516–A519).
//!
//! One loop: changes of pods and nodes go into the [`Ledger`] and the [`Queue`], then every pod whose turn it is gets a node or
//! is told why there is none. Bindings run beside the loop; until their event comes the ledger counts the pod as placed.
//!
//! Not here: the judgement (`everynode_core::scheduling`).

mod narrate;

use std::collections::BTreeMap;
use std::sync::Arc;

use everynode_core::model::{Millis, Node, NodeName, Pod, Uid};
use everynode_core::scheduling::{Ledger, Placement, Preemption, Queue, Refusal, Victims, is_waiting};
use serde_json::{Value, json};

use crate::api::{Api, Failure};
use crate::cache::Delta;
use crate::chain::Chain;
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock, pods};

/// The component's name in events, and its user.
const NAME: &str = "default-scheduler";
/// Bindings under way at once.
const BINDINGS_MAX: usize = 256;

enum Message {
    Pod(Delta<Pod>),
    Node(Delta<Node>),
    Bound(Arc<Pod>, NodeName, Result<(), Failure>),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let mut scheduler = Scheduler::new(context.clients.api("kube-scheduler"));
    scheduler.inbox.follow(&context.feeds.nodes(), Message::Node);
    scheduler.inbox.follow(&context.feeds.pods(), Message::Pod);
    loop {
        // At the limit only the end of a binding helps.
        let wake_at = scheduler.queue.wake_at().filter(|_| scheduler.binding.len() < BINDINGS_MAX);
        if let Some(message) = scheduler.inbox.next(wake_at).await {
            scheduler.take(message);
        }
        while let Some(message) = scheduler.inbox.try_next() {
            scheduler.take(message);
        }
        // Without all nodes and all bound pods, answers would be wrong.
        if scheduler.unsynced == 0 {
            scheduler.place_all(clock::now());
        }
    }
}

struct Scheduler {
    api: Api,
    inbox: Inbox<Message>,
    ledger: Ledger,
    queue: Queue,
    waiting: BTreeMap<Uid, Arc<Pod>>,
    /// Pods whose binding is under way.
    binding: BTreeMap<Uid, Arc<Pod>>,
    /// What each waiting pod was told last.
    told: BTreeMap<Uid, String>,
    unsynced: u8,
}

impl Scheduler {
    fn new(api: Api) -> Self {
        Self {
            api,
            inbox: Inbox::new(),
            ledger: Ledger::default(),
            queue: Queue::default(),
            waiting: BTreeMap::new(),
            binding: BTreeMap::new(),
            told: BTreeMap::new(),
            unsynced: 2,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Pod(Delta::Put { old, new }) => self.pod_is(old.as_deref(), new),
            Message::Pod(Delta::Gone(pod)) => self.pod_gone(&pod),
            Message::Node(Delta::Put { new, .. }) => {
                let name = new.name.clone();
                if self.ledger.node_is(new) {
                    self.queue.wake(&name, clock::now());
                }
            }
            Message::Node(Delta::Gone(node)) => self.ledger.node_gone(&node.name),
            Message::Pod(Delta::Synced) | Message::Node(Delta::Synced) => {
                self.unsynced = self.unsynced.saturating_sub(1);
            }
            Message::Bound(pod, node, result) => self.bound(&pod, &node, result),
        }
    }

    fn pod_is(&mut self, old: Option<&Pod>, new: Arc<Pod>) {
        if let Some(old) = old
            && old.uid != new.uid
        {
            self.pod_gone(old);
        }
        if !is_waiting(&new) {
            self.forget(&new.uid);
            if let Some(node) = self.ledger.pod_is(&new) {
                self.queue.wake(&node, clock::now());
            }
            return;
        }
        if self.binding.contains_key(&new.uid) {
            return;
        }
        let changed = old.is_some_and(|old| old.scheduling != new.scheduling || old.pin != new.pin);
        if changed {
            self.queue.remove(&new.uid);
        }
        self.queue.add(&new);
        self.waiting.insert(new.uid.clone(), new);
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.forget(&pod.uid);
        self.binding.remove(&pod.uid);
        if let Some(node) = self.ledger.pod_gone(&pod.uid) {
            self.queue.wake(&node, clock::now());
        }
    }

    fn forget(&mut self, uid: &Uid) {
        self.queue.remove(uid);
        self.waiting.remove(uid);
        self.told.remove(uid);
    }

    fn place_all(&mut self, now: Millis) {
        while self.binding.len() < BINDINGS_MAX
            && let Some(uid) = self.queue.next(now)
        {
            let Some(pod) = self.waiting.get(&uid).cloned() else {
                self.queue.remove(&uid);
                continue;
            };
            match self.ledger.place(&pod) {
                Placement::On(node) => self.bind(pod, node),
                Placement::Nowhere(refusal) => self.refuse(&pod, &refusal, now),
            }
        }
    }

    fn bind(&mut self, pod: Arc<Pod>, node: NodeName) {
        self.forget(&pod.uid);
        self.ledger.assume(&pod, &node);
        self.binding.insert(pod.uid.clone(), Arc::clone(&pod));
        let api = self.api.clone();
        self.inbox.act(async move {
            let path = format!("{}/binding", pods::path(&pod));
            let result = api.create(&path, &binding(&pod, &node)).await.map(drop);
            Message::Bound(pod, node, result)
        });
    }

    fn bound(&mut self, pod: &Arc<Pod>, node: &NodeName, result: Result<(), Failure>) {
        let known = self.binding.remove(&pod.uid).is_some();
        let Err(failure) = result else {
            tracing::debug!(pod = %pod.key, %node, "pod bound");
            self.inbox.spare(narrate::scheduled(self.api.clone(), Arc::clone(pod), node.clone()));
            return;
        };
        // Somebody bound or deleted it meanwhile: its event says what counts.
        if !known || failure.is_conflict() || failure.is_not_found() {
            tracing::debug!(pod = %pod.key, %node, error = %Chain(&failure), "binding was refused");
            self.release(pod);
            return;
        }
        tracing::warn!(pod = %pod.key, %node, error = %Chain(&failure), "cannot bind a pod; trying again");
        self.release(pod);
        let now = clock::now();
        self.waiting.insert(pod.uid.clone(), Arc::clone(pod));
        self.queue.add(pod);
        self.queue.retry(&pod.uid, now);
    }

    fn release(&mut self, pod: &Pod) {
        if let Some(node) = self.ledger.pod_gone(&pod.uid) {
            self.queue.wake(&node, clock::now());
        }
    }

    fn refuse(&mut self, pod: &Arc<Pod>, refusal: &Refusal, now: Millis) {
        self.queue.park(&pod.uid, now);
        let (message, nominated) = match self.ledger.preempt(pod, refusal) {
            Preemption::No(words) => (refusal.message(&words), None),
            Preemption::Evict(victims) => {
                let node = victims.node.clone();
                self.preempt(pod, victims);
                (refusal.message(""), Some(node))
            }
        };
        if self.told.get(&pod.uid) == Some(&message) {
            return;
        }
        tracing::debug!(pod = %pod.key, message, "no node for a pod");
        self.told.insert(pod.uid.clone(), message.clone());
        self.inbox.spare(narrate::refused(self.api.clone(), Arc::clone(pod), message, nominated));
    }

    /// A519a: the victims are marked and go with their grace; their room is kept for the pod.
    fn preempt(&mut self, pod: &Arc<Pod>, victims: Victims) {
        tracing::info!(pod = %pod.key, node = %victims.node, victims = victims.pods.len(), "making room for a pod");
        self.ledger.nominate(pod, &victims.node);
        self.inbox.spare(narrate::preempt(self.api.clone(), Arc::clone(pod), victims));
    }
}

fn binding(pod: &Pod, node: &NodeName) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": &*pod.key.name, "namespace": &*pod.key.namespace, "uid": pod.uid.as_str()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node.as_str()},
    })
}
