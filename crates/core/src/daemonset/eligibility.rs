//! Is a node to have a pod of a set (R42–R48)?
//!
//! One function per rule, asked in order; the first that fails gives the verdict its reason.
//!
//! Not here: resources, ports, readiness, cordons: only the scheduler and the node judge those (R43).

use crate::model::{Labels, Node, NodeName, Template, Tri};
use crate::selector::{Effect, Labelled, Taint, Toleration, TolerationOperator, node_selector_matches, untolerated};

/// What of a node decides on what it is to a set.
pub(crate) trait Site {
    /// Its name.
    fn name(&self) -> &NodeName;
    /// Its labels.
    fn labels(&self) -> &impl Labelled;
    /// Its taints.
    fn taints(&self) -> &[Taint];
    /// It says that it is ready.
    fn is_ready(&self) -> bool;
}

impl Site for Node {
    fn name(&self) -> &NodeName {
        &self.name
    }

    fn labels(&self) -> &impl Labelled {
        &self.labels
    }

    fn taints(&self) -> &[Taint] {
        &self.taints
    }

    fn is_ready(&self) -> bool {
        self.ready() == Tri::True
    }
}

/// What a node is to a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// There is to be a pod.
    Run,
    /// A pod that is there may stay; none is made.
    KeepOnly(Reason),
    /// No pod may be there.
    Forbid(Reason),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The template names another node.
    OtherNode {
        /// The node it names.
        wanted: NodeName,
    },
    /// The node lacks a label of `nodeSelector`, or has another value.
    NodeSelector {
        /// The label.
        key: String,
        /// The value wanted.
        wanted: String,
        /// The value there.
        found: Option<String>,
    },
    /// No term of the required node affinity matches.
    Affinity,
    /// The node has a taint that the pods do not tolerate.
    Taint(Taint),
    /// There is no such node (any more).
    NoSuchNode,
}

impl Verdict {
    /// R42: (shouldRun, shouldContinue).
    #[must_use]
    pub fn flags(&self) -> (bool, bool) {
        match self {
            Self::Run => (true, true),
            Self::KeepOnly(_) => (false, true),
            Self::Forbid(_) => (false, false),
        }
    }

    /// There is to be a pod.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self, Self::Run)
    }

    /// Why not, if not.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Run => None,
            Self::KeepOnly(reason) | Self::Forbid(reason) => Some(reason),
        }
    }
}

/// A toleration that every pod of every set has (R47).
pub struct Automatic {
    /// The taint's key.
    pub key: &'static str,
    /// The taint's effect.
    pub effect: Effect,
    /// Only for pods on the host's network.
    pub host_network_only: bool,
}

impl Automatic {
    /// Whether pods with this `hostNetwork` get it.
    #[must_use]
    pub fn applies(&self, host_network: bool) -> bool {
        host_network || !self.host_network_only
    }

    /// As a toleration; its operator is `Exists`.
    #[must_use]
    pub fn toleration(&self) -> Toleration {
        Toleration {
            key: self.key.to_owned(),
            operator: TolerationOperator::Exists,
            value: String::new(),
            effect: Some(self.effect),
            seconds: None,
        }
    }
}

const fn always(key: &'static str, effect: Effect) -> Automatic {
    Automatic { key, effect, host_network_only: false }
}

/// R47, in the order in which they are appended.
pub const AUTOMATIC: &[Automatic] = &[
    always("node.kubernetes.io/not-ready", Effect::NoExecute),
    always("node.kubernetes.io/unreachable", Effect::NoExecute),
    always("node.kubernetes.io/disk-pressure", Effect::NoSchedule),
    always("node.kubernetes.io/memory-pressure", Effect::NoSchedule),
    always("node.kubernetes.io/pid-pressure", Effect::NoSchedule),
    always("node.kubernetes.io/unschedulable", Effect::NoSchedule),
    Automatic { key: "node.kubernetes.io/network-unavailable", effect: Effect::NoSchedule, host_network_only: true },
];

/// What judging needs of a template, made once: the automatic tolerations are merged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    node_name: Option<NodeName>,
    node_selector: Labels,
    required: Option<crate::selector::NodeSelector>,
    tolerations: Vec<Toleration>,
}

impl Rules {
    /// The rules of a template.
    #[must_use]
    pub fn new(template: &Template) -> Self {
        Self {
            node_name: template.node_name.clone(),
            node_selector: template.node_selector.clone(),
            required: template.required.clone(),
            tolerations: effective_tolerations(template),
        }
    }

    /// R42: the first failing rule decides.
    #[must_use]
    pub fn judge(&self, node: &Node) -> Verdict {
        self.judge_site(node)
    }

    /// The same of whatever is kept of a node.
    pub(crate) fn judge_site(&self, node: &impl Site) -> Verdict {
        let forbidden = self
            .wrong_node(node)
            .or_else(|| self.wrong_labels(node))
            .or_else(|| self.wrong_affinity(node))
            .or_else(|| self.taint(node, Effect::NoExecute));
        match forbidden {
            Some(reason) => Verdict::Forbid(reason),
            None => self.taint(node, Effect::NoSchedule).map_or(Verdict::Run, Verdict::KeepOnly),
        }
    }

    /// R42: (shouldRun, shouldContinue), as [`Rules::judge`] has it but without the reason, which costs more than the answer.
    #[must_use]
    pub(crate) fn flags(&self, node: &impl Site) -> (bool, bool) {
        let has = |effect| untolerated(node.taints(), &self.tolerations, &[effect]).is_some();
        let continues = self.node_name.as_ref().is_none_or(|wanted| wanted == node.name())
            && node_selector_matches(&self.node_selector, node.labels())
            && self.required.as_ref().is_none_or(|required| required.matches(node.name(), node.labels()))
            && !has(Effect::NoExecute);
        (continues && !has(Effect::NoSchedule), continues)
    }

    fn wrong_node(&self, node: &impl Site) -> Option<Reason> {
        let wanted = self.node_name.as_ref()?;
        (wanted != node.name()).then(|| Reason::OtherNode { wanted: wanted.clone() })
    }

    fn wrong_labels(&self, node: &impl Site) -> Option<Reason> {
        let labels = node.labels();
        if node_selector_matches(&self.node_selector, labels) {
            return None;
        }
        let (key, wanted) = self.node_selector.iter().find(|(key, value)| labels.label(key) != Some(value.as_str()))?;
        Some(Reason::NodeSelector {
            key: key.clone(),
            wanted: wanted.clone(),
            found: labels.label(key).map(str::to_owned),
        })
    }

    fn wrong_affinity(&self, node: &impl Site) -> Option<Reason> {
        let required = self.required.as_ref()?;
        (!required.matches(node.name(), node.labels())).then_some(Reason::Affinity)
    }

    fn taint(&self, node: &impl Site, effect: Effect) -> Option<Reason> {
        untolerated(node.taints(), &self.tolerations, &[effect]).cloned().map(Reason::Taint)
    }
}

/// R47, R48: the template's tolerations with the automatic ones merged in.
#[must_use]
pub fn effective_tolerations(template: &Template) -> Vec<Toleration> {
    let mut tolerations = template.tolerations.clone();
    for automatic in AUTOMATIC.iter().filter(|automatic| automatic.applies(template.host_network)) {
        let new = automatic.toleration();
        let same = |old: &Toleration| {
            (&old.key, old.effect, old.operator, &old.value) == (&new.key, new.effect, new.operator, &new.value)
        };
        match tolerations.iter_mut().find(|old| same(old)) {
            Some(slot) => *slot = new,
            None => tolerations.push(new),
        }
    }
    tolerations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::mk;
    use crate::selector::{NodeOperator, NodeRequirement, NodeSelector, NodeTerm};

    /// The answer without the reason is the answer.
    #[test]
    fn flags_are_those_of_the_verdict() {
        let mut template = mk::template(1);
        template.node_selector = mk::labels("pool=x");
        let mut pinned = template.clone();
        pinned.node_name = Some("other".into());
        for (template, labels, taints) in [
            (&template, "pool=x", &[][..]),
            (&template, "pool=y", &[]),
            (&template, "pool=x", &["gpu:NoSchedule"]),
            (&template, "pool=x", &["down:NoExecute"]),
            (&template, "pool=x", &["gpu:NoSchedule", "down:NoExecute"]),
            (&template, "pool=x", &["node.kubernetes.io/unschedulable:NoSchedule"]),
            (&pinned, "pool=x", &[]),
        ] {
            let mut node = mk::node("n");
            node.labels = mk::labels(labels);
            node.taints = taints.iter().map(|taint| mk::taint(taint)).collect();
            let rules = Rules::new(template);
            assert_eq!(rules.flags(&node), rules.judge(&node).flags(), "{labels} {taints:?}");
        }
    }

    /// T39–T47, R42–R44: what is judged of a node, and what is not.
    #[test]
    fn t39_to_t47_the_predicate() {
        let template = |edit: &dyn Fn(&mut Template)| {
            let mut template = mk::template(1);
            edit(&mut template);
            Rules::new(&template)
        };
        let affinity = |values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let requirement = NodeRequirement { key: "type".into(), operator: NodeOperator::In, values };
            let term = NodeTerm { expressions: vec![requirement], fields: vec![] };
            Some(NodeSelector { terms: vec![term] })
        };
        let mut node = mk::node("n0");
        node.labels = mk::labels("type=production");
        let mut cordoned = node.clone();
        cordoned.unschedulable = true;
        for (case, rules, node, expect) in [
            // Neither requests nor ports are in a template as decisions see it: T40, T42, T43 and T44 are the plain case.
            ("T39, T40, T42, T43, T44: plain", template(&|_| {}), &node, (true, true)),
            ("T41: another node", template(&|t| t.node_name = Some("n1".into())), &node, (false, false)),
            ("T41: this node", template(&|t| t.node_name = Some("n0".into())), &node, (true, true)),
            ("T45: no such label", template(&|t| t.node_selector = mk::labels("type=test")), &node, (false, false)),
            ("T45: its label", template(&|t| t.node_selector = mk::labels("type=production")), &node, (true, true)),
            ("T46: no term matches", template(&|t| t.required = affinity(&["test"])), &node, (false, false)),
            ("T46: one matches", template(&|t| t.required = affinity(&["production", "x"])), &node, (true, true)),
            ("T47: cordoned", template(&|_| {}), &cordoned, (true, true)),
        ] {
            assert_eq!((rules.judge(node).flags(), rules.flags(node)), (expect, expect), "{case}");
        }
    }
}
