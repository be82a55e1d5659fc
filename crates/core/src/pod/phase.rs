//! Where a pod is in its life, as its status tells.

/// The phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Accepted, not all of it has started.
    Pending,
    /// At least one container runs or will run again.
    Running,
    /// All ended well and for good.
    Succeeded,
    /// All ended, one of them badly.
    Failed,
}

impl Phase {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// Nothing follows it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
