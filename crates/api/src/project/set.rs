//! DaemonSet.

use std::collections::BTreeMap;

use everynode_core::model::{NodeName, Set, Status, Strategy, Template};
use serde::Deserialize;
use serde_json::Value;

use super::ProjectError;
use super::amount::int_or_percent;
use super::meta::{Meta, nullable};
use super::scheduling::{WireAffinity, WireToleration};
use super::selector::WireLabelSelector;
use crate::daemonset::{dump, revision_data};

/// The annotation that carries the template's generation (R7).
const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireSet {
    metadata: Meta,
    spec: WireSpec,
    status: WireStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    selector: Option<WireLabelSelector>,
    update_strategy: WireStrategy,
    min_ready_seconds: i32,
    revision_history_limit: Option<i32>,
    template: WireTemplate,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireStrategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<WireRolling>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireRolling {
    max_unavailable: Option<Value>,
    max_surge: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireTemplate {
    spec: WirePodSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WirePodSpec {
    node_name: String,
    #[serde(deserialize_with = "nullable")]
    node_selector: BTreeMap<String, String>,
    affinity: Option<WireAffinity>,
    #[serde(deserialize_with = "nullable")]
    tolerations: Vec<WireToleration>,
    host_network: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireStatus {
    current_number_scheduled: i32,
    number_misscheduled: i32,
    desired_number_scheduled: i32,
    number_ready: i32,
    updated_number_scheduled: i32,
    number_available: i32,
    number_unavailable: i32,
    observed_generation: i64,
    collision_count: Option<i32>,
}

fn strategy(wire: &WireStrategy) -> Strategy {
    // R98: no block means both are 0; a missing maxUnavailable inside a block is upstream's error, here the default 1.
    match (wire.kind.as_str(), &wire.rolling_update) {
        ("OnDelete", _) => Strategy::OnDelete,
        (_, rolling) => Strategy::RollingUpdate {
            max_unavailable: rolling.as_ref().and_then(|r| r.max_unavailable.as_ref()).map(int_or_percent),
            max_surge: rolling.as_ref().and_then(|r| r.max_surge.as_ref()).map(int_or_percent),
        },
    }
}

pub(super) fn project(object: &Value) -> Result<Set, ProjectError> {
    let kind = "DaemonSet";
    let wire = WireSet::deserialize(object).map_err(|source| ProjectError::Read { kind, source })?;
    let template = &object["spec"]["template"];
    let annotation = &object["metadata"]["annotations"][GENERATION_ANNOTATION];
    let pod = wire.spec.template.spec;
    let status = wire.status;
    Ok(Set {
        key: wire.metadata.key(kind)?,
        uid: wire.metadata.uid(),
        version: wire.metadata.version(),
        created: wire.metadata.created(),
        generation: wire.metadata.generation,
        terminating: wire.metadata.deletion().is_some(),
        template_generation: annotation.as_str().and_then(|text| text.parse().ok()),
        selector: wire.spec.selector.map(WireLabelSelector::project),
        strategy: strategy(&wire.spec.update_strategy),
        min_ready_seconds: wire.spec.min_ready_seconds,
        history_limit: wire.spec.revision_history_limit.unwrap_or(10),
        template: Template {
            data: revision_data(template).into(),
            sum: everynode_core::daemonset::history::sum(dump(template).as_bytes()),
            node_name: (!pod.node_name.is_empty()).then(|| NodeName::from(pod.node_name)),
            node_selector: pod.node_selector,
            required: pod.affinity.and_then(WireAffinity::required),
            tolerations: pod.tolerations.into_iter().map(WireToleration::project).collect(),
            host_network: pod.host_network,
        },
        status: Status {
            current: status.current_number_scheduled,
            misscheduled: status.number_misscheduled,
            desired: status.desired_number_scheduled,
            ready: status.number_ready,
            updated: status.updated_number_scheduled,
            available: status.number_available,
            unavailable: status.number_unavailable,
            observed_generation: status.observed_generation,
        },
        collision_count: status.collision_count,
    })
}
