//! Affinity, tolerations and resources, as pods and templates carry them.

use std::collections::BTreeMap;

use everynode_core::model::{NodeName, Pin};
use everynode_core::selector::{
    Effect, NodeOperator, NodeRequirement, NodeSelector, NodeTerm, Quantity, Resources, Taint, Toleration,
    TolerationOperator,
};
use serde::Deserialize;
use serde_json::Value;

use super::meta::{nullable, time};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireAffinity {
    node_affinity: Option<WireNodeAffinity>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireNodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<WireNodeSelector>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireNodeSelector {
    #[serde(deserialize_with = "nullable")]
    node_selector_terms: Vec<WireTerm>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireTerm {
    #[serde(deserialize_with = "nullable")]
    match_expressions: Vec<WireRequirement>,
    #[serde(deserialize_with = "nullable")]
    match_fields: Vec<WireRequirement>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireRequirement {
    key: String,
    operator: String,
    #[serde(deserialize_with = "nullable")]
    values: Vec<String>,
}

impl WireRequirement {
    fn project(self) -> NodeRequirement {
        let operator = match self.operator.as_str() {
            "In" => NodeOperator::In,
            "NotIn" => NodeOperator::NotIn,
            "Exists" => NodeOperator::Exists,
            "DoesNotExist" => NodeOperator::DoesNotExist,
            "Gt" => NodeOperator::Gt,
            "Lt" => NodeOperator::Lt,
            _ => NodeOperator::Unknown,
        };
        NodeRequirement { key: self.key, operator, values: self.values }
    }
}

impl WireAffinity {
    /// The required terms, when there are any to speak of.
    pub(super) fn required(self) -> Option<NodeSelector> {
        let terms = self.node_affinity?.required_during_scheduling_ignored_during_execution?.node_selector_terms;
        let project = |list: Vec<WireRequirement>| list.into_iter().map(WireRequirement::project).collect();
        let terms = terms
            .into_iter()
            .map(|term| NodeTerm { expressions: project(term.match_expressions), fields: project(term.match_fields) })
            .collect();
        Some(NodeSelector { terms })
    }
}

/// R54: the first `metadata.name In` field entry, scanning terms in order; and whether the selector is nothing but that.
pub(super) fn pin(required: &NodeSelector) -> (Pin, bool) {
    let first = required
        .terms
        .iter()
        .flat_map(|term| &term.fields)
        .find(|field| field.key == "metadata.name" && field.operator == NodeOperator::In);
    let Some(field) = first else {
        return (Pin::None, false);
    };
    let [name] = &field.values[..] else {
        return (Pin::Ambiguous, false);
    };
    let alone = matches!(&required.terms[..], [term] if term.expressions.is_empty() && term.fields.len() == 1);
    (Pin::To(NodeName::from(name.as_str())), alone)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireToleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
    toleration_seconds: Option<i64>,
}

impl WireToleration {
    pub(super) fn project(self) -> Toleration {
        let operator = match self.operator.as_str() {
            "" | "Equal" => TolerationOperator::Equal,
            "Exists" => TolerationOperator::Exists,
            _ => TolerationOperator::Unknown,
        };
        let effect = (!self.effect.is_empty()).then(|| Effect::parse(&self.effect));
        Toleration { key: self.key, operator, value: self.value, effect, seconds: self.toleration_seconds }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireTaint {
    key: String,
    value: String,
    effect: String,
    time_added: Option<String>,
}

impl WireTaint {
    pub(super) fn project(self) -> Taint {
        let added = time(self.time_added.as_deref());
        Taint { key: self.key, value: self.value, effect: Effect::parse(&self.effect), added }
    }
}

/// Amounts on the wire: text, or a bare number from a careless client.
pub(super) fn resources(wire: BTreeMap<String, Value>) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in wire {
        let quantity = match &amount {
            Value::String(text) => Quantity::parse(text),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => None,
        };
        if let Some(quantity) = quantity {
            resources.set(&name, quantity);
        }
    }
    resources
}
