//! A machine for a pod that runs already: the agent restarted, its containers did not (N319, N320, N259).

use super::container::Instance;
use super::effect::{Started, Termination};
use super::machine::{Machine, Making};
use super::spec::Spec;
use crate::model::Millis;

/// What the runtime and the API still know of a pod.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// A sandbox that runs.
    pub sandbox_runs: bool,
    /// Number of the newest sandbox, running or not.
    pub sandbox_attempt: Option<u32>,
    /// All instances the runtime knows, in any order.
    pub containers: Vec<RecoveredContainer>,
}

/// One instance the runtime knows.
#[derive(Clone, Debug)]
pub struct RecoveredContainer {
    /// The container's name.
    pub name: String,
    /// The instance.
    pub started: Started,
    /// Whether and how it ended.
    pub state: RecoveredState,
    /// It belongs to the sandbox that runs.
    pub in_sandbox: bool,
    /// The API says that it was past its startup probe.
    pub was_started: bool,
    /// The API says that it wanted traffic.
    pub was_ready: bool,
}

/// Whether an instance runs.
#[derive(Clone, Debug)]
pub enum RecoveredState {
    /// It does.
    Running,
    /// It ended.
    Ended(Termination),
}

impl Machine {
    /// Takes over what runs; the first [`super::Input`] completes what is missing and leaves the rest alone.
    ///
    /// Volumes are made again, which is harmless where they exist.
    pub fn recovered(spec: Spec, mut found: Recovered, started_at: Millis, now: Millis) -> Self {
        let mut machine = Self::new(spec, started_at);
        if let Some(attempt) = found.sandbox_attempt {
            machine.sandbox_attempt = if found.sandbox_runs { attempt } else { attempt + 1 };
        }
        if found.sandbox_runs {
            machine.sandbox = Making::Ready;
        }
        found.containers.sort_by_key(|container| container.started.attempt);
        for container in found.containers {
            let Some(slot) = machine.slot(&container.name) else {
                continue;
            };
            if let Some(former) = slot.current.take() {
                slot.previous = former.ended;
            }
            slot.in_sandbox = container.in_sandbox && found.sandbox_runs;
            let ended = match container.state {
                RecoveredState::Running => {
                    let id = &container.started.id;
                    slot.probes.resume(id, container.was_started, container.was_ready, now);
                    None
                }
                RecoveredState::Ended(termination) => Some(termination),
            };
            slot.current = Some(Instance { started: container.started, ended });
        }
        machine
    }
}
