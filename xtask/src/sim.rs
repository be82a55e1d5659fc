//! `cargo xtask sim`: many seeds of the simulator on all cores, in a build that is optimised and still checks itself.
//!
//! Not here: what can be asked of it, which the program itself says (`crates/sim/src/main.rs`).

use clap::Args;

use crate::shell::must;

/// Runs the simulator. `cargo xtask sim --help` is the simulator's own.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SimArgs {
    /// What the simulator is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs it.
pub(crate) fn run(args: &SimArgs) -> anyhow::Result<()> {
    let build = ["run", "--quiet", "--profile", "sim", "-p", "everynode-sim", "--bin", "everynode-seeds", "--"];
    let words: Vec<&str> = build.into_iter().chain(args.words.iter().map(String::as_str)).collect();
    must("cargo", &words)
}
