//! Small answers: text, JSON, empty.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::body::Body;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// An answer with a body of a media type.
pub(crate) fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = typed(status, "text/plain; charset=utf-8", body);
    response.headers_mut().insert("x-content-type-options", NOSNIFF);
    response
}

/// 200 with JSON.
pub(crate) fn json(body: impl Into<Body>) -> Response<Body> {
    typed(StatusCode::OK, "application/json", body)
}

/// Paths that nobody serves (A3).
pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}
