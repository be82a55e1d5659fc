//! `kill -9` at any moment loses no answered write. The test runs itself as a child, which writes and prints each
//! answered key, and kills it; then it opens what is left.

use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use everynode_store::Expect;

use crate::{must, open, put, sqlite};

const CHILD_DIR: &str = "EVERYNODE_STORE_CRASH_DIR";
const ROUNDS: usize = 5;
const KEYS_BEFORE_KILL: usize = 60;

/// Does nothing in an ordinary run; in a child it writes until it is killed.
#[tokio::test]
async fn crash_child() {
    let Ok(dir) = env::var(CHILD_DIR) else { return };
    let store = open(sqlite(Path::new(&dir)));
    let round = store.revision();
    for n in 0_u64.. {
        let writes = (0..4).map(|lane| {
            let (store, key) = (store.clone(), format!("/crash/{round}-{n}-{lane}"));
            async move {
                let revision = must(&store, put(&key, Expect::Absent, "value")).await.entry.modified;
                let mut out = std::io::stdout().lock();
                let printed = writeln!(out, "\nanswered {key} {revision}").and_then(|()| out.flush());
                assert!(printed.is_ok(), "parent has gone");
            }
        });
        let tasks: Vec<_> = writes.map(tokio::spawn).collect();
        for task in tasks {
            task.await.expect("write ends");
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_no_answered_write() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut answered = Vec::new();
    for _ in 0..ROUNDS {
        let program = env::current_exe().expect("own path");
        let mut child = Command::new(program)
            .args(["--exact", "crash::crash_child", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("child starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok).filter_map(|line| {
            let (key, revision) = line.strip_prefix("answered ")?.split_once(' ')?;
            Some((key.to_owned(), revision.parse::<u64>().ok()?))
        });
        answered.extend(lines.by_ref().take(KEYS_BEFORE_KILL));
        child.kill().expect("killed");
        answered.extend(lines); // what the pipe still holds was answered, too
        child.wait().expect("reaped");
    }
    assert!(answered.len() >= ROUNDS * KEYS_BEFORE_KILL, "children wrote: {}", answered.len());

    let store = open(sqlite(dir.path()));
    let mut revisions: Vec<u64> = answered.iter().map(|(_, revision)| *revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), answered.len(), "no revision was given twice, across crashes too (S1)");
    for (key, revision) in &answered {
        let entry = store.get(key);
        assert_eq!(entry.map(|entry| entry.modified.0), Some(*revision), "{key} was answered and must be there");
    }
    store.close().await.expect("closes");
}
