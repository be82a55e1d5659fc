//! Kubeconfig files with everything inside: the CA, a client certificate and its key.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::tls::{self, ADMIN_USER, KeyedCertificate, MASTERS, Pki, PkiError};

/// A kubeconfig of one cluster, one user and one context.
pub fn render(server: &str, ca_pem: &str, user: &str, pair: &KeyedCertificate) -> String {
    let encode = |text: &str| STANDARD.encode(text);
    let (ca, certificate, key) = (encode(ca_pem), encode(&pair.certificate_pem), encode(&pair.key_pem));
    // A JSON string is a YAML scalar whatever the name contains.
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let (server, user) = (quote(server), quote(user));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: everynode\n\
         \x20 cluster:\n\
         \x20   server: {server}\n\
         \x20   certificate-authority-data: {ca}\n\
         users:\n\
         - name: {user}\n\
         \x20 user:\n\
         \x20   client-certificate-data: {certificate}\n\
         \x20   client-key-data: {key}\n\
         contexts:\n\
         - name: everynode\n\
         \x20 context:\n\
         \x20   cluster: everynode\n\
         \x20   user: {user}\n\
         current-context: everynode\n"
    )
}

/// A kubeconfig with a fresh certificate for `user` in `groups`.
pub fn for_user(pki: &Pki, server: &str, user: &str, groups: &[&str], now: Timestamp) -> Result<String, PkiError> {
    let pair = pki.client_certificate(user, groups, now)?;
    Ok(render(server, pki.ca_pem(), user, &pair))
}

/// The administrator's kubeconfig.
pub fn for_admin(pki: &Pki, server: &str, now: Timestamp) -> Result<String, PkiError> {
    for_user(pki, server, ADMIN_USER, &[MASTERS], now)
}

/// Writes a kubeconfig with mode 0600, whole or not at all.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    tls::replace_file(path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_private_yaml_with_everything_inside() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let pki = Pki::load_or_create(folder.path(), tls::ServingNames::default(), now).unwrap();
        let text = for_user(&pki, "https://127.0.0.1:6443", "jane", &["dev"], now).unwrap();
        let path = folder.path().join("jane.kubeconfig");
        write(&path, &text).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(text.contains("    server: \"https://127.0.0.1:6443\"\n"));
        assert!(text.contains("    user: \"jane\"\n"));
        assert!(!text.contains("PRIVATE KEY"), "keys are encoded");
    }
}
