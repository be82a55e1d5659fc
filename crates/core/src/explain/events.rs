//! What is told to users as events of a set (R116).
//!
//! Not here: how often an event is written (`everynode-control`), and the server's own words in a refusal.

use std::sync::Arc;

use crate::daemonset::plan::Remark;

/// An event in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Something should be looked at.
    pub is_warning: bool,
    /// The event's reason.
    pub reason: &'static str,
    /// The event's message.
    pub message: String,
}

/// The reason of an event about a pod that could not be made.
pub const FAILED_CREATE: &str = "FailedCreate";

fn normal(reason: &'static str, message: String) -> Said {
    Said { is_warning: false, reason, message }
}

fn warning(reason: &'static str, message: String) -> Said {
    Said { is_warning: true, reason, message }
}

/// A pod was made.
#[must_use]
pub fn created(pod: &str) -> Said {
    normal("SuccessfulCreate", format!("Created pod: {pod}"))
}

/// A pod could not be made.
#[must_use]
pub fn not_created(error: &str) -> Said {
    warning(FAILED_CREATE, format!("Error creating: {error}"))
}

/// A pod was asked to go.
#[must_use]
pub fn deleted(pod: &str) -> Said {
    normal("SuccessfulDelete", format!("Deleted pod: {pod}"))
}

/// A pod could not be asked to go.
#[must_use]
pub fn not_deleted(error: &str) -> Said {
    warning("FailedDelete", format!("Error deleting: {error}"))
}

/// What a plan remarks about a set of this namespace.
#[must_use]
pub fn remark(remark: &Remark, namespace: &Arc<str>) -> Said {
    let found = |what: &str, pod: &str, node: &str, end: &str| {
        format!("Found {what} daemon pod {namespace}/{pod} on node {node}, will try to {end} it")
    };
    match remark {
        Remark::SelectingAll => warning(
            "SelectingAll",
            "This daemon set is selecting all pods. A non-empty selector is required.".to_owned(),
        ),
        Remark::FailedPod { pod, node } => warning("FailedDaemonPod", found("failed", pod, node.as_str(), "kill")),
        Remark::SucceededPod { pod, node } => {
            normal("SucceededDaemonPod", found("succeeded", pod, node.as_str(), "delete"))
        }
    }
}
