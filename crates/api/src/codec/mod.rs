//! The forms in which objects travel: JSON, YAML and protobuf, all by the table of shapes.
//!
//! Decoding gives the *normal form*: no nulls, nothing that the encoder leaves out (empty `omit` fields) or writes by itself (zero
//! scalars and empty structs held by value), scalars canonical; the same for a request and for stored bytes. Encoding gives the
//! canonical JSON (A60, A303b). Unknown and repeated fields are reported, not kept. Not here: HTTP, defaults, validation.

pub mod body;
pub mod json;
pub mod proto;
pub mod yaml;

mod canonical;
mod render;
mod scalar;
mod syntax;
mod typed;

pub(crate) use canonical::{Presence, presence};
pub use canonical::{normalise, normalise_type};

/// The deepest nesting of a document. Upstream allows 10,000; everything that reads stored objects again allows 128.
pub const DEPTH_MAX: usize = 120;

/// How many unknown or repeated fields are reported at most (A75).
pub const FINDINGS_MAX: usize = 100;

/// What to do about unknown and repeated fields (`fieldValidation`, A74, A75).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Drop them silently.
    Ignore,
    /// Drop them and report each; the default.
    #[default]
    Warn,
    /// Refuse.
    Strict,
}

/// Why a body could not be decoded. `Display` is upstream's text, without the sentence around it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not JSON, YAML or protobuf at all.
    #[error("{0}")]
    Syntax(String),
    /// A value has the wrong type or cannot be parsed.
    #[error("{0}")]
    Type(String),
    /// Unknown or repeated fields under [`Strictness::Strict`].
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}
