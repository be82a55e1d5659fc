//! The rules once more, over a whole snapshot: tiny, slow, obviously right. The engine's twin.
//!
//! It follows R40–R110 in the order of the text, looks at everything every time, and keeps nothing. What the engine must remember
//! from one decision to the next (what was asked for, back-offs) is handed in as [`Memory`].
//!
//! Here are claims, the history, the status and what is said of a pod; `presence` and `rollout` are what becomes of pods.

mod memory;
mod presence;
mod rollout;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::memory::Memory;
use super::backoff::Backoff;
use super::eligibility::{Rules, Verdict};
use super::history::{self, Claim, Relabel};
use super::plan::{CreateWhy, DeleteWhy, Plan, Ref, Remark, Step, TemplateId};
use crate::model::{GENERATION_LABEL, HASH_LABEL, Millis, Node, NodeName, Pod, Revision, Set, Status};
use crate::selector::LabelSelector;

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

/// The plan for a set, without names for new pods, `more` and `wake_at`.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, memory: &Memory) -> Plan {
    let set = snapshot.set;
    let mut plan = Plan::default();
    // R40
    let selects_all = set.selector.as_ref().is_some_and(LabelSelector::is_empty);
    if selects_all || set.terminating || memory.is_gated {
        return plan;
    }
    plan.steps = claims(snapshot, memory);
    if !plan.steps.is_empty() {
        return plan;
    }
    let owned = owned_revisions(snapshot);
    let built = history::build(set, owned);
    plan.steps = built.steps;
    if let Some(Relabel { to, from }) = &built.relabel {
        for pod in &grouped(snapshot).into_values().flatten().collect::<Vec<_>>() {
            let hash = pod.labels.get(HASH_LABEL).map_or("", String::as_str);
            if hash != &**to && from.iter().any(|from| &**from == hash) {
                plan.steps.push(Step::Relabel { pod: refer(pod), hash: Arc::clone(to) });
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

/// A plan without what the twin cannot know: names, when to look again, and what is said only once.
#[must_use]
pub fn bare(plan: &Plan) -> Plan {
    let mut plan = Plan { wake_at: None, more: false, ..plan.clone() };
    plan.remarks.retain(|remark| *remark != Remark::SelectingAll);
    for step in &mut plan.steps {
        if let Step::Create { name, .. } = step {
            *name = "".into();
        }
    }
    plan
}

fn refer(pod: &Pod) -> Ref {
    Ref { name: Arc::clone(&pod.key.name), uid: pod.uid.clone() }
}

fn selects(set: &Set, pod: &Pod) -> bool {
    set.selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.matches(&pod.labels))
}

/// R74, R79
fn claims(snapshot: &Snapshot<'_>, memory: &Memory) -> Vec<Step> {
    let set = snapshot.set;
    let mut pods: Vec<&Pod> = snapshot.pods.iter().collect();
    pods.sort_by(|a, b| a.key.cmp(&b.key));
    let adopt = pods.iter().filter(|pod| pod.owner.is_none() && selects(set, pod) && !pod.is_terminating());
    let release =
        pods.iter().filter(|pod| pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid) && !selects(set, pod));
    let mut adopted: BTreeMap<Arc<str>, Ref> = BTreeMap::new();
    let doubted = memory.doubted.iter().cloned();
    adopted.extend(doubted.chain(adopt.map(|pod| refer(pod))).map(|pod| (Arc::clone(&pod.name), pod)));
    let mut steps: Vec<Step> = adopted.into_values().map(Step::Adopt).collect();
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
            || (generation.is_some()
                && pod.labels.get(GENERATION_LABEL) == generation.as_ref()
                && pod.created > self.snapshot.set.created)
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
        let entries = self.entries();
        let pods = entries.get(node).map_or(&[][..], Vec::as_slice);
        let record = self.record(node, pods);
        let is_one_more = self.ended(pods).is_some();
        let known = Backoff::attempts(record.as_ref(), self.snapshot.set.status.observed_generation, self.snapshot.now);
        let failures = known + u32::from(is_one_more);
        self.memory.creates.insert(node.clone(), false);
        self.memory.stale.remove(node);
        let (node, name, template) = (node.clone(), "".into(), TemplateId(0));
        self.plan.steps.push(Step::Create { node, name, template, why, failures });
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

    /// Another pod was made to stand in for this one.
    fn is_superseded(&self, pod: &Pod, pods: &[&Pod]) -> bool {
        pods.iter().any(|other| self.stays(other) && other.failures > pod.failures)
    }

    /// The first pod that ended and has nothing to stand in for it.
    fn ended(&self, pods: &[&'a Pod]) -> Option<&'a Pod> {
        let is_last = |pod: &&&Pod| self.stays(pod) && pod.is_terminal() && !self.is_superseded(pod, pods);
        pods.iter().find(is_last).copied()
    }

    /// What went wrong on a node: as remembered, or as the pod that ended there tells.
    fn record(&self, node: &NodeName, pods: &[&'a Pod]) -> Option<Backoff> {
        let (set, now) = (self.snapshot.set, self.snapshot.now);
        if let Some(record) = self.memory.backoff.get(node).filter(|record| !record.is_forgotten(now)) {
            return Some(*record);
        }
        let pod = self.ended(pods).filter(|pod| self.updated(pod))?;
        Backoff::resumed(set.status.observed_generation, pod.failures, pod.created, now)
    }

    /// The last create was refused a short while ago.
    fn is_barred(&self, node: &NodeName) -> bool {
        let (generation, now) = (self.snapshot.set.status.observed_generation, self.snapshot.now);
        Backoff::until_asked_again(self.memory.refused.get(node), generation, now).is_some()
    }

    /// A create may have been done a short while ago.
    fn may_have_come(&self, node: &NodeName) -> bool {
        let is_old = self.memory.stale.contains(node) && !self.is_coming(node);
        self.memory.creates.contains_key(node) && !is_old
    }

    /// A create is out whose fate will be told.
    fn is_coming(&self, node: &NodeName) -> bool {
        self.memory.creates.get(node) == Some(&false)
    }

    /// A pod was asked to go and has not been seen going.
    fn is_leaving(&self, pods: &[&Pod]) -> bool {
        pods.iter().any(|pod| !pod.is_terminating() && self.memory.asked.contains(&pod.uid))
    }
}
