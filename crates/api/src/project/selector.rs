//! Label selectors as they stand in objects.

use std::collections::BTreeMap;

use everynode_core::selector::{LabelSelector, Operator, Requirement};
use serde::Deserialize;

use super::meta::nullable;

/// A label selector as it stands in objects.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct WireLabelSelector {
    #[serde(deserialize_with = "nullable")]
    match_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    match_expressions: Vec<WireRequirement>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireRequirement {
    key: String,
    operator: String,
    #[serde(deserialize_with = "nullable")]
    values: Vec<String>,
}

impl WireLabelSelector {
    /// What decisions read of it.
    pub fn project(self) -> LabelSelector {
        let requirement = |wire: WireRequirement| Requirement {
            key: wire.key,
            operator: match wire.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => Operator::Unknown,
            },
            values: wire.values,
        };
        let expressions = self.match_expressions.into_iter().map(requirement).collect();
        LabelSelector { labels: self.match_labels, expressions }
    }
}
