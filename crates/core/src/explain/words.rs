//! Parts of speech: reasons, steps, spans, counts.

use std::fmt;

use crate::daemonset::Charged;
use crate::daemonset::eligibility::{Reason, Verdict};
use crate::daemonset::plan::{CreateWhy, DeleteWhy, Problem, Step};
use crate::model::{IntOrPercent, Key, Millis, NodeName};

/// A span as people say it: `7 s`, `3 min 10 s`, `2 h 5 min`, `3 d 4 h`; parts of seconds round up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Millis);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.0.max(0).saturating_add(999) / 1000;
        let two = |f: &mut fmt::Formatter<'_>, (a, unit): (i64, &str), (b, small): (i64, &str)| {
            if b == 0 { write!(f, "{a} {unit}") } else { write!(f, "{a} {unit} {b} {small}") }
        };
        match (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60) {
            (0, 0, 0, s) => write!(f, "{s} s"),
            (0, 0, m, s) => two(f, (m, "min"), (s, "s")),
            (0, h, m, _) => two(f, (h, "h"), (m, "min")),
            (d, h, _, _) => two(f, (d, "d"), (h, "h")),
        }
    }
}

/// `7`, `10,000`; less than nothing is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub i64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.max(0).to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `1 node`, `2 nodes`, `10,000 nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a>(pub usize, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = Number(i64::try_from(self.0).unwrap_or(i64::MAX));
        write!(f, "{number} {}{}", self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// How much of somebody's message is told in a line.
pub const MESSAGE_MAX: usize = 160;

/// The first line of a text, cut where it gets too long for a line.
#[must_use]
pub fn brief(text: &str) -> String {
    cut(text, MESSAGE_MAX)
}

/// The first line of a text, so many characters of it.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

impl Verdict {
    /// `run`, `keep` or `no`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::KeepOnly(_) => "keep",
            Self::Forbid(_) => "no",
        }
    }

    /// Is this node to have a pod of that set? As a sentence.
    #[must_use]
    pub fn sentence(&self, node: &NodeName, set: &Key) -> String {
        match self {
            Self::Run => format!("{node} is to have a pod of {set}"),
            Self::KeepOnly(_) => format!("{node} gets no new pod of {set}; one that is there may stay"),
            Self::Forbid(_) => format!("{node} is to have no pod of {set}"),
        }
    }
}

impl Reason {
    /// The rule that fails, by a name that does not change.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::OtherNode { .. } => "NodeName",
            Self::NodeSelector { .. } => "NodeSelector",
            Self::Affinity => "NodeAffinity",
            Self::Taint(_) => "Taint",
            Self::NoSuchNode => "NoSuchNode",
        }
    }

    /// Without what differs from node to node.
    pub(super) fn in_general(&self) -> String {
        match self {
            Self::NodeSelector { key, wanted, .. } => format!("nodeSelector wants {key}={wanted}"),
            other => other.to_string(),
        }
    }

    /// What to do so that the node gets a pod.
    #[must_use]
    pub fn mend(&self, node: &NodeName) -> String {
        match self {
            Self::OtherNode { .. } => "take nodeName out of spec.template.spec".to_owned(),
            Self::NodeSelector { key, wanted, found: None } => format!("kubectl label node {node} {key}={wanted}"),
            Self::NodeSelector { key, wanted, found: Some(_) } => {
                format!("kubectl label node {node} {key}={wanted} --overwrite")
            }
            Self::Affinity => {
                format!("compare spec.template.spec.affinity with `kubectl get node {node} --show-labels`")
            }
            Self::Taint(taint) => format!(
                "tolerate it in spec.template.spec.tolerations, or: kubectl taint node {node} {}:{}-",
                taint.key,
                taint.effect.as_str()
            ),
            Self::NoSuchNode => "nothing: the pod goes with the node".to_owned(),
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

impl fmt::Display for CreateWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a pod is made",
            Self::Surge => "a new pod is made beside the outdated one",
            Self::Rescue => "a new pod is made beside the outdated one, which is of no use",
        })
    }
}

impl fmt::Display for DeleteWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "it failed",
            Self::Succeeded => "it ended",
            Self::Duplicate => "another one on the node is kept",
            Self::Forbidden => "the node may have none",
            Self::NoSuchNode => "its node is not there",
            Self::OutdatedBroken => "it is outdated and not available",
            Self::Outdated => "it is outdated",
            Self::Replaced => "its successor is available",
            Self::Sunset => "it is outdated and the node may get no new one",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { why, .. } => why.fmt(f),
            Self::Delete { why, .. } => write!(f, "the pod goes: {why}"),
            Self::Adopt(pod) => write!(f, "the pod {} is adopted", pod.name),
            Self::Release(pod) => write!(f, "the pod {} is let go: its labels no longer match", pod.name),
            Self::AdoptRevision(revision) => write!(f, "the revision {} is adopted", revision.name),
            Self::ReleaseRevision(revision) => {
                write!(f, "the revision {} is let go: its labels no longer match", revision.name)
            }
            Self::LabelRevision(revision) => write!(f, "the revision {} is labelled with its hash", revision.name),
            Self::CreateRevision { number, .. } => write!(f, "the template is recorded as revision {number}"),
            Self::RenumberRevision { revision, number, .. } => {
                write!(f, "the revision {} is the present one again, as number {number}", revision.name)
            }
            Self::Relabel { pod, hash } => write!(f, "the pod {} is labelled with the hash {hash}", pod.name),
            Self::DeleteRevision(revision) => write!(f, "the revision {} is forgotten", revision.name),
        }
    }
}

impl Charged {
    /// `node`, `revision` or `unknown`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Revision => "revision",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "the node answers for it",
            Self::Revision => "the revision answers for it",
            Self::Unknown => "nobody is known to answer for it",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadBudget => "nothing is updated: maxUnavailable or maxSurge cannot be read",
        })
    }
}

/// As the manifest writes it.
#[must_use]
pub fn written(value: Option<IntOrPercent>) -> String {
    match value {
        Some(IntOrPercent::Int(number)) => number.to_string(),
        Some(IntOrPercent::Percent(percent)) => format!("{percent}%"),
        Some(IntOrPercent::Invalid) => "unreadable".to_owned(),
        None => "unset".to_owned(),
    }
}
