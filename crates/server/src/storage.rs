//! Opens the store that a server keeps its objects in, by URL.

use std::path::{Path, PathBuf};

use everynode_store::backend::{Memory, Sqlite};
use everynode_store::{Backend, BackendError, Config, OpenError, Store};

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The URL means nothing to us.
    #[error("store {url:?} is not known: use sqlite:///PATH or memory:")]
    Url {
        /// What was given.
        url: String,
    },
    /// The place could not be opened.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// What is in it could not be read.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Opens `url`, or the SQLite file below `data_dir` when none is given.
///
/// # Errors
/// When the URL is unknown, or the store is in use, unreadable, foreign, or from a newer version.
pub fn open_store(data_dir: &Path, url: Option<&str>) -> Result<Store, StorageError> {
    let backend: Box<dyn Backend> = match place(data_dir, url)? {
        Place::Memory => Box::new(Memory::default()),
        Place::Sqlite(path) => Box::new(Sqlite::open(&path)?),
    };
    Ok(Store::open(backend, Config::standard(Box::new(crate::topics)))?)
}

#[derive(Debug, PartialEq)]
enum Place {
    Memory,
    Sqlite(PathBuf),
}

fn place(data_dir: &Path, url: Option<&str>) -> Result<Place, StorageError> {
    let Some(url) = url else { return Ok(Place::Sqlite(data_dir.join("state").join("store.db"))) };
    if url == "memory:" {
        return Ok(Place::Memory);
    }
    match url.strip_prefix("sqlite://") {
        Some(path) if path.starts_with('/') => Ok(Place::Sqlite(PathBuf::from(path))),
        _ => Err(StorageError::Url { url: url.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_place_or_are_refused() {
        let sqlite = |path: &str| Some(Place::Sqlite(PathBuf::from(path)));
        for (url, expect) in [
            (None, sqlite("/d/state/store.db")),
            (Some("memory:"), Some(Place::Memory)),
            (Some("sqlite:///x/y.db"), sqlite("/x/y.db")),
            (Some("sqlite://x/y.db"), None),
            (Some("etcd://127.0.0.1:2379"), None),
        ] {
            assert_eq!(place(Path::new("/d"), url).ok(), expect, "{url:?}");
        }
    }
}
