//! Label selectors as they stand in objects.

use std::collections::BTreeMap;

use everynode_core::selector::{LabelSelector, Operator, Requirement};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WireSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<WireRequirement>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireRequirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl From<WireSelector> for LabelSelector {
    fn from(wire: WireSelector) -> Self {
        let requirement = |wire: WireRequirement| Requirement {
            key: wire.key,
            operator: match wire.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => Operator::Unknown,
            },
            values: wire.values.unwrap_or_default(),
        };
        Self {
            labels: wire.match_labels.unwrap_or_default(),
            expressions: wire.match_expressions.unwrap_or_default().into_iter().map(requirement).collect(),
        }
    }
}
