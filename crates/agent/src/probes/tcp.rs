//! A TCP probe: can a connection be made? (N254)

use std::time::Duration;

use everynode_core::pod::Outcome;
use tokio::net::TcpStream;

pub(super) async fn probe(host: &str, port: u16, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, connect(host, port)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error)) => Outcome::Failure(format!("dial tcp {host}:{port}: {error}")),
        Err(_) => Outcome::Failure(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

/// A connection that leaves no trace when it is closed: thousands of probes must not pile up (N257).
pub(super) async fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_port_is_alive_and_a_closed_one_is_not_n254() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(probe("127.0.0.1", port, Duration::from_secs(5)).await, Outcome::Success);
        drop(listener);
        assert!(matches!(probe("127.0.0.1", port, Duration::from_secs(5)).await, Outcome::Failure(_)));
    }
}
