//! Lists at older revisions, pages, compaction.

use everynode_store::backend::Memory;
use everynode_store::{Expect, ReadError, Revision, Store};

use crate::{delete, must, open, put};

fn keys(store: &Store, after: Option<&str>, limit: usize, at: Option<Revision>) -> Result<String, ReadError> {
    let page = store.list("/p/", after, limit, at)?;
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.trim_start_matches("/p/")).collect();
    Ok(format!("{} +{}", keys.join(" "), page.remaining))
}

#[tokio::test]
async fn a_list_shows_any_revision_of_the_window() {
    let store = open(Memory::default());
    must(&store, put("/other", Expect::Absent, "x")).await;
    for key in ["/p/a", "/p/b", "/p/d"] {
        must(&store, put(key, Expect::Absent, "x")).await;
    }
    let then = store.revision();
    must(&store, delete("/p/b", Expect::Any)).await;
    must(&store, put("/p/c", Expect::Absent, "x")).await;
    must(&store, put("/p/d", Expect::Any, "changed")).await;

    for (after, limit, at, expect) in [
        (None, 0, None, "a c d +0"),
        (None, 2, None, "a c +1"),
        (Some("/p/a"), 1, None, "c +1"),
        (None, 0, Some(then), "a b d +0"),
        (None, 1, Some(then), "a +2"),
        (Some("/p/a"), 5, Some(then), "b d +0"),
        (None, 0, Some(Revision(then.0 + 1)), "a d +0"),
    ] {
        assert_eq!(keys(&store, after, limit, at).as_deref(), Ok(expect), "after={after:?} limit={limit} at={at:?}");
    }
    let old = store.list("/p/d", None, 0, Some(then)).expect("lists").entries;
    assert_eq!(&old[0].value[..], format!("x@{then}").as_bytes(), "old value, not the new one");
}

#[tokio::test]
async fn forgotten_and_future_revisions_are_refused() {
    let store = open(Memory::default());
    for n in 0..5 {
        must(&store, put(&format!("/p/{n}"), Expect::Absent, "x")).await;
    }
    let newest = store.revision();
    store.compact(Revision(newest.0 - 1));
    let asked = Revision(newest.0 - 2);
    assert_eq!(keys(&store, None, 0, Some(asked)), Err(ReadError::Compacted { asked, compacted: store.compacted() }));
    assert!(keys(&store, None, 0, Some(Revision(newest.0 - 1))).is_ok(), "the compacted revision itself is known");
    assert_eq!(
        keys(&store, None, 0, Some(newest.next())),
        Err(ReadError::Future { asked: newest.next(), current: newest })
    );
}
