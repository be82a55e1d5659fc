//! Watches: everything once, in order, woken only for their own, and honest about what they missed.

use everynode_store::backend::Memory;
use everynode_store::{Config, EventKind, Expect, ReadError, Revision, Scope, Store, Topic, Watch};

use crate::{config, delete, must, open, put};

fn below(prefix: &str) -> Scope {
    Scope::Prefix(prefix.into())
}

fn watch(store: &Store, scope: Scope, topic: Option<&str>, after: Revision) -> Watch {
    store.watch(scope, topic.map(Topic::new), after).expect("watch starts")
}

fn seen(watch: &mut Watch) -> String {
    let batch = watch.poll().expect("not compacted");
    let words = batch.events.iter().map(|event| {
        let sign = if event.kind == EventKind::Put { '+' } else { '-' };
        format!("{sign}{}", event.entry.key)
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_watch_sees_its_scope_from_its_start_on() {
    let store = open(Memory::default());
    let start = store.revision();
    must(&store, put("/pods/a/x", Expect::Absent, "v")).await;
    let middle = store.revision();
    let mut all = watch(&store, below("/pods/"), None, start);
    let mut late = watch(&store, below("/pods/"), None, middle);
    let mut one_namespace = watch(&store, below("/pods/b/"), None, start);
    let mut one_key = watch(&store, Scope::Key("/pods/a/x".into()), None, start);
    must(&store, put("/pods/b/y", Expect::Absent, "v")).await;
    must(&store, put("/podsecurity/z", Expect::Absent, "v")).await;
    must(&store, put("/pods/a/xx", Expect::Absent, "v")).await;
    must(&store, delete("/pods/a/x", Expect::Any)).await;

    assert_eq!(seen(&mut all), "+/pods/a/x +/pods/b/y +/pods/a/xx -/pods/a/x");
    assert_eq!(seen(&mut late), "+/pods/b/y +/pods/a/xx -/pods/a/x");
    assert_eq!(seen(&mut one_namespace), "+/pods/b/y");
    assert_eq!(seen(&mut one_key), "+/pods/a/x -/pods/a/x");
    assert_eq!(seen(&mut all), "", "each event once");
    assert_eq!(all.progress(), store.revision());
}

#[tokio::test]
async fn a_topic_watch_hears_what_comes_and_what_leaves() {
    let store = open(Memory::default());
    let start = store.revision();
    let mut one = watch(&store, below("/pods/"), Some("node=1"), start);
    must(&store, put("/pods/a", Expect::Absent, "plain")).await;
    must(&store, put("/pods/a", Expect::Any, "topic:node=1;")).await;
    must(&store, put("/pods/b", Expect::Absent, "topic:node=2;")).await;
    must(&store, put("/pods/a", Expect::Any, "topic:node=2;")).await;
    must(&store, put("/pods/a", Expect::Any, "topic:node=2;again")).await;
    assert_eq!(seen(&mut one), "+/pods/a +/pods/a", "came, and left");
    let mut joined_later = watch(&store, below("/pods/"), Some("node=2"), start);
    assert_eq!(seen(&mut joined_later), "+/pods/b +/pods/a +/pods/a", "an index made after the fact is complete");
}

#[tokio::test]
async fn next_wakes_for_a_commit_that_comes_later() {
    let store = open(Memory::default());
    let mut events = watch(&store, below("/k/"), None, store.revision());
    let waiting = tokio::spawn(async move { events.next().await.map(|batch| batch.events.len()) });
    tokio::task::yield_now().await;
    must(&store, put("/elsewhere/a", Expect::Absent, "v")).await;
    must(&store, put("/k/a", Expect::Absent, "v")).await;
    assert_eq!(waiting.await.expect("task ends"), Ok(1));
}

#[tokio::test]
async fn a_slow_watch_is_told_and_a_quiet_one_is_not_punished() {
    let small = Config { window_events_max: 10, ..config() };
    let store = Store::open(Box::new(Memory::default()), small).expect("store opens");
    let start = store.revision();
    must(&store, put("/slow/0", Expect::Absent, "v")).await;
    let mut slow = watch(&store, below("/slow/"), None, start);
    let mut quiet = watch(&store, below("/quiet/"), None, store.revision());
    for n in 0..30 {
        must(&store, put(&format!("/noise/{n}"), Expect::Absent, "v")).await;
    }
    assert!(slow.poll().is_err(), "its event was forgotten before it was read");
    must(&store, put("/quiet/a", Expect::Absent, "v")).await;
    assert_eq!(seen(&mut quiet), "+/quiet/a", "nothing of its own was lost");
    let refused = store.watch(below("/slow/"), None, start).err();
    assert!(matches!(refused, Some(ReadError::Compacted { .. })), "{refused:?}");
}
