//! Why a runtime call failed, in words that can be shown in an Event or a container status.

use std::time::Duration;

use super::{ContainerId, SandboxId};

/// A failed runtime call.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no such sandbox, container or image.
    #[error("{kind} {id} does not exist")]
    NotFound {
        /// `sandbox`, `container` or `image`.
        kind: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The image reference cannot be parsed (reason `InvalidImageName`, N159).
    #[error("couldn't parse image name {reference:?}: {problem}")]
    InvalidImageName {
        /// The reference as given.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An image could not be pulled (reason `ErrImagePull` or `RegistryUnavailable`, N165).
    #[error("failed to pull image {reference:?}: {message}")]
    PullImage {
        /// The reference as given.
        reference: String,
        /// Which kind of failure.
        failure: PullFailure,
        /// The words of the registry or of the failing step.
        message: String,
    },
    /// The sandbox could not be made.
    #[error("failed to create sandbox for pod {pod:?}: {message}")]
    RunSandbox {
        /// `namespace/name` of the pod.
        pod: String,
        /// What went wrong.
        message: String,
    },
    /// The container could not be prepared (reason `CreateContainerError`).
    #[error("failed to create container {name:?}: {message}")]
    CreateContainer {
        /// Name of the container in its pod.
        name: String,
        /// What went wrong.
        message: String,
    },
    /// The container could not be started (reason `RunContainerError`; the container is `Exited` 128 `StartError`).
    #[error("failed to start container {id}: {message}")]
    StartContainer {
        /// The container.
        id: ContainerId,
        /// What went wrong, for example `exec: "x": executable file not found in $PATH`.
        message: String,
    },
    /// A command could not be started in a container.
    #[error("failed to exec in container {id}: {message}")]
    Exec {
        /// The container.
        id: ContainerId,
        /// What went wrong.
        message: String,
    },
    /// A command did not finish in time and was killed.
    #[error("command {command:?} timed out after {}", crate::runtime::error::seconds(.timeout))]
    ExecTimeout {
        /// The command.
        command: Vec<String>,
        /// The limit.
        timeout: Duration,
    },
    /// The call needs a running container.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: ContainerId,
    },
    /// The sandbox is not ready any more; a new one is needed.
    #[error("sandbox {id} is not ready")]
    SandboxNotReady {
        /// The sandbox.
        id: SandboxId,
    },
    /// The machine does not allow what is asked (no root, no cgroups, …); the text names the mend.
    #[error("{0}")]
    Unsupported(String),
    /// Reading or writing the runtime's own files, or another act named in `act`, failed.
    #[error("cannot {act}")]
    Io {
        /// The failed act with its object.
        act: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Which kind of failure ended a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFailure {
    /// The registry says that there is no such image or tag.
    NotFound,
    /// The registry wants (other) credentials.
    Unauthorized,
    /// The registry cannot be reached (reason `RegistryUnavailable`).
    Unreachable,
    /// The content is broken: wrong digest, unsafe path, unknown format.
    Corrupt,
    /// Anything else (disk full, …).
    Other,
}

impl RuntimeError {
    /// True when the object asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(crate) fn io(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let act = act.into();
        move |source| Self::Io { act, source }
    }
}

fn seconds(d: &Duration) -> String {
    if d.subsec_millis() == 0 { format!("{}s", d.as_secs()) } else { format!("{}ms", d.as_millis()) }
}
