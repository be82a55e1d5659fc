//! What an act came to, in the words of the machine: ends of containers, and errors with their causes.

use everynode_core::pod::Termination;

use super::millis;
use crate::runtime::{ContainerState, ContainerStatus};

/// The end of a container in the machine's words; `None` while it has not ended.
pub(super) fn termination(scheme: &str, status: &ContainerStatus, message: String) -> Option<Termination> {
    let ContainerState::Exited { exit_code, started_at, finished_at, reason, message: runtime_message } = &status.state
    else {
        return None;
    };
    // What the container left is appended to what the runtime says (N287).
    let message = [runtime_message.as_str(), &message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    Some(Termination {
        id: format!("{scheme}://{}", status.id),
        exit_code: *exit_code,
        reason: reason.clone(),
        message: message.join(": "),
        started_at: started_at.map(millis),
        finished_at: Some(millis(*finished_at)),
    })
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
