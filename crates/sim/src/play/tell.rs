//! From all that changed, what is worth telling.

use std::collections::{BTreeMap, BTreeSet};

use everynode_core::daemonset::budget;
use everynode_core::daemonset::eligibility::{Reason, Rules, Verdict};
use everynode_core::model::{HASH_LABEL, IntOrPercent, Key, Millis, NodeName, Phase, Pod, Set, Strategy};

use crate::facts::{Fact, State, owns};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Milliseconds from the change of the template.
    pub at_ms: i64,
    /// Of which set.
    pub set: String,
    /// On which node, if on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// A new revision is the current one.
    Revision {
        /// Its number.
        number: i64,
        /// Its hash.
        hash: String,
    },
    /// The node's pod is a new one, and available.
    Replaced {
        /// The new pod.
        pod: String,
        /// How long there was no available pod; 0 with surge.
        gap_ms: i64,
    },
    /// A pod failed.
    Failed {
        /// Which.
        pod: String,
    },
    /// Every node has the new pod.
    Done,
}

/// A set's rollout in short.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Which.
    pub set: String,
    /// It came to its end.
    pub is_done: bool,
    /// From the change of the template to the last node, or to where it stands.
    pub duration_ms: i64,
    /// Nodes that are to have a pod.
    pub eligible_nodes: usize,
    /// Why the others are not, where there are others: the first reason found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded_because: Option<String>,
    /// Pods replaced by available new ones.
    pub replaced_pods: usize,
    /// Pods that failed.
    pub failed_pods: usize,
    /// The most nodes that were without an available pod at one moment.
    pub worst_unavailable: usize,
    /// How many may be.
    pub max_unavailable: usize,
    /// The most nodes that held two pods at one moment.
    pub worst_surge: usize,
    /// How many may.
    pub max_surge: usize,
    /// The strategy, in words.
    pub strategy: String,
}

/// One set's nodes while the history is read again.
struct Reading<'h> {
    set: &'h Set,
    eligible: BTreeSet<NodeName>,
    pods: BTreeMap<Key, std::sync::Arc<Pod>>,
    old_hashes: BTreeSet<String>,
    /// Nodes without an available pod, and since when.
    gaps: BTreeMap<NodeName, Millis>,
    replaced: BTreeSet<NodeName>,
    failed: usize,
    worst_gap: usize,
    worst_surge: usize,
}

impl Reading<'_> {
    fn here(&self, node: &NodeName) -> impl Iterator<Item = &std::sync::Arc<Pod>> {
        self.pods.values().filter(move |pod| pod.target() == Some(node) && !pod.is_terminating() && !pod.is_terminal())
    }

    fn is_new(&self, pod: &Pod) -> bool {
        pod.labels.get(HASH_LABEL).is_some_and(|hash| !self.old_hashes.contains(hash))
    }

    /// A pod has changed: what that means for its node.
    fn look(&mut self, node: &NodeName, now: Millis) {
        let serves = self.here(node).any(|pod| pod.ready.is);
        if serves {
            self.gaps.remove(node);
        } else {
            self.gaps.entry(node.clone()).or_insert(now);
        }
        self.worst_gap = self.worst_gap.max(self.gaps.len());
        if self.here(node).count() > 1 {
            let twice: BTreeSet<_> = self.eligible.iter().filter(|node| self.here(node).count() > 1).collect();
            self.worst_surge = self.worst_surge.max(twice.len());
        }
    }
}

/// Summaries and timeline of the sets, from `before` through `history`.
pub(super) fn tell(
    keys: &[Key],
    done: &[bool],
    before: &State,
    after: &State,
    history: &[(Millis, Fact)],
    begin: Millis,
) -> (Vec<Summary>, Vec<Moment>) {
    let (mut summaries, mut timeline) = (Vec::new(), Vec::new());
    for (key, is_done) in keys.iter().zip(done) {
        if let Some(item) = after.sets.get(key) {
            let (summary, moments) = of_set(&item.set, *is_done, before, history, begin);
            summaries.push(summary);
            timeline.extend(moments);
        }
    }
    timeline.sort_by_key(|moment: &Moment| moment.at_ms);
    (summaries, timeline)
}

fn of_set(
    set: &Set,
    is_done: bool,
    before: &State,
    history: &[(Millis, Fact)],
    begin: Millis,
) -> (Summary, Vec<Moment>) {
    let rules = Rules::new(&set.template);
    let verdicts: Vec<(NodeName, Verdict)> =
        before.nodes.values().map(|node| (node.name.clone(), rules.judge(node))).collect();
    let eligible: BTreeSet<NodeName> =
        verdicts.iter().filter(|(_, verdict)| verdict.runs()).map(|(name, _)| name.clone()).collect();
    let pods: BTreeMap<Key, _> = before.pods_of(set).map(|pod| (pod.key.clone(), std::sync::Arc::clone(pod))).collect();
    let old_hashes = pods.values().filter_map(|pod| pod.labels.get(HASH_LABEL).cloned()).collect();
    let mut reading = Reading {
        set,
        eligible,
        pods,
        old_hashes,
        gaps: BTreeMap::new(),
        replaced: BTreeSet::new(),
        failed: 0,
        worst_gap: 0,
        worst_surge: 0,
    };
    let mut moments = Vec::new();
    let mut last = begin;
    for (now, fact) in history {
        if let Some((node, what)) = read(&mut reading, fact, *now) {
            last = *now;
            let at_ms = now.since(begin).0;
            moments.push(Moment { at_ms, set: set.key.to_string(), node, what });
        }
    }
    if is_done {
        // The pods have to be ready for a while to count.
        last = last.plus(Millis::from_secs(i64::from(set.min_ready_seconds)));
        moments.push(Moment { at_ms: last.since(begin).0, set: set.key.to_string(), node: None, what: What::Done });
    }
    let desired = i32::try_from(reading.eligible.len()).unwrap_or(i32::MAX);
    let budget = budget::of(&set.strategy, desired).unwrap_or_default();
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let summary = Summary {
        set: set.key.to_string(),
        is_done,
        duration_ms: last.since(begin).0,
        eligible_nodes: reading.eligible.len(),
        excluded_because: verdicts.iter().find_map(|(_, verdict)| verdict.reason()).map(words),
        replaced_pods: reading.replaced.len(),
        failed_pods: reading.failed,
        worst_unavailable: reading.worst_gap,
        max_unavailable: count(budget.unavailable),
        worst_surge: reading.worst_surge,
        max_surge: count(budget.surge),
        strategy: strategy(&set.strategy),
    };
    (summary, moments)
}

fn read(reading: &mut Reading<'_>, fact: &Fact, now: Millis) -> Option<(Option<String>, What)> {
    match fact {
        Fact::Revision(revision) => {
            let is_own = revision.owner.as_ref().is_some_and(|owner| owner.uid == reading.set.uid);
            let is_current = revision.data == reading.set.template.data;
            (is_own && is_current).then(|| {
                let hash = revision.hash().unwrap_or_default().to_owned();
                (None, What::Revision { number: revision.number, hash })
            })
        }
        Fact::PodGone(key, _) => {
            let gone = reading.pods.remove(key)?;
            let node = gone.target()?.clone();
            reading.look(&node, now);
            None
        }
        Fact::Pod(pod) if owns(reading.set, pod) => {
            let node = pod.target()?.clone();
            let old = reading.pods.insert(pod.key.clone(), std::sync::Arc::clone(pod));
            let gap = reading.gaps.get(&node).copied();
            reading.look(&node, now);
            let was = old.as_ref();
            if pod.phase == Phase::Failed && was.is_none_or(|was| was.phase != Phase::Failed) {
                reading.failed += 1;
                return Some((Some(node.to_string()), What::Failed { pod: pod.key.name.to_string() }));
            }
            let becomes_ready = pod.ready.is && was.is_none_or(|was| !was.ready.is);
            if becomes_ready && reading.is_new(pod) && reading.replaced.insert(node.clone()) {
                let gap_ms = gap.map_or(0, |since| now.since(since).0);
                return Some((Some(node.to_string()), What::Replaced { pod: pod.key.name.to_string(), gap_ms }));
            }
            None
        }
        _ => None,
    }
}

fn strategy(strategy: &Strategy) -> String {
    let amount = |value: &Option<IntOrPercent>| match value {
        None => "0".to_owned(),
        Some(IntOrPercent::Int(number)) => number.to_string(),
        Some(IntOrPercent::Percent(percent)) => format!("{percent}%"),
        Some(IntOrPercent::Invalid) => "unreadable".to_owned(),
    };
    match strategy {
        Strategy::OnDelete => "OnDelete".to_owned(),
        Strategy::RollingUpdate { max_unavailable, max_surge } => {
            format!("RollingUpdate, maxUnavailable {}, maxSurge {}", amount(max_unavailable), amount(max_surge))
        }
    }
}

fn words(reason: &Reason) -> String {
    match reason {
        Reason::OtherNode { wanted } => format!("the template names the node {wanted}"),
        Reason::NodeSelector { key, wanted, .. } => format!("the pretend nodes have no label {key}={wanted}"),
        Reason::Affinity => "the required node affinity matches no pretend node".to_owned(),
        Reason::Taint(taint) => format!("the taint {} is not tolerated", taint.key),
        Reason::NoSuchNode => "there is no such node".to_owned(),
    }
}
