//! The project's own chores, in Rust: `cargo xtask test`, `cargo xtask tidy`, …
//!
//! Each chore is one module with a `run`; what the chores share is the way to start programs ([`shell`]).

mod bench;
mod cluster;
mod demo;
mod golden;
mod shell;
mod sim;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of everynode.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Shows everynode at work: three nodes, Node Exporter on each, and a DaemonSet's life in a minute.
    Demo(demo::DemoArgs),
    /// Measures and prints figures, with the machine they were taken on.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Replays recorded sessions of a real Kubernetes against a fresh server, also with the DaemonSet controller on its own.
    Golden(golden::GoldenArgs),
    /// Runs seeds of the simulator on all cores; a broken rule is printed with the command that replays it.
    Sim(sim::SimArgs),
    /// Format, clippy, all tests and the tidy checks: what CI runs, and what to run before a commit.
    Test,
    /// Only the checks of the tree itself: arrows between crates, file sizes, headers, links, places named in documents.
    Tidy,
}

fn main() -> ExitCode {
    match run(Args::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Bench { what } => bench::run(&what),
        Chore::Golden(args) => golden::run(&args),
        Chore::Sim(args) => sim::run(&args),
        Chore::Test => test::run(),
        Chore::Tidy => tidy::run(),
    }
}
