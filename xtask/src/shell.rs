//! Starting programs: what is run is printed, and a failure names it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// One line of progress on stderr, so that stdout stays what a chore prints.
#[expect(clippy::print_stderr, reason = "the chores' only printer")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// One line of what a chore was asked for, on stdout.
#[expect(clippy::print_stdout, reason = "what a chore prints")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}

/// Runs `program` in the root of the workspace and fails when it does.
pub(crate) fn must(program: &str, args: &[&str]) -> anyhow::Result<()> {
    say(&format!("== {program} {}", args.join(" ")));
    let status = Command::new(program).args(args).current_dir(root()).status();
    let status = status.with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} {} failed: {status}", args.join(" "));
    }
    Ok(())
}

/// The standard output of `program`, run in the root of the workspace.
pub(crate) fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).current_dir(root()).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed something else than text"))
}
