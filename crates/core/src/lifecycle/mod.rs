//! What becomes of objects: node health and taints, eviction, garbage, namespaces that end.
//!
//! Not here: acting. Each module takes what was seen and says what should be done, with its reason.

pub mod disruption;
pub mod eviction;
pub mod garbage;
pub mod health;
pub mod job;
pub mod namespace;
pub mod pod_gc;
pub mod taints;

#[cfg(test)]
mod tests;
