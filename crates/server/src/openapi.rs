//! `/openapi/v3`, `/openapi/v3/…` and `/openapi/v2` (A33–A38). The documents are made by `api` from the table of shapes when they are
//! asked for and not kept: clients keep them by their hash, which is made from the table alone.

use everynode_api::openapi::{v2, v3};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, EXPIRES, HeaderMap, HeaderValue, IF_NONE_MATCH,
    LOCATION, VARY,
};
use http::{Response, StatusCode};
use jiff::Timestamp;

use crate::body::Body;
use crate::gzip;
use crate::request::Incoming;
use crate::respond;

/// How long a document of the right hash may be kept: a year.
const FRESH_SECONDS: i64 = 365 * 24 * 3600;

/// Upper-case hexadecimal, as in tags and hashes.
pub(crate) fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Answers OpenAPI paths; `None` for others.
pub(crate) fn answer(incoming: &Incoming, path: &str) -> Option<Response<Body>> {
    let headers = &incoming.parts.headers;
    match path.trim_end_matches('/') {
        "/openapi/v2" => Some(version_two(headers)),
        "/openapi/v3" => Some(index()),
        other => {
            let document = other.strip_prefix("/openapi/v3/")?;
            Some(version_three(headers, document, incoming.query.get("hash"), incoming.now))
        }
    }
}

fn index() -> Response<Body> {
    let paths: serde_json::Map<String, serde_json::Value> = v3::paths()
        .into_iter()
        .map(|path| {
            let url = format!("/openapi/v3/{path}?hash={}", v3::hash(&path));
            (path, serde_json::json!({"serverRelativeURL": url}))
        })
        .collect();
    respond::typed(StatusCode::OK, "text/plain; charset=utf-8", serde_json::json!({"paths": paths}).to_string())
}

/// Whether JSON is among the media types that a client takes.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).peekable();
    given.peek().is_none()
        || given.flat_map(|line| line.split(',')).any(|clause| {
            let media = clause.split(';').next().unwrap_or_default().trim();
            matches!(media, "" | "*/*" | "application/*" | "application/json")
        })
}

fn not_acceptable() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    response
}

fn version_three(headers: &HeaderMap, path: &str, hash: Option<&str>, now: Timestamp) -> Response<Body> {
    if !v3::paths().iter().any(|known| known == path) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    if !takes_json(headers) {
        return not_acceptable();
    }
    let right = v3::hash(path);
    let wanted = hash.filter(|hash| !hash.is_empty());
    if wanted.is_some_and(|hash| hash != right) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        if let Ok(url) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={right}")) {
            response.headers_mut().insert(LOCATION, url);
        }
        return response;
    }
    let mut response = tagged(headers, &right, || v3::document(path).unwrap_or_default());
    if wanted.is_some() {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        let expires = now + jiff::SignedDuration::from_secs(FRESH_SECONDS);
        if let Ok(expires) = HeaderValue::from_str(&expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            headers.insert(EXPIRES, expires);
        }
    }
    response
}

/// The media type under which clients ask for the protobuf form, and the one under which it is sent: they differ.
const MESSAGE_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const MESSAGE_SENT: HeaderValue =
    HeaderValue::from_static("application/com.github.proto-openapi.spec.v2.v1.0+protobuf");

fn version_two(headers: &HeaderMap) -> Response<Body> {
    let asked = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).any(|v| v.contains(MESSAGE_ASKED));
    if asked {
        let mut response = tagged(headers, &v3::hash("v2 message"), v2::document_message);
        response.headers_mut().insert(CONTENT_TYPE, MESSAGE_SENT);
        return response;
    }
    if !takes_json(headers) {
        return not_acceptable();
    }
    tagged(headers, &v3::hash("v2"), v2::document)
}

/// A document with its tag, or 304 if the client has it; gzipped if that is wanted.
fn tagged(headers: &HeaderMap, hash: &str, document: impl FnOnce() -> Vec<u8>) -> Response<Body> {
    let tag = format!("\"{hash}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut response = if known == Some(tag.as_str()) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let bytes = document();
        let packed = if gzip::wanted(headers) { gzip::compress(&bytes).ok() } else { None };
        let is_packed = packed.is_some();
        let mut response = respond::json(packed.unwrap_or(bytes));
        if is_packed {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}
