//! Images on disk: what is present, its layers unpacked once for all images, containers and nodes of the machine.
//!
//! ```text
//! <root>/images.json     which images there are (rewritten atomically under `lock`)
//! <root>/configs/<hex>   configuration of an image, its name is its digest and the image's id
//! <root>/layers/<chain>  one unpacked layer; the name says which layers lie below it, so equal stacks are shared
//! <root>/uses/<id>       a container that uses an image; keeps the image's layers
//! <root>/staging/        what is being unpacked
//! ```
//!
//! Invariants:
//! * A layer directory is complete and verified (digest of the blob, digest of the content) or does not exist.
//! * A layer that an image or a container refers to is never removed.
//! * Several processes (nodes on one machine) may use one store; unpacking goes one image at a time.
//!
//! All calls block; async callers move them off their threads.

pub mod archive;
pub mod config;
mod ingest;
pub mod layer;
pub mod pull;
pub mod reference;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{ImageFsUsage, ImageInfo, RuntimeError, lock::Lock};
use config::ImageConfig;

pub(crate) use ingest::{Digest, NewImage, chain};

/// The image store of this machine.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Index {
    images: BTreeMap<String, Record>,
    archives: BTreeMap<PathBuf, SeenArchive>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    tags: BTreeSet<String>,
    digests: BTreeSet<String>,
    layers: Vec<String>,
    size_bytes: u64,
    pinned: bool,
    uid: Option<u32>,
    username: String,
}

/// An archive that was imported, as it was then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct SeenArchive {
    bytes: u64,
    modified_ns: i128,
    images: Vec<String>,
}

impl Record {
    fn info(&self, id: &str) -> ImageInfo {
        ImageInfo {
            id: id.to_owned(),
            repo_tags: self.tags.iter().cloned().collect(),
            repo_digests: self.digests.iter().cloned().collect(),
            size_bytes: self.size_bytes,
            uid: self.uid,
            username: self.username.clone(),
            pinned: self.pinned,
        }
    }
}

/// An image as a container needs it.
#[derive(Debug, Clone)]
pub struct Present {
    /// `sha256:…`.
    pub id: String,
    /// What to show as `imageID`.
    pub image_ref: String,
    /// Unpacked layers, topmost first, relative to [`Store::layers_dir`].
    pub layers: Vec<String>,
    /// Defaults.
    pub config: ImageConfig,
}

impl Store {
    /// Opens or makes the store; throws away what an interrupted unpacking left.
    pub fn open(root: PathBuf) -> Result<Self, RuntimeError> {
        let store = Self { root };
        for dir in ["configs", "layers", "uses", "staging"] {
            let dir = store.root.join(dir);
            fs::create_dir_all(&dir).map_err(RuntimeError::io(format!("create {}", dir.display())))?;
        }
        if let Some(_busy) = store.try_lock("ingest.lock")? {
            store.empty_staging();
        }
        Ok(store)
    }

    /// The directory that holds all layers.
    #[must_use]
    pub fn layers_dir(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// All images.
    pub fn list(&self) -> Result<Vec<ImageInfo>, RuntimeError> {
        Ok(self.index()?.images.iter().map(|(id, record)| record.info(id)).collect())
    }

    /// One image by name or id.
    pub fn status(&self, name: &str) -> Result<Option<ImageInfo>, RuntimeError> {
        let index = self.index()?;
        Ok(index.find(name)?.map(|(id, record)| record.info(id)))
    }

    /// One image with what a container needs of it.
    pub fn resolve(&self, name: &str) -> Result<Option<Present>, RuntimeError> {
        let index = self.index()?;
        let Some((id, record)) = index.find(name)? else { return Ok(None) };
        let path = self.config_path(id);
        let text = fs::read(&path).map_err(RuntimeError::io(format!("read {}", path.display())))?;
        let config = serde_json::from_slice(&text)
            .map_err(|e| RuntimeError::io(format!("parse {}", path.display()))(e.into()))?;
        Ok(Some(Present {
            id: id.clone(),
            image_ref: record.digests.first().unwrap_or(id).clone(),
            layers: record.layers.iter().rev().cloned().collect(),
            config,
        }))
    }

    /// Records that a container uses an image, until [`Store::release`].
    pub fn hold(&self, container: &str, image_id: &str) -> Result<(), RuntimeError> {
        let path = self.root.join("uses").join(container);
        fs::write(&path, image_id).map_err(RuntimeError::io(format!("write {}", path.display())))
    }

    /// The container is gone.
    pub fn release(&self, container: &str) {
        let _ = fs::remove_file(self.root.join("uses").join(container));
    }

    /// Removes a name, or with an id all names; then what nobody needs any more.
    pub fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        let used = self.used()?;
        self.change(|index| {
            let Some(id) = index.find(name)?.map(|(id, _)| id.clone()) else { return Ok(()) };
            if let Some(record) = index.images.get_mut(&id) {
                if reference::is_id(name) {
                    record.tags.clear();
                    record.digests.clear();
                } else {
                    let full = reference::full(&reference::parse(name)?);
                    record.tags.remove(&full);
                    record.digests.remove(&full);
                }
                if record.tags.is_empty() {
                    record.pinned = false;
                    record.digests.clear();
                }
            }
            index
                .images
                .retain(|id, record| !record.tags.is_empty() || !record.digests.is_empty() || used.contains(id));
            Ok(())
        })?;
        self.collect()
    }

    /// How full the file system is.
    pub fn fs_usage(&self) -> Result<ImageFsUsage, RuntimeError> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|e| RuntimeError::io(format!("statvfs {}", self.root.display()))(e.into()))?;
        Ok(ImageFsUsage {
            capacity_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: stat.f_files,
            inodes_free: stat.f_favail,
        })
    }

    /// Removes layers and configurations that no image refers to. Left for later while something is being unpacked.
    fn collect(&self) -> Result<(), RuntimeError> {
        let Some(_alone) = self.try_lock("ingest.lock")? else { return Ok(()) };
        let index = self.index()?;
        let layers: BTreeSet<&String> = index.images.values().flat_map(|record| &record.layers).collect();
        let configs: BTreeSet<String> = index.images.keys().map(|id| config_name(id).to_owned()).collect();
        for (dir, keep) in [("layers", None), ("configs", Some(&configs))] {
            for entry in fs::read_dir(self.root.join(dir)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let wanted = keep.map_or_else(|| layers.contains(&name), |configs| configs.contains(&name));
                if !wanted {
                    // Out of sight first: a half-removed layer must not look like a whole one.
                    let away = self.root.join("staging").join(format!("gone-{name}"));
                    let _ = fs::rename(entry.path(), &away);
                    remove_any(&away);
                }
            }
        }
        Ok(())
    }

    fn used(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let dir = self.root.join("uses");
        let entries = fs::read_dir(&dir).map_err(RuntimeError::io(format!("read {}", dir.display())))?;
        Ok(entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect())
    }

    fn empty_staging(&self) {
        for entry in fs::read_dir(self.root.join("staging")).into_iter().flatten().flatten() {
            remove_any(&entry.path());
        }
    }

    fn config_path(&self, id: &str) -> PathBuf {
        self.root.join("configs").join(config_name(id))
    }

    fn index(&self) -> Result<Index, RuntimeError> {
        let path = self.root.join("images.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|e| RuntimeError::io(format!("parse {}", path.display()))(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(e) => Err(RuntimeError::io(format!("read {}", path.display()))(e)),
        }
    }

    fn change<T>(&self, act: impl FnOnce(&mut Index) -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        let _lock = self.lock("lock")?;
        let mut index = self.index()?;
        let answer = act(&mut index)?;
        let text = serde_json::to_vec(&index).map_err(|e| RuntimeError::io("encode images.json")(e.into()))?;
        write_atomically(&self.root.join("images.json"), &text).map_err(RuntimeError::io("write images.json"))?;
        Ok(answer)
    }

    fn lock(&self, name: &str) -> Result<Lock, RuntimeError> {
        Lock::wait(self.lock_file(name)?).map_err(RuntimeError::io(format!("lock {name} of the image store")))
    }

    fn try_lock(&self, name: &str) -> Result<Option<Lock>, RuntimeError> {
        Ok(Lock::take_free(self.lock_file(name)?))
    }

    fn lock_file(&self, name: &str) -> Result<File, RuntimeError> {
        let path = self.root.join(name);
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(RuntimeError::io(format!("open {}", path.display())))
    }
}

impl Index {
    fn find(&self, name: &str) -> Result<Option<(&String, &Record)>, RuntimeError> {
        if reference::is_id(name) {
            let id = format!("sha256:{}", config_name(name));
            if let Some(found) = self.images.get_key_value(&id) {
                return Ok(Some(found));
            }
        }
        let full = reference::full(&reference::parse(name)?);
        Ok(self.images.iter().find(|(_, record)| record.tags.contains(&full) || record.digests.contains(&full)))
    }
}

fn config_name(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

fn remove_any(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()) {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// Replaces a file so that a reader, or a crash, sees the old or the new content and nothing between.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}
