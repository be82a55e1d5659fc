//! The server's own certificates: one CA per data directory, made at first start, and what it signs.
//!
//! ```text
//! <data-dir>/pki/ca.crt            what clients and agents trust  ca.key            0600, never leaves the machine
//!                agent-ca.crt      what signs agents' sockets     agent-ca.key      0600
//!                server.crt        the listener's certificate     server.key        0600
//!                agent-client.crt  server → agent (logs, exec)    agent-client.key  0600
//!                sa.key            signs service-account tokens (see `tokens`), 0600
//! ```
//!
//! Two CAs, because a node names the addresses of its own socket: if one CA signed both, a node could ask for a
//! certificate of the server's address and stand in for it. Only this server trusts the agents' CA.
//!
//! Not here: who may do what (`authz`), reading bearer tokens (`identity`), answering CSRs over the API (`signer`).
//!
//! Invariants: private keys are written atomically with mode 0600 and are never logged; a certificate that is near
//! its end, or whose names no longer fit, is replaced at start and by [`Pki::renew`]; a client certificate is optional
//! at the TLS level, and one that does not verify counts as none (A195).

mod files;
mod issue;
mod peer;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::remember::Remembered;

pub(crate) use files::{read as read_file, replace as replace_file, write_private};
pub use issue::{CertificateRequest, IssueError, Issued, Usage};
pub use peer::Peer;

/// How long the CA lives. Every client pins it, so it is long.
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// How long the certificates live that the server makes for itself, and by default for clients.
pub const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// A certificate with less than this left is replaced.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 90);

/// User name of the client certificate with which the server calls an agent.
pub const AGENT_CLIENT_USER: &str = "kube-apiserver-kubelet-client";
/// User name of the administrator's certificate.
pub const ADMIN_USER: &str = "kubernetes-admin";
/// Group that passes every authorization check.
pub const MASTERS: &str = "system:masters";

/// What stopped the server from having its certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The folder could not be made or its mode not set.
    #[error("cannot prepare the certificate folder {path}")]
    Prepare {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is there but is not what it should be.
    #[error("{path} is damaged: {problem}; restore it from a backup, or remove it to have it made anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate of {name}")]
    Issue {
        /// Whose.
        name: String,
        /// Why.
        source: IssueError,
    },
    /// rustls refused what we made.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The verifier of client certificates could not be built.
    #[error("cannot set up the verification of client certificates")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

/// The names under which clients may reach the server, beside those that every server has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServingNames {
    /// Listen and advertise addresses, the service address, the loopback addresses in use.
    pub addresses: Vec<IpAddr>,
    /// Further host names.
    pub hosts: Vec<String>,
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct KeyedCertificate {
    /// The certificate.
    pub certificate_pem: String,
    /// Its PKCS#8 key.
    pub key_pem: String,
}

impl std::fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedCertificate(..)")
    }
}

/// The CA and all that hangs on it. Cheap to share behind an `Arc`.
pub struct Pki {
    folder: PathBuf,
    names: ServingNames,
    ca_pem: String,
    ca_der: CertificateDer<'static>,
    ca_hash: String,
    issuer: Issuer<'static, KeyPair>,
    agents: Issuer<'static, KeyPair>,
    agents_der: CertificateDer<'static>,
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    serving: Arc<CurrentCertificate>,
    peers: Remembered<Peer>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("folder", &self.folder).field("ca_hash", &self.ca_hash).finish_non_exhaustive()
    }
}

impl Pki {
    /// Opens the CA under `folder`, or makes one, and sees to it that the serving certificate carries `names`.
    pub fn load_or_create(folder: &Path, names: ServingNames, now: Timestamp) -> Result<Self, PkiError> {
        files::prepare(folder)?;
        let Authority { pem: ca_pem, der: ca_der, issuer } = Authority::load_or_create(folder, "ca", now)?;
        let Authority { der: agents_der, issuer: agents, .. } = Authority::load_or_create(folder, "agent-ca", now)?;
        let ca_hash = public_key_hash(&ca_der).ok_or_else(|| PkiError::Damaged {
            path: folder.join("ca.crt"),
            problem: "not an X.509 certificate".into(),
        })?;
        let verifier = peer::verifier(&ca_der)?;
        let serving = issue::serving(&issuer, folder, &names, now)?;
        let serving = Arc::new(CurrentCertificate(RwLock::new(Arc::new(certified_key(&serving, &ca_der)?))));
        Ok(Self {
            folder: folder.to_owned(),
            names,
            ca_pem,
            ca_der,
            ca_hash,
            issuer,
            agents,
            agents_der,
            verifier,
            serving,
            peers: Remembered::default(),
        })
    }

    /// The CA certificate as PEM: what a client must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// `sha256:<hex>` of the CA's public key, as `everynode agent --ca-cert-hash` wants it.
    pub fn ca_hash(&self) -> &str {
        &self.ca_hash
    }

    /// The folder that holds the keys.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The listener's TLS settings: TLS 1.2 or newer, HTTP/2 and HTTP/1.1, client certificates asked for, not demanded.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(PkiError::Tls)?
            .with_client_cert_verifier(Arc::new(peer::Optional(self.verifier.clone())))
            .with_cert_resolver(self.serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The TLS settings with which the server calls an agent: it trusts the agents' CA and shows its own client
    /// certificate. Connect with the *node's name* as the server name, whatever the address: only the node itself can
    /// have a certificate of that name.
    pub fn agent_client_config(&self, now: Timestamp) -> Result<Arc<rustls::ClientConfig>, PkiError> {
        let pair = issue::stored_client(&self.issuer, &self.folder, "agent-client", AGENT_CLIENT_USER, now)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.agents_der.clone()).map_err(PkiError::Tls)?;
        let (chain, key) = parts(&pair, &self.folder.join("agent-client.key"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(PkiError::Tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(PkiError::Tls)?;
        Ok(Arc::new(config))
    }

    /// Signs a fresh client certificate for `user` in `groups`. At most two groups fit into one certificate here.
    pub fn client_certificate(
        &self,
        user: &str,
        groups: &[&str],
        now: Timestamp,
    ) -> Result<KeyedCertificate, PkiError> {
        issue::client(&self.issuer, user, groups, LEAF_LIFETIME, now)
            .map_err(|source| PkiError::Issue { name: user.to_owned(), source })
    }

    /// Signs a serving certificate for the HTTPS socket of a node of this process tree. Its client certificate is
    /// [`Pki::client_certificate`] of `system:node:NAME` in `system:nodes`.
    pub fn node_serving(&self, node: &str, addresses: &[IpAddr], now: Timestamp) -> Result<KeyedCertificate, PkiError> {
        issue::node_serving(&self.agents, node, addresses, now)
            .map_err(|source| PkiError::Issue { name: format!("node {node}"), source })
    }

    /// Signs a certificate request that somebody has approved, with the agents' CA if it is for a server. Only subject,
    /// alternative names and public key are taken from it; usages and lifetime are the caller's decision.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        usages: &[Usage],
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, IssueError> {
        let issuer = if usages.contains(&Usage::ServerAuth) { &self.agents } else { &self.issuer };
        issue::request(issuer, request, usages, lifetime.min(LEAF_LIFETIME), now)
    }

    /// What a verified client certificate says, or `None` if it does not verify now (A195).
    pub fn peer(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Arc<Peer>> {
        let peer = self.peers.of(chain.first()?, || peer::read(&*self.verifier, chain, now))?;
        (peer.not_before <= now && now <= peer.not_after).then_some(peer)
    }

    /// Replaces the serving certificate if it is near its end. Call it once a day; new connections get the new one.
    pub fn renew(&self, now: Timestamp) -> Result<(), PkiError> {
        let pair = issue::serving(&self.issuer, &self.folder, &self.names, now)?;
        let fresh = Arc::new(certified_key(&pair, &self.ca_der)?);
        match self.serving.0.write() {
            Ok(mut current) => *current = fresh,
            Err(poisoned) => *poisoned.into_inner() = fresh,
        }
        Ok(())
    }
}

/// Hands every new connection the certificate that is current.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.0.read() {
            Ok(current) => Some(current.clone()),
            Err(poisoned) => Some(poisoned.into_inner().clone()),
        }
    }
}

/// A CA as it lies on disk.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn load_or_create(folder: &Path, file: &str, now: Timestamp) -> Result<Self, PkiError> {
        let (crt, key) = (folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
        let damaged = |path: &Path, problem: String| PkiError::Damaged { path: path.to_owned(), problem };
        let (pem, key_pem) = match (files::read(&crt)?, files::read(&key)?) {
            (Some(certificate), Some(key)) => (certificate, key),
            // A certificate without its key (or the reverse) is a half-restored backup: making a new CA would cut off
            // every agent and client, so that is the owner's decision.
            (Some(_), None) => return Err(damaged(&key, format!("it is missing beside {file}.crt"))),
            (None, Some(_)) => return Err(damaged(&crt, format!("it is missing beside {file}.key"))),
            (None, None) => {
                let pair = issue::authority(&format!("everynode-{file}"), CA_LIFETIME, now)
                    .map_err(|source| PkiError::Issue { name: file.to_owned(), source })?;
                files::write_private(&key, pair.key_pem.as_bytes())?;
                files::write_public(&crt, pair.certificate_pem.as_bytes())?;
                (pair.certificate_pem, pair.key_pem)
            }
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| damaged(&crt, e.to_string()))?;
        let signing = KeyPair::from_pem(&key_pem).map_err(|e| damaged(&key, e.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, signing).map_err(|e| damaged(&crt, e.to_string()))?;
        Ok(Self { pem, der, issuer })
    }
}

fn certified_key(pair: &KeyedCertificate, ca: &CertificateDer<'static>) -> Result<CertifiedKey, PkiError> {
    let (mut chain, key) = parts(pair, Path::new("server.key"))?;
    chain.push(ca.clone());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(PkiError::Tls)
}

fn parts(
    pair: &KeyedCertificate,
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
    let damaged =
        |e: rustls::pki_types::pem::Error| PkiError::Damaged { path: path.to_owned(), problem: e.to_string() };
    let certificate = CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes()).map_err(damaged)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).map_err(damaged)?;
    Ok((vec![certificate], key))
}

/// `sha256:<hex>` over the SubjectPublicKeyInfo of a certificate in DER: what `--ca-cert-hash` is compared with.
pub fn public_key_hash(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(format!("sha256:{}", hex(&Sha256::digest(parsed.public_key().raw))))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
