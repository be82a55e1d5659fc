//! Tests over the crate's public face, among them the judgement of recorded sessions of a real API server where they are at hand.

mod golden;
mod manifests;
