//! Writes an image as a tar file in OCI image layout, from files of this machine.
//!
//! With any layers a test can think of; `everynode-e2e` packs whole directories.
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image to be written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    /// Full name with tag.
    pub(crate) name: String,
    /// Layers as uncompressed tar archives, lowest first.
    pub(crate) layers: Vec<Vec<u8>>,
    /// Entry point.
    pub(crate) entrypoint: Vec<String>,
    /// Default arguments.
    pub(crate) cmd: Vec<String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    /// `user[:group]`.
    pub(crate) user: String,
    /// Working directory.
    pub(crate) working_dir: String,
    /// Stop signal; empty means the usual one.
    pub(crate) stop_signal: String,
}

/// One blob: its digest and content.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// `sha256:…`.
    pub(crate) digest: String,
    /// Content.
    pub(crate) content: Vec<u8>,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let hex: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest: format!("sha256:{hex}"), content }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.content.len() })
    }
}

/// The blobs of an image: configuration, layers, and last the manifest.
#[must_use]
pub(crate) fn blobs(image: &Image) -> Vec<Blob> {
    let layers: Vec<Blob> = image.layers.iter().cloned().map(Blob::new).collect();
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = Blob::new(
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint, "Cmd": image.cmd, "Env": image.env, "User": image.user,
                "WorkingDir": image.working_dir, "StopSignal": image.stop_signal,
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        })
        .to_string()
        .into_bytes(),
    );
    let layer_type = "application/vnd.oci.image.layer.v1.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": layers.iter().map(|layer| layer.descriptor(layer_type)).collect::<Vec<_>>(),
    });
    let mut all = vec![config];
    all.extend(layers);
    all.push(Blob::new(manifest.to_string().into_bytes()));
    all
}

/// Writes the archive; returns the digest of the manifest.
pub(crate) fn write(image: &Image, path: &Path) -> io::Result<String> {
    let blobs = blobs(image);
    let manifest = blobs.last().ok_or_else(|| io::Error::other("an image without a manifest"))?;
    let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("annotations".into(), json!({ "org.opencontainers.image.ref.name": image.name }));
    }
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    // Under another name first: whoever watches the directory must not see half an archive.
    let temporary = path.with_extension("partial");
    let mut layout = Layer { tar: tar::Builder::new(io::BufWriter::new(File::create(&temporary)?)) };
    layout.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    layout.file("index.json", 0o644, index.to_string().as_bytes())?;
    for blob in &blobs {
        layout.file(&format!("blobs/{}", blob.digest.replace(':', "/")), 0o644, &blob.content)?;
    }
    layout.tar.into_inner()?.flush()?;
    std::fs::rename(&temporary, path)?;
    Ok(manifest.digest.clone())
}

/// A tar archive under construction.
pub(crate) struct Layer<W: Write> {
    tar: tar::Builder<W>,
}

impl Layer<Vec<u8>> {
    /// A layer in memory.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { tar: tar::Builder::new(Vec::new()) }
    }

    /// The finished archive.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }
}

impl Default for Layer<Vec<u8>> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Write> Layer<W> {
    /// Adds a file that belongs to root.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content)
    }

    /// Adds a file of this machine, links followed.
    pub(crate) fn copy(&mut self, from: &Path, path: &str, mode: u32) -> io::Result<()> {
        self.file(path, mode, &std::fs::read(from)?)
    }

    /// Adds a directory.
    pub(crate) fn dir(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(tar::EntryType::Directory, mode);
        self.tar.append_data(&mut header, path, io::empty())
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.tar.append_link(&mut header(tar::EntryType::Symlink, 0o777), path, target)
    }

    /// Adds any entry (for tests of odd layers).
    pub(crate) fn raw(&mut self, header: &tar::Header, content: &[u8]) -> io::Result<()> {
        self.tar.append(header, content)
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}
