//! The controller's shell in virtual time: the real engine, fed by what the world lets it see, and asked as
//! `everynode-control` asks it: one plan per set at a time, answers back when all are in, retries ever more slowly.
//!
//! Not here: when anything arrives (the world), and decisions (`everynode-core`).

mod execute;
pub(crate) mod net;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use everynode_api::daemonset::Report;
use everynode_core::check;
use everynode_core::daemonset::eligibility::Rules;
use everynode_core::daemonset::plan::Plan as Decided;
use everynode_core::daemonset::reference::{self, Memory, Snapshot};
use everynode_core::daemonset::{Engine, Step};
use everynode_core::model::{Key, Millis, Node, NodeName, Pod, Revision, Set, Uid, Version};

use self::execute::carry_out;
use self::net::Net;
use self::queue::Queue;
use crate::facts::{Fact, Kind, SetItem, State, owns};

/// A plan, and what the controller could know when it made it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) item: Arc<SetItem>,
    pub(crate) plan: Decided,
    pub(crate) seen: Seen,
}

/// What the controller saw, and had asked for, when it made a plan; the plan itself included.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Nodes that are to have a pod.
    pub(crate) desired: BTreeSet<NodeName>,
    /// Available pods by node, without those on their way out.
    pub(crate) serving: BTreeMap<NodeName, BTreeSet<Uid>>,
    /// Pods that were ready, but too young to be available, whether on their way out or not.
    pub(crate) young: BTreeSet<Uid>,
    /// Pods asked to go.
    pub(crate) leaving: BTreeSet<Uid>,
    /// The version of pods up to which everything was seen.
    pub(crate) clock: Millis,
}

/// A decision, for the trace and the judges.
pub(crate) struct Decision {
    pub(crate) plan: Rc<Plan>,
    /// What is wrong with it.
    pub(crate) problems: Vec<String>,
}

/// The twin looks at everything again and again; beyond these nodes that takes too long.
const TWIN_NODES_MAX: usize = 20;

type Task = Pin<Box<dyn Future<Output = Report>>>;

/// One run of the controller, from its start to its crash.
pub(crate) struct Controller {
    engine: Engine,
    pub(crate) view: State,
    queue: Queue,
    tasks: BTreeMap<Key, Task>,
    pub(crate) net: Net,
    /// Kinds whose first list is not in: nothing is decided before that (R33).
    unsynced: BTreeSet<Kind>,
    /// Spoils plans before they are judged and carried out; only tests that want to see a judge fail have one.
    bug: Option<Planted>,
}

/// Changes a plan, as a bug would, by what is seen, and by the time.
pub(crate) type Bug = fn(&State, &Set, &mut Decided, Millis);

/// A bug, and where it sits: in the engine, so that the judges over the plan see it, or behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) bug: Bug,
    pub(crate) is_in_engine: bool,
}

impl Controller {
    pub(crate) fn new(seed: u64, run: u64, bug: Option<Planted>) -> Self {
        Self {
            engine: Engine::new(seed),
            view: State::default(),
            queue: Queue::default(),
            tasks: BTreeMap::new(),
            net: Net::new(run << 32),
            unsynced: Kind::ALL.into(),
            bug,
        }
    }

    /// A change is seen.
    pub(crate) fn take(&mut self, fact: &Fact, now: Millis) {
        self.view.take(fact);
        let engine = &mut self.engine;
        match fact {
            Fact::Node(node) => engine.node(node),
            Fact::NodeGone(name) => engine.node_gone(name),
            Fact::Set(item) => engine.set(item.set.clone()),
            Fact::SetGone(key) => {
                engine.set_gone(key);
                self.queue.forget(key);
            }
            Fact::Pod(pod) => engine.pod(Arc::clone(pod)),
            Fact::PodGone(key, _) => engine.pod_gone(key),
            Fact::Revision(revision) => engine.revision(Arc::clone(revision)),
            Fact::RevisionGone(key, _) => engine.revision_gone(key),
        }
        self.enqueue_changed(now);
    }

    /// All changes of a kind up to this version have been seen.
    pub(crate) fn up_to(&mut self, kind: Kind, version: Version, now: Millis) {
        match kind {
            Kind::Pod => self.engine.pods_seen(version),
            Kind::Revision => self.engine.revisions_seen(version),
            Kind::Node | Kind::Set => {}
        }
        self.enqueue_changed(now);
    }

    /// The first list of a kind is in.
    pub(crate) fn synced(&mut self, kind: Kind) {
        self.unsynced.remove(&kind);
    }

    fn enqueue_changed(&mut self, now: Millis) {
        for key in self.engine.take_changed() {
            self.queue.add(key, now);
        }
    }

    /// When there is something to do next, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Millis> {
        if !self.unsynced.is_empty() {
            return None;
        }
        self.queue.due(|key| !self.tasks.contains_key(key))
    }

    /// Decides for one set whose time has come, and starts to carry the plan out. `clock` is the controller's own.
    pub(crate) fn work(&mut self, now: Millis, clock: Millis, judges: bool) -> Option<Decision> {
        if !self.unsynced.is_empty() {
            return None;
        }
        let key = self.queue.next(now, |key| !self.tasks.contains_key(key))?;
        let memory = self.engine.memory(&key, clock);
        let mut decided = self.engine.decide(&key, clock);
        let item = self.view.sets.get(&key).cloned()?;
        let spoil = |decided: &mut Decided, is_in_engine: bool| {
            if let Some(planted) = self.bug.filter(|planted| planted.is_in_engine == is_in_engine) {
                (planted.bug)(&self.view, &item.set, decided, clock);
            }
        };
        spoil(&mut decided, true);
        let problems = if judges { self.judge(&item.set, &memory, &decided, clock) } else { Vec::new() };
        let seen = if judges { self.seen(&item.set, &memory, &decided, clock) } else { Seen::default() };
        spoil(&mut decided, false);
        if let Some(at) = decided.wake_at {
            self.queue.add(key.clone(), now.plus(Millis(at.since(clock).0.max(0))));
        }
        if decided.more {
            self.queue.add(key.clone(), now);
        }
        let is_idle = decided.steps.is_empty() && decided.status.is_none();
        let has_problem = decided.problem.is_some();
        let plan = Rc::new(Plan { item, plan: decided, seen });
        if is_idle {
            self.finish(&key, has_problem, now);
        } else {
            self.tasks.insert(key, Box::pin(carry_out(self.net.clone(), Rc::clone(&plan))));
        }
        Some(Decision { plan, problems })
    }

    /// Lets the tasks go on as far as they can, and settles those that are done.
    pub(crate) fn poll(&mut self, now: Millis, clock: Millis) -> Vec<Report> {
        let mut done = Vec::new();
        self.tasks.retain(|key, task| match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(report) => {
                done.push((key.clone(), report));
                false
            }
            std::task::Poll::Pending => true,
        });
        for (key, report) in &done {
            for (step, outcome) in &report.outcomes {
                self.engine.settle(key, step, *outcome, clock);
            }
            if let Some((status, version)) = report.status {
                self.engine.settle_status(key, status, version);
            }
            self.finish(key, report.is_retried, now);
            self.enqueue_changed(now);
        }
        done.into_iter().map(|(_, report)| report).collect()
    }

    /// What it takes to be so, for whoever reads the trace of a seed that went wrong.
    pub(crate) fn beliefs(&self, clock: Millis) -> Vec<String> {
        let mut lines = Vec::new();
        for key in self.view.sets.keys() {
            lines.push(format!("{key}: {:?}", self.engine.memory(key, clock)));
            for cell in self.engine.view(key, clock) {
                let pods: Vec<_> = cell.pods.iter().map(|pod| (&*pod.name, pod.is_updated, pod.is_available)).collect();
                lines.push(format!("{key} on {} {:?}: {pods:?} {:?}", cell.node, cell.verdict, cell.blocker));
            }
        }
        lines
    }

    fn finish(&mut self, key: &Key, is_retried: bool, now: Millis) {
        if is_retried {
            self.queue.retry(key, now);
        } else {
            self.queue.forget(key);
        }
    }

    /// The judges of `core` over what was seen, and the engine's twin.
    fn judge(&self, set: &Set, memory: &Memory, plan: &Decided, now: Millis) -> Vec<String> {
        let namespace = &set.key.namespace;
        let nodes: BTreeMap<NodeName, Node> =
            self.view.nodes.iter().map(|(name, node)| (name.clone(), (**node).clone())).collect();
        let pods: Vec<Pod> =
            self.view.pods.values().filter(|pod| pod.key.namespace == *namespace).map(|pod| (**pod).clone()).collect();
        let revisions: Vec<Arc<Revision>> =
            self.view.revisions.values().filter(|revision| revision.key.namespace == *namespace).cloned().collect();
        let snapshot = Snapshot { set, nodes: &nodes, pods: &pods, revisions: &revisions, now };
        let mut problems: Vec<String> =
            check::plan(&snapshot, memory, plan).iter().map(|problem| format!("{problem:?}")).collect();
        if nodes.len() <= TWIN_NODES_MAX {
            let twin = reference::bare(&reference::plan(&snapshot, memory));
            if reference::bare(plan) != twin {
                problems.push(format!("its twin decides {:?} status {:?}", twin.steps, twin.status));
            }
        }
        problems
    }

    fn seen(&self, set: &Set, memory: &Memory, plan: &Decided, clock: Millis) -> Seen {
        let rules = Rules::new(&set.template);
        let desired = self.view.nodes.values().filter(|node| rules.judge(node).runs()).map(|node| node.name.clone());
        let mut seen = Seen { desired: desired.collect(), leaving: memory.asked.clone(), clock, ..Seen::default() };
        seen.leaving.extend(plan.steps.iter().filter_map(|step| match step {
            Step::Delete { pod, .. } => Some(pod.uid.clone()),
            _ => None,
        }));
        for pod in self.view.pods_of(set) {
            let is_available = is_available(set, pod, clock);
            if pod.ready.is && !is_available {
                seen.young.insert(pod.uid.clone());
            }
            let stays = !pod.is_terminating() && !seen.leaving.contains(&pod.uid);
            if let (true, Some(node)) = (stays && is_available, pod.target()) {
                seen.serving.entry(node.clone()).or_default().insert(pod.uid.clone());
            }
        }
        seen
    }
}

/// R66, of a pod that is the set's.
pub(crate) fn is_available(set: &Set, pod: &Pod, now: Millis) -> bool {
    let wait = Millis::from_secs(i64::from(set.min_ready_seconds));
    owns(set, pod) && pod.ready.is && (wait.0 <= 0 || pod.ready.since.is_some_and(|since| since.plus(wait) <= now))
}
