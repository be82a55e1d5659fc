//! One seed: trouble for a while, then none; then the fleet must become right, and rest.

use everynode_core::model::Millis;

use crate::faults::Faults;
use crate::random::Random;
use crate::world::people::Operations;
use crate::world::{Pace, START, Setup, World};
use crate::{Breach, Figures, right};

/// How long the fleet may take to become right once nothing goes wrong any more: the longest back-off of a pod (15 min) and of a
/// request (17 min), the patience for what was never seen (5 min), and time to roll.
const TO_BECOME_RIGHT: Millis = Millis::from_secs(3600);
/// How often it is looked whether it is right.
const LOOK: Millis = Millis::from_secs(60);
/// How long it must rest afterwards: longer than every timer.
const REST: Millis = Millis::from_secs(2 * 3600);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// From which everything follows.
    pub seed: u64,
    /// How many names there are for nodes; 0 draws it from the seed.
    pub nodes: usize,
    /// How many names there are for sets; 0 draws it from the seed.
    pub sets: usize,
    /// Keep the trace.
    pub trace: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// One number over all that happened.
    pub hash: u64,
    /// In numbers.
    pub figures: Figures,
    /// The first rule that was broken.
    pub breach: Option<Breach>,
    /// The trace, if it was to be kept.
    pub lines: Vec<String>,
}

/// Runs a seed.
#[must_use]
pub fn run(config: &Config) -> Outcome {
    run_with(config, None)
}

/// The same with a bug in every plan, and no other trouble: what is found is the bug's.
pub(crate) fn run_with(config: &Config, bug: Option<crate::controller::Planted>) -> Outcome {
    let mut random = Random::new(config.seed ^ 0xfeed);
    let draw = |given: usize, random: &mut Random, low: i64, high: i64| {
        if given > 0 { given } else { usize::try_from(random.between(low, high)).unwrap_or(1) }
    };
    let nodes = draw(config.nodes, &mut random, 1, 8);
    let sets = draw(config.sets, &mut random, 1, 2);
    let pace = Pace {
        bind: (1, 400),
        run: (100, random.between(500, 8_000)),
        ready: (100, random.between(500, 10_000)),
        stop: (50, random.between(500, 20_000)),
        failing_start: if random.chance(300) { 80 } else { 0 },
    };
    let is_calm = bug.is_some() || random.chance(50);
    let faults = if is_calm { Faults::default() } else { Faults::draw(&mut random) };
    let setup = Setup { seed: config.seed, faults, pace, judges: true, trace: config.trace, bug };
    let mut world = match World::new(setup) {
        Ok(world) => world,
        Err(breach) => {
            return Outcome { hash: 0, figures: Figures::default(), breach: Some(breach), lines: Vec::new() };
        }
    };
    let trouble = Millis(random.between(20_000, 300_000));
    let operations = Operations {
        nodes: (0..nodes).map(|at| format!("node-{at:03}")).collect(),
        sets,
        until: if bug.is_some() { START } else { START.plus(trouble) },
        pause: random.between(1_000, 12_000),
        templates: 0,
    };
    world.begin(operations);
    let breach = live_through(&mut world, START.plus(trouble)).err();
    world.figures.seeds = 1;
    Outcome { hash: world.trace.hash(), figures: world.figures, breach, lines: world.trace.lines() }
}

fn live_through(world: &mut World, trouble: Millis) -> Result<(), Breach> {
    world.run_until(trouble)?;
    world.heal();
    let healed = world.now;
    loop {
        world.run_until(world.now.plus(LOOK))?;
        world.tend();
        let wrong = right::wrong(&world.truth, world.now);
        let took = world.now.since(healed);
        if wrong.is_empty() {
            world.figures.slowest_ms = took.0;
            break;
        }
        if took > TO_BECOME_RIGHT {
            world.breach(format!("the fleet did not become right within {} s: {}", took.0 / 1000, wrong.join("; ")));
            return world.end();
        }
    }
    // What is still on its way may arrive.
    world.run_until(world.now.plus(LOOK))?;
    let writes = world.writes;
    world.run_until(world.now.plus(REST))?;
    let more = world.writes - writes;
    if more > 0 {
        world.breach(format!("the controller wrote {more} times more when all was right"));
    }
    let wrong = right::wrong(&world.truth, world.now);
    if !wrong.is_empty() {
        world.breach(format!("the fleet did not stay right: {}", wrong.join("; ")));
    }
    world.end()
}
