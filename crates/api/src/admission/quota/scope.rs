//! Scopes: which pods a quota is about.

use serde_json::Value;

use super::super::{items, text};
use super::cost::PodTraits;

/// One scope, or one expression of the scope selector. All of a quota's must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    scope: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// All scopes of a quota's spec.
pub(super) fn requirements(spec: &Value) -> Vec<Requirement> {
    let plain = items(spec, "scopes").filter_map(Value::as_str).map(|scope| Requirement {
        scope: scope.to_owned(),
        operator: Operator::Exists,
        values: Vec::new(),
    });
    let selected = spec.get("scopeSelector").into_iter().flat_map(|selector| items(selector, "matchExpressions"));
    let selected = selected.map(|expression| Requirement {
        scope: text(expression, "scopeName").to_owned(),
        operator: match text(expression, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => Operator::Exists,
        },
        values: items(expression, "values").filter_map(Value::as_str).map(str::to_owned).collect(),
    });
    plain.chain(selected).collect()
}

impl Requirement {
    pub(super) fn holds(&self, pod: &PodTraits) -> bool {
        match self.scope.as_str() {
            "Terminating" => pod.has_deadline,
            "NotTerminating" => !pod.has_deadline,
            "BestEffort" => pod.is_best_effort,
            "NotBestEffort" => !pod.is_best_effort,
            "CrossNamespacePodAffinity" => pod.looks_abroad,
            "PriorityClass" => self.selects(&pod.priority_class),
            _ => false,
        }
    }

    fn selects(&self, class: &str) -> bool {
        let is_named = self.values.iter().any(|value| value == class);
        match self.operator {
            Operator::Exists => !class.is_empty(),
            Operator::DoesNotExist => class.is_empty(),
            Operator::In => !class.is_empty() && is_named,
            // As for labels: what has none is in no list.
            Operator::NotIn => class.is_empty() || !is_named,
        }
    }
}
