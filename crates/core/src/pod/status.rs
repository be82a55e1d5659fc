//! What the API is told of a pod: phase, conditions and container statuses (section 20 of the rules).
//!
//! Not here: times of condition changes, addresses, QoS class and generations, which the writer knows.

use super::container::{Instance, Slot};
use super::effect::{Started, Termination};
use super::machine::{Machine, Making, Stage};
use super::phase::Phase;
use super::spec::Kind;
use crate::model::Millis;

/// Everything the machine can say of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// One word, for pods that did not end by their containers.
    pub reason: Option<String>,
    /// The long form of it.
    pub message: Option<String>,
    /// In the order in which they are listed (N281).
    pub conditions: Vec<Condition>,
    /// Init containers and sidecars, in spec order.
    pub init: Vec<ContainerStatus>,
    /// App containers, by name.
    pub app: Vec<ContainerStatus>,
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why not, in one word.
    pub reason: Option<&'static str>,
    /// The long form.
    pub message: Option<String>,
}

/// Status of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Image as the runtime names it, or as the user wrote it before that is known.
    pub image: String,
    /// Digest of the image, empty before it is known.
    pub image_id: String,
    /// Id of the newest instance.
    pub id: Option<String>,
    /// How many instances came before the newest.
    pub restart_count: u32,
    /// Wants traffic.
    pub ready: bool,
    /// Past its startup probe.
    pub started: bool,
    /// What it does now.
    pub state: ContainerState,
    /// How the instance before ended.
    pub last: Option<Termination>,
}

/// What a container does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Nothing yet.
    Waiting {
        /// Why, in one word.
        reason: String,
        /// The long form.
        message: Option<String>,
    },
    /// It runs.
    Running {
        /// Since when.
        started_at: Millis,
    },
    /// It ended.
    Terminated(Termination),
}

impl Machine {
    /// What the API should be told now.
    pub fn status(&self) -> Status {
        let phase = self.phase();
        let (reason, message) = match (&self.verdict, phase.is_terminal()) {
            (Some(verdict), true) => (Some(verdict.reason.clone()), Some(verdict.message.clone())),
            _ => (None, None),
        };
        let of = |app: bool| self.slots.iter().filter(move |slot| (slot.spec.kind == Kind::App) == app);
        let mut app: Vec<_> = of(true).map(|slot| self.container_status(slot)).collect();
        app.sort_by(|a, b| a.name.cmp(&b.name));
        Status {
            conditions: self.conditions(phase),
            phase,
            reason,
            message,
            init: of(false).map(|slot| self.container_status(slot)).collect(),
            app,
        }
    }

    /// The phase by the first rule of N272 that matches; terminal ones are kept in `terminal` and never left (N273).
    fn phase(&self) -> Phase {
        if let Some(phase) = self.terminal {
            return phase;
        }
        let ran = |slot: &&Slot| slot.current.is_some();
        let app = || self.slots.iter().filter(|slot| slot.spec.kind == Kind::App);
        if !self.is_initialised() && !app().any(|slot| slot.running().is_some()) {
            return Phase::Pending;
        }
        let counted = || self.slots.iter().filter(|slot| slot.spec.kind != Kind::Init);
        if counted().all(|slot| ran(&slot)) { Phase::Running } else { Phase::Pending }
    }

    /// Fixes the terminal phase once nothing runs any more (N272, N267).
    pub(super) fn finish_phase(&mut self) {
        if self.terminal.is_some() {
            return;
        }
        let well = |slot: &Slot| slot.ended().is_some_and(|end| end.exit_code == 0);
        let mut apps = self.slots.iter().filter(|slot| slot.spec.kind == Kind::App);
        let all_well = self.verdict.is_none() && apps.all(well);
        self.terminal = Some(if all_well { Phase::Succeeded } else { Phase::Failed });
    }

    fn conditions(&self, phase: Phase) -> Vec<Condition> {
        let ready = self.containers_ready(phase);
        let closed: Vec<_> = self.spec.gates.iter().filter(|gate| !self.open_gates.contains(gate)).collect();
        let gated = if ready.holds && !closed.is_empty() {
            let names = closed.iter().map(|gate| gate.as_str()).collect::<Vec<_>>().join(" ");
            Condition {
                kind: "Ready",
                holds: false,
                reason: Some("ReadinessGatesNotReady"),
                message: Some(format!("the status of pod readiness gate \"{names}\" is not \"True\", but False")),
            }
        } else {
            Condition { kind: "Ready", ..ready.clone() }
        };
        vec![
            holds("PodReadyToStartContainers", self.sandbox == Making::Ready),
            self.initialized(phase),
            gated,
            ready,
            holds("PodScheduled", true),
        ]
    }

    fn initialized(&self, phase: Phase) -> Condition {
        let kind = "Initialized";
        if phase == Phase::Succeeded {
            return Condition { reason: Some("PodCompleted"), ..holds(kind, true) };
        }
        if self.is_initialised() {
            return holds(kind, true);
        }
        let open = self.names(|slot| match slot.spec.kind {
            Kind::Init => !slot.is_done_init(),
            Kind::Sidecar => !slot.is_started(),
            Kind::App => false,
        });
        if open.is_empty() {
            return holds(kind, true);
        }
        Condition {
            kind,
            holds: false,
            reason: Some("ContainersNotInitialized"),
            message: Some(format!("containers with incomplete status: [{}]", open.join(" "))),
        }
    }

    fn containers_ready(&self, phase: Phase) -> Condition {
        let kind = "ContainersReady";
        let not = |reason, message| Condition { kind, holds: false, reason: Some(reason), message };
        match phase {
            Phase::Succeeded => return not("PodCompleted", None),
            Phase::Failed => return not("PodFailed", None),
            _ => {}
        }
        let unready = self.names(|slot| slot.spec.kind != Kind::Init && !slot.is_ready());
        if unready.is_empty() {
            return holds(kind, true);
        }
        let message = format!("containers with unready status: [{}]", unready.join(" "));
        not("ContainersNotReady", Some(message))
    }

    fn names(&self, which: impl Fn(&Slot) -> bool) -> Vec<&str> {
        let chosen = self.slots.iter().filter(|slot| which(slot));
        chosen.map(|slot| slot.spec.name.as_str()).collect()
    }

    fn container_status(&self, slot: &Slot) -> ContainerStatus {
        let (state, last) = self.container_state(slot);
        let started = slot.current.as_ref().map(|instance| &instance.started);
        let done_init = slot.spec.kind == Kind::Init && slot.ended().is_some_and(|end| end.exit_code == 0);
        ContainerStatus {
            name: slot.spec.name.clone(),
            image: started.map_or_else(|| slot.spec.image.clone(), |started| started.image.clone()),
            image_id: started.map_or_else(String::new, |started| started.image_id.clone()),
            id: started.map(|started| started.id.clone()),
            restart_count: slot.restart_count(),
            ready: done_init || slot.is_ready(),
            started: slot.is_started(),
            state,
            last,
        }
    }

    fn container_state(&self, slot: &Slot) -> (ContainerState, Option<Termination>) {
        match (&slot.current, &slot.waiting) {
            (Some(Instance { started, ended: None }), _) if self.stage < Stage::Cleaning => {
                let started_at = started.started_at;
                (ContainerState::Running { started_at }, slot.previous.clone())
            }
            (Some(Instance { ended: Some(end), .. }), Some(waiting)) if self.stage == Stage::Live => {
                (waiting_for(&waiting.reason, &waiting.message), Some(end.clone()))
            }
            (Some(Instance { ended: Some(end), .. }), _) => {
                (ContainerState::Terminated(end.clone()), slot.previous.clone())
            }
            (Some(Instance { started, ended: None }), _) => {
                (ContainerState::Terminated(lost(Some(started))), slot.previous.clone())
            }
            // A pod that was refused never had containers; upstream leaves their statuses waiting.
            (None, _) if self.stage == Stage::Finished && self.kill.is_some() => {
                (ContainerState::Terminated(lost(None)), None)
            }
            (None, Some(waiting)) => (waiting_for(&waiting.reason, &waiting.message), None),
            (None, None) => {
                let has_init = self.slots.iter().any(|slot| slot.spec.kind != Kind::App);
                let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
                (waiting_for(reason, ""), None)
            }
        }
    }
}

fn holds(kind: &'static str, holds: bool) -> Condition {
    Condition { kind, holds, reason: None, message: None }
}

fn waiting_for(reason: &str, message: &str) -> ContainerState {
    ContainerState::Waiting {
        reason: reason.to_owned(),
        message: Some(message.to_owned()).filter(|message| !message.is_empty()),
    }
}

/// A container of which nothing is known at the end (N267).
fn lost(started: Option<&Started>) -> Termination {
    Termination {
        id: started.map(|started| started.id.clone()).unwrap_or_default(),
        exit_code: 137,
        reason: "ContainerStatusUnknown".to_owned(),
        message: "The container could not be located when the pod was terminated".to_owned(),
        started_at: None,
        finished_at: None,
    }
}
