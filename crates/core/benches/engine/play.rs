//! What happens to the fleet, with a stopwatch on the engine's share of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_core::daemonset::plan::{Outcome, Plan};
use everynode_core::daemonset::{Engine, Step};
use everynode_core::model::{Key, Millis, Node, Pod, Set, Status, Version};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::fleet::{self, Facts, POOL};

/// Events in a batch, but for those that change what the sets want: so few that their objects are still in the processor's
/// caches, as they are when they were just read from the wire.
const BATCH: usize = 100;
/// Nodes in a batch of those.
const POOL_BATCH: usize = 50;

/// A stopwatch that runs while this thread does: what else the machine is at counts little.
pub(crate) struct Watch(Timespec);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(clock_gettime(ClockId::ThreadCPUTime))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - self.0).unwrap_or_default()
    }
}

/// A change of a node.
#[derive(Clone, Copy)]
pub(crate) enum Label {
    /// A label that no set looks at.
    OfNoConcern,
    /// A taint: pods may stay, none is to be made.
    Taint,
}

/// Nodes that left all sets and came back.
pub(crate) struct Pools {
    pub(crate) lost: Duration,
    pub(crate) gained: Duration,
    pub(crate) events: usize,
}

/// One rollout of one set over all nodes.
pub(crate) struct Rollout {
    pub(crate) time: Duration,
    pub(crate) steps: usize,
    pub(crate) assessed: u64,
}

pub(crate) struct Fleet {
    engine: Engine,
    nodes: usize,
    sets: Vec<SetState>,
    numbers: BTreeMap<Key, usize>,
    version: u64,
    now: Millis,
    random: u64,
    /// Pods that are not the first of their cell.
    pods: BTreeMap<(usize, usize), Facts>,
    /// Their names.
    names: BTreeSet<Arc<str>>,
    /// Statuses that a plan wanted and that nobody has written yet.
    statuses: Vec<(Key, Status)>,
}

#[derive(Clone)]
struct SetState {
    key: Key,
    /// As it was told last, but for its version and status.
    set: Set,
    template: usize,
    hash: Arc<str>,
}

impl Fleet {
    pub(crate) fn new(nodes: usize, sets: usize) -> Self {
        let state = |number| {
            let set = fleet::set(number, 1, Status::default(), 1);
            SetState { key: fleet::key(number), set, template: 1, hash: fleet::hash(1).into() }
        };
        Self {
            engine: Engine::new(1),
            nodes,
            sets: (0..sets).map(state).collect(),
            numbers: (0..sets).map(|set| (fleet::key(set), set)).collect(),
            version: 1,
            now: Millis::from_secs(1_000_000),
            random: 1,
            pods: BTreeMap::new(),
            names: BTreeSet::new(),
            statuses: Vec::new(),
        }
    }

    pub(crate) fn assessed(&self) -> u64 {
        self.engine.work().assessed
    }

    /// The first lists of a new engine, and what it has to do then: nothing but to write statuses.
    pub(crate) fn fill(&mut self) -> Duration {
        let mut time = Duration::ZERO;
        for node in 0..self.nodes {
            let node = Arc::new(fleet::node(node));
            let begin = Watch::start();
            self.engine.node(&node);
            time += begin.elapsed();
        }
        for set in 0..self.sets.len() {
            self.tell_set(set, Status::default());
            let revision = fleet::revision(set, 1, &fleet::hash(1), 1, self.version);
            self.engine.revision(Arc::new(revision));
        }
        for set in 0..self.sets.len() {
            for node in 0..self.nodes {
                let pod = Facts::first(set, node).running(true, self.next());
                let begin = Watch::start();
                self.engine.pod(pod);
                time += begin.elapsed();
            }
        }
        let (begin, mut steps) = (Watch::start(), Vec::new());
        self.decide(&mut steps);
        time += begin.elapsed();
        assert!(steps.is_empty(), "a fleet at rest needs nothing");
        self.write_statuses();
        time
    }

    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn any(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap_or_default() % below
    }

    fn facts(&self, set: usize, node: usize) -> Facts {
        self.pods.get(&(set, node)).cloned().unwrap_or_else(|| Facts::first(set, node))
    }

    fn tell_set(&mut self, set: usize, status: Status) {
        let version = Version(self.next());
        self.engine.set(Set { status, version, ..self.sets[set].set.clone() });
    }

    /// Decides for every set that has changed.
    fn decide(&mut self, steps: &mut Vec<Step>) {
        for key in self.engine.take_changed() {
            self.decide_for(&key, steps);
        }
    }

    fn decide_for(&mut self, key: &Key, steps: &mut Vec<Step>) {
        let Plan { steps: more, status, more: is_cut, .. } = self.engine.decide(key, self.now);
        steps.extend(more);
        if let Some(status) = status {
            self.statuses.push((key.clone(), status));
        }
        if is_cut {
            self.decide_for(key, steps);
        }
    }

    /// Writes the statuses that were wanted; the sets are told with them, and there is nothing more to do. Gives the time of the
    /// engine, and how many there were.
    fn write_statuses(&mut self) -> (Duration, usize) {
        let (mut time, mut count, mut steps) = (Duration::ZERO, 0, Vec::new());
        for (key, status) in std::mem::take(&mut self.statuses) {
            let version = Version(self.next());
            let set = Set { status, version, ..self.sets[self.numbers[&key]].set.clone() };
            let begin = Watch::start();
            self.engine.settle_status(&key, status, Some(version));
            self.engine.set(set);
            self.decide(&mut steps);
            time += begin.elapsed();
            count += 1;
            assert!(steps.is_empty(), "a status changes nothing");
        }
        (time, count)
    }

    /// Decisions with nothing to decide.
    pub(crate) fn idle(&mut self) -> (Duration, usize) {
        let key = self.sets[0].key.clone();
        let begin = Watch::start();
        for _ in 0..BATCH {
            let plan = self.engine.decide(&key, self.now);
            debug_assert!(plan.steps.is_empty());
        }
        (begin.elapsed(), BATCH)
    }

    /// Pods become unready, and ready again with the next batch.
    pub(crate) fn pod_events(&mut self, batch: usize) -> (Duration, usize) {
        let time = self.some_pods(batch);
        self.write_statuses();
        (time, BATCH)
    }

    /// What the statuses cost that follow from events of pods: the engine wants one in a tenth of a second and set at most.
    pub(crate) fn statuses(&mut self, batch: usize) -> (Duration, usize) {
        self.some_pods(batch);
        self.write_statuses()
    }

    fn some_pods(&mut self, batch: usize) -> Duration {
        self.random = (batch / 2) as u64;
        let sets = self.sets.len();
        let pods: Vec<Arc<Pod>> = (0..BATCH)
            .map(|_| {
                let (set, node) = (self.any(sets), self.any(self.nodes));
                self.facts(set, node).running(batch % 2 == 1, self.next())
            })
            .collect();
        self.now = self.now.plus(Millis::from_secs(1));
        self.tell_pods(&pods)
    }

    #[inline(never)]
    fn tell_pods(&mut self, pods: &[Arc<Pod>]) -> Duration {
        let (begin, mut steps) = (Watch::start(), Vec::new());
        for pod in pods {
            self.tell_pod(pod, &mut steps);
        }
        begin.elapsed()
    }

    fn tell_pod(&mut self, pod: &Arc<Pod>, steps: &mut Vec<Step>) {
        self.engine.pod(Arc::clone(pod));
        self.engine.pods_seen(pod.version);
        self.decide(steps);
    }

    fn tell_gone(&mut self, pod: &Pod, steps: &mut Vec<Step>) {
        self.engine.pod_gone(&pod.key);
        self.engine.pods_seen(pod.version);
        self.decide(steps);
    }

    /// Nodes that only say that they live.
    pub(crate) fn heartbeats(&mut self, batch: usize) -> (Duration, usize) {
        let nodes: Vec<Arc<Node>> = (0..BATCH)
            .map(|_| {
                let mut node = fleet::node(self.any(self.nodes));
                for condition in &mut node.conditions {
                    condition.heartbeat = Some(Millis(i64::try_from(batch).unwrap_or_default()));
                }
                Arc::new(node)
            })
            .collect();
        (self.tell_nodes(&nodes).0, BATCH)
    }

    fn tell_nodes(&mut self, nodes: &[Arc<Node>]) -> (Duration, Vec<Step>) {
        // Room for all steps: who gathers them is not the engine.
        let mut steps = Vec::with_capacity(nodes.len() * self.sets.len());
        self.now = self.now.plus(Millis::from_secs(1));
        let begin = Watch::start();
        for node in nodes {
            self.engine.node(node);
            self.decide(&mut steps);
        }
        (begin.elapsed(), steps)
    }

    /// The nodes of a batch: different ones, all over the fleet.
    fn spread(&self, batch: usize, count: usize) -> Vec<usize> {
        let count = count.min(self.nodes);
        (0..count).map(|at| (at * (self.nodes / count) + batch) % self.nodes).collect()
    }

    /// Nodes change and change back.
    pub(crate) fn labels(&mut self, batch: usize, what: Label) -> (Duration, usize) {
        let numbers = self.spread(batch, BATCH);
        let changed: Vec<_> = numbers
            .iter()
            .map(|number| {
                let mut node = fleet::node(*number);
                match what {
                    Label::OfNoConcern => drop(node.labels.insert("team".into(), "blue".into())),
                    Label::Taint => node.taints.push(fleet::taint()),
                }
                Arc::new(node)
            })
            .collect();
        let back: Vec<_> = numbers.iter().map(|number| Arc::new(fleet::node(*number))).collect();
        let (there, steps) = self.tell_nodes(&changed);
        assert!(steps.is_empty(), "pods may stay");
        self.write_statuses();
        let time = there + self.tell_nodes(&back).0;
        self.write_statuses();
        (time, 2 * numbers.len())
    }

    /// Nodes lose the label that all sets want, and get it back.
    pub(crate) fn pools(&mut self, batch: usize) -> Pools {
        let numbers = self.spread(batch, POOL_BATCH);
        let without = |number: &usize| {
            let mut node = fleet::node(*number);
            node.labels.remove(POOL);
            Arc::new(node)
        };
        let nodes: Vec<_> = numbers.iter().map(without).collect();
        let (lost, deletes) = self.tell_nodes(&nodes);
        assert_eq!(deletes.len(), numbers.len() * self.sets.len());
        self.obey(deletes);
        let nodes: Vec<_> = numbers.iter().map(|number| Arc::new(fleet::node(*number))).collect();
        let (gained, creates) = self.tell_nodes(&nodes);
        assert_eq!(creates.len(), numbers.len() * self.sets.len());
        self.obey(creates);
        Pools { lost, gained, events: numbers.len() }
    }

    /// Carries out steps and those that follow from them, with kubelets that do their work at once. Gives the time that
    /// the engine took, and the number of steps.
    fn obey(&mut self, mut steps: Vec<Step>) -> (Duration, usize) {
        let (mut time, mut count) = (Duration::ZERO, 0);
        let mut refused = BTreeSet::new();
        loop {
            if steps.is_empty() {
                // The next name may be asked for after a second.
                self.now = self.now.plus(Millis::from_secs(2));
                for key in std::mem::take(&mut refused) {
                    let begin = Watch::start();
                    self.decide_for(&key, &mut steps);
                    time += begin.elapsed();
                }
            }
            if steps.is_empty() {
                return (time, count);
            }
            count += steps.len();
            self.now = self.now.plus(Millis(1));
            let events: Vec<_> = steps.drain(..).map(|step| self.carry_out(step)).collect();
            let begin = Watch::start();
            for (key, step, seen) in &events {
                let Some([first, second]) = seen else {
                    self.engine.settle(key, step, Outcome::NameTaken, self.now);
                    refused.insert(key.clone());
                    continue;
                };
                self.engine.settle(key, step, Outcome::Done { version: first.version }, self.now);
                self.tell_pod(first, &mut steps);
                if matches!(step, Step::Delete { .. }) {
                    self.tell_gone(second, &mut steps);
                } else {
                    self.tell_pod(second, &mut steps);
                }
            }
            time += begin.elapsed();
            time += self.write_statuses().0;
        }
    }

    /// What is seen of a step: two versions of its pod, or nothing when the name is taken. A pod's name tells its set.
    fn carry_out(&mut self, step: Step) -> (Key, Step, Option<[Arc<Pod>; 2]>) {
        let (first, second) = (self.next(), self.next());
        let (set, pods) = match &step {
            Step::Delete { pod, node, .. } => {
                let (set, node) = (set_of(&pod.name), fleet::node_number(node));
                let facts = self.facts(set, node);
                self.names.remove(&facts.name);
                (set, Some([facts.terminating(first), facts.terminating(second)]))
            }
            Step::Create { node, name, .. } => {
                let (set, node) = (set_of(name), fleet::node_number(node));
                let state = &self.sets[set];
                let facts = Facts::new(set, node, name.as_ref().into(), state.template, Arc::clone(&state.hash));
                let is_new = self.names.insert(Arc::clone(&facts.name));
                let pods = is_new.then(|| [facts.pending(first), facts.running(true, second)]);
                if is_new {
                    self.pods.insert((set, node), facts);
                }
                (set, pods)
            }
            other => panic!("not in this play: {other:?}"),
        };
        (self.sets[set].key.clone(), step, pods)
    }

    /// Set 0 gets the template of this number, everywhere.
    pub(crate) fn rollout(&mut self, template: usize) -> Rollout {
        let assessed = self.assessed();
        self.sets[0].template = template;
        self.sets[0].set = fleet::set(0, template, Status::default(), 1);
        let key = self.sets[0].key.clone();
        let status = self.engine.counted(&key).unwrap_or_default();
        let begin = Watch::start();
        self.tell_set(0, Status { observed_generation: 0, ..status });
        let (mut revisions, mut first) = (Vec::new(), Vec::new());
        self.decide(&mut revisions);
        let [step @ Step::CreateRevision { hash, number }] = &revisions[..] else {
            panic!("a new template needs a revision: {revisions:?}")
        };
        self.sets[0].hash = Arc::clone(hash);
        let version = self.next();
        let revision = fleet::revision(0, template, hash, *number, version);
        self.engine.settle(&key, step, Outcome::Done { version: Version(version) }, self.now);
        self.engine.revision(Arc::new(revision));
        self.engine.revisions_seen(Version(version));
        self.decide(&mut first);
        let mut time = begin.elapsed();
        self.write_statuses();
        let (took, steps) = self.obey(first);
        time += took;
        assert!(steps >= 2 * self.nodes, "each pod goes and comes, some with a second try of a name: {steps}");
        let status = self.engine.counted(&key).unwrap_or_default();
        assert_eq!(usize::try_from(status.updated), Ok(self.nodes), "the rollout ends");
        Rollout { time, steps, assessed: self.assessed() - assessed }
    }
}

fn set_of(pod: &str) -> usize {
    pod.get(7..9).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
