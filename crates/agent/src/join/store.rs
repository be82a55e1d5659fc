//! Where a joined machine keeps its keys: `<data dir>/agent/pki`, readable by its owner only (N58).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::JoinError;
use super::request::Pair;

const CURRENT: &str = "kubelet-client-current.pem";
const AUTHORITY: &str = "ca.crt";

/// The directory of keys.
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn at(data_dir: &Path) -> Self {
        Self(data_dir.join("agent/pki"))
    }

    /// There is a certificate that has not ended.
    pub(super) fn has_joined(&self) -> bool {
        self.life().is_some_and(|(_, ends)| Timestamp::now().as_second() < ends)
    }

    /// Past three quarters of its life (N59).
    pub(super) fn is_old(&self) -> bool {
        self.life().is_some_and(|(begins, ends)| Timestamp::now().as_second() > begins + (ends - begins) * 3 / 4)
    }

    fn life(&self) -> Option<(i64, i64)> {
        let der = CertificateDer::from_pem_file(self.current()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let validity = certificate.validity();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// Certificate and key of the node, in one file.
    pub(super) fn current(&self) -> PathBuf {
        self.0.join(CURRENT)
    }

    pub(super) fn authority(&self) -> Result<String, JoinError> {
        let path = self.0.join(AUTHORITY);
        fs::read_to_string(&path).map_err(JoinError::keys(format!("read {}", path.display())))
    }

    pub(super) fn keep_authority(&self, pem: &str) -> Result<(), JoinError> {
        self.write(AUTHORITY, pem)
    }

    /// Keeps a pair, and makes it the current one in one step.
    pub(super) fn keep(&self, pair: &Pair) -> Result<(), JoinError> {
        let name = format!("kubelet-client-{}.pem", Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S"));
        self.write(&name, &format!("{}{}", pair.certificate, pair.key))?;
        let fresh = self.0.join("kubelet-client-new.pem");
        let _ = fs::remove_file(&fresh);
        let linked = symlink(&name, &fresh).and_then(|()| fs::rename(&fresh, self.current()));
        linked.map_err(JoinError::keys(format!("link {}", self.current().display())))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), JoinError> {
        let path = self.0.join(name);
        let write = || -> std::io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(JoinError::keys(format!("write {}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_certificate_is_found_again_n58() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        assert!(!store.has_joined());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        store.keep(&Pair { certificate: certificate.pem(), key: key.serialize_pem() }).unwrap();
        store.keep_authority("x").unwrap();
        assert!(store.has_joined() && !store.is_old());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(store.current()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
