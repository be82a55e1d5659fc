//! Integration tests of the node agent.
#![expect(clippy::too_many_lines, reason = "tables are long")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail, and says loudly when it cannot run")]

mod netns;
mod node;
mod runtime;
