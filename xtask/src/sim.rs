//! `cargo xtask sim`: many seeds of the simulator on all cores, in a build that is optimised and still checks itself.

use clap::Args;

use crate::shell::must;

/// Runs the simulator.
#[derive(Args)]
pub(crate) struct SimArgs {
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

/// Runs it.
pub(crate) fn run(args: &SimArgs) -> anyhow::Result<()> {
    let mut words: Vec<String> =
        ["run", "--quiet", "--profile", "sim", "-p", "everynode-sim", "--bin", "everynode-seeds", "--"]
            .map(str::to_owned)
            .into();
    let numbers = [
        ("--seeds", args.seeds),
        ("--first", args.first),
        ("--nodes", args.nodes as u64),
        ("--sets", args.sets as u64),
        ("--threads", args.threads as u64),
    ];
    words.extend(numbers.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_string()]));
    if let Some(seed) = args.replay {
        words.extend(["--replay".to_owned(), seed.to_string()]);
    }
    must("cargo", &words.iter().map(String::as_str).collect::<Vec<_>>())
}
