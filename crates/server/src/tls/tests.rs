//! Keys, certificates and their files.

use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn names() -> ServingNames {
    ServingNames { addresses: vec!["10.0.0.9".parse().unwrap()], hosts: vec!["box.example".into()] }
}

fn chain(pair: &KeyedCertificate) -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes()).unwrap()]
}

#[test]
fn private_keys_are_for_the_owner_only_and_survive_a_restart() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("pki");
    let first = Pki::load_or_create(&folder, names(), now()).unwrap();
    first.agent_client_config(now()).unwrap();
    for key in ["ca.key", "agent-ca.key", "server.key", "agent-client.key"] {
        let mode = std::fs::metadata(folder.join(key)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
    }
    let serving = std::fs::read(folder.join("server.crt")).unwrap();
    let second = Pki::load_or_create(&folder, names(), now()).unwrap();
    assert_eq!(first.ca_hash(), second.ca_hash());
    assert_eq!(serving, std::fs::read(folder.join("server.crt")).unwrap());
    second.server_config().unwrap();
}

#[test]
fn the_serving_certificate_follows_names_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let read = || std::fs::read_to_string(folder.path().join("server.crt")).unwrap();
    let pki = Pki::load_or_create(folder.path(), names(), now()).unwrap();
    let first = read();
    let der = CertificateDer::from_pem_slice(first.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    let text = format!("{:?}", parsed.subject_alternative_name().unwrap().unwrap().value.general_names);
    for name in ["localhost", "kubernetes.default.svc.cluster.local", "box.example"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    let mut wider = names();
    wider.addresses.push("10.0.0.10".parse().unwrap());
    Pki::load_or_create(folder.path(), wider.clone(), now()).unwrap();
    let second = read();
    assert_ne!(first, second, "a new address needs a new certificate");
    pki.renew(now() + SignedDuration::from_hours(24)).unwrap();
    assert_eq!(second, read(), "fresh enough, and it carries more than was asked");
    pki.renew(now() + SignedDuration::from_hours(24 * 300)).unwrap();
    assert_ne!(second, read(), "near its end");
}

/// A195: user = CN, groups = every O, a credential id; expired or foreign = none.
#[test]
fn a_client_certificate_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::load_or_create(folder.path(), names(), now()).unwrap();
    let jane = pki.client_certificate("jane", &["dev", "ops"], now()).unwrap();
    let peer = pki.peer(&chain(&jane), now()).unwrap();
    assert_eq!(peer.user, "jane");
    assert_eq!(peer.groups, ["dev", "ops"]);
    assert!(peer.credential_id.starts_with("X509SHA256=") && peer.credential_id.len() == 11 + 64);
    assert!(pki.peer(&chain(&jane), now() + SignedDuration::from_hours(24 * 366)).is_none(), "expired");
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Pki::load_or_create(elsewhere.path(), names(), now()).unwrap();
    assert!(foreign.peer(&chain(&jane), now()).is_none(), "foreign");
    let serving = KeyedCertificate {
        certificate_pem: std::fs::read_to_string(folder.path().join("server.crt")).unwrap(),
        key_pem: String::new(),
    };
    assert!(pki.peer(&chain(&serving), now()).is_none(), "not for clients");
}

#[test]
fn a_request_gets_what_was_decided_not_what_it_asked() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::load_or_create(folder.path(), names(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["n1".to_owned(), "127.0.0.7".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:n1");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let request = CertificateRequest::parse(&pem).unwrap();
    assert_eq!(request.organizations, ["system:nodes"]);
    assert_eq!((request.dns_names.len(), request.addresses.len()), (1, 1));
    let usages = [Usage::DigitalSignature, Usage::ClientAuth];
    let issued = pki.sign_request(&request, &usages, SignedDuration::from_hours(1), now()).unwrap();
    let der = vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()];
    assert_eq!(pki.peer(&der, now()).unwrap().user, "system:node:n1");
    assert!(pki.peer(&der, now() + SignedDuration::from_hours(2)).is_none());
    assert!(matches!(CertificateRequest::parse(pki.ca_pem()), Err(IssueError::NotARequest)));
}

#[test]
fn half_a_ca_is_not_replaced_silently() {
    let folder = tempfile::tempdir().unwrap();
    Pki::load_or_create(folder.path(), names(), now()).unwrap();
    std::fs::remove_file(folder.path().join("ca.key")).unwrap();
    let error = Pki::load_or_create(folder.path(), names(), now()).unwrap_err().to_string();
    assert!(error.contains("ca.key") && error.contains("missing"), "{error}");
}

/// A node may name any address for its socket, and must not pass for the server with it.
#[test]
fn a_socket_certificate_of_a_node_is_not_believed_by_clients() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::load_or_create(folder.path(), names(), now()).unwrap();
    let serving = pki.node_serving("n1", &["127.0.0.1".parse().unwrap()], now()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let seconds = std::time::Duration::from_secs(u64::try_from(now().as_second()).unwrap());
    let at = rustls::pki_types::UnixTime::since_unix_epoch(seconds);
    use rustls::client::danger::ServerCertVerifier as _;
    let name = "127.0.0.1".try_into().unwrap();
    assert!(verifier.verify_server_cert(&chain(&serving)[0], &[], &name, &[], at).is_err());
    let own = std::fs::read_to_string(folder.path().join("server.crt")).unwrap();
    let own = CertificateDer::from_pem_slice(own.as_bytes()).unwrap();
    assert!(verifier.verify_server_cert(&own, &[], &name, &[], at).is_ok());
}
