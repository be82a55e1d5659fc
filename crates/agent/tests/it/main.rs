//! Integration tests of the node agent.

mod runtime;
