//! Watches over nodes: silence, taints, and the pods that taints drive away (R121–R130, A491).
//!
//! Changes of nodes and pods are acted on when they come; silence is looked for every five seconds. A node has at most one
//! write under way, and is judged again when that write's version has been seen, so a stale cache never undoes anything.
//!
//! Not here: the judgements (`everynode_core::lifecycle::{health, taints, eviction}`).

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everynode_core::lifecycle::eviction::{self, Evictions, Verdict};
use everynode_core::lifecycle::health::{MONITOR_PERIOD, Silence, Watchman};
use everynode_core::lifecycle::taints::{self, Execution, Pace};
use everynode_core::model::{Millis, Node, NodeName, Pod, Uid, Version};
use everynode_core::selector::{Effect, Taint};

use crate::api::{Api, Failure};
use crate::cache::Delta;
use crate::chain::Chain;
use crate::events::{About, Kind, Note, Recorder};
use crate::heartbeat::{self, Heartbeat};
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock, pods};

/// How long to wait before a failed write to a node is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

enum Message {
    Node(Delta<Node>),
    Heartbeat(Delta<Heartbeat>),
    Pod(Delta<Pod>),
    /// A write to a node has ended, with the version it made.
    Written(NodeName, Written, Result<Version, Failure>),
    /// A node may be written to again.
    Again(NodeName),
    Evicted(Arc<Pod>, Result<(), Failure>),
    EvictAgain(Uid),
}

/// What was written to a node.
enum Written {
    Silence(Silence),
    Taints,
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("node-controller");
    let mut keeper = Keeper {
        recorder: Recorder::start(api.clone(), "node-controller"),
        evictor: Recorder::start(api.clone(), "taint-eviction-controller"),
        api,
        inbox: Inbox::new(),
        nodes: BTreeMap::new(),
        pods: BTreeMap::new(),
        watchman: Watchman::default(),
        pace: Pace::default(),
        evictions: Evictions::default(),
        turns: BTreeSet::new(),
        busy: BTreeSet::new(),
        written: BTreeMap::new(),
        unsettled: BTreeSet::new(),
        was_down: false,
        look_at: clock::now().plus(MONITOR_PERIOD),
    };
    keeper.inbox.follow(&context.feeds.nodes(), Message::Node);
    keeper.inbox.follow(&context.feeds.pods(), Message::Pod);
    let heartbeats = context.feeds.open("leases of nodes", heartbeat::PATH, heartbeat::project);
    keeper.inbox.follow(&heartbeats, Message::Heartbeat);
    loop {
        if let Some(message) = keeper.inbox.next(Some(keeper.wake_at())).await {
            keeper.take(message, clock::now());
        }
        while let Some(message) = keeper.inbox.try_next() {
            keeper.take(message, clock::now());
        }
        keeper.work(clock::now());
    }
}

struct Keeper {
    api: Api,
    recorder: Recorder,
    evictor: Recorder,
    inbox: Inbox<Message>,
    nodes: BTreeMap<NodeName, Arc<Node>>,
    /// Bound pods by node.
    pods: BTreeMap<NodeName, BTreeMap<Uid, Arc<Pod>>>,
    watchman: Watchman,
    pace: Pace,
    evictions: Evictions,
    /// Nodes whose turn for a NoExecute taint has come.
    turns: BTreeSet<NodeName>,
    /// Nodes with a write under way, or waiting after a failed one.
    busy: BTreeSet<NodeName>,
    /// The version that our last write made, until it is seen.
    written: BTreeMap<NodeName, Version>,
    /// Nodes whose taints must be looked at.
    unsettled: BTreeSet<NodeName>,
    /// All zones were down when last looked at.
    was_down: bool,
    /// When to look for silence next.
    look_at: Millis,
}

impl Keeper {
    fn wake_at(&self) -> Millis {
        [self.pace.wake_at(), self.evictions.wake_at()].into_iter().flatten().fold(self.look_at, Ord::min)
    }

    fn take(&mut self, message: Message, now: Millis) {
        match message {
            Message::Node(Delta::Put { old, new }) => self.node_is(old.as_deref(), new, now),
            Message::Node(Delta::Gone(node)) => self.node_gone(&node),
            Message::Heartbeat(Delta::Put { new, .. }) => {
                self.watchman.lease_is(&NodeName::from(new.node()), &new.renewed, now);
            }
            Message::Pod(Delta::Put { new, .. }) => self.pod_is(new, now),
            Message::Pod(Delta::Gone(pod)) => self.pod_gone(&pod),
            Message::Written(name, what, result) => self.written(name, what, result),
            Message::Again(name) => {
                self.busy.remove(&name);
                self.unsettled.insert(name);
            }
            Message::Evicted(pod, Err(failure)) => {
                tracing::debug!(pod = %pod.key, error = %Chain(&failure), "cannot evict a pod; trying again");
                self.inbox.act(async move {
                    tokio::time::sleep(AGAIN).await;
                    Message::EvictAgain(pod.uid.clone())
                });
            }
            Message::EvictAgain(uid) => {
                let pod = self.pods.values().find_map(|pods| pods.get(&uid)).cloned();
                if let Some(pod) = pod {
                    self.judge_pod(&pod, now);
                }
            }
            Message::Evicted(_, Ok(()))
            | Message::Heartbeat(Delta::Gone(_) | Delta::Synced)
            | Message::Node(Delta::Synced)
            | Message::Pod(Delta::Synced) => {}
        }
    }

    fn node_is(&mut self, old: Option<&Node>, new: Arc<Node>, now: Millis) {
        let is_new = old.is_none_or(|old| old.uid != new.uid);
        if is_new {
            let words = format!("Node {0} event: Registered Node {0} in Controller", new.name);
            self.recorder.note(note(&new, "RegisteredNode", words));
        }
        if is_new || self.written.get(&new.name).is_some_and(|written| new.version >= *written) {
            self.written.remove(&new.name);
        }
        self.watchman.node_is(&new, now);
        self.pace.node_is(&new);
        let name = new.name.clone();
        let before = old.map_or(&[][..], |old| &old.taints);
        let is_evicting = |taints: &[Taint]| taints.iter().any(|taint| taint.effect == Effect::NoExecute);
        let executes = before != new.taints && (is_evicting(before) || is_evicting(&new.taints));
        self.nodes.insert(name.clone(), new);
        if executes {
            let here: Vec<Arc<Pod>> =
                self.pods.get(&name).into_iter().flat_map(|pods| pods.values().cloned()).collect();
            for pod in here {
                self.judge_pod(&pod, now);
            }
        }
        self.unsettled.insert(name);
    }

    fn node_gone(&mut self, node: &Node) {
        let words = format!("Node {0} event: Removing Node {0} from Controller", node.name);
        self.recorder.note(note(node, "RemovingNode", words));
        self.nodes.remove(&node.name);
        self.watchman.node_gone(&node.name);
        self.pace.node_gone(&node.name);
        self.turns.remove(&node.name);
        self.written.remove(&node.name);
        for uid in self.pods.get(&node.name).into_iter().flat_map(BTreeMap::keys) {
            self.evictions.remove(uid);
        }
    }

    fn pod_is(&mut self, pod: Arc<Pod>, now: Millis) {
        let Some(node) = pod.node.clone() else { return };
        if pod.is_terminal() || pod.is_terminating() {
            self.evictions.remove(&pod.uid);
        } else {
            self.judge_pod(&pod, now);
        }
        self.pods.entry(node).or_default().insert(pod.uid.clone(), pod);
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.evictions.remove(&pod.uid);
        let Some(node) = &pod.node else { return };
        if let Some(pods) = self.pods.get_mut(node) {
            pods.remove(&pod.uid);
            if pods.is_empty() {
                self.pods.remove(node);
            }
        }
    }

    /// R127.
    fn judge_pod(&mut self, pod: &Pod, now: Millis) {
        let node = pod.node.as_ref().and_then(|name| self.nodes.get(name));
        let verdict = node.map_or(Verdict::Stay, |node| {
            if pod.is_terminal() || pod.is_terminating() {
                return Verdict::Stay;
            }
            eviction::judge(&node.taints, &pod.scheduling.tolerations, now)
        });
        if self.evictions.file(&pod.uid, verdict) {
            let message = format!("Cancelling deletion of Pod {}", pod.key);
            let about = pods::about(pod);
            self.evictor.note(Note { about, kind: Kind::Normal, reason: "TaintManagerEviction", message });
        }
    }

    fn work(&mut self, now: Millis) {
        if self.look_at <= now {
            self.look_at = now.plus(MONITOR_PERIOD);
            let quiet: Vec<NodeName> = self.watchman.quiet(now).cloned().collect();
            for name in quiet {
                self.declare_silence(&name, now);
            }
        }
        let due = self.pace.due(now);
        self.unsettled.extend(due.iter().cloned());
        self.turns.extend(due);
        let is_down = self.pace.all_down();
        if is_down != self.was_down {
            self.was_down = is_down;
            self.unsettled.extend(self.nodes.keys().cloned());
        }
        for name in std::mem::take(&mut self.unsettled) {
            self.settle(name, is_down, now);
        }
        while let Some(uid) = self.evictions.next(now) {
            self.evict(&uid);
        }
    }

    /// R124.
    fn declare_silence(&mut self, name: &NodeName, now: Millis) {
        let Some(node) = self.free(name) else { return };
        let Some(silence) = self.watchman.judge(&node, now) else { return };
        tracing::warn!(node = %name, "the node is silent");
        self.busy.insert(name.clone());
        let api = self.api.clone();
        self.inbox.act(async move {
            let result = act::declare(&api, &node, &silence).await;
            Message::Written(node.name.clone(), Written::Silence(silence), result)
        });
    }

    /// R125.
    fn settle(&mut self, name: NodeName, is_down: bool, now: Millis) {
        let Some(node) = self.free(&name) else { return };
        let execution = match (is_down, self.turns.contains(&name)) {
            (true, _) => Execution::Pardon,
            (false, true) => Execution::Turn,
            (false, false) => Execution::Wait,
        };
        let Some(taints) = taints::wanted(&node, execution, now) else {
            self.turns.remove(&name);
            return;
        };
        self.busy.insert(name);
        let api = self.api.clone();
        self.inbox.act(async move {
            let result = act::taint(&api, &node, &taints).await;
            Message::Written(node.name.clone(), Written::Taints, result)
        });
    }

    /// The node as last seen, if it may be written to now.
    fn free(&self, name: &NodeName) -> Option<Arc<Node>> {
        let node = self.nodes.get(name)?;
        let is_stale = self.written.get(name).is_some_and(|written| node.version < *written);
        (!is_stale && !self.busy.contains(name)).then(|| Arc::clone(node))
    }

    fn written(&mut self, name: NodeName, what: Written, result: Result<Version, Failure>) {
        match result {
            Ok(version) => {
                self.busy.remove(&name);
                if self.nodes.get(&name).is_some_and(|node| node.version < version) {
                    self.written.insert(name.clone(), version);
                }
                if let Written::Silence(silence) = what
                    && silence.was_ready
                {
                    self.lost(&name);
                }
                self.unsettled.insert(name);
            }
            Err(failure) => {
                if !failure.is_conflict() && !failure.is_not_found() {
                    tracing::warn!(node = %name, error = %Chain(&failure), "cannot write to a node; trying again");
                }
                let delay = if failure.is_conflict() { AGAIN / 20 } else { AGAIN };
                self.inbox.act(async move {
                    tokio::time::sleep(delay).await;
                    Message::Again(name)
                });
            }
        }
    }

    /// R126: the node was ready and is silent now.
    fn lost(&mut self, name: &NodeName) {
        let Some(node) = self.nodes.get(name) else { return };
        self.recorder.note(note(node, "NodeNotReady", format!("Node {name} status is now: NodeNotReady")));
        for pod in self.pods.get(name).into_iter().flat_map(BTreeMap::values).filter(|pod| pod.ready.is) {
            let message = "Node is not ready".to_owned();
            let about = pods::about(pod);
            self.recorder.note(Note { about, kind: Kind::Warning, reason: "NodeNotReady", message });
            self.inbox.spare(act::unready(self.api.clone(), Arc::clone(pod)));
        }
    }

    fn evict(&mut self, uid: &Uid) {
        let pod = self.pods.values().find_map(|pods| pods.get(uid)).cloned();
        let Some(pod) = pod else { return };
        let message = format!("Marking for deletion Pod {}", pod.key);
        let about = pods::about(&pod);
        self.evictor.note(Note { about, kind: Kind::Normal, reason: "TaintManagerEviction", message });
        let api = self.api.clone();
        self.inbox.act(async move {
            let result = act::evict(&api, &pod).await;
            Message::Evicted(pod, result)
        });
    }
}

/// A word about a node.
fn note(node: &Node, reason: &'static str, message: String) -> Note {
    let about = About {
        api_version: "v1",
        kind: "Node",
        namespace: "".into(),
        name: node.name.as_str().into(),
        uid: node.uid.as_str().into(),
        version: 0,
    };
    Note { about, kind: Kind::Normal, reason, message }
}
