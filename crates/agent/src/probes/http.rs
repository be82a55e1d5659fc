//! An HTTP probe or hook: one GET on a connection of its own, certificates not verified, redirects on the same host
//! followed (N253).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use everynode_core::pod::Outcome;
use http::{HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Pod};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};

use super::tcp;
use crate::kit::Kit;

const BODY_MAX: usize = 10 << 10;
const REDIRECTS_MAX: usize = 10;

/// What to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What came back.
pub(crate) struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Request {
    /// The request that an `httpGet` describes.
    pub(crate) fn of(
        kit: &Kit,
        pod: &Pod,
        ips: &[IpAddr],
        container: &Container,
        get: &HTTPGetAction,
        agent: &str,
    ) -> Result<Self, String> {
        let own = get.host.clone().filter(|host| !host.is_empty());
        let host = match own {
            Some(host) => host,
            None => match super::target(kit, pod, ips).ok_or("the pod has no address")? {
                IpAddr::V6(ip) => format!("[{ip}]"),
                ip => ip.to_string(),
            },
        };
        let port = super::port(&get.port, container).ok_or("unknown port")?;
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let path = get.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let uri = format!("{scheme}://{host}:{port}{slash}{path}").parse().map_err(|error| format!("{error}"))?;
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for header in get.http_headers.iter().flatten() {
            let name = header.name.parse().map_err(|_| format!("bad header name {:?}", header.name))?;
            let value = header.value.parse().map_err(|_| format!("bad value of header {}", header.name))?;
            headers.push((name, value));
        }
        for (name, value) in
            [(http::header::USER_AGENT, format!("{agent}/1.36")), (http::header::ACCEPT, "*/*".to_owned())]
        {
            if !headers.iter().any(|(present, _)| *present == name) {
                headers.push((name, value.parse().map_err(|_| "bad header")?));
            }
        }
        headers.retain(|(name, value)| *name != http::header::ACCEPT || !value.is_empty());
        Ok(Self { uri, headers })
    }
}

/// Runs the probe and judges its answer.
pub(super) async fn probe(request: &Request, timeout: Duration) -> Outcome {
    let url = request.uri.to_string();
    match tokio::time::timeout(timeout, follow(request)).await {
        Err(_) => Outcome::Failure(format!("Get \"{url}\": context deadline exceeded")),
        Ok(Err(error)) => Outcome::Failure(format!("Get \"{url}\": {error}")),
        Ok(Ok(answer)) => match answer.status {
            200..=299 => Outcome::Success,
            300..=399 => Outcome::Warning(format!("Probe terminated redirects, Response body: {}", answer.body)),
            status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        },
    }
}

/// Sends it once, within the time.
pub(crate) async fn send(request: &Request, timeout: Duration) -> Result<Answer, String> {
    tokio::time::timeout(timeout, once(request)).await.map_err(|_| "timed out".to_owned())?
}

async fn follow(request: &Request) -> Result<Answer, String> {
    let mut request = request.clone();
    for _ in 0..REDIRECTS_MAX {
        let answer = once(&request).await?;
        let Some(location) = answer.location.as_deref().filter(|_| (300..400).contains(&answer.status)) else {
            return Ok(answer);
        };
        let Some(next) = next_uri(&request.uri, location) else { return Ok(answer) };
        request.uri = next;
    }
    Err(format!("stopped after {REDIRECTS_MAX} redirects"))
}

/// Where a redirect leads; `None` when that is another host.
fn next_uri(from: &Uri, location: &str) -> Option<Uri> {
    let uri: Uri = location.parse().ok()?;
    if uri.host().is_some() {
        return (uri.host() == from.host()).then_some(uri);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

async fn once(request: &Request) -> Result<Answer, String> {
    let host = request.uri.host().unwrap_or_default().to_owned();
    let secure = request.uri.scheme_str() == Some("https");
    let port = request.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = tcp::connect(&host, port).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))?;
    if !secure {
        return exchange(request, stream).await;
    }
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| error.to_string())?;
    let stream = tls()?.connect(name, stream).await.map_err(|error| format!("tls: {error}"))?;
    exchange(request, stream).await
}

async fn exchange(
    request: &Request,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Answer, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut out = http::Request::get(path);
    if !request.headers.iter().any(|(name, _)| *name == http::header::HOST) {
        out = out.header(http::header::HOST, request.uri.authority().map_or("", |authority| authority.as_str()));
    }
    for (name, value) in &request.headers {
        out = out.header(name, value);
    }
    let out = out.header(http::header::CONNECTION, "close").body(Empty::<Bytes>::new());
    let answer = sender.send_request(out.map_err(|error| error.to_string())?).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let location =
        answer.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    // A body longer than the limit is cut, not an error.
    let body =
        Limited::new(answer.into_body(), BODY_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    driver.abort();
    Ok(Answer { status, location, body: String::from_utf8_lossy(&body).into_owned() })
}

fn tls() -> Result<tokio_rustls::TlsConnector, String> {
    let config = any_certificate().map_err(|error| error.to_string())?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

/// TLS that believes whoever answers: for probes, and for a first look at a chain that is judged by its hash.
pub(crate) fn any_certificate() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Probes ask whether something answers, not who: pods use certificates that nobody else knows (N253).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A server that gives these answers, one per connection.
    async fn server(answers: &'static [&'static str]) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn the_status_decides_n253() {
        let cases: [(&'static [&'static str], &str); 5] = [
            (&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], "success"),
            (&["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"], "HTTP probe failed with statuscode: 503"),
            (
                &[
                    "HTTP/1.1 302 F\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n",
                    "HTTP/1.1 204 OK\r\ncontent-length: 0\r\n\r\n",
                ],
                "success",
            ),
            (&["HTTP/1.1 302 F\r\nlocation: http://example.org/\r\ncontent-length: 0\r\n\r\n"], "warning"),
            (&["nonsense"], "failure"),
        ];
        for (answers, expect) in cases {
            let uri = format!("http://127.0.0.1:{}/", server(answers).await).parse().unwrap();
            let got = match probe(&Request { uri, headers: Vec::new() }, Duration::from_secs(60)).await {
                Outcome::Success => "success".to_owned(),
                Outcome::Warning(_) => "warning".to_owned(),
                Outcome::Failure(text) if text.starts_with("HTTP probe") => text,
                _ => "failure".to_owned(),
            };
            assert_eq!(got, expect, "{answers:?}");
        }
    }
}
