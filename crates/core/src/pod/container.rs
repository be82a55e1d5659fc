//! What is known of one container of a pod: its newest instance, the one before, what it waits for and how often it failed.

use super::Moment;
use super::ProbeKind;
use super::backoff::{Backoff, go_duration};
use super::effect::{Effect, StartError, Started, Termination, Why};
use super::probe::Probers;
use super::spec::{Container, Kind, RestartPolicy};
use crate::model::Millis;

/// Shortest wait before a start that failed without a container is tried again, and the longest (N9).
const RETRY_FIRST_MS: i64 = 1_000;
const RETRY_CAP_MS: i64 = 10_000;
/// Every container gets this long, whatever the budget says (N27).
const LEAST_GRACE_SECONDS: u32 = 2;
/// How long a failed pull is shown as itself before it is shown as back-off.
const PULL_ERROR_SHOWN_MS: i64 = 2_000;

/// Why a container is not running, in the words of the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) reason: String,
    pub(super) message: String,
}

/// What the shell was asked to do with a container and has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    Idle,
    Starting { cancelled: bool },
    Stopping { until: Millis },
}

/// The newest instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) started: Started,
    pub(super) ended: Option<Termination>,
}

/// One container of the pod.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) spec: Container,
    pub(super) activity: Activity,
    pub(super) current: Option<Instance>,
    pub(super) previous: Option<Termination>,
    pub(super) waiting: Option<Waiting>,
    pub(super) probes: Probers,
    /// Restart count of a first instance, when older ones are known from their logs only (N139).
    pub(super) first_attempt: u32,
    /// Ran in this sandbox already; an init container of it is done when it exited with 0.
    pub(super) in_sandbox: bool,
    /// Start again whatever the policy says: the image changed (N101).
    pub(super) must_restart: bool,
    crash: Backoff,
    pull: Backoff,
    /// A start that left no container failed so often in a row.
    misses: u32,
    retry_at: Option<Millis>,
    pull_failed: Option<(Millis, String)>,
    told_backoff: bool,
    early_exit: Option<Termination>,
}

impl Slot {
    pub(super) fn new(spec: Container) -> Self {
        Self {
            probes: Probers::new(&spec),
            spec,
            activity: Activity::Idle,
            current: None,
            previous: None,
            waiting: None,
            first_attempt: 0,
            in_sandbox: false,
            must_restart: false,
            crash: Backoff::default(),
            pull: Backoff::default(),
            misses: 0,
            retry_at: None,
            pull_failed: None,
            told_backoff: false,
            early_exit: None,
        }
    }

    /// The instance that runs, if one does.
    pub(super) fn running(&self) -> Option<&Started> {
        self.current.as_ref().filter(|instance| instance.ended.is_none()).map(|instance| &instance.started)
    }

    /// How the newest instance ended, if it did.
    pub(super) fn ended(&self) -> Option<&Termination> {
        self.current.as_ref()?.ended.as_ref()
    }

    /// Nothing runs and nothing is asked for.
    pub(super) fn is_quiet(&self) -> bool {
        self.running().is_none() && self.activity == Activity::Idle
    }

    /// An init container that did its work in this sandbox.
    pub(super) fn is_done_init(&self) -> bool {
        self.spec.kind == Kind::Init && self.in_sandbox && self.ended().is_some_and(|end| end.exit_code == 0)
    }

    /// Restart count of the instance that the status shows.
    pub(super) fn restart_count(&self) -> u32 {
        self.current.as_ref().map_or(self.first_attempt, |instance| instance.started.attempt)
    }

    /// Running and past its startup probe (N251).
    pub(super) fn is_started(&self) -> bool {
        self.running().is_some() && self.probes.is_started()
    }

    /// Wants traffic (N251).
    pub(super) fn is_ready(&self) -> bool {
        self.is_started() && self.probes.is_ready()
    }

    /// Whether an exit of the newest instance is followed by another start.
    pub(super) fn wants_restart(&self, pod: RestartPolicy) -> bool {
        self.must_restart || self.ended().is_none_or(|end| self.spec.policy(pod).restarts(end.exit_code))
    }

    /// Takes over a new specification of the same container.
    pub(super) fn respecify(&mut self, spec: Container) {
        if spec.image != self.spec.image {
            self.crash = Backoff::default();
            self.pull = Backoff::default();
            (self.retry_at, self.pull_failed, self.misses) = (None, None, 0);
            self.told_backoff = false;
            self.must_restart = self.current.is_some();
        }
        self.probes.respecify(&spec);
        self.spec = spec;
    }

    /// Starts this container now, or as soon as its delays allow; `label` names the pod in texts.
    pub(super) fn start(&mut self, label: &str, now: Millis, effects: &mut Vec<Effect>) {
        if self.activity != Activity::Idle || self.running().is_some() {
            return;
        }
        if self.waits(label, now, effects) {
            return;
        }
        if let Some(failed) = self.failed_at() {
            self.crash.advance(failed, now);
        }
        self.told_backoff = false;
        self.activity = Activity::Starting { cancelled: false };
        let attempt = self.current.as_ref().map_or(self.first_attempt, |instance| instance.started.attempt + 1);
        effects.push(Effect::StartContainer { container: self.spec.name.clone(), attempt });
    }

    /// When the newest instance failed, as far as the crash-loop delay is concerned.
    fn failed_at(&self) -> Option<Millis> {
        if self.must_restart || !self.in_sandbox {
            return None;
        }
        self.ended()?.finished_at
    }

    /// Whether a delay forbids a start at present; sets the words for it.
    fn waits(&mut self, label: &str, now: Millis, effects: &mut Vec<Effect>) -> bool {
        if self.retry_at.is_some_and(|at| now < at) {
            self.show_pull_backoff(now, effects);
            return true;
        }
        let Some(failed) = self.failed_at() else {
            return false;
        };
        if now >= self.crash.allows_at(failed) {
            return false;
        }
        let (name, delay) = (&self.spec.name, go_duration(self.crash.delay_ms(failed)));
        self.waiting = Some(Waiting {
            reason: "CrashLoopBackOff".to_owned(),
            message: format!("back-off {delay} restarting failed container={name} pod={label}"),
        });
        if !std::mem::replace(&mut self.told_backoff, true) {
            effects.push(self.event(
                true,
                "BackOff",
                format!("Back-off restarting failed container {name} in pod {label}"),
            ));
        }
        true
    }

    /// A failed pull is shown as `ErrImagePull` for a moment and as `ImagePullBackOff` from then on (N164).
    fn show_pull_backoff(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Some((failed, cause)) = self.pull_failed.clone() else {
            return;
        };
        if now < failed.plus_ms(PULL_ERROR_SHOWN_MS) {
            return;
        }
        let text = format!("Back-off pulling image \"{}\"", self.spec.image);
        self.waiting = Some(Waiting { reason: "ImagePullBackOff".to_owned(), message: format!("{text}: {cause}") });
        if !std::mem::replace(&mut self.told_backoff, true) {
            effects.push(self.event(false, "BackOff", text));
            effects.push(self.event(true, "Failed", "Error: ImagePullBackOff".to_owned()));
        }
    }

    /// The next moment at which time alone changes something here.
    pub(super) fn wake_at(&self) -> Option<Millis> {
        if self.activity != Activity::Idle {
            return None;
        }
        if let Some(retry) = self.retry_at {
            let shown = self
                .pull_failed
                .as_ref()
                .filter(|_| !self.told_backoff)
                .map(|(failed, _)| failed.plus_ms(PULL_ERROR_SHOWN_MS));
            return Some(shown.map_or(retry, |shown| shown.min(retry)));
        }
        // Only a container in back-off waits for time; any other exit was acted upon at once.
        let crash_looping = self.waiting.as_ref().is_some_and(|waiting| waiting.reason == "CrashLoopBackOff");
        self.failed_at().filter(|_| crash_looping).map(|failed| self.crash.allows_at(failed))
    }

    /// The shell says that it runs.
    pub(super) fn on_started(&mut self, started: Started, now: Millis) {
        self.clear_failures();
        self.probes.reset(&started.id, started.started_at, now);
        self.replace_instance(Instance { started, ended: None });
        self.activity = Activity::Idle;
        self.must_restart = false;
        let early = self.early_exit.take();
        if let Some(early) = early {
            self.on_exited(early);
        }
    }

    /// The shell says that its process ended.
    pub(super) fn on_exited(&mut self, termination: Termination) {
        match &mut self.current {
            Some(instance) if instance.started.id == termination.id => {
                if instance.ended.is_none() {
                    instance.ended = Some(termination);
                    self.probes.stop();
                }
                if matches!(self.activity, Activity::Stopping { .. }) {
                    self.activity = Activity::Idle;
                }
            }
            // The exit of an instance whose start is still being reported, its hook running.
            _ if matches!(self.activity, Activity::Starting { .. }) => {
                self.early_exit = Some(termination);
            }
            _ => {}
        }
    }

    /// The shell says that it could not be started.
    pub(super) fn on_start_failed(&mut self, error: StartError, now: Millis) {
        self.activity = Activity::Idle;
        self.early_exit = None;
        if let Some((started, ended)) = error.ended {
            self.replace_instance(Instance { started, ended: Some(ended) });
            self.must_restart = false;
            self.clear_failures();
        } else if !error.cancelled {
            self.misses += 1;
            self.retry_at = Some(if is_pull_error(&error.reason) {
                let at = now.plus_ms(1).max(self.pull_allowed(now));
                self.pull_failed = Some((now, format!("{}: {}", error.reason, error.message)));
                self.told_backoff = false;
                at
            } else {
                self.pull_failed = None;
                now.plus_ms((RETRY_FIRST_MS << (self.misses - 1).min(8)).min(RETRY_CAP_MS))
            });
        }
        if !error.reason.is_empty() {
            self.waiting = Some(Waiting { reason: error.reason, message: error.message });
        }
    }

    fn pull_allowed(&mut self, now: Millis) -> Millis {
        self.pull.advance(now, now);
        self.pull.allows_at(now)
    }

    fn replace_instance(&mut self, instance: Instance) {
        if let Some(former) = self.current.replace(instance) {
            self.previous = former.ended;
        }
        self.in_sandbox = true;
    }

    fn clear_failures(&mut self) {
        (self.waiting, self.retry_at, self.pull_failed) = (None, None, None);
        (self.misses, self.told_backoff) = (0, false);
    }

    /// Asks for the end of the running instance by `until`, unless a stop that ends no later is under way.
    pub(super) fn stop(&mut self, until: Millis, why: Why, now: Millis, effects: &mut Vec<Effect>) {
        let Some(id) = self.running().map(|started| started.id.clone()) else {
            return;
        };
        if let Activity::Stopping { until: present } = self.activity
            && present <= until
        {
            return;
        }
        if why == Why::PodGoes {
            self.probes.only_readiness();
        }
        self.activity = Activity::Stopping { until };
        let left = (until.since_ms(now).max(0) + 999) / 1000;
        let grace_seconds = u32::try_from(left).unwrap_or(u32::MAX).max(LEAST_GRACE_SECONDS);
        effects.push(Effect::StopContainer { container: self.spec.name.clone(), id, grace_seconds, why });
    }

    /// Asks once for the end of a start under way.
    pub(super) fn cancel_start(&mut self, effects: &mut Vec<Effect>) {
        if self.activity == (Activity::Starting { cancelled: false }) {
            self.activity = Activity::Starting { cancelled: true };
            effects.push(Effect::CancelStart { container: self.spec.name.clone() });
        }
    }

    /// A stop did not work: it may be asked for again.
    pub(super) fn on_stop_failed(&mut self) {
        if matches!(self.activity, Activity::Stopping { .. }) {
            self.activity = Activity::Idle;
        }
    }

    /// The sandbox is another one: what ran in the former does not count as progress (N100).
    pub(super) fn forget_sandbox(&mut self) {
        self.in_sandbox = false;
        self.clear_failures();
    }

    /// Grace of a kill by this probe, the pod's otherwise (N264).
    pub(super) fn probe_grace(&self, kind: ProbeKind, pod: u32) -> u32 {
        let probe = match kind {
            ProbeKind::Startup => self.spec.startup,
            ProbeKind::Liveness => self.spec.liveness,
            ProbeKind::Readiness => self.spec.readiness,
        };
        probe.and_then(|probe| probe.grace_seconds).unwrap_or(pod)
    }

    pub(super) fn event(&self, warning: bool, reason: &'static str, message: String) -> Effect {
        Effect::Event { container: Some(self.spec.name.clone()), warning, reason, message }
    }
}

fn is_pull_error(reason: &str) -> bool {
    matches!(reason, "ErrImagePull" | "RegistryUnavailable" | "SignatureValidationFailed")
}
