//! The state of a container's probes: when to ask next and what the answers so far mean (N245–N252, N258, N259).

use super::Moment;
use super::effect::{Effect, Outcome, ProbeKind};
use super::spec::{Container, Probe};
use crate::model::Millis;

/// A container that is not ready yet and young is asked again this soon, growing to its period; silently, and only for readiness.
const EAGER_FIRST_MS: i64 = 100;

/// All probes of one container.
#[derive(Clone, Debug)]
pub(super) struct Probers {
    startup: Option<Prober>,
    liveness: Option<Prober>,
    readiness: Option<Prober>,
    id: String,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing that anyone must act upon.
    Same,
    /// The container must be killed.
    Kill,
}

#[derive(Clone, Debug)]
struct Prober {
    spec: Probe,
    /// The published result; `None` is "not known yet".
    good: Option<bool>,
    /// Equal answers in a row.
    run: u32,
    last: Option<bool>,
    in_flight: bool,
    next_at: Option<Millis>,
    /// The first run by rule, from which the period counts; runs before it are eager ones.
    eager_ms: Option<i64>,
    eager_until: Millis,
}

impl Prober {
    fn new(spec: Probe, good: Option<bool>) -> Self {
        Self { spec, good, run: 0, last: None, in_flight: false, next_at: None, eager_ms: None, eager_until: Millis(0) }
    }

    fn period_ms(&self) -> i64 {
        i64::from(self.spec.period_seconds.max(1)) * 1000
    }

    /// Counts one answer; true when the published result changed.
    fn count(&mut self, good: bool) -> bool {
        self.run = if self.last == Some(good) { self.run + 1 } else { 1 };
        self.last = Some(good);
        let threshold = if good { self.spec.success_threshold } else { self.spec.failure_threshold };
        let flips = self.run >= threshold.max(1) && self.good != Some(good);
        if flips {
            self.good = Some(good);
        }
        flips
    }
}

impl Probers {
    pub(super) fn new(spec: &Container) -> Self {
        Self {
            startup: spec.startup.map(|probe| Prober::new(probe, None)),
            liveness: spec.liveness.map(|probe| Prober::new(probe, Some(true))),
            readiness: spec.readiness.map(|probe| Prober::new(probe, Some(false))),
            id: String::new(),
        }
    }

    /// Takes over new timing; what is known of the instance stays.
    pub(super) fn respecify(&mut self, spec: &Container) {
        let fresh = Self::new(spec);
        for (mine, new) in [
            (&mut self.startup, fresh.startup),
            (&mut self.liveness, fresh.liveness),
            (&mut self.readiness, fresh.readiness),
        ] {
            match (mine.as_mut(), new) {
                (Some(old), Some(new)) => old.spec = new.spec,
                (_, new) => *mine = new,
            }
        }
    }

    /// A new instance runs: initial results, first runs due (N247).
    pub(super) fn reset(&mut self, id: &str, started_at: Millis, now: Millis) {
        id.clone_into(&mut self.id);
        for (prober, good) in
            [(&mut self.startup, None), (&mut self.liveness, Some(true)), (&mut self.readiness, Some(false))]
        {
            if let Some(prober) = prober {
                *prober = Prober::new(prober.spec, good);
                let first = started_at.plus_seconds(prober.spec.initial_delay_seconds);
                prober.next_at = Some(first.max(now));
            }
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.eager_ms = Some(EAGER_FIRST_MS);
            readiness.eager_until =
                started_at.plus_seconds(readiness.spec.initial_delay_seconds).plus_ms(readiness.period_ms());
        }
    }

    /// The agent starts anew: an instance that ran before it keeps what the API knew of it (N259).
    pub(super) fn resume(&mut self, id: &str, started: bool, ready: bool, now: Millis) {
        self.reset(id, now, now);
        if let Some(startup) = self.startup.as_mut().filter(|_| started) {
            startup.good = Some(true);
            startup.next_at = None;
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.good = Some(ready);
            readiness.eager_ms = None;
        }
    }

    /// No instance runs.
    pub(super) fn stop(&mut self) {
        for prober in self.each_mut() {
            prober.next_at = None;
        }
        self.id.clear();
    }

    /// The pod goes: only readiness is asked for any more (N258).
    pub(super) fn only_readiness(&mut self) {
        for prober in [&mut self.startup, &mut self.liveness].into_iter().flatten() {
            prober.next_at = None;
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.startup.as_ref().is_none_or(|probe| probe.good == Some(true))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.readiness.as_ref().is_none_or(|probe| probe.good == Some(true))
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Prober> {
        [&mut self.startup, &mut self.liveness, &mut self.readiness].into_iter().flatten()
    }

    /// Asks for the runs that are due.
    pub(super) fn run_due(&mut self, container: &str, now: Millis, effects: &mut Vec<Effect>) {
        let started = self.is_started();
        let id = self.id.clone();
        for (kind, prober) in [
            (ProbeKind::Startup, &mut self.startup),
            (ProbeKind::Liveness, &mut self.liveness),
            (ProbeKind::Readiness, &mut self.readiness),
        ] {
            let Some(prober) = prober else { continue };
            // Startup blocks the others until it succeeded, and is over then (N248).
            let blocked = started == (kind == ProbeKind::Startup);
            if blocked || prober.in_flight || prober.next_at.is_none_or(|at| at > now) {
                continue;
            }
            prober.in_flight = true;
            prober.next_at = Some(now.plus_ms(prober.period_ms()));
            effects.push(Effect::RunProbe { container: container.to_owned(), id: id.clone(), kind });
        }
    }

    /// The next moment at which a run is due.
    pub(super) fn wake_at(&self) -> Option<Millis> {
        let started = self.is_started();
        [(!started, &self.startup), (started, &self.liveness), (started, &self.readiness)]
            .into_iter()
            .filter(|(open, _)| *open)
            .filter_map(|(_, prober)| prober.as_ref().filter(|p| !p.in_flight)?.next_at)
            .min()
    }

    /// Counts an answer about instance `id`; events go to `effects`.
    pub(super) fn answer(
        &mut self,
        container: &str,
        (id, kind): (&str, ProbeKind),
        outcome: Outcome,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        if id != self.id {
            return Verdict::Same;
        }
        let prober = match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        };
        let Some(prober) = prober else {
            return Verdict::Same;
        };
        prober.in_flight = false;
        let good = match &outcome {
            Outcome::Success | Outcome::Warning(_) => true,
            Outcome::Failure(_) => false,
            Outcome::Error(text) => {
                let message = format!("{} probe errored and resulted in unknown state: {text}", kind.title());
                effects.push(event(container, "Unhealthy", message));
                return Verdict::Same;
            }
        };
        if !good && prober.stays_eager(now) {
            return Verdict::Same;
        }
        prober.eager_ms = None;
        match outcome {
            Outcome::Failure(text) => {
                let message = format!("{} probe failed: {text}", kind.title());
                effects.push(event(container, "Unhealthy", message));
            }
            Outcome::Warning(text) => {
                let message = format!("{} probe warning: {text}", kind.title());
                effects.push(event(container, "ProbeWarning", message));
            }
            _ => {}
        }
        let flipped = prober.count(good);
        if kind == ProbeKind::Startup && good && flipped {
            prober.next_at = None;
            self.open_after_startup(now);
        }
        if flipped && !good && kind != ProbeKind::Readiness {
            // On hold until another instance runs (N249).
            self.only_readiness();
            return Verdict::Kill;
        }
        Verdict::Same
    }

    /// Startup is over: the others are due at once (N251).
    fn open_after_startup(&mut self, now: Millis) {
        for prober in [&mut self.liveness, &mut self.readiness].into_iter().flatten() {
            prober.next_at = prober.next_at.map(|_| now);
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.eager_ms = Some(EAGER_FIRST_MS);
            readiness.eager_until = now.plus_ms(readiness.period_ms());
        }
    }
}

impl Prober {
    /// A young container that is not ready yet is asked again soon, and nobody is told; true when that is the case.
    fn stays_eager(&mut self, now: Millis) -> bool {
        let Some(wait) = self.eager_ms else {
            return false;
        };
        let again = now.plus_ms(wait);
        if again >= self.eager_until {
            self.eager_ms = None;
            self.next_at = Some(self.eager_until.max(now));
            return now < self.eager_until;
        }
        self.eager_ms = Some((wait * 2).min(2_000));
        self.next_at = Some(again);
        true
    }
}

fn event(container: &str, reason: &'static str, message: String) -> Effect {
    Effect::Event { container: Some(container.to_owned()), warning: true, reason, message }
}
