//! Making certificates with the CA: its own, the server's, clients', and those that others ask for.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use x509_parser::prelude::{FromDer, GeneralName, X509CertificationRequest};

use super::{KeyedCertificate, LEAF_LIFETIME, PkiError, RENEW_BEFORE, ServingNames, files};

/// Certificates begin this much before now, for clients whose clock is behind.
const BACK_DATE: SignedDuration = SignedDuration::from_mins(5);
/// Host names that every server answers to (A368).
const SERVING_HOSTS: [&str; 6] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "everynode",
];
/// The organisation attribute once more, under its number: rcgen keeps one value per attribute type.
const SECOND_ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is not PEM of a PKCS#10 request.
    #[error("the request is not a PEM block of type CERTIFICATE REQUEST")]
    NotARequest,
    /// The request's signature does not fit its key.
    #[error("the request's signature does not fit its key")]
    Signature,
    /// More organisations than one certificate of ours can carry.
    #[error("a certificate here carries at most two organisations, {count} were asked for")]
    TooManyGroups {
        /// How many there were.
        count: usize,
    },
    /// The library refused.
    #[error("cannot build the certificate")]
    Build(#[from] rcgen::Error),
    /// A point in time outside of what certificates can say.
    #[error("the time of validity is out of range")]
    Time,
}

/// What a certificate may be used for, as CSRs spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// `digital signature`
    DigitalSignature,
    /// `key encipherment`
    KeyEncipherment,
    /// `client auth`
    ClientAuth,
    /// `server auth`
    ServerAuth,
}

/// A parsed and verified PKCS#10 request.
pub struct CertificateRequest {
    /// The common name of the subject.
    pub common_name: String,
    /// Every organisation of the subject.
    pub organizations: Vec<String>,
    /// DNS names asked for.
    pub dns_names: Vec<String>,
    /// Addresses asked for.
    pub addresses: Vec<IpAddr>,
    /// Whether it asks for alternative names of other kinds (mail, URI, …).
    pub other_names: bool,
    key: rcgen::PublicKey,
}

/// A signed certificate and when it ends.
pub struct Issued {
    /// PEM.
    pub certificate_pem: String,
    /// The last moment of validity.
    pub not_after: Timestamp,
}

impl CertificateRequest {
    /// Reads the PEM of a request and checks that its sender owns the key.
    pub fn parse(pem: &str) -> Result<Self, IssueError> {
        use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| IssueError::NotARequest)?;
        let (_, request) = X509CertificationRequest::from_der(&der).map_err(|_| IssueError::NotARequest)?;
        request.verify_signature().map_err(|_| IssueError::Signature)?;
        let subject = &request.certification_request_info.subject;
        let texts = |values: Vec<Result<&str, _>>| -> Result<Vec<String>, IssueError> {
            values
                .into_iter()
                .map(|text: Result<&str, x509_parser::error::X509Error>| {
                    text.map(str::to_owned).map_err(|_| IssueError::NotARequest)
                })
                .collect()
        };
        let common_names = texts(subject.iter_common_name().map(|value| value.as_str()).collect())?;
        let organizations = texts(subject.iter_organization().map(|value| value.as_str()).collect())?;
        let (mut dns_names, mut addresses, mut other_names) = (Vec::new(), Vec::new(), false);
        for extension in request.requested_extensions().into_iter().flatten() {
            let x509_parser::extensions::ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => match address(bytes) {
                        Some(address) => addresses.push(address),
                        None => return Err(IssueError::NotARequest),
                    },
                    _ => other_names = true,
                }
            }
        }
        let key = CertificateSigningRequestParams::from_der(&der)?.public_key;
        Ok(Self {
            common_name: common_names.into_iter().next_back().unwrap_or_default(),
            organizations,
            dns_names,
            addresses,
            other_names,
            key,
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A self-signed CA.
pub(super) fn authority(name: &str, lifetime: SignedDuration, now: Timestamp) -> Result<KeyedCertificate, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = blank(lifetime, now)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(KeyedCertificate { certificate_pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() })
}

/// The serving certificate: the stored one if it still fits, else a new one, stored.
pub(super) fn serving(
    issuer: &Issuer<'static, KeyPair>,
    folder: &Path,
    names: &ServingNames,
    now: Timestamp,
) -> Result<KeyedCertificate, PkiError> {
    let mut sans: Vec<String> = SERVING_HOSTS.iter().map(|host| (*host).to_owned()).collect();
    sans.extend(names.hosts.iter().cloned());
    sans.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    sans.extend(names.addresses.iter().filter(|a| !a.is_unspecified()).map(ToString::to_string));
    sans.sort();
    sans.dedup();
    if let Some(pair) = stored(folder, "server", issuer, now, |have| sans.iter().all(|name| have.contains(name)))? {
        return Ok(pair);
    }
    let make = || -> Result<KeyedCertificate, IssueError> {
        let key = KeyPair::generate()?;
        let mut params = blank(LEAF_LIFETIME, now)?;
        params.distinguished_name.push(DnType::CommonName, "everynode-server");
        params.subject_alt_names = CertificateParams::new(sans)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(KeyedCertificate { certificate_pem: params.signed_by(&key, issuer)?.pem(), key_pem: key.serialize_pem() })
    };
    store(folder, "server", make().map_err(|source| PkiError::Issue { name: "the server".into(), source })?)
}

/// A client certificate that is kept on disk under `file`, renewed when near its end.
pub(super) fn stored_client(
    issuer: &Issuer<'static, KeyPair>,
    folder: &Path,
    file: &str,
    user: &str,
    now: Timestamp,
) -> Result<KeyedCertificate, PkiError> {
    if let Some(pair) = stored(folder, file, issuer, now, |_| true)? {
        return Ok(pair);
    }
    let pair = client(issuer, user, &[], LEAF_LIFETIME, now)
        .map_err(|source| PkiError::Issue { name: user.to_owned(), source })?;
    store(folder, file, pair)
}

/// A fresh client certificate.
pub(super) fn client(
    issuer: &Issuer<'static, KeyPair>,
    user: &str,
    groups: &[&str],
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<KeyedCertificate, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = blank(lifetime, now)?;
    params.distinguished_name = subject(user, groups)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(KeyedCertificate { certificate_pem: params.signed_by(&key, issuer)?.pem(), key_pem: key.serialize_pem() })
}

/// A serving certificate for a node's own socket.
pub(super) fn node_serving(
    issuer: &Issuer<'static, KeyPair>,
    node: &str,
    addresses: &[IpAddr],
    now: Timestamp,
) -> Result<KeyedCertificate, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = blank(LEAF_LIFETIME, now)?;
    params.distinguished_name = subject(&format!("system:node:{node}"), &["system:nodes"])?;
    params.subject_alt_names.push(SanType::DnsName(node.try_into()?));
    params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(KeyedCertificate { certificate_pem: params.signed_by(&key, issuer)?.pem(), key_pem: key.serialize_pem() })
}

/// A certificate for somebody else's key.
pub(super) fn request(
    issuer: &Issuer<'static, KeyPair>,
    request: &CertificateRequest,
    usages: &[Usage],
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let mut params = blank(lifetime, now)?;
    let groups: Vec<&str> = request.organizations.iter().map(String::as_str).collect();
    params.distinguished_name = subject(&request.common_name, &groups)?;
    for name in &request.dns_names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
    for usage in usages {
        match usage {
            Usage::DigitalSignature => params.key_usages.push(KeyUsagePurpose::DigitalSignature),
            Usage::KeyEncipherment => params.key_usages.push(KeyUsagePurpose::KeyEncipherment),
            Usage::ClientAuth => params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth),
            Usage::ServerAuth => params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth),
        }
    }
    let certificate = params.signed_by(&request.key, issuer)?;
    let not_after = now.checked_add(lifetime).map_err(|_| IssueError::Time)?;
    Ok(Issued { certificate_pem: certificate.pem(), not_after })
}

fn blank(lifetime: SignedDuration, now: Timestamp) -> Result<CertificateParams, IssueError> {
    let moment = |at: Timestamp| -> Result<_, IssueError> {
        let seconds = u64::try_from(at.as_second()).map_err(|_| IssueError::Time)?;
        Ok(date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = moment(now.checked_sub(BACK_DATE).map_err(|_| IssueError::Time)?)?;
    params.not_after = moment(now.checked_add(lifetime).map_err(|_| IssueError::Time)?)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn subject(user: &str, groups: &[&str]) -> Result<DistinguishedName, IssueError> {
    let kinds = [DnType::OrganizationName, DnType::CustomDnType(SECOND_ORGANIZATION.to_vec())];
    if groups.len() > kinds.len() {
        return Err(IssueError::TooManyGroups { count: groups.len() });
    }
    let mut name = DistinguishedName::new();
    for (kind, group) in kinds.into_iter().zip(groups) {
        name.push(kind, *group);
    }
    name.push(DnType::CommonName, user);
    Ok(name)
}

/// The pair `file`.crt/.key if both are there, belong to this CA, fit, and are not near their end.
fn stored(
    folder: &Path,
    file: &str,
    issuer: &Issuer<'static, KeyPair>,
    now: Timestamp,
    fits: impl Fn(&[String]) -> bool,
) -> Result<Option<KeyedCertificate>, PkiError> {
    let crt = files::read(&folder.join(format!("{file}.crt")))?;
    let key = files::read(&folder.join(format!("{file}.key")))?;
    let (Some(certificate_pem), Some(key_pem)) = (crt, key) else { return Ok(None) };
    let good = still_good(&certificate_pem, &key_pem, issuer, now, fits).unwrap_or(false);
    Ok(good.then_some(KeyedCertificate { certificate_pem, key_pem }))
}

fn still_good(
    certificate_pem: &str,
    key_pem: &str,
    issuer: &Issuer<'static, KeyPair>,
    now: Timestamp,
    fits: impl Fn(&[String]) -> bool,
) -> Option<bool> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let key = KeyPair::from_pem(key_pem).ok()?;
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let spki = issuer.key().subject_public_key_info();
    let (_, ca_key) = x509_parser::prelude::SubjectPublicKeyInfo::from_der(&spki).ok()?;
    let names: Vec<String> = certificate
        .subject_alternative_name()
        .ok()?
        .map(|extension| &extension.value.general_names)
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|a| a.to_string()),
            _ => None,
        })
        .collect();
    let until = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(
        certificate.public_key().raw == key.subject_public_key_info()
            && certificate.verify_signature(Some(&ca_key)).is_ok()
            && until.duration_since(now) > RENEW_BEFORE
            && fits(&names),
    )
}

fn store(folder: &Path, file: &str, pair: KeyedCertificate) -> Result<KeyedCertificate, PkiError> {
    files::write_private(&folder.join(format!("{file}.key")), pair.key_pem.as_bytes())?;
    files::write_public(&folder.join(format!("{file}.crt")), pair.certificate_pem.as_bytes())?;
    Ok(pair)
}
