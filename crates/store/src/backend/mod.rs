//! Where commits rest. Everything clever (expectations, history, watches) lives above this trait, once.

mod memory;
mod sqlite;

use std::path::PathBuf;

pub use memory::Memory;
pub use sqlite::Sqlite;

use crate::entry::{Entry, Event, Revision};

/// A place where commits survive. Used by one thread at a time.
pub trait Backend: Send {
    /// Calls `visit` for every live entry and returns the revision to go on from: at least the newest that was ever
    /// appended, and above any that may have been given out without being appended.
    ///
    /// # Errors
    /// When the data cannot be read or is not understood.
    fn load(&mut self, visit: &mut dyn FnMut(Entry)) -> Result<Revision, BackendError>;

    /// Makes a batch of events durable, all or nothing. Returns only when they would survive a crash.
    ///
    /// # Errors
    /// Nothing of the batch was written. Unless [`BackendError::is_full`], the caller stops writing for good.
    fn append(&mut self, batch: &[Event]) -> Result<(), BackendError>;

    /// Notes that `revision` was the last one given, so that the next start goes on right after it.
    ///
    /// # Errors
    /// When the note cannot be written; nothing is lost then but a gap in the revisions.
    fn close(&mut self, revision: Revision) -> Result<(), BackendError>;
}

/// Why a backend could not do its work. The text names the file and, where there is one, the mend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Another process has the data open.
    #[error("{} is in use by another process{}; stop it or choose another --data-dir", path.display(), holder(*pid))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process that holds it, when it left its number.
        pid: Option<u32>,
    },
    /// The data was written by a newer everynode.
    #[error("{} has format {found}, this version reads up to {known}; use the newer everynode", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is a database, but of another program.
    #[error("{} is not an everynode database; choose another --data-dir", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory cannot be made or the file not be opened or locked.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("cannot {act} {}", path.display())]
    Database {
        /// `read`, `write to`, …
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl BackendError {
    /// True when there was no space left; the same write can succeed later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
