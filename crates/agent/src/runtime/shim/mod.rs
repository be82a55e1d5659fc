//! The hidden subcommand `everynode shim …`: a single-threaded process around libcontainer.

use std::ffi::OsString;

/// Runs the shim with the words after `shim`. Call it before any thread or async runtime exists.
#[must_use]
pub fn main(args: Vec<OsString>) -> std::process::ExitCode {
    let _ = args;
    std::process::ExitCode::from(2)
}
