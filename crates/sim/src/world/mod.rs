//! The world: one clock, one server, a controller, and everybody else; one entry of the agenda after another.
//!
//! ```text
//! agenda ─> people, kubelets, scheduler, collectors ─┐
//!   ^       requests of the controller, with faults ─┴─> door ─> store ─> watches ─┬─> truth, judges
//!   └──────────────────────────────────────────────────────────────────────────────┴─> the controller's lanes, late
//! ```

mod collect;
mod fleet;
pub(crate) mod people;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use everynode_api::daemonset::wire::Request;
use everynode_api::status::Status;
use everynode_core::lifecycle::garbage::Graph;
use everynode_core::lifecycle::pod_gc::Quarantine;
use everynode_core::model::{Key, Millis, NodeName, Uid};
use everynode_store::Watch;
use jiff::Timestamp;
use serde_json::Value;

use crate::agenda::Agenda;
use crate::controller::net::{Answer, Call, CallId};
use crate::controller::{Controller, Planted};
use crate::door::Door;
use crate::facts::{Fact, Kind, State};
use crate::faults::Faults;
use crate::judge::{Actor, Judge};
use crate::random::Random;
use crate::trace::Trace;
use crate::{Breach, Figures};

pub(crate) use fleet::{Act, Pace};

/// When the world begins: any time will do, as long as it is always the same.
pub(crate) const START: Millis = Millis::from_secs(1_800_000_000);
/// Entries handled at most: beyond that something runs hot.
const ENTRIES_MAX: u64 = 100_000;
/// Decisions at most before the controller waits for something.
const DECISIONS_AT_ONCE_MAX: u32 = 1_000;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request of the controller reaches the server, perhaps for a second time.
    Arrive(CallId),
    /// The controller hears what became of a request.
    Reply(CallId, Answer),
    /// The controller looks at its queue.
    Work,
    /// A lane of the controller tells its next change, or lists again.
    Deliver(Kind),
    /// A broken lane lists again.
    Relist(Kind),
    /// The controller starts.
    Start,
    /// The scheduler looks at a pod.
    Bind(Key, Uid),
    /// A kubelet does something with a pod.
    Kubelet(Key, Uid, Act),
    /// A node that is down is found to be silent.
    Silence(NodeName),
    /// Pods that do not tolerate a node's taints have to go.
    Evict(NodeName),
    /// Pods of nodes that are gone are looked for.
    PodGc,
    /// Garbage is collected.
    Collect,
    /// People or machines do something.
    Operate,
    /// The controller's clock is set.
    Clock,
}

/// What a world is made of.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) pace: Pace,
    /// The judges look at everything; costs time in proportion to the fleet with every decision.
    pub(crate) judges: bool,
    /// Keep the lines of the trace.
    pub(crate) trace: bool,
    pub(crate) bug: Option<Planted>,
}

/// A request on its way to the server.
pub(crate) struct Travelling {
    call: Call,
    fate: crate::faults::Fate,
    /// How often it has arrived, and the answer of the first time.
    arrived: u32,
    answer: Option<Answer>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: Millis,
    agenda: Agenda<Event>,
    pub(crate) random: Random,
    door: Door,
    watches: Vec<(Kind, Watch)>,
    pub(crate) truth: State,
    pub(crate) controller: Controller,
    is_running: bool,
    /// How often the controller has died.
    runs: u64,
    /// When the next look at the queue is planned.
    work_at: Option<Millis>,
    /// How far the controller's clock is off.
    clock_off: Millis,
    lanes: BTreeMap<Kind, watch::Lane>,
    travelling: BTreeMap<CallId, Travelling>,
    pub(crate) faults: Faults,
    pub(crate) pace: Pace,
    pub(crate) machines: BTreeMap<NodeName, fleet::Machine>,
    lives: BTreeMap<Uid, fleet::Life>,
    graph: Graph,
    quarantine: Quarantine,
    is_collecting: bool,
    pub(crate) judge: Judge,
    pub(crate) trace: Trace,
    pub(crate) figures: Figures,
    breach: Option<Breach>,
    judges: bool,
    bug: Option<Planted>,
    /// Changes in the order in which they were made, for who tells what happened.
    pub(crate) history: Option<Vec<(Millis, Fact)>>,
    /// Nothing goes wrong any more.
    pub(crate) is_healed: bool,
    /// Writes that the controller has had done.
    pub(crate) writes: u64,
    entries: u64,
    pub(crate) operations: people::Operations,
}

impl World {
    /// An empty world at its beginning.
    pub(crate) fn new(setup: Setup) -> Result<Self, Breach> {
        let mut random = Random::new(setup.seed);
        let broken = |why: String| Breach { at: Millis(0), what: why };
        let door = Door::new(Random::new(random.draw())).map_err(|error| broken(error.to_string()))?;
        let mut watches = Vec::new();
        for kind in Kind::ALL {
            let row = kind.row().ok_or_else(|| broken(format!("there is no resource for {kind:?}")))?;
            watches.push((kind, door.watch(row).map_err(|error| broken(error.to_string()))?));
        }
        let controller = Controller::new(random.draw(), 0, setup.bug);
        let mut world = Self {
            now: START,
            agenda: Agenda::default(),
            door,
            watches,
            truth: State::default(),
            controller,
            is_running: false,
            runs: 0,
            work_at: None,
            clock_off: Millis(0),
            lanes: BTreeMap::new(),
            travelling: BTreeMap::new(),
            faults: setup.faults,
            pace: setup.pace,
            machines: BTreeMap::new(),
            lives: BTreeMap::new(),
            graph: collect::graph(),
            quarantine: Quarantine::default(),
            is_collecting: false,
            judge: Judge::default(),
            trace: Trace::new(START, setup.trace),
            figures: Figures::default(),
            breach: None,
            judges: setup.judges,
            bug: setup.bug,
            history: None,
            is_healed: false,
            writes: 0,
            entries: 0,
            operations: people::Operations::default(),
            random,
        };
        world.plan(Millis(0), Event::Start);
        Ok(world)
    }

    /// The controller's own clock.
    pub(crate) fn clock(&self) -> Millis {
        self.now.plus(self.clock_off)
    }

    /// Puts something on the agenda.
    pub(crate) fn plan(&mut self, after: Millis, event: Event) {
        self.agenda.put(self.now.plus(after), event);
    }

    pub(crate) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.say(self.now, what);
    }

    /// A rule is broken; the first one counts.
    pub(crate) fn breach(&mut self, what: String) {
        self.trace.say(self.now, format_args!("BREACH {what}"));
        for line in self.controller.beliefs(self.clock()) {
            self.trace.say(self.now, format_args!("  {line}"));
        }
        self.breach.get_or_insert(Breach { at: self.now.since(START), what });
    }

    /// Lets time pass until then.
    pub(crate) fn run_until(&mut self, until: Millis) -> Result<(), Breach> {
        while let Some((at, event)) = self.agenda.next(until) {
            self.now = self.now.max(at);
            self.figures.events += 1;
            self.entries += 1;
            self.handle(event);
            if self.entries > ENTRIES_MAX {
                self.breach(format!("more than {ENTRIES_MAX} events: something runs hot"));
            }
            if let Some(breach) = self.breach.take() {
                return Err(breach);
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// What was found since the last entry.
    pub(crate) fn end(&mut self) -> Result<(), Breach> {
        self.breach.take().map_or(Ok(()), Err)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(id) => self.arrive(id),
            Event::Reply(id, answer) => {
                self.controller.net.answer(id, answer);
                self.go_on();
            }
            Event::Work => {
                self.work_at = None;
                self.work();
            }
            Event::Deliver(kind) => self.deliver(kind),
            Event::Relist(kind) => self.relist(kind),
            Event::Start => self.start(),
            Event::Bind(key, uid) => self.bind(&key, &uid),
            Event::Kubelet(key, uid, act) => self.kubelet(&key, &uid, act),
            Event::Silence(name) => self.silence(&name),
            Event::Evict(name) => self.evict(&name),
            Event::PodGc => self.collect_pods(),
            Event::Collect => self.collect(),
            Event::Operate => self.operate(),
            Event::Clock => self.jump(),
        }
    }

    /// A request of anybody but the controller: done at once, without faults.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Bytes, Status> {
        self.perform(request, Actor::Other)
    }

    /// The same with the body as a value; the path tells the rest.
    pub(crate) fn send(&mut self, method: &'static str, path: &str, body: &Value) -> Result<Bytes, Status> {
        let content_type =
            if method == "PATCH" { "application/strategic-merge-patch+json" } else { "application/json" };
        let request = Request { method, path: path.to_owned(), content_type, body: body.to_string().into_bytes() };
        self.ask(&request)
    }

    /// Does a request, and tells everybody what it changed.
    fn perform(&mut self, request: &Request, actor: Actor) -> Result<Bytes, Status> {
        let now = Timestamp::from_millisecond(self.now.0).unwrap_or_default();
        let answer = self.door.call(request, now);
        if let Err(status) = &answer {
            let (code, reason) = (status.code(), status.reason().as_str());
            self.trace.say(self.now, format_args!("{} {} -> {code} {reason}", request.method, request.path));
        }
        self.tell(actor);
        answer
    }

    /// Reads the watches of the truth, which is always up to date.
    fn tell(&mut self, actor: Actor) {
        for at in 0..self.watches.len() {
            let Some((kind, watch)) = self.watches.get_mut(at) else { continue };
            let kind = *kind;
            let Ok(batch) = watch.poll() else {
                self.breach(format!("the watch of {kind:?} fell behind"));
                return;
            };
            for event in batch.events {
                self.garbage_sees(kind, &event);
                match Fact::of(kind, &event) {
                    Ok(fact) => self.told(fact, actor),
                    Err(error) => self.breach(format!("cannot read what was stored: {error}")),
                }
            }
        }
    }

    fn told(&mut self, fact: Fact, actor: Actor) {
        self.trace.say(self.now, format_args!("{fact}"));
        self.figures.writes += 1;
        let clock = self.clock();
        if self.judges {
            self.judge.before(&self.truth, &fact, clock);
        }
        self.truth.take(&fact);
        if self.judges {
            self.judge.after(&self.truth, &fact, actor, clock);
        }
        self.fleet_sees(&fact);
        self.queue_for_lane(&fact);
        if let Some(history) = &mut self.history {
            history.push((self.now, fact));
        }
    }

    /// Looks at the controller's queue now or when something is due.
    fn go_on(&mut self) {
        let clock = self.clock();
        for report in self.controller.poll(self.now, clock) {
            let failed = report
                .outcomes
                .iter()
                .filter(|(_, outcome)| !matches!(outcome, everynode_core::daemonset::Outcome::Done { .. }));
            for (step, outcome) in failed {
                self.trace.say(self.now, format_args!("controller hears {outcome:?} of {step:?}"));
            }
        }
        self.send_out();
        self.plan_work();
    }

    fn plan_work(&mut self) {
        let Some(due) = self.controller.due() else { return };
        // The loop takes what has arrived meanwhile before it decides.
        let at = due.max(self.now.plus(Millis(self.random.between(0, 2))));
        if self.work_at.is_none_or(|planned| at < planned) {
            self.work_at = Some(at);
            self.agenda.put(at, Event::Work);
        }
    }

    fn work(&mut self) {
        let clock = self.clock();
        let mut decisions = 0;
        while let Some(decision) = self.controller.work(self.now, clock, self.judges) {
            decisions += 1;
            if decisions > DECISIONS_AT_ONCE_MAX {
                let plan = &decision.plan.plan;
                self.breach(format!("the controller decides again and again at once; the last plan: {plan:?}"));
                return;
            }
            let plan = &decision.plan.plan;
            self.figures.decisions += 1;
            if self.judges {
                self.judge.decided(&decision.plan);
            }
            if !plan.steps.is_empty() || plan.status.is_some() {
                self.trace.say(
                    self.now,
                    format_args!("plan for {}: {:?} status {:?}", decision.plan.item.set.key, plan.steps, plan.status),
                );
            }
            if !decision.problems.is_empty() {
                let (key, problems) = (&decision.plan.item.set.key, decision.problems.join("; "));
                self.breach(format!("the plan for {key} breaks rules over what was seen: {problems}"));
            }
        }
        self.go_on();
    }

    /// The controller's clock is set to another time, forth or back.
    fn jump(&mut self) {
        self.judge.settle(&self.truth, self.clock());
        if self.is_healed {
            self.clock_off = Millis(0);
            return;
        }
        self.clock_off = Millis(self.random.between(-600_000, 600_000));
        self.figures.clock_jumps += 1;
        let off = self.clock_off.0;
        self.say(format_args!("the controller's clock is {off} ms off"));
        self.go_on();
    }

    /// The sets that are there.
    pub(crate) fn sets(&self) -> Vec<Arc<crate::facts::SetItem>> {
        self.truth.sets.values().cloned().collect()
    }
}
