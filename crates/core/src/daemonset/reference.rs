//! The rules once more, over a whole snapshot: tiny, slow, obviously right. The engine's twin.
//!
//! It follows R40–R110 in the order of the text, looks at everything every time, and keeps nothing. What the engine must remember
//! from one decision to the next (what was asked for, back-offs) is handed in as [`Memory`].

mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::memory::Memory;
use super::backoff::Backoff;
use super::budget;
use super::eligibility::{Rules, Verdict};
use super::history::{self, Claim, Relabel};
use super::plan::{CreateWhy, DeleteWhy, Plan, Ref, Remark, Step, TemplateId};
use crate::model::{
    GENERATION_LABEL, HASH_LABEL, Millis, Node, NodeName, Phase, Pod, Revision, Set, Status, Strategy, Tri, Uid,
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

/// The plan for a set, without names for new pods, `more` and `wake_at`.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, memory: &Memory) -> Plan {
    let set = snapshot.set;
    let mut plan = Plan::default();
    if set.terminating || memory.is_gated {
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

/// A plan without what the twin cannot know: names, and when to look again.
#[must_use]
pub fn bare(plan: &Plan) -> Plan {
    let mut plan = Plan { wake_at: None, more: false, ..plan.clone() };
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
                if !self.is_coming(&name) && !self.is_barred(&name) {
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
        let surges = budget::surges(&set.strategy);
        let staying: Vec<&Pod> = pods.iter().copied().filter(|pod| self.stays(pod)).collect();
        let ended = self.ended(pods);
        let running: Vec<&Pod> = staying.iter().copied().filter(|pod| !pod.is_terminal()).collect();
        let record = self.record(name, pods);
        let waits = Backoff::until(record.as_ref(), set.status.observed_generation, self.snapshot.now).is_some();
        // What may still run has to go first; with surge it need only be seen going.
        let is_harmless = |pod: &&Pod| pod.is_terminal() || self.stays(pod) || (surges && pod.is_terminating());
        let is_blocked = !pods.iter().all(is_harmless);
        let replaces = if ended.is_some() { !waits } else { surges };
        let is_left = |pod: &&Pod| pod.is_terminal() && self.is_superseded(pod, pods);
        for pod in staying.iter().copied().filter(is_left).collect::<Vec<_>>() {
            self.delete(name, pod, DeleteWhy::Duplicate);
        }
        if replaces && run && running.is_empty() && !is_blocked && !self.is_coming(name) && !self.is_barred(name) {
            self.create(name, CreateWhy::Missing);
        }
        if let Some(pod) = ended.filter(|_| !waits) {
            let is_failed = pod.phase == Phase::Failed;
            self.delete(name, pod, if is_failed { DeleteWhy::Failed } else { DeleteWhy::Succeeded });
        }
        if surges {
            let new = running.iter().copied().find(|pod| self.updated(pod));
            let old = running.iter().copied().find(|pod| !self.updated(pod));
            let kept: Vec<&Uid> = new.iter().chain(old.iter()).map(|pod| &pod.uid).collect();
            for pod in running.iter().filter(|pod| !kept.contains(&&pod.uid)) {
                self.delete(name, pod, DeleteWhy::Duplicate);
            }
            match (new, old) {
                (Some(new), Some(old)) if !run && new.node.is_none() && old.node.is_some() => {
                    self.delete(name, new, DeleteWhy::Duplicate);
                }
                (Some(_), Some(old)) if !old.ready.is => self.delete(name, old, DeleteWhy::OutdatedBroken),
                (Some(new), Some(old)) if self.available(new) => self.delete(name, old, DeleteWhy::Replaced),
                _ => {}
            }
        } else {
            let kept = running.iter().find(|pod| self.available(pod)).or(running.first()).map(|pod| &pod.uid);
            for pod in running.iter().filter(|pod| Some(&pod.uid) != kept) {
                self.delete(name, pod, DeleteWhy::Duplicate);
            }
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

    /// The node may keep its pod, but nobody there may hear of anything.
    fn is_lost(&self, node: &NodeName) -> bool {
        let is_ready = self.snapshot.nodes.get(node).is_some_and(|node| node.ready() == Tri::True);
        self.judge(node) == (false, true) && !is_ready
    }

    /// R102
    fn roll_within(&mut self, max_unavailable: i32) {
        let (mut unavailable, mut unready) = (0, 0);
        let (mut broken, mut young, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
        for (name, pods) in self.participants() {
            let is_lost = self.is_lost(&name);
            match self.classify(&pods) {
                Some((None, None)) if is_lost => {}
                Some((None, Some(old))) if is_lost && old.ready.is => {}
                Some((None, Some(old))) if is_lost => broken.push((name, old)),
                Some((Some(new), None)) if self.available(new) => {}
                // It can not get there, and was not made for this.
                Some((Some(new), None)) if new.node.is_none() && self.judge(&name) == (false, true) => {}
                Some((Some(new), None)) if new.ready.is => unavailable += 1,
                Some((None, Some(old))) if self.available(old) => candidates.push((name, old)),
                Some((None, Some(old))) if old.ready.is => {
                    unavailable += 1;
                    young.push((name, old));
                }
                other => {
                    unavailable += 1;
                    unready += 1;
                    if let Some((None, Some(old))) = other {
                        broken.push((name, old));
                    }
                }
            }
        }
        for (name, pod) in broken {
            self.delete(&name, pod, DeleteWhy::OutdatedBroken);
        }
        for (chosen, lacking) in [(young, unready), (candidates, unavailable)] {
            let allowed = usize::try_from(max_unavailable - lacking).unwrap_or(0);
            for (name, pod) in chosen.into_iter().take(allowed) {
                self.delete(&name, pod, DeleteWhy::Outdated);
            }
        }
    }

    /// A second pod is there and the new one is not available, or one may come beside what is there. What was asked to go is
    /// there until it is seen going.
    fn holds_two(&self, name: &NodeName, pods: &[&Pod], is_replaced: bool) -> bool {
        let there = pods.iter().filter(|pod| !pod.is_terminating() && !pod.is_terminal()).count();
        let may_come = self.memory.creates.contains_key(name) && !self.memory.stale.contains(name);
        if may_come { there > 0 } else { there > 1 && !is_replaced }
    }

    /// R104, R105; what needs no budget is taken first, and counts.
    fn roll_with_surge(&mut self, max_surge: i32, desired: i32) {
        let (mut surge, mut serving) = (0, 0);
        let (mut creates, mut again, mut sunsets) = (Vec::new(), Vec::new(), Vec::new());
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
            let mut is_second = self.holds_two(&name, &pods, new.is_some_and(serves));
            let (run, _) = self.judge(&name);
            match (new, old) {
                (_, None) => {}
                (Some(new), Some(old)) if self.available(new) => self.delete(&name, old, DeleteWhy::Replaced),
                (Some(_), Some(_)) => is_second = true,
                (None, Some(old)) if run && self.may_have_come(&name) => {
                    is_second = true;
                    let is_doubtful = !self.is_coming(&name) && !self.is_barred(&name) && !self.is_leaving(&pods);
                    if is_doubtful && old.ready.is {
                        again.push(name);
                    } else if is_doubtful {
                        self.create(&name, CreateWhy::Rescue);
                    }
                }
                (None, Some(_)) if run && self.is_leaving(&pods) => is_second = true,
                (None, Some(old)) if run && (self.is_barred(&name) || old.is_terminal()) => {}
                (None, Some(old)) if run && !old.ready.is => {
                    self.create(&name, CreateWhy::Rescue);
                    is_second = true;
                }
                (None, Some(_)) if run => creates.push(name),
                (None, Some(old)) if !old.ready.is => self.delete(&name, old, DeleteWhy::OutdatedBroken),
                (None, Some(_)) if self.is_lost(&name) => {}
                (None, Some(old)) => sunsets.push((name, old)),
            }
            surge += i32::from(is_second);
        }
        let allowed = usize::try_from(max_surge - surge).unwrap_or(0);
        again.truncate(if surge > max_surge { 0 } else { usize::MAX });
        for name in again.into_iter().chain(creates.into_iter().take(allowed)) {
            self.create(&name, CreateWhy::Surge);
        }
        let allowed = usize::try_from(serving - desired).unwrap_or(0);
        for (name, pod) in sunsets.into_iter().take(allowed) {
            self.delete(&name, pod, DeleteWhy::Sunset);
        }
    }
}
