//! Integration tests of the node agent.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests may stop, speak and hold tables"
)]

mod netns;
mod node;
mod runtime;
