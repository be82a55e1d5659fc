//! The default backend: one SQLite file, WAL mode, `synchronous=FULL`, written by one connection in group commits.
//!
//! Chosen for its recovery and because standard tools can inspect and back the file up while we run
//! (docs/adr/0002-sqlite-below-memory.md). Reads happen once, at start.
//!
//! Revisions are reserved [`RESERVE_REVISIONS`] ahead: commits that were answered before they were durable (lazy ones)
//! may be lost in a crash, but their revisions are not given to other commits after it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Backend, BackendError};
use crate::entry::{Entry, Event, EventKind, Revision};

/// Marks the file as ours (`file` and `sqlite3` show it): "evry".
const APPLICATION_ID: i64 = 0x6576_7279;
/// The layout of the tables; a newer one is refused.
const FORMAT: i64 = 1;
/// How many revisions are reserved at a time.
const RESERVE_REVISIONS: u64 = 10_000;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS entries (
        key TEXT PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
";

/// Commits in a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    database: Connection,
    reserved: Revision,
    _lock: Lock,
}

/// Held for as long as we live; the operating system releases it with the process.
struct Lock(File);

impl Drop for Lock {
    /// By word and not by closing alone: a process that is being started holds copies of our files until it runs its program.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Sqlite {
    /// Opens or creates the database at `path` and locks it against other processes.
    ///
    /// # Errors
    /// When it is in use, cannot be opened or written, is foreign or from a newer version.
    pub fn open(path: &Path) -> Result<Self, BackendError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| BackendError::Open { path: parent.to_owned(), source })?;
        }
        let lock = lock(path)?;
        let fail = |act| move |source| BackendError::Database { act, path: path.to_owned(), source };
        let private = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        drop(private.map_err(|source| BackendError::Open { path: path.to_owned(), source })?);
        let database = Connection::open(path).map_err(fail("open"))?;
        let mut backend = Self { path: path.to_owned(), database, reserved: Revision::EMPTY, _lock: lock };
        backend.check_format()?;
        backend.prepare().map_err(fail("set up"))?;
        Ok(backend)
    }

    fn check_format(&self) -> Result<(), BackendError> {
        let pragma = |name: &str| {
            let number = self.database.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            number.map_err(self.fail("read"))
        };
        let (application, found) = (pragma("application_id")?, pragma("user_version")?);
        let tables: i64 = self
            .database
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(self.fail("read"))?;
        if tables > 0 && application != APPLICATION_ID {
            return Err(BackendError::Foreign { path: self.path.clone() });
        }
        if found > FORMAT {
            return Err(BackendError::Newer { path: self.path.clone(), found, known: FORMAT });
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), rusqlite::Error> {
        self.database.pragma_update(None, "journal_mode", "WAL")?;
        self.database.pragma_update(None, "synchronous", "FULL")?;
        self.database.pragma_update(None, "cache_size", -1024)?; // KiB: the entries are in memory already
        self.database.pragma_update(None, "application_id", APPLICATION_ID)?;
        self.database.pragma_update(None, "user_version", FORMAT)?;
        self.database.execute_batch(TABLES)
    }

    fn fail(&self, act: &'static str) -> impl Fn(rusqlite::Error) -> BackendError + use<'_> {
        move |source| BackendError::Database { act, path: self.path.clone(), source }
    }

    fn reserve(&self) -> Result<Revision, BackendError> {
        let query = "SELECT number FROM facts WHERE name = 'reserved'";
        let number = self.database.query_row(query, [], |row| row.get::<_, i64>(0)).optional();
        Ok(number.map_err(self.fail("read"))?.map_or(Revision::EMPTY, |number| Revision(number.unsigned_abs())))
    }
}

impl Backend for Sqlite {
    fn load(&mut self, visit: &mut dyn FnMut(Entry)) -> Result<Revision, BackendError> {
        let mut newest = self.reserve()?;
        let read = (|| {
            let mut query = self.database.prepare("SELECT key, value, created, modified FROM entries")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let entry = Entry {
                    key: Arc::from(row.get_ref(0)?.as_str()?),
                    value: Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?),
                    created: Revision(row.get::<_, i64>(2)?.unsigned_abs()),
                    modified: Revision(row.get::<_, i64>(3)?.unsigned_abs()),
                };
                newest = newest.max(entry.modified);
                visit(entry);
            }
            Ok(())
        })();
        read.map_err(self.fail("read"))?;
        // What was reserved last time may have been given out: go on above it.
        self.reserved = Revision(newest.0 + RESERVE_REVISIONS);
        note_reserved(&self.database, self.reserved).map_err(self.fail("write to"))?;
        Ok(newest)
    }

    fn append(&mut self, batch: &[Event]) -> Result<(), BackendError> {
        let last = batch.last().map_or(self.reserved, Event::revision);
        let reserve = (last.0 + RESERVE_REVISIONS / 2 >= self.reserved.0).then(|| Revision(last.0 + RESERVE_REVISIONS));
        let written = (|| {
            let transaction = self.database.transaction()?;
            for event in batch {
                write(&transaction, event)?;
            }
            if let Some(reserve) = reserve {
                note_reserved(&transaction, reserve)?;
            }
            transaction.commit()
        })();
        written.map_err(|source| BackendError::Database { act: "write to", path: self.path.clone(), source })?;
        self.reserved = reserve.unwrap_or(self.reserved);
        Ok(())
    }

    fn close(&mut self, revision: Revision) -> Result<(), BackendError> {
        note_reserved(&self.database, revision).map_err(self.fail("write to"))?;
        self.reserved = revision;
        Ok(())
    }
}

fn write(transaction: &Transaction<'_>, event: &Event) -> Result<(), rusqlite::Error> {
    let entry = &event.entry;
    match event.kind {
        EventKind::Put => {
            let put = "INSERT INTO entries VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO UPDATE
                       SET value = excluded.value, created = excluded.created, modified = excluded.modified";
            let values = params![&*entry.key, &entry.value[..], number(entry.created), number(entry.modified)];
            transaction.prepare_cached(put)?.execute(values)?;
        }
        EventKind::Delete => {
            transaction.prepare_cached("DELETE FROM entries WHERE key = ?1")?.execute([&*entry.key])?;
        }
    }
    Ok(())
}

fn note_reserved(database: &Connection, revision: Revision) -> Result<(), rusqlite::Error> {
    let note = "INSERT INTO facts VALUES ('reserved', ?1) ON CONFLICT (name) DO UPDATE SET number = excluded.number";
    database.execute(note, [number(revision)])?;
    Ok(())
}

/// SQLite's integers are signed; 2^63 revisions will do.
fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// Locks `<path>.lock` and leaves our process number in it.
fn lock(path: &Path) -> Result<Lock, BackendError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = open.map_err(|source| BackendError::Open { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(BackendError::InUse { path, pid });
        }
        Err(TryLockError::Error(source)) => return Err(BackendError::Open { path, source }),
    }
    let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|source| BackendError::Open { path, source })?;
    Ok(Lock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another thread may start a process at any moment, which holds the lock's file too until it runs its program.
    #[test]
    fn a_closed_database_is_free_also_while_a_process_is_being_started() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("store.db");
        let first = Sqlite::open(&path).expect("database opens");
        let _inherited = first._lock.0.try_clone().expect("copied");
        drop(first);
        assert!(Sqlite::open(&path).is_ok());
    }
}
