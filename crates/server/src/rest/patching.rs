//! Which patch a request brings, and its application.

use everynode_api::Object;
use everynode_api::codec::Strictness;
use everynode_api::codec::body::{Decoded, Expected};
use everynode_api::status::Status;

/// The forms of a patch (A135).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RFC 6902
    Json,
    /// RFC 7386
    Merge,
    /// by the table of shapes
    Strategic,
}

/// Applies a patch to the full form of an object.
pub(crate) fn apply(
    _kind: Kind,
    _current: &Object,
    _patch: &[u8],
    _expected: &Expected<'_>,
    _strictness: Strictness,
) -> Result<Decoded, Status> {
    Err(Status::unsupported_media_type())
}
