//! Takes layers and configurations into the store, verified.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    rc::Rc,
};

use aws_lc_rs::digest;

use super::{Lock, Record, Store, config::ImageConfig, layer, write_atomically};
use crate::runtime::RuntimeError;

/// Why an image could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Content is not what its digest says.
    #[error("{what} has digest {found}, not {expected}")]
    Digest {
        /// Layer, configuration, …
        what: &'static str,
        /// As promised.
        expected: String,
        /// As it is.
        found: String,
    },
    /// Something has not the form it should have.
    #[error("{0}")]
    Malformed(String),
    /// A layer could not be unpacked.
    #[error("layer {digest}: {}", chain(.source))]
    Layer {
        /// Its digest.
        digest: String,
        /// Why.
        source: layer::UnpackError,
    },
    /// Reading or writing failed.
    #[error("cannot {act}: {source}")]
    Io {
        /// The act.
        act: String,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error("{}", chain(.0))]
    Store(Box<RuntimeError>),
}

impl From<RuntimeError> for IngestError {
    fn from(e: RuntimeError) -> Self {
        Self::Store(Box::new(e))
    }
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// SHA-256 digests in the form `sha256:<hex>`.
pub(crate) struct Digest(digest::Context);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::from("sha256:");
        for byte in self.0.clone().finish().as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    pub(crate) fn of(bytes: &[u8]) -> String {
        let mut digest = Self::new();
        digest.update(bytes);
        digest.text()
    }
}

/// Passes bytes through and adds them to a digest.
struct Hashing<R> {
    inner: R,
    digest: Rc<RefCell<Digest>>,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> (Self, Rc<RefCell<Digest>>) {
        let digest = Rc::new(RefCell::new(Digest::new()));
        (Self { inner, digest: Rc::clone(&digest) }, digest)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.digest.borrow_mut().update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// An image on its way into the store. Holds the store's turn until it is committed or dropped.
pub(crate) struct NewImage<'a> {
    store: &'a Store,
    id: String,
    config: ImageConfig,
    chain: Option<String>,
    layers: Vec<String>,
    size_bytes: u64,
    _turn: Lock,
}

impl<'a> NewImage<'a> {
    /// Starts with the configuration, which must have the digest `expected` if one is promised. Waits for its turn.
    pub(crate) fn begin(store: &'a Store, config: &[u8], expected: Option<&str>) -> Result<Self, IngestError> {
        let turn = store.lock("ingest.lock")?;
        let id = Digest::of(config);
        if let Some(expected) = expected.filter(|expected| *expected != id) {
            return Err(IngestError::Digest { what: "the configuration", expected: expected.to_owned(), found: id });
        }
        let parsed: ImageConfig = serde_json::from_slice(config)
            .map_err(|e| IngestError::Malformed(format!("the configuration of the image is not valid: {e}")))?;
        let path = store.config_path(&id);
        write_atomically(&path, config)
            .map_err(|source| IngestError::Io { act: format!("write {}", path.display()), source })?;
        Ok(Self { store, id, config: parsed, chain: None, layers: Vec::new(), size_bytes: 0, _turn: turn })
    }

    /// How many layers there have to be.
    pub(crate) fn layer_count(&self) -> usize {
        self.config.rootfs.diff_ids.len()
    }

    /// Whether the next layer is there already; if so it is taken and its content need not be fetched.
    pub(crate) fn take_present(&mut self) -> Result<bool, IngestError> {
        let (_, chain, name) = self.next()?;
        let size = self.store.layers_dir().join(&name).join("size");
        let Ok(size) = fs::read_to_string(size) else { return Ok(false) };
        self.push(chain, name, size.trim().parse().unwrap_or(0));
        Ok(true)
    }

    /// Unpacks the next layer from its blob, compressed or not.
    pub(crate) fn add(&mut self, blob: impl Read, blob_digest: Option<&str>) -> Result<(), IngestError> {
        let (diff_id, chain, name) = self.next()?;
        let staging = self.store.root.join("staging").join(&name);
        super::remove_any(&staging);
        let fs_dir = staging.join("fs");
        fs::create_dir_all(&fs_dir)
            .map_err(|source| IngestError::Io { act: format!("create {}", fs_dir.display()), source })?;
        let below: Vec<PathBuf> =
            self.layers.iter().rev().map(|layer| self.store.layers_dir().join(layer).join("fs")).collect();
        let result = unpack_verified(blob, blob_digest, &diff_id, &fs_dir, &below).and_then(|size| {
            let done = self.store.layers_dir().join(&name);
            fs::write(staging.join("size"), size.to_string())
                .and_then(|()| fs::rename(&staging, &done))
                .map_err(|source| IngestError::Io { act: format!("move a layer to {}", done.display()), source })?;
            Ok(size)
        });
        match result {
            Ok(size) => {
                self.push(chain, name, size);
                Ok(())
            }
            Err(error) => {
                super::remove_any(&staging);
                Err(error)
            }
        }
    }

    /// Makes the image known under a tag (full name) and a digest (full name); returns its id.
    pub(crate) fn commit(self, tags: &[String], digest: Option<String>, pinned: bool) -> Result<String, IngestError> {
        if self.layers.len() != self.layer_count() {
            let (found, expected) = (self.layers.len(), self.layer_count());
            return Err(IngestError::Malformed(format!("the image has {found} layers, its configuration {expected}")));
        }
        if let Ok(dir) = File::open(&self.store.root) {
            // The layers must be on disk before the index says so.
            let _ = rustix::fs::syncfs(&dir);
        }
        let (uid, username) = self.config.user();
        self.store.change(|index| {
            for record in index.images.values_mut() {
                record.tags.retain(|tag| !tags.contains(tag));
            }
            let record = index.images.entry(self.id.clone()).or_insert_with(Record::default);
            record.tags.extend(tags.iter().cloned());
            record.digests.extend(digest);
            record.layers = self.layers;
            record.size_bytes = self.size_bytes;
            record.pinned |= pinned;
            record.uid = uid;
            record.username = username;
            Ok(())
        })?;
        Ok(self.id)
    }

    fn push(&mut self, chain: String, name: String, size: u64) {
        self.chain = Some(chain);
        self.layers.push(name);
        self.size_bytes = self.size_bytes.saturating_add(size);
    }

    /// Diff id, chain id and directory name of the next layer.
    fn next(&self) -> Result<(String, String, String), IngestError> {
        let diff_id = self.config.rootfs.diff_ids.get(self.layers.len()).ok_or_else(|| {
            IngestError::Malformed(format!(
                "the image has more than the {} layers of its configuration",
                self.layers.len()
            ))
        })?;
        let chain = match &self.chain {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        // Short, because all names of an image have to fit into one page of mount options.
        let name = super::config_name(&chain).get(..32).map(str::to_owned);
        let valid = |name: &String| name.bytes().all(|b| b.is_ascii_hexdigit());
        match name.filter(valid) {
            Some(name) => Ok((diff_id.clone(), chain, name)),
            None => Err(IngestError::Malformed(format!("{diff_id:?} is not the digest of a layer"))),
        }
    }
}

fn unpack_verified(
    blob: impl Read,
    blob_digest: Option<&str>,
    diff_id: &str,
    target: &std::path::Path,
    below: &[PathBuf],
) -> Result<u64, IngestError> {
    let (blob, blob_found) = Hashing::new(blob);
    let mut blob = BufReader::with_capacity(1 << 16, blob);
    let magic = blob.fill_buf().map_err(read_blob)?;
    let content: Box<dyn Read + '_> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(&mut blob))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::with_buffer(&mut blob).map_err(read_blob)?)
    } else {
        Box::new(&mut blob)
    };
    let (mut content, content_found) = Hashing::new(content);
    let size = layer::unpack(&mut content, target, below)
        .map_err(|source| IngestError::Layer { digest: diff_id.to_owned(), source })?;
    // The end of a tar archive comes before the end of its stream.
    io::copy(&mut content, &mut io::sink()).map_err(read_blob)?;
    drop(content);
    io::copy(&mut blob, &mut io::sink()).map_err(read_blob)?;
    let check = |what, expected: &str, found: String| {
        if found == expected { Ok(()) } else { Err(IngestError::Digest { what, expected: expected.to_owned(), found }) }
    };
    if let Some(expected) = blob_digest {
        check("the blob of a layer", expected, blob_found.borrow().text())?;
    }
    check("the content of a layer", diff_id, content_found.borrow().text())?;
    Ok(size)
}

fn read_blob(source: io::Error) -> IngestError {
    IngestError::Io { act: "read the blob of a layer".into(), source }
}
