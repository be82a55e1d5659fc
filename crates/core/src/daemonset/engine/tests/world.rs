//! A pretend cluster: the truth, a view that lags behind it, and an executor whose answers may get lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::check;
use crate::daemonset::Engine;
use crate::daemonset::budget;
use crate::daemonset::mk;
use crate::daemonset::plan::{DeleteWhy, Outcome, Plan, Ref, Step};
use crate::daemonset::reference::{self, Snapshot};
use crate::model::{
    Deletion, GENERATION_LABEL, HASH_LABEL, Key, Millis, Node, NodeName, Owner, Phase, Pod, Ready, Revision, Set, Uid,
    Version,
};

#[derive(Clone, Debug)]
pub(super) enum Event {
    Pod(Box<Pod>),
    PodGone(Key, Version),
    Revision(Revision),
    RevisionGone(Key, Version),
    Set(Box<Set>),
    Node(Box<Node>),
    NodeGone(NodeName),
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) set: Option<Set>,
    pub(super) pods: BTreeMap<Key, Pod>,
    pub(super) revisions: BTreeMap<Key, Revision>,
}

impl State {
    fn apply(&mut self, event: &Event) {
        match event.clone() {
            Event::Pod(pod) => {
                self.pods.insert(pod.key.clone(), *pod);
            }
            Event::PodGone(key, _) => {
                self.pods.remove(&key);
            }
            Event::Revision(revision) => {
                self.revisions.insert(revision.key.clone(), revision);
            }
            Event::RevisionGone(key, _) => {
                self.revisions.remove(&key);
            }
            Event::Set(set) => self.set = Some(*set),
            Event::Node(node) => {
                self.nodes.insert(node.name.clone(), *node);
            }
            Event::NodeGone(name) => {
                self.nodes.remove(&name);
            }
        }
    }
}

/// How an answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused,
    /// Done, but nobody hears of it.
    DoneUnheard,
    /// Not done, and nobody knows.
    Lost,
    /// Done, asked once more on the way, and answered twice.
    Doubled,
}

pub(super) struct World {
    pub(super) truth: State,
    pub(super) seen: State,
    /// Told in order within a lane: pods, revisions, sets, nodes.
    lanes: [VecDeque<Event>; 4],
    pub(super) engine: Engine,
    pub(super) now: Millis,
    version: u64,
    uids: u64,
    pub(super) open: Vec<Step>,
    /// The set and hash for which the last plan was made.
    decided: Option<(Set, Option<Arc<str>>)>,
    /// Nodes whose available pod was taken for an update, until there is a ready one again.
    pub(super) taken: BTreeSet<NodeName>,
    /// The largest `maxUnavailable` that a plan was made under since `taken` was last empty.
    pub(super) most_taken: i32,
    /// Pods made for each node.
    pub(super) made: BTreeMap<NodeName, u32>,
}

pub(super) fn key() -> Key {
    Key::new("ns", "web")
}

impl World {
    pub(super) fn new(node_names: &[&str], set: Set) -> Self {
        let mut world = Self {
            truth: State::default(),
            seen: State::default(),
            lanes: Default::default(),
            engine: Engine::new(7),
            now: Millis::from_secs(10_000),
            version: 10,
            uids: 0,
            open: Vec::new(),
            decided: None,
            taken: BTreeSet::new(),
            most_taken: 0,
            made: BTreeMap::new(),
        };
        for name in node_names {
            world.tell(Event::Node(Box::new(mk::node(name))));
        }
        world.tell(Event::Set(Box::new(set)));
        world.deliver_all();
        world
    }

    fn lane(event: &Event) -> usize {
        match event {
            Event::Pod(_) | Event::PodGone(..) => 0,
            Event::Revision(_) | Event::RevisionGone(..) => 1,
            Event::Set(_) => 2,
            Event::Node(_) | Event::NodeGone(_) => 3,
        }
    }

    /// Changes the truth; the view hears of it later.
    pub(super) fn tell(&mut self, mut event: Event) {
        self.version += 1;
        let version = Version(self.version);
        match &mut event {
            Event::Pod(pod) => pod.version = version,
            Event::Revision(revision) => revision.version = version,
            Event::Set(set) => set.version = version,
            Event::Node(node) => node.version = version,
            Event::PodGone(_, at) | Event::RevisionGone(_, at) => *at = version,
            Event::NodeGone(_) => {}
        }
        self.truth.apply(&event);
        self.lanes[Self::lane(&event)].push_back(event);
    }

    pub(super) fn deliver(&mut self, lane: usize) {
        let Some(event) = self.lanes[lane].pop_front() else { return };
        self.seen.apply(&event);
        match event {
            Event::Pod(pod) => {
                let version = pod.version;
                self.engine.pod(Arc::new(*pod));
                self.engine.pods_seen(version);
            }
            Event::PodGone(key, version) => {
                self.engine.pod_gone(&key);
                self.engine.pods_seen(version);
            }
            Event::Revision(revision) => {
                let version = revision.version;
                self.engine.revision(Arc::new(revision));
                self.engine.revisions_seen(version);
            }
            Event::RevisionGone(key, version) => {
                self.engine.revision_gone(&key);
                self.engine.revisions_seen(version);
            }
            Event::Set(set) => self.engine.set(*set),
            Event::Node(node) => self.engine.node(&node),
            Event::NodeGone(name) => self.engine.node_gone(&name),
        }
    }

    pub(super) fn deliver_all(&mut self) {
        for lane in 0..4 {
            while !self.lanes[lane].is_empty() {
                self.deliver(lane);
            }
        }
    }

    /// Decides, and holds the plan against the twin and the judges.
    pub(super) fn decide(&mut self) -> Plan {
        let now = self.now;
        let memory = self.engine.memory(&key(), now);
        let plan = self.engine.decide(&key(), now);
        let pods: Vec<Pod> = self.seen.pods.values().cloned().collect();
        let revisions: Vec<Arc<Revision>> = self.seen.revisions.values().cloned().map(Arc::new).collect();
        let set = self.seen.set.clone().expect("the set has been seen");
        let snapshot = Snapshot { set: &set, nodes: &self.seen.nodes, pods: &pods, revisions: &revisions, now };
        let twin = reference::plan(&snapshot, &memory);
        assert_eq!(reference::bare(&plan), reference::bare(&twin), "engine (left) and twin differ; memory {memory:?}");
        assert_eq!(check::plan(&snapshot, &memory, &plan), [], "{plan:?}");
        self.open.extend(plan.steps.iter().cloned());
        let desired = i32::try_from(self.seen.nodes.len()).unwrap_or(i32::MAX);
        self.most_taken = self.most_taken.max(budget::of(&set.strategy, desired).map_or(0, |of| of.unavailable));
        self.decided = Some((set.clone(), plan.hash.clone()));
        if let Some(status) = plan.status {
            let mut set = self.truth.set.clone().expect("there is a set");
            set.status = status;
            self.tell(Event::Set(Box::new(set)));
            self.engine.settle_status(&key(), status, Some(Version(self.version)));
        }
        plan
    }

    /// Carries out one asked step.
    pub(super) fn answer(&mut self, step: &Step, fate: Fate) {
        let done = match fate {
            Fate::Done | Fate::DoneUnheard => self.carry_out(step),
            Fate::Doubled => {
                let first = self.carry_out(step);
                self.engine.settle(&key(), step, first, self.now);
                self.carry_out(step)
            }
            Fate::Refused => Outcome::Refused,
            Fate::Lost => Outcome::Unknown,
        };
        let outcome = if fate == Fate::DoneUnheard { Outcome::Unknown } else { done };
        let now = self.now;
        self.engine.settle(&key(), step, outcome, now);
    }

    pub(super) fn answer_all(&mut self, fate: Fate) {
        for step in std::mem::take(&mut self.open) {
            self.answer(&step, fate);
        }
    }

    fn done(&self) -> Outcome {
        Outcome::Done { version: Version(self.version) }
    }

    fn carry_out(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Create { node, name, failures, .. } => self.create_pod(node, name, *failures),
            Step::Delete { pod, version, node, why } => {
                let found = self.truth.pods.values().find(|there| there.uid == pod.uid);
                if *why == DeleteWhy::Outdated && found.is_some_and(|pod| pod.ready.is && !pod.is_terminating()) {
                    self.taken.insert(node.clone());
                }
                self.delete_pod(pod, *version)
            }
            Step::Adopt(pod) => self.edit_pod(pod, |pod| pod.owner = owner()),
            Step::Release(pod) => self.edit_pod(pod, |pod| pod.owner = None),
            Step::Relabel { pod, hash } => self.edit_pod(pod, |pod| {
                pod.labels.insert(HASH_LABEL.into(), hash.to_string());
            }),
            Step::AdoptRevision(what) => self.edit_revision(what, |revision| revision.owner = owner()),
            Step::ReleaseRevision(what) => self.edit_revision(what, |revision| revision.owner = None),
            Step::LabelRevision(what) => self.edit_revision(what, |revision| {
                revision.labels.insert(HASH_LABEL.into(), revision.key.name.to_string());
            }),
            Step::RenumberRevision { revision, number, .. } => {
                self.edit_revision(revision, |revision| revision.number = *number)
            }
            Step::CreateRevision { hash, number } => self.create_revision(hash, *number),
            Step::DeleteRevision(what) => {
                let found = self.truth.revisions.values().find(|revision| revision.uid == what.uid);
                let Some(key) = found.map(|revision| revision.key.clone()) else { return Outcome::Gone };
                self.tell(Event::RevisionGone(key, Version(0)));
                self.done()
            }
        }
    }

    fn create_pod(&mut self, node: &NodeName, name: &Arc<str>, failures: u32) -> Outcome {
        if let Some(there) = self.truth.pods.get(&Key::new("ns", name)) {
            let is_mine = there.target() == Some(node);
            return if is_mine { Outcome::Done { version: there.version } } else { Outcome::NameTaken };
        }
        let (set, hash) = self.decided.clone().expect("there was a plan");
        self.uids += 1;
        let mut pod = mk::pod(name, node.as_str());
        pod.uid = Uid::from(format!("uid-{}", self.uids));
        pod.failures = failures;
        pod.node = None;
        pod.phase = Phase::Pending;
        pod.ready = Ready::default();
        pod.created = Millis(self.now.0 / 1000 * 1000);
        pod.labels.insert(HASH_LABEL.into(), hash.map(|hash| hash.to_string()).unwrap_or_default());
        if let Some(generation) = set.template_generation {
            pod.labels.insert(GENERATION_LABEL.into(), generation.to_string());
        }
        self.tell(Event::Pod(Box::new(pod)));
        *self.made.entry(node.clone()).or_default() += 1;
        self.done()
    }

    /// The controller stops, however much it had under way, and another one starts from what the API tells.
    pub(super) fn restart(&mut self, seed: u64) {
        self.open.clear();
        self.lanes = Default::default();
        self.seen = self.truth.clone();
        self.engine = Engine::new(seed);
        for node in self.seen.nodes.values() {
            self.engine.node(node);
        }
        for revision in self.seen.revisions.values() {
            self.engine.revision(Arc::new(revision.clone()));
        }
        self.engine.revisions_seen(Version(self.version));
        self.engine.set(self.seen.set.clone().expect("there is a set"));
        for pod in self.seen.pods.values() {
            self.engine.pod(Arc::new(pod.clone()));
        }
        self.engine.pods_seen(Version(self.version));
    }

    /// What a rollout took away and did not bring back is within the largest budget that was in force, in truth.
    pub(super) fn budget_holds(&mut self) {
        let live = self.live();
        let serves = |name: &NodeName| live.get(name).is_some_and(|pods| pods.iter().any(|pod| pod.ready.is));
        self.taken.retain(|name| self.truth.nodes.contains_key(name) && !serves(name));
        let is_under_way = |step: &Step| matches!(step, Step::Delete { why: DeleteWhy::Outdated, .. });
        if self.taken.is_empty() && !self.open.iter().any(is_under_way) {
            self.most_taken = 0;
        }
        let taken = i32::try_from(self.taken.len()).unwrap_or(i32::MAX);
        assert!(taken <= self.most_taken, "{taken} pods are taken, {} may be: {:?}", self.most_taken, self.taken);
    }

    fn delete_pod(&mut self, pod: &Ref, version: Option<Version>) -> Outcome {
        let Some(found) = self.truth.pods.values().find(|there| there.uid == pod.uid).cloned() else {
            return Outcome::Gone;
        };
        if version.is_some_and(|version| version != found.version) {
            return Outcome::Conflict;
        }
        self.delete_by(&found);
        self.done()
    }

    /// R71: at once when it is unscheduled or has ended, else gracefully.
    pub(super) fn delete_by(&mut self, pod: &Pod) {
        if pod.node.is_none() || pod.is_terminal() {
            self.tell(Event::PodGone(pod.key.clone(), Version(0)));
        } else if !pod.is_terminating() {
            let mut pod = pod.clone();
            pod.deletion = Some(Deletion { at: self.now, grace: Millis(0) });
            self.tell(Event::Pod(Box::new(pod)));
        }
    }

    fn edit_pod(&mut self, pod: &Ref, edit: impl FnOnce(&mut Pod)) -> Outcome {
        let Some(mut found) = self.truth.pods.values().find(|there| there.uid == pod.uid).cloned() else {
            return Outcome::Gone;
        };
        edit(&mut found);
        self.tell(Event::Pod(Box::new(found)));
        self.done()
    }

    fn edit_revision(&mut self, what: &Ref, edit: impl FnOnce(&mut Revision)) -> Outcome {
        let Some(mut found) = self.truth.revisions.values().find(|there| there.uid == what.uid).cloned() else {
            return Outcome::Gone;
        };
        edit(&mut found);
        self.tell(Event::Revision(found));
        self.done()
    }

    fn create_revision(&mut self, hash: &str, number: i64) -> Outcome {
        let (set, _) = self.decided.clone().expect("there was a plan");
        let mut revision = mk::revision(set.template.sum, hash, number);
        if let Some(there) = self.truth.revisions.get(&revision.key) {
            if there.data == revision.data {
                return Outcome::Done { version: there.version };
            }
            // R86
            if self.truth.set.as_ref().and_then(|set| set.collision_count) == set.collision_count {
                self.set(|set| set.collision_count = Some(set.collision_count.unwrap_or(0) + 1));
            }
            return Outcome::Refused;
        }
        self.uids += 1;
        revision.uid = Uid::from(format!("uid-{}", self.uids));
        self.tell(Event::Revision(revision));
        self.done()
    }

    pub(super) fn set(&mut self, edit: impl FnOnce(&mut Set)) {
        let mut set = self.truth.set.clone().expect("there is a set");
        edit(&mut set);
        self.tell(Event::Set(Box::new(set)));
    }

    /// A new template, as the server counts them (R15).
    pub(super) fn roll_to(&mut self, template: u32) {
        self.set(|set| {
            set.template = mk::template(template);
            set.generation += 1;
            set.template_generation = set.template_generation.map(|generation| generation + 1);
        });
    }

    pub(super) fn edit(&mut self, name: &Key, edit: impl FnOnce(&mut Pod)) {
        if let Some(mut pod) = self.truth.pods.get(name).cloned() {
            edit(&mut pod);
            self.tell(Event::Pod(Box::new(pod)));
        }
    }

    /// A scheduler and kubelets that do their work well.
    pub(super) fn kubelets(&mut self) {
        for key in self.truth.pods.keys().cloned().collect::<Vec<_>>() {
            let pod = self.truth.pods[&key].clone();
            let target = pod.target().cloned();
            let has_node = target.as_ref().is_some_and(|name| self.truth.nodes.contains_key(name));
            let now = Millis(self.now.0 / 1000 * 1000);
            if pod.is_terminating() || (!has_node && pod.node.is_some()) {
                self.tell(Event::PodGone(key, Version(0)));
            } else if has_node && !pod.is_terminal() && !pod.ready.is {
                self.edit(&key, |pod| {
                    pod.node = target;
                    pod.phase = Phase::Running;
                    pod.ready = Ready { is: true, since: Some(now) };
                });
            }
        }
    }

    /// One round of a world without faults.
    pub(super) fn round(&mut self) {
        self.deliver_all();
        self.decide();
        self.answer_all(Fate::Done);
        self.deliver_all();
    }

    /// Live pods of the set on each node, in truth.
    pub(super) fn live(&self) -> BTreeMap<NodeName, Vec<Pod>> {
        let mut live: BTreeMap<NodeName, Vec<Pod>> = BTreeMap::new();
        for pod in self.truth.pods.values() {
            let is_ours = pod.owner.as_ref().is_some_and(|owner| owner.uid.as_str() == "set");
            if is_ours && !pod.is_terminating() && !pod.is_terminal() {
                live.entry(pod.target().cloned().expect("it is pinned")).or_default().push(pod.clone());
            }
        }
        live
    }

    /// The hash of the present template's revision.
    pub(super) fn hash(&self) -> String {
        let data = &self.truth.set.as_ref().expect("there is a set").template.data;
        let current = self.truth.revisions.values().filter(|revision| revision.data == *data);
        current.max_by_key(|revision| revision.number).and_then(|r| r.hash().map(str::to_owned)).unwrap_or_default()
    }
}

fn owner() -> Option<Owner> {
    mk::pod("any", "any").owner
}
