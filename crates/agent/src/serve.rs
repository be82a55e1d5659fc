//! The node's own HTTPS server: logs, exec, the list of pods, health (section 27 of the rules).
//!
//! A client shows a certificate of the cluster's authority that names the API server or a member of `system:masters`, or a
//! bearer token whose owner may use the node's proxy; everybody else is turned away before any request is looked at.

mod access;
mod exec;
mod log;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::kit::Kit;
use crate::runtime::ContainerStatus;
use crate::source::Here;
use crate::{Config, Serving};
use access::Peer;

/// Why the server could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket is taken or not allowed.
    #[error("cannot listen on {address} for logs and exec")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error("cannot use the node's serving certificate: {0}")]
    Certificates(String),
}

/// A socket that nobody serves yet.
pub(crate) struct Door {
    listener: TcpListener,
    serving: Serving,
    /// The port that was given.
    pub(crate) port: u16,
}

/// What handlers share.
#[derive(Clone)]
struct Shared {
    kit: Arc<Kit>,
    here: Here,
}

/// Opens the socket of the configuration; `None` when nothing is to be served.
pub(crate) async fn open(config: &Config) -> Result<Option<Door>, ServeError> {
    let Some(serving) = &config.serving else { return Ok(None) };
    if !serving.certificate.is_empty() {
        access::tls(serving).map_err(ServeError::Certificates)?;
    }
    let address = config.listen;
    let failed = |source| ServeError::Listen { address, source };
    let listener = bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok(Some(Door { listener, serving: serving.clone(), port }))
}

/// The port is published in the Node, so that any will do; the usual one is wanted because some agents expect it.
async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::warn!(%address, "the port for logs and exec is taken; using a free one");
            TcpListener::bind(SocketAddr::new(address.ip(), 0)).await
        }
        bound => bound,
    }
}

/// Serves until dropped; connections end with their clients.
pub(crate) async fn run(door: Option<Door>, kit: Arc<Kit>, here: Here) {
    let Some(door) = door else { return std::future::pending().await };
    let serving = crate::join::serving(&kit, &door.serving).await;
    let tls = match access::tls(&serving) {
        Ok(tls) => TlsAcceptor::from(tls),
        Err(error) => {
            tracing::error!(error, "the serving certificate cannot be used; there are no logs and no exec");
            return std::future::pending().await;
        }
    };
    let app = router(Shared { kit, here });
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, app) = (tls.clone(), app.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let stream = match tls.accept(stream).await {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!(%error, "no TLS"),
            };
            let peer = access::peer(stream.get_ref().1);
            let service = TowerToHyperService::new(app.layer(Extension(peer)));
            let server = auto::Builder::new(TokioExecutor::new());
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

fn router(shared: Shared) -> Router {
    let guard = middleware::from_fn_with_state(shared.clone(), guard);
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/healthz/{check}", get(async || "ok"))
        .route("/pods", get(pods))
        .route("/metrics", get(metrics))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(log::answer))
        .route("/exec/{namespace}/{pod}/{container}", any(exec::answer))
        .route("/exec/{namespace}/{pod}/{uid}/{container}", any(exec_with_uid))
        .route("/attach/{namespace}/{pod}/{container}", any(no_attach))
        .route_layer(guard)
        .with_state(shared)
}

async fn guard(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let asked = access::Asked::of(&request);
    match access::check(&shared.kit, &peer, asked).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn no_attach() -> Response {
    refuse(StatusCode::BAD_REQUEST, "this node cannot attach to running containers yet; use exec or logs".to_owned())
}

async fn exec_with_uid(
    state: State<Shared>,
    Path((namespace, pod, _, container)): Path<(String, String, String, String)>,
    query: RawQuery,
    request: Request,
) -> Response {
    exec::answer(state, Path((namespace, pod, container)), query, request).await
}

/// All pods of the node (N335).
async fn pods(State(shared): State<Shared>) -> Response {
    let items: Vec<_> = shared.here.all().iter().map(|pod| pod.as_ref().clone()).collect();
    let list = serde_json::json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items });
    ([(http::header::CONTENT_TYPE, "application/json")], list.to_string()).into_response()
}

/// A few figures of the agent itself (N339).
async fn metrics(State(shared): State<Shared>) -> Response {
    let containers = shared.kit.runtime.list_containers().await.unwrap_or_default();
    let is_running =
        |container: &&ContainerStatus| matches!(container.state, crate::runtime::ContainerState::Running { .. });
    let text = format!(
        "# TYPE kubelet_node_name gauge\nkubelet_node_name{{node=\"{}\"}} 1\n\
         # TYPE kubelet_running_pods gauge\nkubelet_running_pods {}\n\
         # TYPE kubelet_running_containers gauge\nkubelet_running_containers{{container_state=\"running\"}} {}\n\
         # TYPE everynode_agent_uptime_seconds gauge\neverynode_agent_uptime_seconds {:.3}\n",
        shared.kit.config.node_name,
        shared.here.all().len(),
        containers.iter().filter(is_running).count(),
        shared.kit.started.elapsed().as_secs_f64(),
    );
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// A refusal in plain words, as the API server passes them on.
fn refuse(code: StatusCode, text: String) -> Response {
    (code, text).into_response()
}
