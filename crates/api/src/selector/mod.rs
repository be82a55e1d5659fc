//! The selectors of query strings: `labelSelector` and `fieldSelector` (A97, A98).
//!
//! Not here: selectors inside objects (`spec.selector`: [`structured`] checks them, `core::selector` matches them for decisions).

pub mod fields;
pub mod labels;
pub mod structured;

/// A selector text that does not parse; its Display is the message of the 400 answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ParseError(pub(crate) String);
