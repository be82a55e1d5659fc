//! `/openapi/v3`, `/openapi/v3/…` and `/openapi/v2` (A33–A38). The documents are made by `api` from the table of shapes,
//! when they are asked for; their hashes are made once, from the table alone.

use http::Response;

use crate::body::Body;
use crate::rest::Incoming;

/// Upper-case hexadecimal, as in tags and hashes.
pub(crate) fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Answers OpenAPI paths; `None` for others.
pub(crate) fn answer(_incoming: &Incoming, _path: &str) -> Option<Response<Body>> {
    None
}
