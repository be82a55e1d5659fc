//! What a fleet looks like when all is done: every eligible node has exactly one current pod, no other node has any, and status and
//! history say so.

use everynode_core::daemonset::eligibility::{Rules, Verdict};
use everynode_core::model::{GENERATION_LABEL, HASH_LABEL, Millis, Pod, Revision, Set, Status, Strategy};

use crate::controller::is_available;
use crate::facts::{SetItem, State};

/// All that is not right.
pub(crate) fn wrong(truth: &State, now: Millis) -> Vec<String> {
    let mut wrong = Vec::new();
    for item in truth.sets.values() {
        if item.set.terminating {
            wrong.push(format!("{} is still being deleted", item.set.key));
        } else {
            of_set(truth, item, now, &mut wrong);
        }
    }
    wrong
}

fn current<'t>(truth: &'t State, set: &Set, wrong: &mut Vec<String>) -> Option<&'t Revision> {
    let own = || truth.revisions.values().filter(|r| r.owner.as_ref().is_some_and(|owner| owner.uid == set.uid));
    let same: Vec<_> = own().filter(|revision| revision.data == set.template.data).collect();
    if same.len() != 1 {
        wrong.push(format!("{} has {} revisions of its template", set.key, same.len()));
    }
    let current = same.first()?;
    if own().any(|other| other.uid != current.uid && other.number >= current.number) {
        wrong.push(format!("{}: revision {} is not the newest", set.key, current.key));
    }
    let is_carried =
        |hash: &str| truth.pods_of(set).any(|pod| pod.labels.get(HASH_LABEL).map(String::as_str) == Some(hash));
    let spare = own().filter(|r| r.uid != current.uid && !r.hash().is_some_and(is_carried)).count();
    if spare > usize::try_from(set.history_limit).unwrap_or(0) {
        wrong.push(format!("{} keeps {spare} old revisions, {} may stay", set.key, set.history_limit));
    }
    Some(current)
}

fn is_updated(set: &Set, pod: &Pod, hash: Option<&str>) -> bool {
    let generation = set.template_generation.map(|generation| generation.to_string());
    (hash.is_some() && pod.labels.get(HASH_LABEL).map(String::as_str) == hash)
        // The generation of a pod that is not younger than the set was counted by another set of its name (R190).
        || (generation.is_some() && pod.labels.get(GENERATION_LABEL) == generation.as_ref() && pod.created > set.created)
}

fn of_set(truth: &State, item: &SetItem, now: Millis, wrong: &mut Vec<String>) {
    let set = &item.set;
    let hash = current(truth, set, wrong).and_then(Revision::hash);
    let rules = Rules::new(&set.template);
    let mut status = Status { observed_generation: set.generation, ..Status::default() };
    for (name, node) in &truth.nodes {
        let here: Vec<&Pod> = truth.pods_of(set).filter(|pod| pod.target() == Some(name)).map(AsRef::as_ref).collect();
        let verdict = rules.judge(node);
        let most = usize::from(!matches!(verdict, Verdict::Forbid(_)));
        let least = usize::from(verdict.runs());
        if here.len() < least || here.len() > most {
            let keys: Vec<_> = here.iter().map(|pod| &pod.key).collect();
            wrong.push(format!("{} on {name} ({verdict:?}): {keys:?}", set.key));
            continue;
        }
        let Some(pod) = here.first() else { continue };
        if pod.is_terminating() || pod.is_terminal() {
            wrong.push(format!("{} on {name}: {} is {:?} or terminating", set.key, pod.key, pod.phase));
        }
        if !verdict.runs() {
            status.misscheduled += 1;
            continue;
        }
        if set.strategy != Strategy::OnDelete && !is_updated(set, pod, hash) {
            wrong.push(format!("{} on {name}: {} is outdated", set.key, pod.key));
        }
        if !is_available(set, pod, now) {
            wrong.push(format!("{} on {name}: {} is not available", set.key, pod.key));
        }
        status.desired += 1;
        status.current += 1;
        status.ready += i32::from(pod.ready.is);
        status.available += i32::from(is_available(set, pod, now));
        status.updated += i32::from(is_updated(set, pod, hash));
    }
    status.unavailable = status.desired - status.available;
    if set.status != status {
        wrong.push(format!("{}: the status is {:?}, and should be {status:?}", set.key, set.status));
    }
    for pod in truth.pods_of(set).filter(|pod| pod.target().is_none_or(|name| !truth.nodes.contains_key(name))) {
        wrong.push(format!("{}: {} is for a node that is not there", set.key, pod.key));
    }
}
