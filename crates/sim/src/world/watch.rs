//! How the controller comes to see what happened: one lane per kind, in order within itself, late or broken at times.

use std::collections::VecDeque;

use everynode_core::model::{Millis, Version};

use super::{Event, World};
use crate::facts::{Fact, Kind};

/// One watch of the controller.
#[derive(Default)]
pub(crate) struct Lane {
    /// Changes not told yet, each with its version.
    waiting: VecDeque<(Fact, Version)>,
    /// When the last of them is told: none overtakes another.
    last: Millis,
    /// Broken: nothing is told until it lists again.
    is_broken: bool,
    /// The first list is in.
    is_synced: bool,
}

impl World {
    /// The controller starts: it lists everything, each kind in its own time.
    pub(super) fn start(&mut self) {
        self.is_running = true;
        self.say(format_args!("the controller starts"));
        for kind in Kind::ALL {
            self.lanes.insert(kind, Lane { is_broken: true, ..Lane::default() });
            let delay = Millis(self.random.between(1, 500));
            self.plan(delay, Event::Relist(kind));
        }
    }

    /// A change goes on its way to the controller.
    pub(super) fn queue_for_lane(&mut self, fact: &Fact) {
        let kind = fact.kind();
        let version = fact.version();
        let mut delay = self.random.between(1, 15);
        let mut breaks = None;
        if !self.is_healed {
            if self.random.chance(self.faults.late_watch) {
                delay = self.random.between(500, 40_000);
                self.figures.late_watches += 1;
            }
            if self.random.chance(self.faults.broken_watch) {
                breaks = Some(Millis(self.random.between(50, 20_000)));
            }
        }
        let Some(lane) = self.lanes.get_mut(&kind).filter(|lane| !lane.is_broken) else { return };
        if let Some(after) = breaks {
            lane.is_broken = true;
            lane.waiting.clear();
            self.figures.broken_watches += 1;
            self.say(format_args!("the watch of {kind:?} breaks"));
            self.plan(after, Event::Relist(kind));
            return;
        }
        lane.waiting.push_back((fact.clone(), version));
        lane.last = lane.last.max(self.now.plus(Millis(delay)));
        let at = lane.last;
        self.agenda.put(at, Event::Deliver(kind));
    }

    /// The next change of a lane is seen.
    pub(super) fn deliver(&mut self, kind: Kind) {
        let Some(lane) = self.lanes.get_mut(&kind).filter(|lane| !lane.is_broken) else { return };
        let Some((fact, version)) = lane.waiting.pop_front() else { return };
        self.controller.take(&fact, self.now);
        self.controller.up_to(kind, version, self.now);
        self.plan_work();
    }

    /// A lane lists what is there, and goes on from there.
    pub(super) fn relist(&mut self, kind: Kind) {
        let version = Version(self.door.revision());
        let Some(lane) = self.lanes.get_mut(&kind).filter(|lane| lane.is_broken) else { return };
        lane.is_broken = false;
        lane.last = self.now;
        let is_first = !std::mem::replace(&mut lane.is_synced, true);
        for fact in self.truth.list(kind, &self.controller.view, version) {
            self.controller.take(&fact, self.now);
        }
        self.controller.up_to(kind, version, self.now);
        if is_first {
            self.controller.synced(kind);
        }
        self.figures.lists += 1;
        self.say(format_args!("the controller lists {kind:?} @{}", version.0));
        self.plan_work();
    }
}
