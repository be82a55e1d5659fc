//! What the node's decisions read of a pod's specification.

/// One pod, as far as starting, probing, restarting and stopping it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `namespace/name`-like label used in texts: `NAME_NAMESPACE(UID)` as upstream prints it.
    pub label: String,
    /// The pod-level restart policy.
    pub restart: RestartPolicy,
    /// `terminationGracePeriodSeconds`.
    pub grace_seconds: u32,
    /// `activeDeadlineSeconds`.
    pub deadline_seconds: Option<u32>,
    /// Init containers (sidecars among them) in order, then app containers in order.
    pub containers: Vec<Container>,
    /// Condition types named by `readinessGates`.
    pub gates: Vec<String>,
}

/// One container of a [`Spec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: String,
    /// Where it stands in the life of the pod.
    pub kind: Kind,
    /// Image as the user wrote it; another image is another container (N149).
    pub image: String,
    /// A container-level restart policy (sidecars have `Always` by kind).
    pub restart: Option<RestartPolicy>,
    /// Startup probe.
    pub startup: Option<Probe>,
    /// Liveness probe.
    pub liveness: Option<Probe>,
    /// Readiness probe.
    pub readiness: Option<Probe>,
}

/// Where a container stands in the life of its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs to completion before what follows (N150).
    Init,
    /// Starts in the order of the init containers and stays (N153).
    Sidecar,
    /// The work itself.
    App,
}

/// When an exited container starts again (N142).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// Unless it exited with 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// Timing and thresholds of one probe (N245); how it asks is the shell's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Seconds from the container's start to the first run.
    pub initial_delay_seconds: u32,
    /// Seconds between runs.
    pub period_seconds: u32,
    /// Successes in a row that count.
    pub success_threshold: u32,
    /// Failures in a row that count.
    pub failure_threshold: u32,
    /// Grace of a kill caused by this probe (N264).
    pub grace_seconds: Option<u32>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            initial_delay_seconds: 0,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
            grace_seconds: None,
        }
    }
}

impl Container {
    /// The policy that decides about this container in a pod with policy `pod`.
    pub(super) fn policy(&self, pod: RestartPolicy) -> RestartPolicy {
        match (self.kind, self.restart, pod) {
            (Kind::Sidecar, ..) => RestartPolicy::Always,
            (_, Some(own), _) => own,
            // An init container that succeeded is done even in a pod that restarts always.
            (Kind::Init, None, RestartPolicy::Always) => RestartPolicy::OnFailure,
            (_, None, pod) => pod,
        }
    }
}

impl RestartPolicy {
    /// Whether a container that exited with this code starts again.
    pub(super) fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}
