//! What every backend must hold: compare-and-swap, revisions that only grow, and finding everything again.

use std::path::Path;

use everynode_store::backend::Memory;
use everynode_store::{Durability, Expect, Revision, Store, Write};

use crate::{config, conflict, delete, must, open, put, sqlite, text};

/// Opens "the same data" again and again.
type Reopen<'a> = Box<dyn FnMut() -> Store + 'a>;

fn backends(dir: &Path) -> Vec<(&'static str, Reopen<'_>)> {
    let (memory, alone) = (Memory::default(), Memory::default());
    let unthreaded = move || Store::open_unthreaded(Box::new(alone.clone()), config()).expect("store opens");
    vec![
        ("memory", Box::new(move || open(memory.clone()))),
        ("memory, unthreaded", Box::new(unthreaded)),
        ("sqlite", Box::new(move || open(sqlite(dir)))),
    ]
}

#[tokio::test]
async fn expectations_decide_every_write() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, mut reopen) in backends(dir.path()) {
        let store = reopen();
        let first = must(&store, put("/a/x", Expect::Absent, "one")).await;
        assert_eq!(first.entry.modified, store.revision(), "{name}");
        assert_eq!(text(&first.entry.value), format!("one@{}", first.entry.modified), "{name}");
        assert_eq!(conflict(&store, put("/a/x", Expect::Absent, "two")).await, Some(first.entry.modified), "{name}");
        assert_eq!(conflict(&store, put("/a/y", Expect::At(Revision(7)), "two")).await, None, "{name}");
        assert_eq!(conflict(&store, delete("/a/y", Expect::Any)).await, None, "{name}");

        let second = must(&store, put("/a/x", Expect::At(first.entry.modified), "two")).await;
        assert_eq!(second.entry.created, first.entry.modified, "{name}");
        assert_eq!(second.previous, Some(first.entry), "{name}");
        let gone = must(&store, delete("/a/x", Expect::At(second.entry.modified))).await;
        assert_eq!(text(&gone.entry.value), format!("gone@{}", gone.entry.modified), "{name}");
        assert!(store.get("/a/x").is_none(), "{name}");
        let again = must(&store, put("/a/x", Expect::Absent, "three")).await;
        assert_eq!(again.entry.created, again.entry.modified, "{name}: a new life");
        store.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_reopened_store_has_everything_and_goes_on_counting() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, mut reopen) in backends(dir.path()) {
        let store = reopen();
        for n in 0..50 {
            must(&store, put(&format!("/n/{n:02}"), Expect::Absent, "value")).await;
        }
        must(&store, delete("/n/07", Expect::Any)).await;
        let lazy = Write { durability: Durability::Lazy, ..put("/n/lazy", Expect::Absent, "beat") };
        let last = must(&store, lazy).await.entry.modified;
        let before = store.list("/n/", None, 0, None).expect("lists").entries;
        store.close().await.expect("closes");
        drop(store);

        let store = reopen();
        assert_eq!(store.list("/n/", None, 0, None).expect("lists").entries, before, "{name}");
        assert_eq!(store.revision(), last, "{name}: a clean stop leaves no gap");
        let next = must(&store, put("/n/next", Expect::Absent, "value")).await.entry.modified;
        assert_eq!(next, last.next(), "{name}");
        store.close().await.expect("closes");
    }
}

#[tokio::test]
async fn concurrent_increments_lose_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, mut reopen) in backends(dir.path()) {
        let store = reopen();
        must(&store, put("/counter", Expect::Absent, "0")).await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        loop {
                            let entry = store.get("/counter").expect("exists");
                            let count: u32 =
                                text(&entry.value).split('@').next().unwrap_or("").parse().expect("number");
                            let next = put("/counter", Expect::At(entry.modified), &(count + 1).to_string());
                            if store.commit(next).await.is_ok() {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("task ends");
        }
        let entry = store.get("/counter").expect("exists");
        assert!(text(&entry.value).starts_with("200@"), "{name}: {:?}", entry.value);
        store.close().await.expect("closes");
    }
}
