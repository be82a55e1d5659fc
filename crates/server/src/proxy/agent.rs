//! Finding and calling the agent of a node: HTTP/1.1 over mutual TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::registry;
use everynode_api::status::Status;
use everynode_api::value::Read;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::request::call::Call;
use crate::stored;

/// Port of an agent that does not say.
const AGENT_PORT: u16 = 10_250;
/// Time until an agent must have answered the connection.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// An agent.
pub(super) struct Agent {
    node: String,
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

/// Why an agent could not be called, in the words of upstream's dialer.
pub(super) struct Unreachable(pub(super) String);

/// Where the agent of a node listens.
pub(super) fn find(call: &Call, node: &str) -> Result<Agent, Status> {
    let row = registry::find("", "v1", "nodes").ok_or_else(Status::no_such_resource)?;
    let entry = call.shared.store.get(&row.key("", node));
    let entry = entry.ok_or_else(|| Status::not_found("", "nodes", node))?;
    let object = stored::parse(&entry.value);
    let address = address(&object).ok_or_else(|| {
        let known: Vec<String> = object
            .list("status.addresses")
            .iter()
            .map(|a| format!("{{{} {}}}", a.text_or_empty("type"), a.text_or_empty("address")))
            .collect();
        Status::unclassified(format!("no preferred addresses found; known addresses: [{}]", known.join(" ")))
    })?;
    let port = object.int("status.daemonEndpoints.kubeletEndpoint.Port").and_then(|port| u16::try_from(port).ok());
    let tls = call.shared.agent_tls()?;
    Ok(Agent {
        node: node.to_owned(),
        address: SocketAddr::new(address, port.filter(|p| *p > 0).unwrap_or(AGENT_PORT)),
        tls,
    })
}

fn address(node: &Object) -> Option<IpAddr> {
    let of = |kind: &str| {
        let all = node.list("status.addresses").iter();
        all.filter(|a| a.text("type") == Some(kind)).find_map(|a| a.text_or_empty("address").parse().ok())
    };
    of("InternalIP").or_else(|| of("ExternalIP"))
}

impl Agent {
    /// The URL of a path, for messages.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Sends a request without a body.
    pub(super) async fn send(&self, mut request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Unreachable> {
        let stream = self.dial().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(&e))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an agent ended");
            }
        });
        if let Ok(host) = http::HeaderValue::from_str(&self.address.to_string()) {
            request.headers_mut().insert(http::header::HOST, host);
        }
        sender.send_request(request).await.map_err(|e| self.broken(&e))
    }

    async fn dial(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Unreachable> {
        let dial = async {
            let socket = TcpStream::connect(self.address).await.map_err(|e| self.refused(&e))?;
            let _ = socket.set_nodelay(true);
            // The certificate names the node: an address may be anybody's tomorrow.
            let name =
                ServerName::try_from(self.node.clone()).map_err(|e| Unreachable(format!("remote error: tls: {e}")))?;
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            connector.connect(name, socket).await.map_err(|e| Unreachable(format!("remote error: tls: {e}")))
        };
        let late = || Unreachable(format!("dial tcp {}: i/o timeout", self.address));
        tokio::time::timeout(DIAL_MAX, dial).await.unwrap_or_else(|_| Err(late()))
    }

    fn refused(&self, error: &std::io::Error) -> Unreachable {
        let text = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
            std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
            _ => error.to_string(),
        };
        Unreachable(format!("dial tcp {}: connect: {text}", self.address))
    }

    fn broken(&self, error: &hyper::Error) -> Unreachable {
        Unreachable(format!("read tcp {}: {error}", self.address))
    }
}
