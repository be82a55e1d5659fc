//! The store's contract, for every backend, and what only a real file can show.

mod contract;
mod crash;
mod history;
mod sqlite;
mod watches;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use everynode_store::{
    Backend, Change, CommitError, Committed, Config, Durability, Expect, Revision, Store, Topic, Write,
};

/// The first line of a value, when it starts with `topic:`, is its topic.
fn topics(_key: &str, value: &[u8]) -> Vec<Topic> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.strip_prefix("topic:").and_then(|rest| rest.split(';').next()).map(Topic::new).into_iter().collect()
}

fn config() -> Config {
    Config {
        window_events_max: 1_000,
        window_bytes_max: 1 << 20,
        lazy_delay_max: Duration::from_millis(20),
        topics: Box::new(topics),
    }
}

fn open(backend: impl Backend + 'static) -> Store {
    open_boxed(Box::new(backend))
}

fn open_boxed(backend: Box<dyn Backend>) -> Store {
    Store::open(backend, config()).expect("store opens")
}

fn sqlite(dir: &Path) -> everynode_store::backend::Sqlite {
    everynode_store::backend::Sqlite::open(&dir.join("store.db")).expect("database opens")
}

/// A put whose value is `text` followed by the revision, as a server writes it into objects.
fn put(key: &str, expect: Expect, text: &str) -> Write {
    let text = text.to_owned();
    let change = Change::Put(Box::new(move |revision| Bytes::from(format!("{text}@{revision}"))));
    Write { key: key.to_owned(), expect, change, durability: Durability::Now }
}

fn delete(key: &str, expect: Expect) -> Write {
    let change = Change::Delete(Box::new(move |revision| Bytes::from(format!("gone@{revision}"))));
    Write { key: key.to_owned(), expect, change, durability: Durability::Now }
}

async fn must(store: &Store, write: Write) -> Committed {
    store.commit(write).await.expect("commit succeeds")
}

async fn conflict(store: &Store, write: Write) -> Option<Revision> {
    match store.commit(write).await {
        Err(CommitError::Conflict { current, .. }) => current.map(|entry| entry.modified),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

fn text(value: &Bytes) -> &str {
    std::str::from_utf8(value).expect("test values are text")
}
