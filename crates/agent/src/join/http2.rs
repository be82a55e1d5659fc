//! A [`kube::Client`] over one HTTP/2 connection: an agent watches a lot, and each watch is only a stream.

use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use tower::ServiceBuilder;

/// Its first word is the name under which an agent owns fields.
const PROGRAM: &str = concat!("everynode-agent/", env!("CARGO_PKG_VERSION"));
/// A connection that answers no ping for this long is given up (N55).
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that speaks HTTP/2 with what the configuration says about trust and identity.
pub(super) fn client(config: kube::Config) -> Result<kube::Client, kube::Error> {
    let tls = config.rustls_client_config()?;
    let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http2()
        .wrap_connector(connector);
    let client: Client<_, kube::client::Body> = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_only(true)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(https);
    let auth = config.auth_layer()?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(tower::BoxError::from)
        .map_request(|mut request: http::Request<kube::client::Body>| {
            request.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(PROGRAM));
            request
        })
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace))
}
