//! gzip of large answers (A8).

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, VARY};

use crate::body::Body;

/// Smaller answers are sent as they are.
const GZIP_BYTES_MIN: usize = 128 << 10;

/// Whether the client takes gzip.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && parts.all(|p| p.replace(' ', "") != "q=0")
    })
}

/// Compresses a body that is worth it.
pub(crate) fn maybe(bytes: Bytes, headers: &mut HeaderMap) -> Body {
    if bytes.len() < GZIP_BYTES_MIN {
        return Body::from(bytes);
    }
    match compress(&bytes) {
        Ok(packed) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            Body::from(packed)
        }
        Err(_) => Body::from(bytes),
    }
}

/// gzip at the quickest level.
pub(crate) fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
