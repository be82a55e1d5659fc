//! The machine of one pod: state, and what is missing in it.

use super::Moment;
use super::container::{Activity, Slot};
use super::effect::{Effect, Input, Outcome, ProbeKind, Termination, Why};
use super::phase::Phase;
use super::probe;
use super::spec::{Kind, RestartPolicy, Spec};
use crate::model::Millis;

/// Wait after a failed sandbox, and the first and last wait after a failed volume (N9, N181).
const SANDBOX_RETRY_MS: i64 = 10_000;
const VOLUME_RETRY_FIRST_MS: i64 = 500;
const VOLUME_RETRY_CAP_MS: i64 = 122_000;

/// The last word about a pod, when it is not its containers that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One word: `Evicted`, `DeadlineExceeded`, `OutOfcpu`…
    pub reason: String,
    /// The long form.
    pub message: String,
}

/// Where the pod is in its life; only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Set up, keep running.
    Live,
    /// Stop everything, start nothing.
    Terminating,
    /// Nothing runs; release what the pod held.
    Cleaning,
    /// Nothing is left on the node.
    Finished,
}

/// A thing that is made once, and again when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    Missing,
    UnderWay,
    Ready,
    Failed { retry_at: Millis },
}

/// How the pod is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) until: Millis,
    pub(super) sandbox_asked: bool,
}

/// One pod on its node.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) spec: Spec,
    pub(super) stage: Stage,
    pub(super) slots: Vec<Slot>,
    pub(super) volumes: Making,
    pub(super) volume_failures: u32,
    pub(super) sandbox: Making,
    pub(super) sandbox_attempt: u32,
    /// A lost sandbox is being taken down; the next one comes after it.
    pub(super) sandbox_replaced: bool,
    pub(super) kill: Option<Kill>,
    /// The API has a deletion timestamp: nothing restarts, and the object is deleted at the end.
    pub(super) deleted: bool,
    pub(super) object_gone: bool,
    pub(super) verdict: Option<Verdict>,
    pub(super) terminal: Option<Phase>,
    pub(super) open_gates: Vec<String>,
    pub(super) started_at: Millis,
    clean_asked: bool,
    delete_asked: bool,
}

impl Machine {
    /// A pod that the node has not seen before; the first [`Input`] starts it.
    pub fn new(spec: Spec, started_at: Millis) -> Self {
        Self {
            slots: spec.containers.iter().cloned().map(Slot::new).collect(),
            spec,
            stage: Stage::Live,
            volumes: Making::Missing,
            volume_failures: 0,
            sandbox: Making::Missing,
            sandbox_attempt: 0,
            sandbox_replaced: false,
            kill: None,
            deleted: false,
            object_gone: false,
            verdict: None,
            terminal: None,
            open_gates: Vec::new(),
            started_at,
            clean_asked: false,
            delete_asked: false,
        }
    }

    /// A pod that admission refused: it never runs, and only its cleaning is left (N89).
    pub fn rejected(spec: Spec, verdict: Verdict, started_at: Millis) -> Self {
        let mut machine = Self::new(spec, started_at);
        machine.verdict = Some(verdict);
        machine.terminal = Some(Phase::Failed);
        machine.stage = Stage::Cleaning;
        machine
    }

    /// A pod that had ended before the node saw it: only its cleaning is left (N82).
    pub fn ended(spec: Spec, phase: Phase, started_at: Millis) -> Self {
        let mut machine = Self::new(spec, started_at);
        machine.terminal = Some(phase);
        machine.stage = Stage::Cleaning;
        machine
    }

    /// When the node first saw the pod.
    pub fn started_at(&self) -> Millis {
        self.started_at
    }

    /// Nothing is left to do; the shell may forget the pod once its object is gone.
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Whether anything of the pod may still run.
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Restart count for the first instance of a container whose records are gone but whose logs are not (N139).
    pub fn set_first_attempt(&mut self, container: &str, attempt: u32) {
        if let Some(slot) = self.slot(container) {
            slot.first_attempt = attempt;
        }
    }

    /// Takes in what happened and says what to do about it.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(input, now, &mut effects);
        // Each pass may move the pod one stage on; there are four.
        for _ in 0..4 {
            let before = self.stage;
            self.advance(now, &mut effects);
            if self.stage == before {
                break;
            }
        }
        effects
    }

    /// When to call [`Machine::step`] with [`Input::Tick`], if nothing else happens before.
    pub fn wake_at(&self) -> Option<Millis> {
        let mut times = Vec::new();
        if self.stage <= Stage::Terminating {
            times.extend(self.slots.iter().filter_map(|slot| slot.probes.wake_at()));
        }
        if self.stage == Stage::Live {
            for making in [self.volumes, self.sandbox] {
                if let Making::Failed { retry_at } = making {
                    times.push(retry_at);
                }
            }
            times.extend(self.slots.iter().filter_map(Slot::wake_at));
            let deadline = self.spec.deadline_seconds;
            times.extend(deadline.map(|seconds| self.started_at.plus_seconds(seconds)));
        }
        times.into_iter().min()
    }

    pub(super) fn slot(&mut self, container: &str) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.spec.name == container)
    }

    fn take(&mut self, input: Input, now: Millis, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Spec(spec) => self.respecify(spec),
            Input::Gates(open) => self.open_gates = open,
            Input::Delete { grace_seconds, object_gone } => {
                self.deleted = true;
                self.object_gone |= object_gone;
                self.begin_kill(grace_seconds, now);
            }
            Input::Fail { verdict, grace_seconds } => {
                self.verdict.get_or_insert(verdict);
                self.begin_kill(grace_seconds, now);
            }
            Input::VolumesReady => {
                (self.volumes, self.volume_failures) = (Making::Ready, 0);
            }
            Input::VolumesFailed => {
                let wait = VOLUME_RETRY_FIRST_MS << self.volume_failures.min(16);
                self.volume_failures += 1;
                let retry_at = now.plus_ms(wait.min(VOLUME_RETRY_CAP_MS));
                self.volumes = Making::Failed { retry_at };
            }
            Input::SandboxReady => self.sandbox = Making::Ready,
            Input::SandboxFailed { message } => {
                let retry_at = now.plus_ms(SANDBOX_RETRY_MS);
                self.sandbox = Making::Failed { retry_at };
                if !self.deleted {
                    let message = format!("Failed to create pod sandbox: {message}");
                    effects.push(pod_event(true, "FailedCreatePodSandBox", message));
                }
            }
            Input::SandboxLost => self.lose_sandbox(effects),
            Input::SandboxStopped => self.sandbox_stopped(),
            Input::Cleaned if self.stage == Stage::Cleaning => self.stage = Stage::Finished,
            Input::Cleaned => {}
            Input::ContainerStarted { container, started } => {
                if let Some(slot) = self.slot(&container) {
                    slot.on_started(started, now);
                }
            }
            Input::StartFailed { container, error } => {
                if let Some(slot) = self.slot(&container) {
                    slot.on_start_failed(error, now);
                }
            }
            Input::ContainerExited { container, termination } => self.exited(&container, termination),
            Input::StopFailed { container, message } => {
                let text = format!("error killing pod: {message}");
                effects.push(pod_event(true, "FailedKillPod", text));
                if let Some(slot) = self.slot(&container) {
                    slot.on_stop_failed();
                }
            }
            Input::Probed { container, id, kind, outcome } => {
                self.probed(&container, (&id, kind), outcome, now, effects);
            }
        }
    }

    fn respecify(&mut self, spec: Spec) {
        for container in &spec.containers {
            if let Some(slot) = self.slot(&container.name) {
                slot.respecify(container.clone());
            }
        }
        self.spec = spec;
    }

    fn exited(&mut self, container: &str, termination: Termination) {
        if let Some(slot) = self.slot(container) {
            slot.on_exited(termination);
        }
    }

    fn lose_sandbox(&mut self, effects: &mut Vec<Effect>) {
        if self.stage != Stage::Live || self.sandbox != Making::Ready {
            return;
        }
        let message = "Pod sandbox changed, it will be killed and re-created.";
        effects.push(pod_event(false, "SandboxChanged", message.to_owned()));
        self.sandbox_replaced = true;
        self.sandbox = Making::UnderWay;
        for slot in &mut self.slots {
            slot.cancel_start(effects);
        }
        effects.push(Effect::StopSandbox);
    }

    fn sandbox_stopped(&mut self) {
        self.sandbox = Making::Missing;
        if std::mem::take(&mut self.sandbox_replaced) {
            self.sandbox_attempt += 1;
            self.slots.iter_mut().for_each(Slot::forget_sandbox);
        }
    }

    fn probed(
        &mut self,
        container: &str,
        about: (&str, ProbeKind),
        outcome: Outcome,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let (pod_grace, live) = (self.spec.grace_seconds, self.stage == Stage::Live);
        let Some(slot) = self.slot(container) else {
            return;
        };
        let name = slot.spec.name.clone();
        let verdict = slot.probes.answer(&name, about, outcome, now, effects);
        if verdict == probe::Verdict::Kill && live {
            let why = match about.1 {
                ProbeKind::Startup => Why::Startup,
                _ => Why::Liveness,
            };
            let grace = slot.probe_grace(about.1, pod_grace);
            slot.stop(now.plus_seconds(grace), why, now, effects);
        }
    }

    fn advance(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        match self.stage {
            Stage::Live => self.advance_live(now, effects),
            Stage::Terminating => self.advance_terminating(now, effects),
            Stage::Cleaning => self.advance_cleaning(effects),
            Stage::Finished => self.advance_finished(effects),
        }
        if self.stage <= Stage::Terminating {
            for slot in &mut self.slots {
                slot.probes.run_due(&slot.spec.name, now, effects);
            }
        }
    }

    fn advance_live(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.is_past_deadline(now) {
            let message = "Pod was active on the node longer than the specified deadline";
            effects.push(pod_event(false, "DeadlineExceeded", message.to_owned()));
            self.verdict = Some(Verdict { reason: "DeadlineExceeded".to_owned(), message: message.to_owned() });
            self.begin_kill(self.spec.grace_seconds, now);
            return;
        }
        if is_due(self.volumes, now) {
            self.volumes = Making::UnderWay;
            effects.push(Effect::PrepareVolumes);
        }
        if self.volumes != Making::Ready {
            return;
        }
        if is_due(self.sandbox, now) {
            if self.outcome_without_sandbox() {
                self.begin_kill(self.spec.grace_seconds, now);
                return;
            }
            self.sandbox = Making::UnderWay;
            effects.push(Effect::CreateSandbox { attempt: self.sandbox_attempt });
        }
        if self.sandbox != Making::Ready {
            return;
        }
        self.stop_changed(now, effects);
        if self.is_decided() {
            self.begin_kill(self.spec.grace_seconds, now);
            return;
        }
        self.start_missing(now, effects);
    }

    fn is_past_deadline(&self, now: Millis) -> bool {
        self.spec.deadline_seconds.is_some_and(|seconds| now >= self.started_at.plus_seconds(seconds))
    }

    /// A pod whose containers all ended for good needs no further sandbox (N99).
    fn outcome_without_sandbox(&self) -> bool {
        self.slots.iter().any(|slot| slot.current.is_some()) && self.is_decided()
    }

    fn stop_changed(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let grace = self.spec.grace_seconds;
        for slot in &mut self.slots {
            if slot.must_restart {
                slot.stop(now.plus_seconds(grace), Why::Changed, now, effects);
            }
        }
    }

    /// Starts what must run and may, in the order of N150–N153.
    fn start_missing(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let (label, policy) = (self.spec.label.clone(), self.spec.restart);
        let initialised = self.is_initialised();
        for slot in self.slots.iter_mut().filter(|slot| slot.spec.kind != Kind::App) {
            match slot.spec.kind {
                Kind::Sidecar => {
                    slot.start(&label, now, effects);
                    if !initialised && !slot.is_started() {
                        return;
                    }
                }
                _ if initialised || slot.is_done_init() => {}
                _ => {
                    slot.start(&label, now, effects);
                    return;
                }
            }
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.spec.kind == Kind::App) {
            if slot.wants_restart(policy) {
                slot.start(&label, now, effects);
            }
        }
    }

    /// An app container has started in this sandbox: its init containers are behind it (N151).
    pub(super) fn is_initialised(&self) -> bool {
        self.slots.iter().any(|slot| slot.spec.kind == Kind::App && slot.in_sandbox)
    }

    /// Nothing runs that counts, and nothing will: the pod is over by its own doing (N103, N152).
    fn is_decided(&self) -> bool {
        let policy = self.spec.restart;
        if policy == RestartPolicy::Always && self.slots.iter().all(|slot| slot.spec.restart.is_none()) {
            return false;
        }
        let init_failed = self.slots.iter().any(|slot| {
            slot.spec.kind == Kind::Init
                && slot.is_quiet()
                && slot.ended().is_some_and(|end| end.exit_code != 0)
                && !slot.wants_restart(policy)
        });
        let mut apps = self.slots.iter().filter(|slot| slot.spec.kind == Kind::App);
        init_failed || apps.all(|slot| slot.is_quiet() && slot.ended().is_some() && !slot.wants_restart(policy))
    }

    fn advance_cleaning(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.clean_asked, true) {
            effects.push(Effect::Clean);
        }
    }

    fn advance_finished(&mut self, effects: &mut Vec<Effect>) {
        if self.deleted && !self.object_gone && !self.delete_asked {
            self.delete_asked = true;
            effects.push(Effect::DeleteObject);
        }
    }

    /// Something runs, or is being started or stopped.
    pub(super) fn any_activity(&self) -> bool {
        self.slots.iter().any(|slot| slot.activity != Activity::Idle || slot.running().is_some())
    }
}

/// Whether a thing has to be made now.
fn is_due(making: Making, now: Millis) -> bool {
    match making {
        Making::Missing => true,
        Making::Failed { retry_at } => now >= retry_at,
        Making::UnderWay | Making::Ready => false,
    }
}

/// An event about the pod as a whole.
pub(super) fn pod_event(warning: bool, reason: &'static str, message: String) -> Effect {
    Effect::Event { container: None, warning, reason, message }
}
