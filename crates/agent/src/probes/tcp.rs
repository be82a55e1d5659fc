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

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_open_port_is_alive_and_a_closed_one_is_not_n254() {
        // Taken, so that nobody else opens it meanwhile, and not open.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(matches!(probe("127.0.0.1", port, PATIENCE).await, Outcome::Failure(_)));
        let _listener = socket.listen(1).unwrap();
        assert_eq!(probe("127.0.0.1", port, PATIENCE).await, Outcome::Success);
    }
}
