//! Node.

use std::collections::BTreeMap;

use everynode_core::model::{Node, NodeCondition, NodeName, Tri};
use serde::Deserialize;
use serde_json::Value;

use super::ProjectError;
use super::meta::{Meta, nullable, time};
use super::scheduling::{WireTaint, resources};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WireNode {
    metadata: Meta,
    spec: WireSpec,
    status: WireStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireSpec {
    unschedulable: bool,
    #[serde(deserialize_with = "nullable")]
    taints: Vec<WireTaint>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireStatus {
    #[serde(deserialize_with = "nullable")]
    allocatable: BTreeMap<String, Value>,
    #[serde(deserialize_with = "nullable")]
    conditions: Vec<WireCondition>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    last_heartbeat_time: Option<String>,
    last_transition_time: Option<String>,
}

impl WireCondition {
    fn project(self) -> NodeCondition {
        let status = match self.status.as_str() {
            "True" => Tri::True,
            "False" => Tri::False,
            _ => Tri::Unknown,
        };
        NodeCondition {
            kind: self.kind.into(),
            status,
            reason: self.reason.into(),
            heartbeat: time(self.last_heartbeat_time.as_deref()),
            since: time(self.last_transition_time.as_deref()),
        }
    }
}

pub(super) fn project(mut wire: WireNode) -> Result<Node, ProjectError> {
    let key = wire.metadata.key("Node")?;
    Ok(Node {
        name: NodeName::from(key.name),
        uid: wire.metadata.uid(),
        version: wire.metadata.version(),
        created: wire.metadata.created(),
        labels: wire.metadata.take_labels(),
        taints: wire.spec.taints.into_iter().map(WireTaint::project).collect(),
        unschedulable: wire.spec.unschedulable,
        allocatable: resources(wire.status.allocatable),
        conditions: wire.status.conditions.into_iter().map(WireCondition::project).collect(),
    })
}
