//! What only the file shows: locks, foreign and newer files, permissions.

use std::os::unix::fs::PermissionsExt;

use everynode_store::BackendError;
use everynode_store::backend::Sqlite;

use crate::sqlite;

#[test]
fn a_database_in_use_names_its_holder() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let _held = sqlite(dir.path());
    let refused = Sqlite::open(&dir.path().join("store.db")).err().expect("second open is refused");
    let own = format!("(pid {})", std::process::id());
    assert!(matches!(refused, BackendError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&own), "{refused}");
}

#[test]
fn newer_and_foreign_files_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    drop(sqlite(dir.path()));
    let path = dir.path().join("store.db");
    let database = rusqlite::Connection::open(&path).expect("opens");
    database.pragma_update(None, "user_version", 99).expect("writes");
    drop(database);
    let newer = Sqlite::open(&path).err().expect("refused");
    assert!(matches!(newer, BackendError::Newer { found: 99, .. }), "{newer:?}");

    let foreign = dir.path().join("foreign.db");
    let database = rusqlite::Connection::open(&foreign).expect("opens");
    database.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("writes");
    drop(database);
    let refused = Sqlite::open(&foreign).err().expect("refused");
    assert!(matches!(refused, BackendError::Foreign { .. }), "{refused:?}");
}

#[test]
fn the_file_is_private() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let _held = sqlite(dir.path());
    let mode = dir.path().join("store.db").metadata().expect("exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
