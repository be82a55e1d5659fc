//! A DaemonSet as decisions see it: the *set*.

use std::sync::Arc;

use super::{Key, Labels, Millis, NodeName, Uid, Version};
use crate::selector::{LabelSelector, NodeSelector, Toleration};

/// A number, or a share of the desired number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// A number of nodes.
    Int(i32),
    /// Per cent of the desired number.
    Percent(i32),
    /// Text that is no percentage (R98: an error).
    Invalid,
}

/// `spec.updateStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Old pods stay until someone deletes them.
    OnDelete,
    /// Old pods are replaced within a budget. `None` where the field is absent.
    RollingUpdate {
        /// How many nodes may lack an available pod.
        max_unavailable: Option<IntOrPercent>,
        /// How many nodes may hold a second pod.
        max_surge: Option<IntOrPercent>,
    },
}

/// What decisions read of a pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The revision bytes (R80).
    pub data: Arc<[u8]>,
    /// State of the FNV-1a hash after the dump of the template (R88), before any collision count.
    pub sum: u32,
    /// `spec.nodeName`, when not empty.
    pub node_name: Option<NodeName>,
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Required node affinity.
    pub required: Option<NodeSelector>,
    /// Tolerations as written, without the automatic ones.
    pub tolerations: Vec<Toleration>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
}

/// `status` without conditions, which belong to others (R6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `currentNumberScheduled`
    pub current: i32,
    /// `numberMisscheduled`
    pub misscheduled: i32,
    /// `desiredNumberScheduled`
    pub desired: i32,
    /// `numberReady`
    pub ready: i32,
    /// `updatedNumberScheduled`
    pub updated: i32,
    /// `numberAvailable`
    pub available: i32,
    /// `numberUnavailable`
    pub unavailable: i32,
    /// `observedGeneration`
    pub observed_generation: i64,
}

/// A DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object read.
    pub version: Version,
    /// `creationTimestamp`.
    pub created: Millis,
    /// `metadata.generation`.
    pub generation: i64,
    /// Being deleted.
    pub terminating: bool,
    /// The annotation `deprecated.daemonset.template.generation`, when it is a number.
    pub template_generation: Option<i64>,
    /// `spec.selector`; `None` when absent, which selects nothing.
    pub selector: Option<LabelSelector>,
    /// `spec.updateStrategy`.
    pub strategy: Strategy,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: i32,
    /// `spec.revisionHistoryLimit`.
    pub history_limit: i32,
    /// What decisions read of the template.
    pub template: Template,
    /// `status`, as last seen.
    pub status: Status,
    /// `status.collisionCount`: absent and 0 differ (R88).
    pub collision_count: Option<i32>,
}
