//! `everynode shim …`: hidden; hands the words on to the runtime, which parses them itself.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

/// The words after `shim`, as they are.
#[derive(Args, Debug)]
pub(crate) struct ShimArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Runs it; nothing else may have been started in this process.
pub(crate) fn run(args: &ShimArgs) -> ExitCode {
    everynode_agent::runtime::shim::main(args.words.clone())
}
