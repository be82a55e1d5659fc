//! Node affinity (R44): an OR of terms, each an AND of expressions on labels and on the node's name.

use crate::model::{Labels, NodeName};

/// Something with labels.
pub trait Labelled {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labelled for Labels {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// How an expression on a node compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeOperator {
    /// One of the values.
    In,
    /// Absent, or none of the values.
    NotIn,
    /// There.
    Exists,
    /// Absent.
    DoesNotExist,
    /// There, and as a number greater than the one value.
    Gt,
    /// There, and as a number less than the one value.
    Lt,
    /// Not an operator: the term cannot be used.
    Unknown,
}

/// One expression on a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeRequirement {
    /// The label's key.
    pub key: String,
    /// How to compare.
    pub operator: NodeOperator,
    /// With what.
    pub values: Vec<String>,
}

/// One expression on a field; only `metadata.name` is known.
pub type FieldRequirement = NodeRequirement;

/// One term: all of its expressions and fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeTerm {
    /// `matchExpressions`
    pub expressions: Vec<NodeRequirement>,
    /// `matchFields`
    pub fields: Vec<FieldRequirement>,
}

/// Any of its terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeSelector {
    /// `nodeSelectorTerms`
    pub terms: Vec<NodeTerm>,
}

impl NodeRequirement {
    /// `None` when the expression cannot be used.
    fn holds(&self, value: Option<&str>) -> Option<bool> {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            NodeOperator::In if !self.values.is_empty() => Some(value.is_some_and(listed)),
            NodeOperator::NotIn if !self.values.is_empty() => Some(!value.is_some_and(listed)),
            NodeOperator::Exists if self.values.is_empty() => Some(value.is_some()),
            NodeOperator::DoesNotExist if self.values.is_empty() => Some(value.is_none()),
            NodeOperator::Gt | NodeOperator::Lt => {
                let [bound] = &self.values[..] else {
                    return None;
                };
                let bound: i64 = bound.parse().ok()?;
                let Some(value) = value.and_then(|v| v.parse::<i64>().ok()) else {
                    return Some(false);
                };
                Some(if self.operator == NodeOperator::Gt { value > bound } else { value < bound })
            }
            _ => None,
        }
    }

    /// `matchFields` knows `In` and `NotIn` with exactly one value, and only the node's name.
    fn field_holds(&self, name: &str) -> Option<bool> {
        let ([value], "metadata.name") = (&self.values[..], self.key.as_str()) else {
            return None;
        };
        match self.operator {
            NodeOperator::In => Some(value == name),
            NodeOperator::NotIn => Some(value != name),
            _ => None,
        }
    }
}

impl NodeTerm {
    fn matches(&self, name: &NodeName, labels: &impl Labelled) -> bool {
        if self.expressions.is_empty() && self.fields.is_empty() {
            return false;
        }
        // One unusable expression makes the whole term unusable, whatever the others say.
        let mut all = true;
        for expression in &self.expressions {
            match expression.holds(labels.label(&expression.key)) {
                Some(holds) => all &= holds,
                None => return false,
            }
        }
        for field in &self.fields {
            match field.field_holds(name.as_str()) {
                Some(holds) => all &= holds,
                None => return false,
            }
        }
        all
    }
}

impl NodeSelector {
    /// True when one usable term matches; no usable term matches nothing.
    #[must_use]
    pub fn matches(&self, name: &NodeName, labels: &impl Labelled) -> bool {
        self.terms.iter().any(|term| term.matches(name, labels))
    }
}

/// `nodeSelector`: all equalities hold.
#[must_use]
pub fn node_selector_matches(wanted: &Labels, labels: &impl Labelled) -> bool {
    wanted.iter().all(|(key, value)| labels.label(key) == Some(value.as_str()))
}
