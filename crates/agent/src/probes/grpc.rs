//! A gRPC probe: `grpc.health.v1.Health/Check` in plain HTTP/2 (N256). The two messages are small enough to write by hand.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use everynode_core::pod::Outcome;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

const SERVING: u8 = 1;

pub(super) async fn probe(ip: IpAddr, port: u16, service: &str, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, check(ip, port, service)).await {
        Ok(Ok(SERVING)) => Outcome::Success,
        Ok(Ok(status)) => Outcome::Failure(format!("service unhealthy (responded with {:?})", status_name(status))),
        Ok(Err(error)) => Outcome::Failure(format!("error: health rpc probe failed: {error}")),
        Err(_) => Outcome::Failure(format!("timeout: health rpc did not complete within {timeout:?}")),
    }
}

fn status_name(status: u8) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

/// A message with one string field, in its frame.
fn request(service: &str) -> Bytes {
    let length = u8::try_from(service.len()).unwrap_or(u8::MAX);
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_slice(&[0x0a, length]);
        message.put_slice(&service.as_bytes()[..usize::from(length)]);
    }
    let mut frame = BytesMut::from(&[0][..]);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.extend(message);
    frame.freeze()
}

/// The enum of the answer: field 1 as varint, 0 when absent.
fn status(frame: &[u8]) -> u8 {
    match frame.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

async fn check(ip: IpAddr, port: u16, service: &str) -> Result<u8, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let stream = super::tcp::connect(&ip.to_string(), port).await.map_err(|error| words(&error))?;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    let driver = tokio::spawn(connection);
    let request =
        http::Request::post(format!("http://{}/grpc.health.v1.Health/Check", std::net::SocketAddr::new(ip, port)))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "kube-probe/1.36")
            .body(Full::new(request(service)))
            .map_err(|error| words(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| words(&error))?;
    let early = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.map_err(|error| words(&error))?;
    driver.abort();
    let code = early.or_else(|| body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned());
    match code.as_ref().and_then(|code| code.to_str().ok()) {
        Some("0") | None => Ok(status(&body.to_bytes())),
        Some(code) => Err(format!("status {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_n256() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("db")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        assert_eq!(status(&[0, 0, 0, 0, 2, 0x08, 1]), SERVING);
        assert_eq!(status(&[0, 0, 0, 0, 0]), 0);
    }
}
