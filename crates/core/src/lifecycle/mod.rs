//! What becomes of objects: node health and taints, eviction, garbage, namespaces that end.
//!
//! Not here: acting. Each module takes what was seen and says what should be done, with its reason.

pub mod garbage;
