//! The TLS listener: who may come in, both protocols, shutdown.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::Harness;

fn tls(server: &Harness, alpn: &[u8], with_certificate: bool) -> TlsConnector {
    let pki = server.running.pki();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca_pem().as_bytes()).expect("a CA")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = if with_certificate {
        let pair = pki.client_certificate("root", &["system:masters"], jiff::Timestamp::now()).expect("a certificate");
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).expect("a key");
        builder.with_client_auth_cert(chain, key).expect("a client")
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn get(server: &Harness, alpn: &[u8], with_certificate: bool, path: &str) -> (StatusCode, Bytes) {
    let address = server.running.address();
    let socket = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::IpAddress(address.ip().into());
    let stream = tls(server, alpn, with_certificate).connect(name, socket).await.expect("a handshake");
    let request = Request::get(format!("https://{address}{path}")).body(Empty::<Bytes>::new()).expect("a request");
    let response = if alpn == b"h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("h1");
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = response.expect("an answer");
    let status = response.status();
    (status, response.into_body().collect().await.expect("a body").to_bytes())
}

/// A10, A195, A201: HTTP/1.1 and HTTP/2 over TLS, a certificate as identity, nobody without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_over_tls() {
    let server = Harness::start().await;
    for alpn in [b"h2".as_slice(), b"http/1.1".as_slice()] {
        let (status, body) = get(&server, alpn, true, "/api/v1/namespaces").await;
        assert_eq!(status, StatusCode::OK);
        assert!(String::from_utf8_lossy(&body).contains("\"kube-system\""));
        assert_eq!(get(&server, alpn, false, "/readyz").await, (StatusCode::OK, Bytes::from_static(b"ok")));
        assert_eq!(get(&server, alpn, false, "/api/v1/namespaces").await.0, StatusCode::FORBIDDEN);
    }
}
