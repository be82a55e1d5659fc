//! What black-box tests, the demo and the benchmarks share: images made on the spot, and the `everynode` process.
//!
//! Knows the program from outside only: its command line, its ready line, its exit code. The tests themselves are in
//! `crates/cli/tests/it`, beside the binary that they run.

pub mod archive;
pub mod image;
pub mod process;

/// True when `program` can be started at all.
#[must_use]
pub fn exists(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}

/// True when this process may do anything.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Says loudly that a test is skipped, and what it lacks: a skipped test must not look like a passed one.
#[expect(clippy::print_stderr, reason = "the test runner shows it")]
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
