//! Packs a folder into an OCI image archive: one plain layer, one config, one manifest, one index, in a tar.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What the image is called and how it starts.
pub struct Image<'a> {
    /// Its full name with a tag, as a Pod would name it.
    pub reference: &'a str,
    /// Its entry point.
    pub entrypoint: &'a [&'a str],
    /// The user that it runs as, unless the Pod says otherwise.
    pub user: &'a str,
}

/// Packs everything below `root` as `image` into `archive`, which appears whole or not at all.
///
/// # Errors
/// When something cannot be read or written.
pub fn pack(root: &Path, image: &Image<'_>, archive: &Path) -> anyhow::Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    layer.follow_symlinks(false);
    layer.append_dir_all("", root).with_context(|| format!("cannot pack {}", root.display()))?;
    let layer =
        Blob::of("application/vnd.oci.image.layer.v1.tar", layer.into_inner().context("cannot finish the layer")?);
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {
            "User": image.user, "Entrypoint": image.entrypoint,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
    });
    let config = Blob::of("application/vnd.oci.image.config.v1+json", serde_json::to_vec(&config)?);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor(), "layers": [layer.descriptor()],
    });
    let manifest = Blob::of("application/vnd.oci.image.manifest.v1+json", serde_json::to_vec(&manifest)?);
    let mut named = manifest.descriptor();
    named["annotations"] = json!({
        "io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.reference,
    });
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [named]}))?;

    let partial = archive.with_extension("partial");
    let file = File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut out = tar::Builder::new(file);
    append(&mut out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut out, "index.json", &index)?;
    for blob in [&layer, &config, &manifest] {
        append(&mut out, &format!("blobs/sha256/{}", blob.hex), &blob.bytes)?;
    }
    out.into_inner()
        .and_then(|mut file| file.flush())
        .with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, archive).with_context(|| format!("cannot name {}", archive.display()))
}

fn append(out: &mut tar::Builder<File>, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    out.append_data(&mut header, name, bytes).with_context(|| format!("cannot pack {name}"))
}

/// Bytes and their digest, which takes a while for a large layer.
struct Blob {
    media_type: &'static str,
    bytes: Vec<u8>,
    hex: String,
}

impl Blob {
    fn of(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, hex: hex(&bytes), bytes }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_of_the_archive_names_its_blob() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(dir.path().join("bin")).expect("made");
        fs::write(dir.path().join("bin/agent"), "program").expect("written");
        let archive = dir.path().with_extension("tar");
        let image = Image { reference: "example.org/agent:1", entrypoint: &["/bin/agent"], user: "65534" };
        pack(dir.path(), &image, &archive).expect("packs");

        let mut names = Vec::new();
        for entry in tar::Archive::new(File::open(&archive).expect("opens")).entries().expect("reads") {
            let mut entry = entry.expect("reads");
            let name = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).expect("reads");
            if let Some(expected) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(hex(&bytes), expected);
            }
            names.push(name);
        }
        fs::remove_file(&archive).expect("removed");
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
