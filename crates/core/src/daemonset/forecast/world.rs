//! A cluster in which everything that is asked for is done at once, and pods take their time.
//!
//! Invariant: the engine has been told of every change before it decides again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Pace, Scene};
use crate::daemonset::engine::{CellView, Engine, Spent};
use crate::daemonset::history::missing_label;
use crate::daemonset::plan::{Outcome, Plan, Ref, Step, key_in};
use crate::model::{
    Deletion, GENERATION_LABEL, HASH_LABEL, Key, Labels, Millis, NodeName, Owner, Phase, Pin, Pod, Ready, Revision,
    Set, Status, Tri, Uid, Version,
};
use crate::selector::Operator;

/// What time brings.
enum Due {
    Ready,
    Gone,
}

/// The cluster of one set.
pub(crate) struct World {
    engine: Engine,
    set: Set,
    pods: BTreeMap<Key, Pod>,
    revisions: BTreeMap<Key, Revision>,
    /// Nodes whose agent can be relied on.
    ready: BTreeSet<NodeName>,
    /// By time, and in order of appearance.
    due: BTreeMap<(Millis, u64), (Key, Uid, Due)>,
    pace: Option<Pace>,
    now: Millis,
    version: u64,
    hash: Option<Arc<str>>,
}

impl World {
    /// The world as it stands; without a pace nothing that takes time ever happens.
    pub(crate) fn new(scene: &Scene<'_>, pace: Option<Pace>, now: Millis) -> Self {
        let mut engine = Engine::new(0);
        let set = scene.set.clone();
        for node in scene.nodes {
            engine.node(node);
        }
        engine.set(set.clone());
        let namespace = &set.key.namespace;
        let revisions: BTreeMap<Key, Revision> = scene
            .revisions
            .iter()
            .filter(|revision| revision.key.namespace == *namespace)
            .map(|revision| (revision.key.clone(), revision.clone()))
            .collect();
        for revision in revisions.values() {
            engine.revision(Arc::new(revision.clone()));
        }
        let is_ours = |pod: &&Pod| pod.key.namespace == *namespace;
        let pods: BTreeMap<Key, Pod> =
            scene.pods.iter().filter(is_ours).map(|pod| (pod.key.clone(), pod.clone())).collect();
        let newest = pods.values().map(|pod| pod.version).chain(revisions.values().map(|revision| revision.version));
        let version = newest.chain([set.version]).max().unwrap_or_default().0;
        let ready = scene.nodes.iter().filter(|node| node.ready() == Tri::True).map(|node| node.name.clone());
        let mut world = Self {
            engine,
            set,
            pods: BTreeMap::new(),
            revisions,
            ready: ready.collect(),
            due: BTreeMap::new(),
            pace,
            now,
            version,
            hash: None,
        };
        for (key, pod) in pods {
            world.engine.pod(Arc::new(pod.clone()));
            world.expect(&pod);
            world.pods.insert(key, pod);
        }
        world.engine.pods_seen(Version(version));
        world.engine.revisions_seen(Version(version));
        world
    }

    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// Decides, past all that is only a matter of ownership and revisions: that is done at once. Gives what was done, and the
    /// first plan about pods.
    pub(crate) fn open(&mut self) -> (Vec<Step>, Plan) {
        let mut done = Vec::new();
        // Adoption, revisions, relabelling and duplicates each take one round; a few more are for nothing.
        for _ in 0..8 {
            let plan = self.decide();
            let is_about_pods =
                |step: &Step| matches!(step, Step::Create { .. } | Step::Delete { .. } | Step::DeleteRevision(_));
            if plan.steps.is_empty() || plan.hash.is_some() || plan.steps.iter().any(is_about_pods) {
                return (done, plan);
            }
            done.extend(plan.steps.iter().cloned());
            self.carry_out(plan);
        }
        (done, self.decide())
    }

    pub(crate) fn decide(&mut self) -> Plan {
        let plan = self.engine.decide(&self.set.key, self.now);
        if plan.hash.is_some() {
            self.hash.clone_from(&plan.hash);
        }
        plan
    }

    /// Every node as the engine sees it.
    pub(crate) fn view(&self) -> Vec<CellView> {
        self.engine.view(&self.set.key, self.now)
    }

    pub(crate) fn counted(&self) -> Status {
        self.engine.counted(&self.set.key).unwrap_or_default()
    }

    pub(crate) fn spent(&self) -> Spent {
        self.engine.spent(&self.set.key).unwrap_or_default()
    }

    /// The current revision, once there is one.
    pub(crate) fn revision(&self) -> Option<&Revision> {
        let hash = self.hash.as_deref()?;
        let is_current = |revision: &&Revision| {
            revision.hash() == Some(hash) && revision.owner.as_ref().is_some_and(|owner| owner.uid == self.set.uid)
        };
        self.revisions.values().find(is_current)
    }

    /// Nodes with a pod of the set.
    pub(super) fn inhabited(&self) -> BTreeSet<NodeName> {
        let is_ours = |pod: &&Pod| pod.owner.as_ref().is_some_and(|owner| owner.uid == self.set.uid);
        let is_over = |pod: &&Pod| pod.is_terminating() && pod.is_terminal();
        self.pods.values().filter(is_ours).filter(|pod| !is_over(pod)).filter_map(|pod| pod.target().cloned()).collect()
    }

    /// Lets time pass until the next thing that is due, or until `wake`; nothing if there is neither. True when something was due.
    pub(super) fn pass(&mut self, wake: Option<Millis>) -> Option<bool> {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        let wake = wake.filter(|at| *at > self.now && *at != Millis::NEVER);
        let next = due.into_iter().chain(wake).min()?;
        self.now = self.now.max(next);
        let mut is_due = false;
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now
        {
            let (key, uid, due) = entry.remove();
            let Some(mut pod) = self.pods.get(&key).filter(|pod| pod.uid == uid).cloned() else { continue };
            is_due = true;
            match due {
                Due::Gone => self.forget(&key),
                Due::Ready if pod.is_terminating() => {}
                Due::Ready => {
                    pod.node = pod.target().cloned();
                    pod.phase = Phase::Running;
                    pod.ready = Ready { is: true, since: Some(self.now) };
                    self.put(pod);
                }
            }
        }
        Some(is_due)
    }

    /// Does what a plan says.
    pub(crate) fn carry_out(&mut self, plan: Plan) {
        for step in &plan.steps {
            self.version += 1;
            let outcome = Outcome::Done { version: Version(self.version) };
            self.engine.settle(&self.set.key, step, outcome, self.now);
            self.act(step);
            self.engine.pods_seen(Version(self.version));
            self.engine.revisions_seen(Version(self.version));
        }
        if let Some(status) = plan.status {
            self.version += 1;
            self.engine.settle_status(&self.set.key, status, Some(Version(self.version)));
        }
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Create { node, name, failures, .. } => self.create(node, name, *failures),
            Step::Delete { pod, .. } => self.delete(pod),
            Step::Adopt(what) => self.edit_pod(what, |pod, owner| pod.owner = Some(owner)),
            Step::Release(what) => self.edit_pod(what, |pod, _| pod.owner = None),
            Step::Relabel { pod, hash } => self.edit_pod(pod, |pod, _| {
                pod.labels.insert(HASH_LABEL.to_owned(), hash.to_string());
            }),
            Step::AdoptRevision(what) => self.edit_revision(what, |revision, owner| revision.owner = Some(owner)),
            Step::ReleaseRevision(what) => self.edit_revision(what, |revision, _| revision.owner = None),
            Step::LabelRevision(what) => self.edit_revision(what, |revision, _| {
                let label = missing_label(&revision.key.name).to_owned();
                revision.labels.insert(HASH_LABEL.to_owned(), label);
            }),
            Step::RenumberRevision { revision, number, .. } => {
                self.edit_revision(revision, |revision, _| revision.number = *number);
            }
            Step::CreateRevision { hash, number } => self.create_revision(hash, *number),
            Step::DeleteRevision(what) => {
                let key = key_in(&self.set.key, &what.name);
                self.revisions.remove(&key);
                self.engine.revision_gone(&key);
            }
        }
    }

    fn create(&mut self, node: &NodeName, name: &Arc<str>, failures: u32) {
        let mut labels = self.labels();
        let set = &self.set;
        labels.extend(self.hash.iter().map(|hash| (HASH_LABEL.to_owned(), hash.to_string())));
        labels.extend(set.template_generation.map(|generation| (GENERATION_LABEL.to_owned(), generation.to_string())));
        let pod = Pod {
            key: key_in(&set.key, name),
            uid: Uid::from(format!("forecast-{}", self.version)),
            version: Version(self.version),
            created: self.now,
            deletion: None,
            labels,
            owner: Some(self.owner()),
            node: None,
            pin: Pin::To(node.clone()),
            phase: Phase::Pending,
            ready: Ready::default(),
            failures,
            finalized: false,
            scheduling: Arc::default(),
        };
        self.expect(&pod);
        self.put(pod);
    }

    /// R71: at once when nobody has to stop it.
    fn delete(&mut self, what: &Ref) {
        let key = key_in(&self.set.key, &what.name);
        let Some(mut pod) = self.pods.get(&key).filter(|pod| pod.uid == what.uid).cloned() else { return };
        if pod.node.is_none() || pod.is_terminal() {
            self.forget(&key);
        } else if !pod.is_terminating() {
            let grace = self.pace.map_or(Millis(0), |pace| pace.stop);
            pod.deletion = Some(Deletion { at: self.now.plus(grace), grace });
            self.expect(&pod);
            self.put(pod);
        }
    }

    /// What time will bring to a pod.
    fn expect(&mut self, pod: &Pod) {
        let Some(pace) = self.pace else { return };
        if !pod.target().is_some_and(|node| self.ready.contains(node)) {
            return;
        }
        let (at, due) = match pod.deletion {
            Some(deletion) => (deletion.at, Due::Gone),
            // Older ones have had their time.
            None if !pod.ready.is
                && !pod.is_terminal()
                && self.now.since(pod.created) <= pace.start.plus(pace.start) =>
            {
                (pod.created.plus(pace.start), Due::Ready)
            }
            None => return,
        };
        self.version += 1;
        self.due.insert((at.max(self.now), self.version), (pod.key.clone(), pod.uid.clone(), due));
    }

    fn put(&mut self, mut pod: Pod) {
        pod.version = Version(self.version);
        self.engine.pod(Arc::new(pod.clone()));
        self.pods.insert(pod.key.clone(), pod);
    }

    fn forget(&mut self, key: &Key) {
        self.pods.remove(key);
        self.engine.pod_gone(key);
    }

    /// The fewest labels that the set selects: what else its template says is not known here.
    fn labels(&self) -> Labels {
        let Some(selector) = &self.set.selector else { return Labels::new() };
        let mut labels = selector.labels.clone();
        for wanted in &selector.expressions {
            if matches!(wanted.operator, Operator::In | Operator::Exists) {
                let value = wanted.values.first().cloned().unwrap_or_default();
                labels.entry(wanted.key.clone()).or_insert(value);
            }
        }
        labels
    }

    fn owner(&self) -> Owner {
        Owner { kind: "DaemonSet".into(), name: Arc::clone(&self.set.key.name), uid: self.set.uid.clone() }
    }

    fn edit_pod(&mut self, what: &Ref, edit: impl FnOnce(&mut Pod, Owner)) {
        let Some(mut pod) = self.pods.get(&key_in(&self.set.key, &what.name)).cloned() else { return };
        edit(&mut pod, self.owner());
        self.put(pod);
    }

    fn edit_revision(&mut self, what: &Ref, edit: impl FnOnce(&mut Revision, Owner)) {
        let Some(mut revision) = self.revisions.get(&key_in(&self.set.key, &what.name)).cloned() else { return };
        edit(&mut revision, self.owner());
        self.put_revision(revision);
    }

    fn create_revision(&mut self, hash: &Arc<str>, number: i64) {
        let key = key_in(&self.set.key, &format!("{}-{hash}", self.set.key.name));
        if self.revisions.contains_key(&key) {
            // R86: another template has this hash; the next try counts a collision.
            self.set.collision_count = Some(self.set.collision_count.unwrap_or(0) + 1);
            self.engine.set(self.set.clone());
            return;
        }
        let mut labels = self.labels();
        labels.insert(HASH_LABEL.to_owned(), hash.to_string());
        self.put_revision(Revision {
            key,
            uid: Uid::from(format!("forecast-{}", self.version)),
            version: Version(self.version),
            created: self.now,
            terminating: false,
            labels,
            owner: Some(self.owner()),
            number,
            data: Arc::clone(&self.set.template.data),
            rewritten: None,
        });
    }

    fn put_revision(&mut self, mut revision: Revision) {
        revision.version = Version(self.version);
        self.engine.revision(Arc::new(revision.clone()));
        self.revisions.insert(revision.key.clone(), revision);
    }
}
