//! Client certificates: asked for, never demanded, believed only when they chain to our CA now (A195).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use x509_parser::der_parser::oid;
use x509_parser::prelude::X509Name;

use super::{PkiError, hex};

/// A certificate with more organisations than this is not one of ours.
const GROUPS_MAX: usize = 64;

/// What a verified client certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The common name.
    pub user: String,
    /// Every organisation, in the certificate's order.
    pub groups: Vec<String>,
    /// The unique id attribute (1.3.6.1.4.1.57683.2), if any.
    pub uid: Option<String>,
    /// `X509SHA256=<hex>` of the whole certificate.
    pub credential_id: String,
    /// From when it holds. A connection may outlive its certificate, so it is looked at per request.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
}

/// The strict verifier: chain, validity and client-auth usage against one CA.
pub(super) fn verifier(ca: &CertificateDer<'static>) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.clone()).map_err(PkiError::Tls)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(PkiError::Verifier)
}

/// Verifies now and reads the subject.
pub(super) fn read(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Peer> {
    let (leaf, between) = chain.split_first()?;
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).ok()?);
    verifier.verify_client_cert(leaf, between, UnixTime::since_unix_epoch(since_epoch)).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().last()?.as_str().ok()?.to_owned();
    if user.is_empty() {
        return None;
    }
    let groups: Vec<String> = subject
        .iter_organization()
        .take(GROUPS_MAX + 1)
        .map(|group| group.as_str().map(str::to_owned))
        .collect::<Result<_, _>>()
        .ok()?;
    if groups.len() > GROUPS_MAX {
        return None;
    }
    Some(Peer {
        user,
        groups,
        uid: unique_id(subject),
        credential_id: format!("X509SHA256={}", hex(&Sha256::digest(leaf))),
        not_before: Timestamp::from_second(certificate.validity().not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
    })
}

fn unique_id(subject: &X509Name<'_>) -> Option<String> {
    let uid = subject.iter_by_oid(&oid!(1.3.6.1.4.1.57683.2)).next()?;
    uid.as_str().ok().map(str::to_owned)
}

/// Lets any certificate through the handshake, provided that the client owns its key; [`read`] decides later whether
/// to believe it. So a stale certificate does not keep a client with a good token out.
#[derive(Debug)]
pub(super) struct Optional(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Optional {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
