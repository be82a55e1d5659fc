//! The words between the machine and its shell.

use super::spec::Spec;
use crate::model::Millis;

/// How an instance ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termination {
    /// The runtime's id of the instance, with its scheme; empty when it never had one.
    pub id: String,
    /// Exit code, 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`…
    pub reason: String,
    /// Termination message.
    pub message: String,
    /// When it started, if it did.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Option<Millis>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time: the moment of [`super::Machine::wake_at`] came.
    Tick,
    /// The API has a new specification (same uid).
    Spec(Spec),
    /// The API reports these readiness gates as true.
    Gates(Vec<String>),
    /// The pod is to go: deleted in the API, or gone from it (`object_gone`), with so many seconds left for its containers.
    Delete {
        /// Seconds from the stop signal to the kill.
        grace_seconds: u32,
        /// The object does not exist any more.
        object_gone: bool,
    },
    /// The pod is to fail now, for a reason of the node: evicted, preempted.
    Fail {
        /// What the status says afterwards.
        verdict: super::Verdict,
        /// Seconds from the stop signal to the kill.
        grace_seconds: u32,
    },
    /// All volumes are in place.
    VolumesReady,
    /// A volume could not be made; the shell has told so in an event.
    VolumesFailed,
    /// The sandbox runs.
    SandboxReady,
    /// The sandbox could not be made.
    SandboxFailed {
        /// Why.
        message: String,
    },
    /// A sandbox that ran is gone.
    SandboxLost,
    /// A container runs and its postStart hook is over.
    ContainerStarted {
        /// Which.
        container: String,
        /// What runs.
        started: Started,
    },
    /// A container could not be started, or its start was cancelled.
    StartFailed {
        /// Which.
        container: String,
        /// Why.
        error: StartError,
    },
    /// A container's process ended.
    ContainerExited {
        /// Which.
        container: String,
        /// How.
        termination: Termination,
    },
    /// A container could not be stopped.
    StopFailed {
        /// Which.
        container: String,
        /// Why.
        message: String,
    },
    /// A probe was run.
    Probed {
        /// Which container.
        container: String,
        /// Which instance of it; answers about a former one are ignored.
        id: String,
        /// Which probe.
        kind: ProbeKind,
        /// What it said.
        outcome: Outcome,
    },
    /// The sandbox is gone, as asked.
    SandboxStopped,
    /// Volumes, cgroup and directories are released, as asked.
    Cleaned,
}

/// An instance of a container that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// The runtime's id of it, with its scheme.
    pub id: String,
    /// Image as the runtime names it.
    pub image: String,
    /// Digest of the image.
    pub image_id: String,
    /// How many instances came before it.
    pub attempt: u32,
    /// Since when it runs.
    pub started_at: crate::model::Millis,
}

/// Why a container did not start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartError {
    /// One word, shown as waiting reason: `ErrImagePull`, `CreateContainerConfigError`, `RunContainerError`…
    pub reason: String,
    /// The long form.
    pub message: String,
    /// An instance that was made nevertheless, and how it ended.
    pub ended: Option<(Started, Termination)>,
    /// The start was called off by [`Effect::CancelStart`].
    pub cancelled: bool,
}

/// What the shell shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make all volumes.
    PrepareVolumes,
    /// Make the sandbox.
    CreateSandbox {
        /// How many came before it.
        attempt: u32,
    },
    /// Get the image, make the container, start it, run its postStart hook.
    StartContainer {
        /// Which.
        container: String,
        /// Its restart count.
        attempt: u32,
    },
    /// Call a start off as soon as it can be.
    CancelStart {
        /// Which.
        container: String,
    },
    /// Run preStop, send the stop signal, kill after the grace.
    StopContainer {
        /// Which.
        container: String,
        /// Which instance.
        id: String,
        /// Seconds for hook and process together.
        grace_seconds: u32,
        /// Why, for the event.
        why: Why,
    },
    /// Run a probe once.
    RunProbe {
        /// Which container.
        container: String,
        /// Which instance.
        id: String,
        /// Which probe.
        kind: ProbeKind,
    },
    /// Take the sandbox down, and any process left in it.
    StopSandbox,
    /// Release volumes, cgroup, directories.
    Clean,
    /// The last word is said: delete the API object with grace 0 (N268).
    DeleteObject,
    /// Tell an event.
    Event {
        /// The container it is about.
        container: Option<String>,
        /// Warning or Normal.
        warning: bool,
        /// One word.
        reason: &'static str,
        /// The text.
        message: String,
    },
}

/// Why a running container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The pod goes.
    PodGoes,
    /// Its liveness probe failed.
    Liveness,
    /// Its startup probe failed.
    Startup,
    /// Its image changed.
    Changed,
    /// Its sandbox was lost.
    SandboxLost,
}

impl Why {
    /// The text of the `Killing` event (N101, N265).
    pub fn message(self, container: &str) -> String {
        match self {
            Self::PodGoes | Self::SandboxLost => format!("Stopping container {container}"),
            Self::Liveness => {
                format!("Container {container} failed liveness probe, will be restarted")
            }
            Self::Startup => {
                format!("Container {container} failed startup probe, will be restarted")
            }
            Self::Changed => {
                format!("Container {container} definition changed, will be restarted")
            }
        }
    }
}

/// One of the three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Has it started?
    Startup,
    /// Is it alive?
    Liveness,
    /// Does it want traffic?
    Readiness,
}

impl ProbeKind {
    /// As events begin.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// What one run of a probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Fine.
    Success,
    /// Fine, with a remark.
    Warning(String),
    /// Not fine.
    Failure(String),
    /// It could not be asked; says nothing about the container.
    Error(String),
}
