//! What the engine costs, for one size of fleet: `engine NODES SETS` prints one figure a line. `cargo xtask bench engine` runs it for
//! many sizes, each in a process of its own, and makes the table.
//!
//! `engine NODES SETS KIND` measures one kind of event alone, for a profiler.
//!
//! The clock runs only while the engine works; objects are made beforehand. An event is what a shell does with it: observe, then
//! decide for every set that has changed. Events are measured in batches; the median and the best tenth are told.

mod fleet;
mod play;

use std::time::Duration;

use play::{Fleet, Label};

/// Events of one kind are measured in this many batches.
const BATCHES: usize = 200;
/// As many where each event makes work for every set.
const POOL_BATCHES: usize = 20;

#[expect(clippy::print_stdout, reason = "this is its output")]
fn print(name: &str, value: u64) {
    println!("{name} {value}");
}

fn nanos(time: Duration, events: usize) -> u64 {
    u64::try_from(time.as_nanos() / events.max(1) as u128).unwrap_or(u64::MAX)
}

/// Prints the median, and what nine in ten exceed: so much it costs when nothing else is in the processor's way.
fn spread(name: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let at = |share: usize| values.get(values.len() * share / 100).copied().unwrap_or_default();
    print(&format!("{name}_ns"), at(50));
    print(&format!("{name}_best_ns"), at(10));
}

/// Runs batches; prints the time of an event, and the cells that one event touched at most.
fn events(fleet: &mut Fleet, name: &str, mut batch: impl FnMut(&mut Fleet, usize) -> (Duration, usize)) {
    let (mut times, mut cells) = (Vec::new(), 0);
    for number in 0..BATCHES {
        let before = fleet.assessed();
        let (time, count) = batch(fleet, number);
        times.push(nanos(time, count));
        cells = cells.max((fleet.assessed() - before).div_ceil(count.max(1) as u64));
    }
    spread(name, times);
    print(&format!("{name}_cells"), cells);
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}

/// What one read costs on this machine now that has to wait for memory: the next place to read is told by the last one, all over 64
/// MiB. An event in a large fleet is a few of those and little else.
fn miss() -> u64 {
    const PLACES: u32 = 1 << 20;
    const READS: usize = 200_000;
    let mut places = vec![[0_u32; 16]; PLACES as usize];
    // Full period: an odd step, and one more than a multiple of four as the factor.
    let next = |place: u32| place.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % PLACES;
    let mut place = 0;
    for _ in 0..PLACES {
        places[place as usize][0] = next(place);
        place = next(place);
    }
    let read = |_| {
        let begin = play::Watch::start();
        for _ in 0..READS {
            place = places[place as usize][0];
        }
        std::hint::black_box(place);
        nanos(begin.elapsed(), READS)
    };
    let mut times: Vec<u64> = (0..5).map(read).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let only = std::env::args().skip(1).find(|arg| arg.starts_with(char::is_alphabetic));
    let does = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (nodes, sets) = (sizes.first().copied().unwrap_or(1000), sizes.get(1).copied().unwrap_or(1));
    let cells = (nodes * sets) as u64;

    print("miss_ns", miss());
    let before = resident();
    let mut fleet = Fleet::new(nodes, sets);
    let filled = fleet.fill();
    print("bytes_per_cell", (resident() - before) / cells);
    print("resident_bytes", resident());
    print("first_list_ns", nanos(filled, nodes * sets));

    type Batch = fn(&mut Fleet, usize) -> (Duration, usize);
    let kinds: [(&str, Batch); 6] = [
        ("idle", |fleet, _| fleet.idle()),
        ("pod", Fleet::pod_events),
        ("status", Fleet::statuses),
        ("heartbeat", Fleet::heartbeats),
        ("other_label", |fleet, batch| fleet.labels(batch, Label::OfNoConcern)),
        ("taint", |fleet, batch| fleet.labels(batch, Label::Taint)),
    ];
    for (name, batch) in kinds {
        if does(name) {
            events(&mut fleet, name, batch);
        }
    }
    if does("pool") {
        let pools: Vec<_> = (0..POOL_BATCHES).map(|batch| fleet.pools(batch)).collect();
        spread("pool_lost", pools.iter().map(|pool| nanos(pool.lost, pool.events)).collect());
        spread("pool_gained", pools.iter().map(|pool| nanos(pool.gained, pool.events)).collect());
    }
    if does("rollout") {
        let rollouts: Vec<_> = (0..5).map(|round| fleet.rollout(round + 2)).collect();
        spread("rollout", rollouts.iter().map(|rollout| nanos(rollout.time, 1)).collect());
        spread("rollout_step", rollouts.iter().map(|rollout| nanos(rollout.time, rollout.steps)).collect());
        print("rollout_cells", rollouts.iter().map(|rollout| rollout.assessed).max().unwrap_or_default());
    }
}
