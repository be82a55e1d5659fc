//! One node, one pod: does it fit, and if not, in which words (R135–R138, A519).

use std::collections::BTreeMap;
use std::fmt;

use super::seat::Seat;
use crate::model::{Node, NodeName, Pin, Pod};
use crate::selector::{Effect, NodeOperator, NodeSelector, node_selector_matches, untolerated};

/// Why a node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Cordoned.
    Unschedulable,
    /// A taint that the pod does not tolerate.
    Taint,
    /// Node affinity or selector.
    Affinity,
    /// Not one of the nodes that the pod names, and so not looked at.
    NotNamed,
    /// A host port is taken.
    Ports,
    /// No room for one more pod.
    TooManyPods,
    /// Too little of a resource.
    Insufficient(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unschedulable => "node(s) were unschedulable",
            Self::Taint => "node(s) had untolerated taint(s)",
            Self::Affinity => "node(s) didn't match Pod's node affinity/selector",
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(f, "Insufficient {resource}"),
        })
    }
}

/// What one node said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Empty when it fits.
    pub(super) reasons: Vec<Reason>,
    /// Other pods leaving could help (R137).
    pub(super) preemptable: bool,
}

/// Why no node takes a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many nodes gave each reason.
    pub reasons: BTreeMap<Reason, usize>,
    /// Nodes where pods of lower priority may be in the way.
    pub preemptable: Vec<NodeName>,
}

impl Refusal {
    pub(super) fn add(&mut self, name: &NodeName, judgement: Judgement) {
        for reason in judgement.reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
        if judgement.preemptable {
            self.preemptable.push(name.clone());
        }
    }

    /// R138, A518: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) …. ` and what preemption said.
    #[must_use]
    pub fn message(&self, preemption: &str) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut text = format!("{}.", available(self.nodes, &self.reasons));
        if !preemption.is_empty() {
            text.push_str(" no new claims to deallocate, preemption: ");
            text.push_str(preemption);
            text.push('.');
        }
        text
    }
}

/// `0/N nodes are available: …` with the counted reasons sorted as text.
pub(super) fn available<R: fmt::Display>(nodes: usize, reasons: &BTreeMap<R, usize>) -> String {
    let mut words: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    words.sort();
    if words.is_empty() {
        return format!("0/{nodes} nodes are available");
    }
    format!("0/{nodes} nodes are available: {}", words.join(", "))
}

/// R135: the nodes that the pod's affinity names, when each of its terms names some.
pub(super) fn named(pod: &Pod) -> Option<Vec<NodeName>> {
    match (&pod.scheduling.required, &pod.pin) {
        (None, Pin::To(name)) => Some(vec![name.clone()]),
        (Some(selector), _) => named_by(selector),
        (None, Pin::None | Pin::Ambiguous) => None,
    }
}

fn named_by(selector: &NodeSelector) -> Option<Vec<NodeName>> {
    let mut names = Vec::new();
    for term in &selector.terms {
        let mut here: Option<Vec<&String>> = None;
        for field in &term.fields {
            if field.key == "metadata.name" && field.operator == NodeOperator::In {
                here = Some(match here {
                    None => field.values.iter().collect(),
                    Some(before) => before.into_iter().filter(|name| field.values.contains(name)).collect(),
                });
            }
        }
        names.extend(here?.into_iter().map(|name| NodeName::from(name.as_str())));
    }
    names.sort();
    names.dedup();
    (!selector.terms.is_empty()).then_some(names)
}

/// Asks one node, in upstream's order; the first filter that objects gives the reasons (R134, R136).
pub(super) fn judge(pod: &Pod, node: &Node, seat: &Seat) -> Judgement {
    let wants = &pod.scheduling;
    let objection = |reason| Judgement { reasons: vec![reason], preemptable: false };
    if node.unschedulable && !tolerates_cordon(pod) {
        return objection(Reason::Unschedulable);
    }
    if untolerated(&node.taints, &wants.tolerations, &[Effect::NoSchedule, Effect::NoExecute]).is_some() {
        return objection(Reason::Taint);
    }
    if !affinity_matches(pod, node) {
        return objection(Reason::Affinity);
    }
    if seat.has_port_conflict(pod) {
        return Judgement { reasons: vec![Reason::Ports], preemptable: true };
    }
    fit(pod, node, seat)
}

fn tolerates_cordon(pod: &Pod) -> bool {
    let taint = crate::selector::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: Effect::NoSchedule,
        added: None,
    };
    pod.scheduling.tolerations.iter().any(|toleration| toleration.tolerates(&taint))
}

fn affinity_matches(pod: &Pod, node: &Node) -> bool {
    let pinned = match (&pod.scheduling.required, &pod.pin) {
        (Some(selector), _) => selector.matches(&node.name, &node.labels),
        (None, Pin::To(name)) => *name == node.name,
        (None, Pin::None | Pin::Ambiguous) => true,
    };
    pinned && node_selector_matches(&pod.scheduling.node_selector, &node.labels)
}

/// R137: what is asked for against what is left.
fn fit(pod: &Pod, node: &Node, seat: &Seat) -> Judgement {
    let mut reasons = Vec::new();
    let mut preemptable = true;
    let (used, pods) = seat.used_against(pod);
    let room = node.allocatable.get("pods");
    if i64::try_from(pods).unwrap_or(i64::MAX) >= room {
        reasons.push(Reason::TooManyPods);
        preemptable &= room > 0;
    }
    for (resource, asked) in &pod.scheduling.requests.0 {
        if *asked <= 0 || resource == "pods" {
            continue;
        }
        let allocatable = node.allocatable.get(resource);
        if *asked > allocatable.saturating_sub(used.get(resource)) {
            reasons.push(Reason::Insufficient(resource.clone()));
            preemptable &= *asked <= allocatable;
        }
    }
    Judgement { preemptable: preemptable && !reasons.is_empty(), reasons }
}
