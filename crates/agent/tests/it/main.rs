//! Integration tests of the node agent.

mod netns;
mod runtime;
