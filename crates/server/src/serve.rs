//! The TLS listener and the way of a request from a connection into the pipeline.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use tokio::net::TcpListener;

use crate::body::{Body, RequestBody};
use crate::{Shared, StartError};

/// Binds the listener.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Answers one request.
pub(crate) async fn answer(_shared: Arc<Shared>, _request: Request<RequestBody>) -> Response<Body> {
    let mut response = Response::new(Body::from("not written yet\n"));
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    response
}
