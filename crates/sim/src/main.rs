//! Runs many seeds on all cores, and says which one broke a rule and how to see it: `cargo xtask sim`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program for a terminal")]

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use everynode_sim::{Config, Figures, Outcome, run};

/// Runs seeds of the simulator.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Names for nodes; 0 draws their number from the seed
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// Names for sets; 0 draws their number from the seed
    #[arg(long, default_value_t = 0)]
    sets: usize,
    /// Runs only this seed, and prints its trace
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// Threads; 0 is one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.replay {
        Some(seed) => replay(&args, seed),
        None => many(&args),
    }
}

fn config(args: &Args, seed: u64, trace: bool) -> Config {
    Config { seed, nodes: args.nodes, sets: args.sets, trace }
}

/// What there is to say of a seed that went wrong: a breach, or a panic, which ends its seed and no other.
fn lived(config: &Config) -> (Option<Outcome>, Option<String>) {
    match catch_unwind(|| run(config)) {
        Ok(outcome) => {
            let wrong = outcome.breach.as_ref().map(ToString::to_string);
            (Some(outcome), wrong)
        }
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of something without words");
            (None, Some(format!("it panicked: {words}")))
        }
    }
}

fn replay(args: &Args, seed: u64) -> ExitCode {
    let outcome = run(&config(args, seed, true));
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("seed {seed}: trace hash {:016x}", outcome.hash);
    match outcome.breach {
        None => ExitCode::SUCCESS,
        Some(breach) => {
            eprintln!("seed {seed}: {breach}");
            ExitCode::FAILURE
        }
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    next: AtomicU64,
    done: AtomicBool,
    sums: Mutex<(Figures, Vec<(u64, String)>)>,
}

fn many(args: &Args) -> ExitCode {
    let shared = Shared { next: AtomicU64::new(args.first), ..Shared::default() };
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        given => given,
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(args, &shared))).collect();
        scope.spawn(|| report(args, &shared, started));
        for worker in workers {
            let _ = worker.join();
        }
        shared.done.store(true, Ordering::Release);
    });
    let (figures, mut broken) = shared.sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_unstable();
    print(&figures, started.elapsed(), threads);
    if broken.is_empty() {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    }
    for (seed, what) in &broken {
        tell(args, *seed, what);
    }
    println!("\n{} of {} seeds broke a rule", broken.len(), args.seeds);
    ExitCode::FAILURE
}

/// A seed that went wrong, and how to see it again.
fn tell(args: &Args, seed: u64, what: &str) {
    println!("\nseed {seed}: {what}\n  cargo xtask sim --replay {seed}{}", shape(args));
}

fn shape(args: &Args) -> String {
    let mut shape = String::new();
    for (flag, value) in [("nodes", args.nodes), ("sets", args.sets)] {
        if value > 0 {
            shape += &format!(" --{flag} {value}");
        }
    }
    shape
}

fn work(args: &Args, shared: &Shared) {
    loop {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= args.first.saturating_add(args.seeds) {
            return;
        }
        let (outcome, wrong) = lived(&config(args, seed, false));
        let mut sums = shared.sums.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Some(outcome) => sums.0.add(&outcome.figures),
            None => sums.0.seeds += 1,
        }
        if let Some(what) = wrong {
            tell(args, seed, &what);
            sums.1.push((seed, what));
        }
    }
}

/// A line now and then.
fn report(args: &Args, shared: &Shared, started: Instant) {
    let mut last = Instant::now();
    while !shared.done.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(100));
        if last.elapsed() < Duration::from_secs(5) {
            continue;
        }
        last = Instant::now();
        let sums = shared.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let (seeds, broken) = (sums.0.seeds, sums.1.len());
        drop(sums);
        eprintln!("{seeds} of {} seeds, {broken} broken, {:.0} s", args.seeds, started.elapsed().as_secs_f64());
    }
}

fn print(figures: &Figures, took: Duration, threads: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = figures.seeds as f64 / took.as_secs_f64().max(0.001);
    println!("{} seeds in {:.1} s on {threads} threads: {rate:.0} seeds/s", figures.seeds, took.as_secs_f64());
    for (what, count) in [
        ("events", figures.events),
        ("writes", figures.writes),
        ("decisions", figures.decisions),
        ("requests of the controller", figures.requests),
        ("pods made", figures.creates),
        ("pods taken away", figures.deletes),
        ("deeds of people and machines", figures.operations),
        ("answers lost", figures.lost_answers),
        ("requests lost", figures.lost_requests),
        ("done, but answered 500", figures.done_but_500),
        ("refused", figures.refused),
        ("doubled", figures.doubled),
        ("crashes of the controller", figures.crashes),
        ("watches broken", figures.broken_watches),
        ("changes seen late", figures.late_watches),
        ("lists", figures.lists),
        ("clock jumps", figures.clock_jumps),
    ] {
        println!("  {what:<30}{count:>12}");
    }
    println!("  slowest to become right       {:>10} s", figures.slowest_ms / 1000);
}
