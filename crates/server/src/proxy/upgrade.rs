//! Upgraded connections, passed through byte by byte: WebSocket and SPDY alike (A252, A258).

use std::fmt::Write;

use bytes::Bytes;
use everynode_api::status::Status;
use http::header::{CONNECTION, HeaderMap, HeaderName, UPGRADE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::upgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::agent::Agent;
use crate::body::Body;
use crate::request::call::Call;

/// Bytes of an agent's refusal that are passed on.
const ERROR_BYTES_MAX: usize = 8 << 10;
/// Headers that belong to the upgrade and go both ways.
const PASSED: [&str; 8] = [
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-accept",
    "x-stream-protocol-version",
    "x-accepted-stream-protocol-versions",
];

/// The parameters in the words of the node's own API.
pub(super) fn query(call: &Call) -> String {
    let mut out = String::new();
    for command in call.query.all("command") {
        let _ = write!(out, "command={}&", percent(command));
    }
    for ports in call.query.all("ports") {
        let _ = write!(out, "port={}&", percent(ports));
    }
    for (key, theirs) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if call.query.flag(key) {
            let _ = write!(out, "{theirs}=1&");
        }
    }
    out.trim_end_matches('&').to_owned()
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn copy_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for name in PASSED.map(HeaderName::from_static) {
        for value in from.get_all(&name) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// Opens the same upgrade to the agent, and joins the two.
pub(super) async fn pass(call: &Call, agent: &Agent, path: &str, parts: Parts) -> Result<Response<Body>, Status> {
    let upgrading = parts.headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let upgrading = upgrading.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case("upgrade"));
    if !upgrading || !parts.headers.contains_key(UPGRADE) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(path)
        .body(Empty::<Bytes>::new())
        .map_err(Status::internal)?;
    copy_headers(&parts.headers, request.headers_mut());
    let mut answer = agent
        .send(request)
        .await
        .map_err(|error| Status::unclassified(format!("error dialing backend: {}", error.0)))?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = answer.status();
    copy_headers(answer.headers(), response.headers_mut());
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(answer).await);
    }
    let theirs = upgrade::on(&mut answer);
    let ours = upgrade::on(Request::from_parts(parts, ()));
    let mut stop = call.shared.stop.subscribe();
    tokio::spawn(async move {
        let joined = async {
            let (ours, theirs) = tokio::try_join!(ours, theirs)?;
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            // Which side ends first does not matter; the other is told by the end of the stream.
            let _ = copy_bidirectional(&mut ours, &mut theirs).await;
            Ok::<(), hyper::Error>(())
        };
        tokio::select! {
            ended = joined => if let Err(error) = ended {
                tracing::debug!(%error, "a stream to an agent was not upgraded");
            },
            () = crate::stop::stopped(&mut stop) => {}
        }
    });
    Ok(response)
}

async fn refused(answer: Response<hyper::body::Incoming>) -> Status {
    let code = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ERROR_BYTES_MAX).collect().await;
    let text = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).trim_end().to_owned()).unwrap_or_default();
    match code {
        400 => Status::bad_request(text),
        403 => Status::failure(403, everynode_api::status::Reason::Forbidden, text, None),
        404 => Status::failure(404, everynode_api::status::Reason::NotFound, text, None),
        _ => Status::internal(if text.is_empty() { format!("the node answered with {code}") } else { text }),
    }
}
