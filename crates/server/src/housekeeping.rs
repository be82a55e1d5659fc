//! What the server does beside answering, until it stops: its own objects come back when they are lost, aggregated roles
//! follow, certificates are renewed and signed, old events go, old history is forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use everynode_store::{Change, Durability, Expect, Revision, Store, Write};
use tokio::time::Instant;

use crate::bootstrap;
use crate::signer;
use crate::stop::stopped;
use crate::stored;
use crate::{Identity, Service, Shared};

/// Time between looks for the cluster's own objects, for certificates near their end and for old events.
const EVERY: Duration = Duration::from_secs(60);
/// How long history is kept for watches and lists (A289).
const HISTORY: Duration = Duration::from_secs(5 * 60);
/// How long an event is kept after its last change (A283).
const EVENT_LIFETIME: Duration = Duration::from_secs(60 * 60);
const EVENTS: &str = "/registry/events/";

/// Runs until the server stops.
pub(crate) async fn run(own: Service, shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let signing = Service::new(Arc::clone(&shared), Identity::masters(signer::USER));
    tokio::select! {
        () = bootstrap::keep_aggregated(own.clone(), shared.store.clone()) => {}
        () = signer::run(signing, shared.store.clone(), shared.security.clone()) => {}
        () = rounds(&own, &shared) => {}
        () = stopped(&mut stop) => {}
    }
}

async fn rounds(own: &Service, shared: &Shared) {
    let mut past = Past::default();
    loop {
        past.note(Instant::now(), shared.store.revision());
        tokio::time::sleep(EVERY).await;
        if let Err(error) = bootstrap::run(own, &shared.store, &shared.security, shared.advertised).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot bring back the cluster's own objects");
        }
        if let Err(error) = shared.security.pki.renew(jiff::Timestamp::now()) {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot renew the serving certificate");
        }
        let now = Instant::now();
        if let Some(revision) = past.before(now, HISTORY) {
            shared.store.compact(revision);
        }
        if let Some(revision) = past.before(now, EVENT_LIFETIME) {
            drop_events(&shared.store, revision).await;
        }
    }
}

/// Removes the events that have not changed since a revision.
async fn drop_events(store: &Store, since: Revision) {
    let Ok(page) = store.list(EVENTS, None, 0, None) else { return };
    for entry in page.entries.into_iter().filter(|entry| entry.modified <= since) {
        let last = entry.value.clone();
        let write = Write {
            key: entry.key.to_string(),
            expect: Expect::At(entry.modified),
            change: Change::Delete(Box::new(move |revision| stored::reseal(&last, revision))),
            durability: Durability::Lazy,
        };
        // One that has just changed lives on; a store that fails says so to everybody.
        drop(store.commit(write).await);
    }
}

/// Which revision there was when.
#[derive(Default)]
struct Past(VecDeque<(Instant, Revision)>);

impl Past {
    fn note(&mut self, now: Instant, revision: Revision) {
        self.0.push_back((now, revision));
        // One note older than the longest question is enough.
        while self.0.get(1).is_some_and(|(then, _)| now.duration_since(*then) > EVENT_LIFETIME) {
            self.0.pop_front();
        }
    }

    /// The newest revision that is older than `age`.
    fn before(&self, now: Instant, age: Duration) -> Option<Revision> {
        self.0.iter().rev().find(|(then, _)| now.duration_since(*then) >= age).map(|(_, revision)| *revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A283, A289: five minutes of history, one hour of events, by notes that do not pile up.
    #[test]
    fn a289_past() {
        let start = Instant::now();
        let minutes = |n: u64| start + Duration::from_secs(60 * n);
        let mut past = Past::default();
        for minute in 0..200 {
            past.note(minutes(minute), Revision(minute * 10));
        }
        assert_eq!(past.before(minutes(199), HISTORY), Some(Revision(1940)));
        assert_eq!(past.before(minutes(199), EVENT_LIFETIME), Some(Revision(1390)));
        assert!(past.0.len() <= 62);
        assert_eq!(Past::default().before(start, HISTORY), None);
    }
}
