//! Integration tests of the node agent.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests may stop, speak and hold tables"
)]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail, and says loudly when it cannot run")]

mod netns;
mod node;
mod runtime;
