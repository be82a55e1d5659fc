//! `cargo xtask bench …`: figures, printed with the machine they were taken on. Nothing is asserted.

mod engine;
mod start;

use std::time::Duration;

use clap::Subcommand;

use crate::shell::output;

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Cold start on an empty store, resident memory when idle, and pod start latency.
    Start {
        /// How many cold starts are measured.
        #[arg(long, default_value_t = 11)]
        starts: usize,
        /// How many pods are started one after another.
        #[arg(long, default_value_t = 20)]
        pods: usize,
        /// Measure the unoptimised build, which is quicker to make; the figures say so.
        #[arg(long)]
        dev: bool,
    },
    /// What the DaemonSet engine costs per event, per rollout and in memory, at many sizes of fleet.
    Engine(engine::EngineArgs),
}

/// Measures it.
pub(crate) fn run(what: &Bench) -> anyhow::Result<()> {
    match what {
        Bench::Start { starts, pods, dev } => start::run(*starts, *pods, *dev),
        Bench::Engine(args) => engine::run(args),
    }
}

/// One line about the machine: cores, memory, kernel.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let kernel = output("uname", &["-sr"]).unwrap_or_default();
    format!("{cores} cores, {} GiB, {}", kib >> 20, kernel.trim())
}

/// Minimum, median and maximum in milliseconds.
fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (first, middle, last) = (times.first(), times.get(times.len() / 2), times.last());
    format!("min {:.0} ms, median {:.0} ms, max {:.0} ms of {}", ms(first), ms(middle), ms(last), times.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_sorted_first() {
        let mut times = [30, 10, 20].map(Duration::from_millis);
        assert_eq!(spread(&mut times), "min 10 ms, median 20 ms, max 30 ms of 3");
    }
}
