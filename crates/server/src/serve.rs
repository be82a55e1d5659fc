//! The TLS listener: accepts connections, bounds them, hands their requests to the pipeline, ends them in peace.
//!
//! Invariant: a connection task ends when its peer goes, when the server stops, or when a handshake or a header takes
//! longer than its bound; nothing waits for a silent peer for ever except a watch, which the peer asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::identity::PeerCertificates;
use crate::stop::stopped;
use crate::{Shared, StartError};

/// Connections at one time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 20_000;
/// Streams of one HTTP/2 connection: enough for a client that watches everything over one connection.
const STREAMS_MAX: u32 = 1_000;
/// Bytes of a request's head.
const HEADER_BYTES_MAX: u32 = 1 << 20;
/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// Time between requests of a kept-alive HTTP/1.1 connection, the next head included.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Silence of an HTTP/2 peer before it is pinged, and how long it may take to answer.
const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_MAX: Duration = Duration::from_secs(20);
/// Pause after the system refused to accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds the listener.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Accepts until `stop` turns true or its sender is gone, then lets connections finish. Dropping the future ends them.
pub(crate) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((socket, permit)) = accepted else { continue };
        let (shared, acceptor, stop) = (Arc::clone(&shared), acceptor.clone(), stop.clone());
        connections.spawn(async move {
            connection(shared, socket, acceptor, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => Some((socket, permit)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(shared: Arc<Shared>, socket: TcpStream, acceptor: TlsAcceptor, mut stop: watch::Receiver<bool>) {
    let _ = socket.set_nodelay(true);
    let peer = socket.peer_addr().ok();
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(socket)).await else {
        tracing::debug!(?peer, "TLS handshake failed");
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = PeerCertificates(Arc::new(certificates.iter().map(|c| c.clone().into_owned()).collect()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(certificates.clone());
        let shared = Arc::clone(&shared);
        async move {
            Ok::<Response<Body>, std::convert::Infallible>(
                crate::rest::answer(shared, request.map(crate::body::request)).await,
            )
        }
    });
    let builder = builder();
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stopped(&mut stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, error = &*error, "connection ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_MAX).max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PONG_MAX);
    builder
}
