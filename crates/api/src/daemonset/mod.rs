//! What a DaemonSet's template becomes: the text that is hashed, the bytes of a revision, the pods; and a plan's way to the server.
//!
//! The first three are compatible bit for bit with upstream 1.36, so that a fleet changes hands without a restart (R80–R93).
//!
//! Not here: when any of these is made (`everynode-core`), and defaulting and validation (`kinds`).

mod dump;
mod errand;
mod order;
mod pod;
mod revision;
pub mod wire;

pub use dump::dump;
pub use errand::{Answer, Ask, Errand, Report};
pub use pod::{MakeError, PodMaker};
pub use revision::{new_revision, owner_reference, revision_data, rewritten};

#[cfg(test)]
mod tests;
