//! Finding the cluster's authority: the server shows its chain, and the hash that the user carried over says which to trust.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::JoinError;
use crate::probes::http::any_certificate;

/// The certificate (DER) of the chain whose public key has this hash.
pub(super) async fn find((host, port): &(String, u16), hash: &str) -> Result<Vec<u8>, JoinError> {
    let server = format!("https://{host}:{port}");
    let failed = |source| JoinError::Reach { server: server.clone(), source };
    let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
    let name = ServerName::try_from(host.clone()).map_err(|_| JoinError::Address { server: server.clone() })?;
    let tls = any_certificate().map_err(JoinError::keys("prepare TLS"))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(failed)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let wanted = hash.strip_prefix("sha256:").unwrap_or(hash).to_lowercase();
    let found = chain.iter().find(|der| key_hash(der).as_deref() == Some(&wanted));
    found.map(|der| der.to_vec()).ok_or_else(|| JoinError::WrongAuthority { server, hash: hash.to_owned() })
}

/// SHA-256 over the public key of a certificate, in hexadecimal digits.
fn key_hash(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let sum = Sha256::digest(certificate.tbs_certificate.subject_pki.raw);
    Some(sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A certificate as PEM.
pub(super) fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The first certificate of a PEM text.
pub(super) fn from_pem(pem: &str) -> Result<Vec<u8>, JoinError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    der.map(|der| der.to_vec()).map_err(|error| JoinError::keys("read the authority's certificate")(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_pem_and_has_a_hash() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pem = to_pem(certificate.der());
        assert_eq!(from_pem(&pem).unwrap(), certificate.der().to_vec());
        assert_eq!(key_hash(certificate.der()).unwrap().len(), 64);
    }
}
