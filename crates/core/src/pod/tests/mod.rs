//! Tables of what a pod does on its node. A [`Play`] is a shell that does nothing by itself: a test says what happens.

mod life;
mod probing;
mod stopping;
mod taking_over;

use super::*;
use crate::model::Millis;

/// A container by shorthand: `app`, `init:setup`, `sidecar:proxy`.
fn container(text: &str) -> Container {
    let (kind, name) = match text.split_once(':') {
        Some(("init", name)) => (Kind::Init, name),
        Some(("sidecar", name)) => (Kind::Sidecar, name),
        _ => (Kind::App, text),
    };
    Container {
        name: name.to_owned(),
        kind,
        image: "image:1".to_owned(),
        restart: None,
        startup: None,
        liveness: None,
        readiness: None,
    }
}

fn spec(restart: RestartPolicy, containers: &[&str]) -> Spec {
    Spec {
        label: "web_ns(uid)".to_owned(),
        restart,
        grace_seconds: 30,
        deadline_seconds: None,
        containers: containers.iter().map(|text| container(text)).collect(),
        gates: Vec::new(),
    }
}

/// A machine, a clock, and what was asked for since the last look.
struct Play {
    machine: Machine,
    now: Millis,
    asked: Vec<Effect>,
    made: u32,
}

impl Play {
    fn new(restart: RestartPolicy, containers: &[&str]) -> Self {
        Self::of(spec(restart, containers))
    }

    fn of(spec: Spec) -> Self {
        let now = Millis(1_000_000);
        let mut play = Self { machine: Machine::new(spec, now), now, asked: Vec::new(), made: 0 };
        play.input(Input::Tick);
        play
    }

    /// As [`Play::new`], with volumes and sandbox in place.
    fn set_up(restart: RestartPolicy, containers: &[&str]) -> Self {
        let mut play = Self::new(restart, containers);
        play.input(Input::VolumesReady);
        play.input(Input::SandboxReady);
        play
    }

    fn input(&mut self, input: Input) {
        let effects = self.machine.step(input, self.now);
        self.asked.extend(effects);
    }

    /// Moves the clock to the next moment the machine waits for; how many seconds that took.
    fn wait(&mut self) -> i64 {
        let wake = self.machine.wake_at().expect("the machine waits for something");
        let waited = wake.since_ms(self.now);
        assert!(waited >= 0, "asked to be woken in the past");
        self.now = wake;
        self.input(Input::Tick);
        waited / 1000
    }

    fn started(&mut self, name: &str) {
        self.made += 1;
        let id = format!("x://{}", self.made);
        let attempt = self.machine.slot(name).map_or(0, |slot| {
            slot.current.as_ref().map_or(slot.first_attempt, |instance| instance.started.attempt + 1)
        });
        let started =
            Started { id, image: "image:1".into(), image_id: "sha256:1".into(), attempt, started_at: self.now };
        self.input(Input::ContainerStarted { container: name.to_owned(), started });
    }

    fn exits(&mut self, name: &str, exit_code: i32) {
        let id = self.id(name);
        let reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
        let termination = Termination { id, exit_code, reason, finished_at: Some(self.now), ..Termination::default() };
        self.input(Input::ContainerExited { container: name.to_owned(), termination });
    }

    fn fails(&mut self, name: &str, reason: &str, message: &str) {
        let error = StartError { reason: reason.into(), message: message.into(), ..StartError::default() };
        self.input(Input::StartFailed { container: name.to_owned(), error });
    }

    fn id(&mut self, name: &str) -> String {
        let slot = self.machine.slot(name).expect("a container of this name");
        slot.current.as_ref().expect("an instance").started.id.clone()
    }

    fn delete(&mut self, grace_seconds: u32) {
        self.input(Input::Delete { grace_seconds, object_gone: false });
    }

    /// What was asked for since the last call, in words.
    fn asked(&mut self) -> String {
        std::mem::take(&mut self.asked).iter().map(words).collect::<Vec<_>>().join(", ")
    }

    fn phase(&self) -> &'static str {
        self.machine.status().phase.as_str()
    }

    /// State of one container as `kubectl get` would shorten it.
    fn state(&self, name: &str) -> String {
        let status = self.machine.status();
        let of = status.init.iter().chain(&status.app).find(|c| c.name == name).expect("a status");
        match &of.state {
            ContainerState::Waiting { reason, .. } => reason.clone(),
            ContainerState::Running { .. } => "Running".to_owned(),
            ContainerState::Terminated(end) => format!("{} {}", end.reason, end.exit_code),
        }
    }

    fn ready(&self) -> bool {
        self.condition("Ready").holds
    }

    fn condition(&self, kind: &str) -> Condition {
        self.machine.status().conditions.into_iter().find(|c| c.kind == kind).expect("a condition")
    }
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::PrepareVolumes => "volumes".to_owned(),
        Effect::CreateSandbox { attempt } => format!("sandbox {attempt}"),
        Effect::StartContainer { container, attempt } => format!("start {container} {attempt}"),
        Effect::CancelStart { container } => format!("cancel {container}"),
        Effect::StopContainer { container, grace_seconds, .. } => format!("stop {container} {grace_seconds}s"),
        Effect::RunProbe { container, kind, .. } => format!("{} {container}", kind.title().to_lowercase()),
        Effect::StopSandbox => "stop sandbox".to_owned(),
        Effect::Clean => "clean".to_owned(),
        Effect::DeleteObject => "delete object".to_owned(),
        Effect::Event { reason, .. } => format!("event {reason}"),
    }
}
