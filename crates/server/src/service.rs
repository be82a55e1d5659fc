//! The API for callers in the same process: a tower service, generic over the request's body.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};

use crate::body::{Body, BoxError};
use crate::{Identity, Shared};

const PROGRAM: &str = concat!("everynode/", env!("CARGO_PKG_VERSION"));

/// The server as one caller sees it, without a socket. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    identity: Identity,
}

impl Service {
    pub(crate) fn new(shared: Arc<Shared>, identity: Identity) -> Self {
        Self { shared, identity }
    }

    /// The same server as another caller sees it.
    #[must_use]
    pub fn of(&self, identity: Identity) -> Self {
        Self { shared: Arc::clone(&self.shared), identity }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.identity.clone());
        // Who names no program owns fields as the product itself.
        request.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(PROGRAM));
        let shared = Arc::clone(&self.shared);
        let request = request.map(crate::body::request);
        Box::pin(async move { Ok(crate::rest::answer(shared, request).await) })
    }
}
