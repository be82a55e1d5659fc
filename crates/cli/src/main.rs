//! The one binary `everynode`: words in, exit code out.
//!
//! What was typed is parsed by [`commands`]; what it means, together with the config file, is worked out by [`config`];
//! the work is done by `server`, `control` and `agent`. Not here: any decision.

mod client;
mod commands;
mod config;
mod exit;
mod isolated;
mod logging;
mod output;
mod standalone;

use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, Command};

// glibc's allocator keeps what it got, musl's collapses under threads; measured, see docs/adr/0006-jemalloc.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    // The shim must stay single-threaded: it forks containers. No runtime may start before it.
    if let Command::Shim(args) = cli.command {
        return commands::shim::run(&args);
    }
    logging::start(cli.log_format);
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failure(&error),
    }
}
