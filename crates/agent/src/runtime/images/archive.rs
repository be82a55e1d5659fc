//! Imports images from tar files: OCI image layout, and what `docker save` writes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::Deserialize;

use super::{NewImage, SeenArchive, Store, ingest::IngestError, reference};
use crate::runtime::RuntimeError;

/// Most bytes of a JSON document in an archive.
const DOCUMENT_BYTES_MAX: u64 = 8 << 20;

/// Why an archive was not imported.
#[derive(Debug, thiserror::Error)]
#[error("cannot import image archive {}: {source}", .path.display())]
pub struct ImportError {
    /// The archive.
    pub path: PathBuf,
    /// Why.
    pub source: IngestError,
}

#[derive(Deserialize)]
struct OciIndex {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default, rename = "mediaType")]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Imports every image of an archive and pins it; returns their ids. Nothing is done for an archive that has not changed.
pub fn import(store: &Store, path: &Path) -> Result<Vec<String>, ImportError> {
    let failed = |source: IngestError| ImportError { path: path.to_owned(), source };
    let seen = seen(path).map_err(|source| failed(IngestError::Io { act: "read it".into(), source }))?;
    let index = store.index().map_err(|e| failed(e.into()))?;
    if let Some(known) = index.archives.get(path)
        && (known.bytes, known.modified_ns) == (seen.bytes, seen.modified_ns)
        && known.images.iter().all(|id| index.images.contains_key(id))
    {
        return Ok(known.images.clone());
    }
    let ids = Archive::open(path).and_then(|archive| archive.import(store)).map_err(failed)?;
    let record = SeenArchive { images: ids.clone(), ..seen };
    store
        .change(|index| {
            index.archives.retain(|path, _| path.exists());
            index.archives.insert(path.to_owned(), record);
            Ok(())
        })
        .map_err(|e| failed(e.into()))?;
    Ok(ids)
}

fn seen(path: &Path) -> std::io::Result<SeenArchive> {
    let meta = path.metadata()?;
    let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(SeenArchive {
        bytes: meta.len(),
        modified_ns: i128::try_from(since.as_nanos()).unwrap_or(0),
        images: Vec::new(),
    })
}

struct Archive {
    path: PathBuf,
    /// Where each file is; links are resolved.
    files: BTreeMap<PathBuf, (u64, u64)>,
}

impl Archive {
    fn open(path: &Path) -> Result<Self, IngestError> {
        let unreadable = |source| IngestError::Io { act: "read it as an uncompressed tar archive".into(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut tar = tar::Archive::new(file);
        let mut files = BTreeMap::new();
        let mut links = Vec::new();
        for entry in tar.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = plain(&entry.path().map_err(unreadable)?);
            match entry.header().entry_type() {
                kind if kind.is_file() => {
                    files.insert(name, (entry.raw_file_position(), entry.size()));
                }
                kind if kind.is_symlink() || kind.is_hard_link() => {
                    let Some(to) = entry.link_name().map_err(unreadable)? else { continue };
                    let base = if kind.is_symlink() { name.parent().unwrap_or(Path::new("")) } else { Path::new("") };
                    links.push((name.clone(), plain(&base.join(to))));
                }
                _ => {}
            }
        }
        for (name, to) in links {
            if let Some(place) = files.get(&to).copied() {
                files.insert(name, place);
            }
        }
        Ok(Self { path: path.to_owned(), files })
    }

    fn import(&self, store: &Store) -> Result<Vec<String>, IngestError> {
        if self.files.contains_key(Path::new("manifest.json")) {
            let manifests: Vec<DockerManifest> = self.json("manifest.json")?;
            return manifests.iter().map(|manifest| self.docker(store, manifest)).collect();
        }
        if !self.files.contains_key(Path::new("index.json")) {
            let text = "it holds neither index.json (OCI image layout) nor manifest.json (docker save)";
            return Err(IngestError::Malformed(text.into()));
        }
        let index: OciIndex = self.json("index.json")?;
        let mut ids = Vec::new();
        for descriptor in &index.manifests {
            if let Some(manifest) = self.for_this_machine(descriptor)? {
                let names = names(&descriptor.annotations, &self.path);
                ids.push(self.oci(store, &manifest, &descriptor.digest, &names)?);
            }
        }
        if ids.is_empty() {
            return Err(IngestError::Malformed(format!("it holds no image for linux/{}", architecture())));
        }
        Ok(ids)
    }

    fn docker(&self, store: &Store, manifest: &DockerManifest) -> Result<String, IngestError> {
        let tags = manifest.repo_tags.as_deref().unwrap_or_default();
        let tags = if tags.is_empty() { names(&BTreeMap::new(), &self.path) } else { full_names(tags) };
        let mut image = NewImage::begin(store, &self.document(&manifest.config)?, None)?;
        for layer in &manifest.layers {
            if !image.take_present()? {
                image.add(self.reader(layer)?, None)?;
            }
        }
        image.commit(&tags, None, true)
    }

    /// The manifest a descriptor leads to; `None` when it is for another platform.
    fn for_this_machine(&self, descriptor: &Descriptor) -> Result<Option<OciManifest>, IngestError> {
        if let Some(platform) = &descriptor.platform
            && (platform.os != "linux" || platform.architecture != architecture())
        {
            return Ok(None);
        }
        let blob = blob_name(&descriptor.digest)?;
        let is_index =
            descriptor.media_type.ends_with(".index.v1+json") || descriptor.media_type.contains("manifest.list");
        if !is_index {
            return self.verified(&blob, &descriptor.digest).map(Some);
        }
        let index: OciIndex = self.verified(&blob, &descriptor.digest)?;
        for inner in &index.manifests {
            if let Some(manifest) = self.for_this_machine(inner)? {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    fn oci(&self, store: &Store, manifest: &OciManifest, digest: &str, tags: &[String]) -> Result<String, IngestError> {
        let config = self.document(&blob_name(&manifest.config.digest)?)?;
        let mut image = NewImage::begin(store, &config, Some(&manifest.config.digest))?;
        for layer in &manifest.layers {
            if !image.take_present()? {
                image.add(self.reader(&blob_name(&layer.digest)?)?, Some(&layer.digest))?;
            }
        }
        let name = tags.first().and_then(|tag| tag.rsplit_once(':')).map(|(name, _)| format!("{name}@{digest}"));
        image.commit(tags, name, true)
    }

    fn reader(&self, name: &str) -> Result<impl Read + use<>, IngestError> {
        let missing = || IngestError::Malformed(format!("it lacks its part {name}"));
        let (offset, size) = self.files.get(&plain(Path::new(name))).copied().ok_or_else(missing)?;
        let failed = |source| IngestError::Io { act: format!("read {name}"), source };
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(file.take(size))
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, IngestError> {
        let mut text = Vec::new();
        self.reader(name)?
            .take(DOCUMENT_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|source| IngestError::Io { act: format!("read {name}"), source })?;
        Ok(text)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, IngestError> {
        parse(name, &self.document(name)?)
    }

    fn verified<T: serde::de::DeserializeOwned>(&self, name: &str, digest: &str) -> Result<T, IngestError> {
        let text = self.document(name)?;
        let found = super::Digest::of(&text);
        if found != digest {
            return Err(IngestError::Digest { what: "the manifest", expected: digest.to_owned(), found });
        }
        parse(name, &text)
    }
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, IngestError> {
    serde_json::from_slice(text).map_err(|e| IngestError::Malformed(format!("its part {name} is not valid: {e}")))
}

/// A path without `.`, `..` and leading slashes.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => out.push(name),
            std::path::Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

fn blob_name(digest: &str) -> Result<String, IngestError> {
    match digest.split_once(':') {
        Some((algorithm, hex)) if !hex.contains('/') && !algorithm.contains('/') => {
            Ok(format!("blobs/{algorithm}/{hex}"))
        }
        _ => Err(IngestError::Malformed(format!("{digest:?} is not a digest"))),
    }
}

/// Full names for an image of an OCI layout. A bare tag is put behind the name of the file.
fn names(annotations: &BTreeMap<String, String>, archive: &Path) -> Vec<String> {
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let given = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
        .iter()
        .find_map(|key| annotations.get(*key))
        .map(String::as_str);
    let text = match given {
        Some(name) if name.contains(['/', ':']) => name.to_owned(),
        Some(tag) => format!("{stem}:{tag}"),
        None => stem,
    };
    full_names(&[text])
}

fn full_names(names: &[String]) -> Vec<String> {
    names.iter().filter_map(|name| reference::parse(name).ok()).map(|name| reference::full(&name)).collect()
}

/// This machine in the words of image manifests.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The archives of a directory, in order of their names.
pub fn archives(dir: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let entries = std::fs::read_dir(dir).map_err(RuntimeError::io(format!("read {}", dir.display())))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "tar"))
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_tag_takes_the_name_of_the_file() {
        for (annotation, expect) in [
            (Some("docker.io/prom/node-exporter:v1"), "docker.io/prom/node-exporter:v1"),
            (Some("busybox:1"), "docker.io/library/busybox:1"),
            (Some("v2"), "docker.io/library/agent:v2"),
            (None, "docker.io/library/agent:latest"),
        ] {
            let annotations = annotation
                .map(|name| ("org.opencontainers.image.ref.name".to_owned(), name.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(names(&annotations, Path::new("/x/Agent.tar")), [expect]);
        }
    }

    #[test]
    fn parts_stay_in_the_archive() {
        assert_eq!(plain(Path::new("./a/../b")), Path::new("b"));
        assert_eq!(plain(Path::new("/../../etc/passwd")), Path::new("etc/passwd"));
        assert!(blob_name("sha256:../../x").is_err());
    }
}
