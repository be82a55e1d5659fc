//! What a handler found, in no form yet: [`crate::render`] gives it the one that the client wants.

use bytes::Bytes;
use everynode_api::resource::KindRef;
use everynode_api::status::Status;
use http::Response;

use crate::body::Body;
use crate::list::Page;

/// What a handler found, before it is brought into the form that the client wants.
pub(crate) enum Answer {
    /// An object of the call's own resource, as its buffer in the stored version.
    Object(u16, Bytes),
    /// An object of another kind that is not stored (a review, a token, a scale), complete JSON.
    Other(u16, Bytes, KindRef),
    /// A collection.
    List(Page),
    /// A Status that is no failure.
    Status(Status),
    /// Something that is no object: a stream, text.
    Raw(Response<Body>),
}
