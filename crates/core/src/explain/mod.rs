//! A decision in words: for each node why a set's pod is there or not, and what happens next.
//!
//! It asks the same engine that decides, on a snapshot; so it can be asked anywhere: by the command line, a page, a test.
//! The words for verdicts and steps are here and nowhere else.
//!
//! Not here: columns, colours and clocks; times come out as spans from `now`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::daemonset::eligibility::{Reason, Verdict};
use crate::daemonset::engine::{Blocker, CellView};
use crate::daemonset::plan::{CreateWhy, DeleteWhy};
use crate::daemonset::{Charged, Engine, Plan, Step, budget};
use crate::model::{Key, Millis, Node, NodeName, Pod, Revision, Set, Strategy};

#[cfg(test)]
mod tests;

/// One node, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: NodeName,
    /// `run`, `keep` or `no`.
    pub verdict: &'static str,
    /// The first rule that fails, empty when none does.
    pub reason: String,
    /// The pod there, if any.
    pub pod: Option<Arc<str>>,
    /// `current`, `outdated`, or nothing without a pod.
    pub revision: &'static str,
    /// The hash on the pod.
    pub hash: Option<Arc<str>>,
    /// What happens next, or what is waited for.
    pub next: String,
}

/// A set on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The set as a whole, in sentences.
    pub summary: Vec<String>,
    /// Every node, and every node that a pod is meant for, by name.
    pub rows: Vec<Row>,
}

/// Everything that is known, explained as of `now`. Objects of other namespaces and sets do no harm.
#[must_use]
pub fn explain(set: &Set, revisions: &[Revision], nodes: &[Node], pods: &[Pod], now: Millis) -> Explanation {
    let mut engine = Engine::new(0);
    for node in nodes {
        engine.node(Arc::new(node.clone()));
    }
    engine.set(set.clone());
    for revision in revisions {
        engine.revision(Arc::new(revision.clone()));
    }
    for pod in pods.iter().filter(|pod| pod.key.namespace == set.key.namespace) {
        engine.pod(Arc::new(pod.clone()));
    }
    let plan = engine.decide(&set.key, now);
    let views = engine.view(&set.key, now);
    Explanation { summary: summary(set, &plan, &views, now), rows: rows(set, &plan, &views, now) }
}

fn rows(set: &Set, plan: &Plan, views: &[CellView], now: Millis) -> Vec<Row> {
    let mut steps: BTreeMap<&NodeName, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        if let Step::Create { node, .. } | Step::Delete { node, .. } = step {
            steps.entry(node).or_default().push(Words(step).to_string());
        }
    }
    let row = |view: &CellView| {
        let (verdict, reason) = match &view.verdict {
            Verdict::Run => ("run", String::new()),
            Verdict::KeepOnly(reason) => ("keep", reason.to_string()),
            Verdict::Forbid(reason) => ("no", reason.to_string()),
        };
        let next = match steps.get(&view.node) {
            Some(steps) => steps.join("; "),
            None => next(set, plan, view, now),
        };
        Row {
            node: view.node.clone(),
            verdict,
            reason,
            pod: view.pod.clone(),
            revision: match (&view.pod, view.is_updated) {
                (None, _) => "",
                (Some(_), true) => "current",
                (Some(_), false) => "outdated",
            },
            hash: view.hash.clone(),
            next,
        }
    };
    views.iter().map(row).collect()
}

fn next(set: &Set, plan: &Plan, view: &CellView, now: Millis) -> String {
    if set.terminating {
        return "nothing: the DaemonSet is being deleted".to_owned();
    }
    if plan.hash.is_none() && view.verdict.runs() {
        return "waits for its revision to be recorded, or for pods to be adopted".to_owned();
    }
    match &view.blocker {
        Some(Blocker::Create) => "the new pod is awaited".to_owned(),
        Some(Blocker::Delete | Blocker::Terminating) => "the old pod is on its way out".to_owned(),
        Some(Blocker::Refused { until }) => {
            format!("the server refuses its pod (see the events); it is asked again in {}", Span(until.since(now)))
        }
        Some(Blocker::BackOff { until }) => format!("the failed pod is replaced in {}", Span(until.since(now))),
        Some(Blocker::Budget) if !view.verdict.runs() => "goes when the budget allows".to_owned(),
        Some(Blocker::Budget) => "is replaced when the budget allows".to_owned(),
        Some(Blocker::NotReady) => "waits for the pod to get ready".to_owned(),
        Some(Blocker::TooYoung { until }) => format!("counts as available in {}", Span(until.since(now))),
        Some(Blocker::OnDelete) => "stays until somebody deletes the pod (OnDelete)".to_owned(),
        None => String::new(),
    }
}

fn summary(set: &Set, plan: &Plan, views: &[CellView], now: Millis) -> Vec<String> {
    let desired = views.iter().filter(|view| view.verdict.runs()).count();
    let lacking: Vec<&CellView> = views.iter().filter(|view| view.verdict.runs() && !view.is_available).collect();
    let mut lines = vec![format!(
        "{} of {} nodes are to have a pod; {} of these have an available one",
        desired,
        views.iter().filter(|view| view.verdict.reason() != Some(&Reason::NoSuchNode)).count(),
        desired - lacking.len(),
    )];
    if let Some(hash) = &plan.hash {
        let outdated = views.iter().filter(|view| view.pod.is_some() && !view.is_updated).count();
        lines.push(match outdated {
            0 => format!("the current revision is {}-{hash}; no pod is outdated", set.key.name),
            1 => format!("the current revision is {}-{hash}; 1 pod is outdated", set.key.name),
            n => format!("the current revision is {}-{hash}; {n} pods are outdated", set.key.name),
        });
    }
    let desired = i32::try_from(desired).unwrap_or(i32::MAX);
    match (set.strategy, budget::of(&set.strategy, desired)) {
        (Strategy::OnDelete, _) => lines.push("outdated pods stay until somebody deletes them (OnDelete)".to_owned()),
        (_, Err(_)) => lines.push("nothing is updated: maxUnavailable or maxSurge cannot be read".to_owned()),
        (_, Ok(budget)) if budget.surge > 0 => {
            lines.push(format!("while updating, {} may hold a second pod", count(budget.surge, "node")));
        }
        (_, Ok(budget)) => {
            lines.push(format!("while updating, {} may lack an available pod", count(budget.unavailable, "node")));
        }
    }
    for view in lacking {
        if let Some(charge) = view.charge.filter(|charge| charge.since < now) {
            let who = match charge.who {
                Charged::Node => "the node answers for it",
                Charged::Revision => "the revision answers for it",
                Charged::Unknown => "nobody is known to answer for it",
            };
            lines.push(format!("{} lacks an available pod for {}; {who}", view.node, Span(now.since(charge.since))));
        }
    }
    lines
}

/// `1 node`, `2 nodes`.
fn count(number: i32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A step on a pod in words.
struct Words<'a>(&'a Step);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Step::Create { why, .. } => f.write_str(match why {
                CreateWhy::Missing => "a pod is made",
                CreateWhy::Surge => "a new pod is made beside the outdated one",
                CreateWhy::Rescue => "a new pod is made beside the outdated one, which is of no use",
            }),
            Step::Delete { pod, why, .. } => {
                let why = match why {
                    DeleteWhy::Failed => "it failed",
                    DeleteWhy::Succeeded => "it ended",
                    DeleteWhy::Duplicate => "another one on the node is kept",
                    DeleteWhy::Forbidden => "the node may have none",
                    DeleteWhy::NoSuchNode => "its node is not there",
                    DeleteWhy::OutdatedBroken => "it is outdated and not available",
                    DeleteWhy::Outdated => "it is outdated",
                    DeleteWhy::Replaced => "its successor is available",
                    DeleteWhy::Sunset => "it is outdated and the node may get no new one",
                };
                write!(f, "{} goes: {why}", pod.name)
            }
            _ => f.write_str("ownership and revisions are put in order"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherNode { wanted } => write!(f, "the template names node {wanted}"),
            Self::NodeSelector { key, wanted, found: Some(found) } => {
                write!(f, "nodeSelector wants {key}={wanted}, the node has {key}={found}")
            }
            Self::NodeSelector { key, wanted, found: None } => {
                write!(f, "nodeSelector wants {key}={wanted}, the node has no such label")
            }
            Self::Affinity => f.write_str("no term of the required node affinity matches"),
            Self::Taint(taint) => write!(f, "the taint {taint} is not tolerated"),
            Self::NoSuchNode => f.write_str("there is no such node"),
        }
    }
}

/// A span as people say it: `7s`, `3m10s`, `2h5m`.
struct Span(Millis);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = (self.0.0.max(0) + 999) / 1000;
        match (secs / 3600, secs / 60 % 60, secs % 60) {
            (0, 0, s) => write!(f, "{s}s"),
            (0, m, s) => write!(f, "{m}m{s}s"),
            (h, m, _) => write!(f, "{h}h{m}m"),
        }
    }
}

/// The key of a set as users name it: `ds/NAME`, `daemonset/NAME`, `NAME`.
#[must_use]
pub fn parse_name(text: &str, namespace: &str) -> Option<Key> {
    let name = match text.split_once('/') {
        None => text,
        Some(("ds" | "daemonset" | "daemonsets" | "daemonset.apps" | "daemonsets.apps", name)) => name,
        Some(_) => return None,
    };
    (!name.is_empty()).then(|| Key::new(namespace, name))
}
