//! A pod as decisions see it.

use std::sync::Arc;

use super::{Deletion, Key, Labels, Millis, NodeName, Owner, Uid, Version};
use crate::selector::{NodeSelector, Resources, Toleration};

/// The annotation on a pod that stands in for one that ended: how many have ended on its node, one after another. A first pod
/// has none.
pub const FAILURES_ANNOTATION: &str = "everynode.io/failed-attempts";

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not all containers have started; also when absent.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All ended well.
    Succeeded,
    /// All ended, one badly, or the node refused the pod.
    Failed,
    /// The node cannot be asked.
    Unknown,
}

/// The condition `Ready`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Status is `True`.
    pub is: bool,
    /// `lastTransitionTime`, when it is set.
    pub since: Option<Millis>,
}

/// The node that a pod's required affinity names (R54).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// No `matchFields` entry `metadata.name In …`.
    #[default]
    None,
    /// The first such entry names exactly this node.
    To(NodeName),
    /// The first such entry names none or several.
    Ambiguous,
}

/// A port that a pod takes on its node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// The address, empty or `0.0.0.0` for all.
    pub ip: Arc<str>,
    /// The port.
    pub port: i32,
}

/// What placing a pod on a node looks at. Equal for all pods of a template: the pin is kept apart, so it can be shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scheduling {
    /// `spec.schedulerName`.
    pub scheduler: String,
    /// `spec.priority`, 0 when absent.
    pub priority: i32,
    /// `spec.preemptionPolicy` is `Never`.
    pub never_preempts: bool,
    /// There is a scheduling gate.
    pub gated: bool,
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Required node affinity, unless it is nothing but the pin.
    pub required: Option<NodeSelector>,
    /// `spec.tolerations`, in order.
    pub tolerations: Vec<Toleration>,
    /// Effective requests: the sum over containers, or the largest init step, plus overhead.
    pub requests: Resources,
    /// Ports taken on the node.
    pub host_ports: Vec<HostPort>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object read.
    pub version: Version,
    /// `creationTimestamp`.
    pub created: Millis,
    /// Set while it is being deleted.
    pub deletion: Option<Deletion>,
    /// Its labels.
    pub labels: Labels,
    /// Its controller.
    pub owner: Option<Owner>,
    /// `spec.nodeName`.
    pub node: Option<NodeName>,
    /// The node its affinity names.
    pub pin: Pin,
    /// `status.phase`.
    pub phase: Phase,
    /// The condition `Ready`.
    pub ready: Ready,
    /// How many pods of its set had ended on its node when it was made ([`FAILURES_ANNOTATION`]).
    pub failures: u32,
    /// There are finalizers.
    pub finalized: bool,
    /// What placing it looks at; shared between equal pods.
    pub scheduling: Arc<Scheduling>,
}

impl Pod {
    /// R54: the node it runs on or is meant for; `None` when that cannot be told.
    #[must_use]
    pub fn target(&self) -> Option<&NodeName> {
        match (&self.node, &self.pin) {
            (Some(node), _) | (None, Pin::To(node)) => Some(node),
            (None, Pin::None | Pin::Ambiguous) => None,
        }
    }

    /// `deletionTimestamp` is set.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.deletion.is_some()
    }

    /// Failed or Succeeded.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }
}
