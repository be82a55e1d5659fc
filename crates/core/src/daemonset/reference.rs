//! The rules once more, over a whole snapshot: tiny, slow, obviously right. The engine's twin.
//!
//! It follows R40–R110 in the order of the text, looks at everything every time, and keeps nothing. What the engine must remember
//! from one decision to the next (what was asked for, back-offs) is handed in as [`Memory`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::backoff::Backoff;
use super::budget;
use super::eligibility::{Rules, Verdict};
use super::history::{self, Claim};
use super::plan::{CreateWhy, DeleteWhy, Plan, Ref, Remark, Step, TemplateId};
use crate::model::{
    GENERATION_LABEL, HASH_LABEL, Millis, Node, NodeName, Phase, Pod, Revision, Set, Status, Strategy, Uid,
};

/// All that there is.
pub struct Snapshot<'a> {
    /// The set.
    pub set: &'a Set,
    /// All nodes, by name.
    pub nodes: &'a BTreeMap<NodeName, Node>,
    /// All pods of the set's namespace.
    pub pods: &'a [Pod],
    /// All revisions of the set's namespace, by name.
    pub revisions: &'a [Arc<Revision>],
    /// Now.
    pub now: Millis,
}

/// What was asked for and not seen, and who failed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Creates in flight; `true` where it is not known whether they were made.
    pub creates: BTreeMap<NodeName, bool>,
    /// Pods whose deletion was asked for.
    pub asked: BTreeSet<Uid>,
    /// Back-offs by node.
    pub backoff: BTreeMap<NodeName, Backoff>,
    /// Revisions asked to go.
    pub going: BTreeSet<Uid>,
    /// The status written last, when it is not seen yet.
    pub written: Option<Status>,
    /// A status was written just now; another one of the same generation waits.
    pub status_waits: bool,
    /// Claims or revisions are in flight.
    pub is_gated: bool,
    /// Nothing may be made or taken away for now (R69).
    pub is_held: bool,
}

/// The plan for a set, without names for new pods, `more` and `wake_at`.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, memory: &Memory) -> Plan {
    let set = snapshot.set;
    let mut plan = Plan::default();
    if set.terminating || memory.is_gated {
        return plan;
    }
    plan.steps = claims(snapshot);
    if !plan.steps.is_empty() {
        return plan;
    }
    let owned = owned_revisions(snapshot);
    let built = history::build(set, owned);
    plan.steps = built.steps;
    if let Some(hash) = &built.relabel {
        for pod in &grouped(snapshot).into_values().flatten().collect::<Vec<_>>() {
            if pod.labels.get(HASH_LABEL).map(String::as_str) != Some(hash) {
                plan.steps.push(Step::Relabel { pod: refer(pod), hash: Arc::clone(hash) });
            }
        }
        if plan.steps.is_empty() {
            plan.steps = built.duplicates;
        }
    }
    let (true, Some(hash)) = (plan.steps.is_empty(), built.hash) else { return plan };
    plan.hash = Some(Arc::clone(&hash));
    let mut work = Work { snapshot, memory: memory.clone(), hash, rules: Rules::new(&set.template), plan };
    work.status();
    if !memory.is_held {
        work.manage();
        work.roll();
    }
    let live: BTreeSet<&str> = grouped(snapshot)
        .into_values()
        .flatten()
        .filter_map(|pod| pod.labels.get(HASH_LABEL).map(String::as_str))
        .collect();
    for revision in history::surplus(set, &built.old, |hash| live.contains(hash)) {
        if !memory.going.contains(&revision.uid) {
            work.plan.steps.push(Step::DeleteRevision(history::reference(&revision)));
        }
    }
    work.plan
}

fn refer(pod: &Pod) -> Ref {
    Ref { name: Arc::clone(&pod.key.name), uid: pod.uid.clone() }
}

fn selects(set: &Set, pod: &Pod) -> bool {
    set.selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.matches(&pod.labels))
}

/// R74, R79
fn claims(snapshot: &Snapshot<'_>) -> Vec<Step> {
    let set = snapshot.set;
    let mut pods: Vec<&Pod> = snapshot.pods.iter().collect();
    pods.sort_by(|a, b| a.key.cmp(&b.key));
    let adopt = pods.iter().filter(|pod| pod.owner.is_none() && selects(set, pod) && !pod.is_terminating());
    let release =
        pods.iter().filter(|pod| pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid) && !selects(set, pod));
    let mut steps: Vec<Step> = adopt.map(|pod| Step::Adopt(refer(pod))).collect();
    steps.extend(release.map(|pod| Step::Release(refer(pod))));
    for revision in snapshot.revisions {
        match history::claim(set, revision) {
            Claim::Adopt => steps.push(Step::AdoptRevision(history::reference(revision))),
            Claim::Release => steps.push(Step::ReleaseRevision(history::reference(revision))),
            Claim::Own | Claim::Ignore => {}
        }
    }
    steps
}

fn owned_revisions(snapshot: &Snapshot<'_>) -> Vec<Arc<Revision>> {
    let owns = |revision: &&Arc<Revision>| history::claim(snapshot.set, revision) == Claim::Own;
    snapshot.revisions.iter().filter(owns).cloned().collect()
}

/// Claimed pods by target node, each in the order of R62.
fn grouped<'a>(snapshot: &Snapshot<'a>) -> BTreeMap<NodeName, Vec<&'a Pod>> {
    let mut groups: BTreeMap<NodeName, Vec<&Pod>> = BTreeMap::new();
    for pod in snapshot.pods {
        let is_ours = pod.owner.as_ref().is_some_and(|owner| owner.uid == snapshot.set.uid);
        if let (true, true, Some(node)) = (is_ours, selects(snapshot.set, pod), pod.target()) {
            groups.entry(node.clone()).or_default().push(pod);
        }
    }
    for pods in groups.values_mut() {
        pods.sort_by_key(|pod| (pod.node.is_none(), pod.created, Arc::clone(&pod.key.name)));
    }
    groups
}

struct Work<'a> {
    snapshot: &'a Snapshot<'a>,
    memory: Memory,
    hash: Arc<str>,
    rules: Rules,
    plan: Plan,
}

impl<'a> Work<'a> {
    /// R56: without what is both finished and on its way out.
    fn entries(&self) -> BTreeMap<NodeName, Vec<&'a Pod>> {
        let mut groups = grouped(self.snapshot);
        for pods in groups.values_mut() {
            pods.retain(|pod| !(pod.is_terminal() && pod.is_terminating()));
        }
        groups.retain(|_, pods| !pods.is_empty());
        groups
    }

    fn judge(&self, node: &NodeName) -> (bool, bool) {
        self.snapshot.nodes.get(node).map_or((false, false), |node| self.rules.judge(node).flags())
    }

    fn updated(&self, pod: &Pod) -> bool {
        let generation = self.snapshot.set.template_generation.map(|generation| generation.to_string());
        pod.labels.get(HASH_LABEL).map(String::as_str) == Some(&*self.hash)
            || (generation.is_some() && pod.labels.get(GENERATION_LABEL) == generation.as_ref())
    }

    fn available(&self, pod: &Pod) -> bool {
        let wait = Millis::from_secs(i64::from(self.snapshot.set.min_ready_seconds));
        pod.ready.is && (wait.0 <= 0 || pod.ready.since.is_some_and(|since| since.plus(wait) <= self.snapshot.now))
    }

    fn stays(&self, pod: &Pod) -> bool {
        !pod.is_terminating() && !self.memory.asked.contains(&pod.uid)
    }

    /// R110–R112
    fn status(&mut self) {
        let (set, entries) = (self.snapshot.set, self.entries());
        let mut status = Status { observed_generation: set.generation, ..Status::default() };
        for (name, node) in self.snapshot.nodes {
            let first = entries.get(name).and_then(|pods| pods.first());
            match (self.rules.judge(node), first) {
                (Verdict::Run, first) => {
                    status.desired += 1;
                    status.current += i32::from(first.is_some());
                    status.ready += i32::from(first.is_some_and(|pod| pod.ready.is));
                    status.available += i32::from(first.is_some_and(|pod| self.available(pod)));
                    status.updated += i32::from(first.is_some_and(|pod| self.updated(pod)));
                }
                (_, Some(_)) => status.misscheduled += 1,
                (_, None) => {}
            }
        }
        status.unavailable = status.desired - status.available;
        let known = self.memory.written.unwrap_or(set.status);
        let same = Status { observed_generation: known.observed_generation, ..status } == known;
        if (!same && !self.memory.status_waits) || known.observed_generation < set.generation {
            self.plan.status = Some(status);
        }
    }

    fn create(&mut self, node: &NodeName, why: CreateWhy) {
        self.memory.creates.insert(node.clone(), false);
        self.plan.steps.push(Step::Create { node: node.clone(), name: "".into(), template: TemplateId(0), why });
    }

    fn delete(&mut self, node: &NodeName, pod: &Pod, why: DeleteWhy) {
        self.memory.asked.insert(pod.uid.clone());
        let version = (why == DeleteWhy::OutdatedBroken).then_some(pod.version);
        match why {
            DeleteWhy::Failed => {
                let remark = Remark::FailedPod { pod: Arc::clone(&pod.key.name), node: node.clone() };
                self.plan.remarks.push(remark);
            }
            DeleteWhy::Succeeded => {
                let remark = Remark::SucceededPod { pod: Arc::clone(&pod.key.name), node: node.clone() };
                self.plan.remarks.push(remark);
            }
            _ => {}
        }
        self.plan.steps.push(Step::Delete { pod: refer(pod), node: node.clone(), version, why });
    }

    /// A create is out whose fate will be told.
    fn is_coming(&self, node: &NodeName) -> bool {
        self.memory.creates.get(node) == Some(&false)
    }

    /// A pod was asked to go and has not been seen going.
    fn is_leaving(&self, pods: &[&Pod]) -> bool {
        pods.iter().any(|pod| !pod.is_terminating() && self.memory.asked.contains(&pod.uid))
    }

    /// R57–R65
    fn manage(&mut self) {
        let entries = self.entries();
        let mut names: BTreeSet<NodeName> = self.snapshot.nodes.keys().cloned().collect();
        names.extend(entries.keys().cloned());
        for name in names {
            let pods = entries.get(&name).cloned().unwrap_or_default();
            let (run, keep) = self.judge(&name);
            if !self.snapshot.nodes.contains_key(&name) {
                for pod in pods.into_iter().filter(|pod| self.stays(pod) && pod.node.is_none()).collect::<Vec<_>>() {
                    self.delete(&name, pod, DeleteWhy::NoSuchNode);
                }
            } else if run && pods.is_empty() {
                if !self.is_coming(&name) {
                    self.create(&name, CreateWhy::Missing);
                }
            } else if keep {
                self.keep_one(&name, run, &pods);
            } else {
                for pod in pods.into_iter().filter(|pod| self.stays(pod)).collect::<Vec<_>>() {
                    self.delete(&name, pod, DeleteWhy::Forbidden);
                }
            }
        }
    }

    /// R58–R64
    fn keep_one(&mut self, name: &NodeName, run: bool, pods: &[&'a Pod]) {
        let set = self.snapshot.set;
        let waits = Backoff::until(self.memory.backoff.get(name), set.status.observed_generation, self.snapshot.now);
        let staying: Vec<&Pod> = pods.iter().copied().filter(|pod| self.stays(pod)).collect();
        let is_asked = self.is_leaving(pods);
        let mut failed = staying.iter().copied().filter(|pod| pod.phase == Phase::Failed);
        let first_failed = failed.next();
        let mut gone: Vec<(&Pod, DeleteWhy)> = Vec::new();
        if waits.is_none() {
            gone.extend(first_failed.map(|pod| (pod, DeleteWhy::Failed)));
        }
        gone.extend(staying.iter().filter(|pod| pod.phase == Phase::Succeeded).map(|pod| (*pod, DeleteWhy::Succeeded)));
        // One order for both, that of R62.
        gone.sort_by_key(|(pod, _)| (pod.node.is_none(), pod.created, Arc::clone(&pod.key.name)));
        let running: Vec<&Pod> = staying.iter().copied().filter(|pod| !pod.is_terminal()).collect();
        let mut makes = false;
        if !budget::surges(&set.strategy) {
            gone.extend(running.iter().skip(1).map(|pod| (*pod, DeleteWhy::Duplicate)));
        } else if running.is_empty() {
            makes = run && first_failed.is_none() && !is_asked && !self.is_coming(name);
        } else if running.len() > 1 {
            let is_new = |pod: &&&Pod| pod.labels.get(HASH_LABEL).map(String::as_str) == Some(&*self.hash);
            let new = running.iter().find(is_new).copied();
            let old = running.iter().find(|pod| !is_new(pod)).copied();
            let kept: Vec<&Uid> = new.iter().chain(old.iter()).map(|pod| &pod.uid).collect();
            gone.extend(running.iter().filter(|p| !kept.contains(&&p.uid)).map(|p| (*p, DeleteWhy::Duplicate)));
            if let (Some(new), Some(old)) = (new, old) {
                if !old.ready.is {
                    gone.push((old, DeleteWhy::OutdatedBroken));
                } else if self.available(new) {
                    gone.push((old, DeleteWhy::Replaced));
                }
            }
        }
        for (pod, why) in gone {
            self.delete(name, pod, why);
        }
        if makes {
            self.create(name, CreateWhy::Missing);
        }
    }

    /// R96–R105, as things will be once the presence steps are taken.
    fn roll(&mut self) {
        let set = self.snapshot.set;
        if matches!(set.strategy, Strategy::OnDelete) {
            return;
        }
        let desired = self.snapshot.nodes.values().filter(|node| self.rules.judge(node).runs()).count();
        let desired = i32::try_from(desired).unwrap_or(i32::MAX);
        match budget::of(&set.strategy, desired) {
            Err(problem) => self.plan.problem = Some(problem),
            Ok(budget) if budget::surges(&set.strategy) => self.roll_with_surge(budget.surge, desired),
            Ok(budget) => self.roll_within(budget.unavailable),
        }
    }

    /// R97: every node with an entry, and every node that should have one.
    fn participants(&self) -> BTreeMap<NodeName, Vec<&'a Pod>> {
        let mut entries = self.entries();
        for (name, node) in self.snapshot.nodes {
            if self.rules.judge(node).runs() {
                entries.entry(name.clone()).or_default();
            }
        }
        entries
    }

    /// R101: (new, old), or nothing where it is messy.
    fn classify(&self, pods: &[&'a Pod]) -> Option<(Option<&'a Pod>, Option<&'a Pod>)> {
        let staying = || pods.iter().copied().filter(|pod| self.stays(pod));
        let new: Vec<&Pod> = staying().filter(|pod| self.updated(pod)).collect();
        let old: Vec<&Pod> = staying().filter(|pod| !self.updated(pod)).collect();
        (new.len() <= 1 && old.len() <= 1).then(|| (new.first().copied(), old.first().copied()))
    }

    /// R102
    fn roll_within(&mut self, max_unavailable: i32) {
        let mut unavailable = 0;
        let (mut broken, mut candidates) = (Vec::new(), Vec::new());
        for (name, pods) in self.participants() {
            match self.classify(&pods) {
                Some((Some(new), None)) if self.available(new) => {}
                Some((None, Some(old))) if self.available(old) => candidates.push((name, old)),
                Some((None, Some(old))) => {
                    unavailable += 1;
                    broken.push((name, old));
                }
                _ => unavailable += 1,
            }
        }
        for (name, pod) in broken {
            self.delete(&name, pod, DeleteWhy::OutdatedBroken);
        }
        let allowed = usize::try_from(max_unavailable - unavailable).unwrap_or(0);
        for (name, pod) in candidates.into_iter().take(allowed) {
            self.delete(&name, pod, DeleteWhy::Outdated);
        }
    }

    /// R104, R105; what needs no budget is taken first, and counts.
    fn roll_with_surge(&mut self, max_surge: i32, desired: i32) {
        let (mut surge, mut serving) = (0, 0);
        let (mut creates, mut sunsets) = (Vec::new(), Vec::new());
        for (name, pods) in self.participants() {
            if !self.snapshot.nodes.contains_key(&name) {
                continue;
            }
            let Some((new, old)) = self.classify(&pods) else {
                surge += 1;
                continue;
            };
            // Where the new pod is available the old one goes just now, and the new one counts.
            let serves = |pod: &Pod| self.available(pod);
            serving += i32::from(new.filter(|new| serves(new)).is_some() || old.or(new).is_some_and(serves));
            let Some(old) = old else { continue };
            let (run, _) = self.judge(&name);
            match new {
                Some(new) if self.available(new) => self.delete(&name, old, DeleteWhy::Replaced),
                Some(_) => surge += 1,
                None if self.memory.creates.contains_key(&name) => {
                    surge += 1;
                    if run && !self.is_coming(&name) {
                        self.create(&name, CreateWhy::Surge);
                    }
                }
                None if run && self.is_leaving(&pods) => surge += 1,
                None if !self.available(old) && run => {
                    self.create(&name, CreateWhy::Rescue);
                    surge += 1;
                }
                None if !self.available(old) => self.delete(&name, old, DeleteWhy::OutdatedBroken),
                None if run => creates.push(name),
                None => sunsets.push((name, old)),
            }
        }
        let allowed = usize::try_from(max_surge - surge).unwrap_or(0);
        for name in creates.into_iter().take(allowed) {
            self.create(&name, CreateWhy::Surge);
        }
        let allowed = usize::try_from(serving - desired).unwrap_or(0);
        for (name, pod) in sunsets.into_iter().take(allowed) {
            self.delete(&name, pod, DeleteWhy::Sunset);
        }
    }
}
