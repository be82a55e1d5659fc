//! A node as decisions see it.

use std::sync::Arc;

use super::{Labels, Millis, NodeName, Uid, Version};
use crate::selector::{Resources, Taint};

/// A condition's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tri {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`, or anything else.
    #[default]
    Unknown,
}

/// One condition of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCondition {
    /// `Ready`, `MemoryPressure`, …
    pub kind: Arc<str>,
    /// Its status.
    pub status: Tri,
    /// `reason`.
    pub reason: Arc<str>,
    /// When the kubelet last wrote it.
    pub heartbeat: Option<Millis>,
    /// When its status last changed.
    pub since: Option<Millis>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Which incarnation of that name.
    pub uid: Uid,
    /// Version of the object read.
    pub version: Version,
    /// `creationTimestamp`.
    pub created: Millis,
    /// Its labels.
    pub labels: Labels,
    /// Its taints, in order.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable` (`kubectl cordon`).
    pub unschedulable: bool,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// `status.conditions`, in order.
    pub conditions: Vec<NodeCondition>,
}

impl Node {
    /// The condition of this kind.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&NodeCondition> {
        self.conditions.iter().find(|c| &*c.kind == kind)
    }

    /// The Ready condition's status; absent counts as Unknown.
    #[must_use]
    pub fn ready(&self) -> Tri {
        self.condition("Ready").map_or(Tri::Unknown, |c| c.status)
    }
}
