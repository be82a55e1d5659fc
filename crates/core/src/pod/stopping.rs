//! How a pod is stopped: apps first, then sidecars in reverse, then the sandbox, then what the pod held (N155, N266, N267).

use super::Moment;
use super::effect::{Effect, Why};
use super::machine::{Kill, Machine, Making, Stage};
use super::spec::Kind;
use crate::model::Millis;

impl Machine {
    /// From here on nothing starts. A grace period can only shrink (N79).
    pub(super) fn begin_kill(&mut self, grace_seconds: u32, now: Millis) {
        if self.stage > Stage::Terminating {
            return;
        }
        self.stage = Stage::Terminating;
        let until = now.plus_seconds(grace_seconds.max(1));
        let kill = self.kill.get_or_insert(Kill { until, sandbox_asked: false });
        kill.until = kill.until.min(until);
    }

    pub(super) fn advance_terminating(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let Some(kill) = self.kill else { return };
        self.stop_in_order(kill.until, now, effects);
        if self.any_activity() {
            return;
        }
        // A volume or sandbox being made is waited for, so that nothing appears after the cleaning.
        if self.volumes == Making::UnderWay || (self.sandbox == Making::UnderWay && !kill.sandbox_asked) {
            return;
        }
        if self.sandbox == Making::Ready && !kill.sandbox_asked {
            self.kill = Some(Kill { sandbox_asked: true, ..kill });
            self.sandbox = Making::UnderWay;
            effects.push(Effect::StopSandbox);
        }
        if matches!(self.sandbox, Making::Ready | Making::UnderWay) {
            return;
        }
        self.finish_phase();
        self.stage = Stage::Cleaning;
    }

    fn stop_in_order(&mut self, until: Millis, now: Millis, effects: &mut Vec<Effect>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.spec.kind != Kind::Sidecar) {
            slot.cancel_start(effects);
            slot.stop(until, Why::PodGoes, now, effects);
        }
        let others_run = self.slots.iter().any(|slot| slot.spec.kind != Kind::Sidecar && !slot.is_quiet());
        if others_run {
            return;
        }
        for slot in self.slots.iter_mut().rev().filter(|slot| slot.spec.kind == Kind::Sidecar) {
            slot.cancel_start(effects);
            slot.stop(until, Why::PodGoes, now, effects);
            if !slot.is_quiet() {
                return;
            }
        }
    }
}
