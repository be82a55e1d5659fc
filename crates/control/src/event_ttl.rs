//! Lets events go an hour after they were last written (A398, A506).
//!
//! Upstream's store does that by itself; ours knows nothing of Kubernetes, so it is a controller's work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Millis, Version};
use serde::Deserialize;
use serde_json::json;

use crate::api::{Api, Failure, collection};
use crate::cache::{Cached, Delta};
use crate::chain::Chain;
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock};

/// How long an event is kept after its last write.
const TTL: Millis = Millis::from_secs(3600);
/// How often old events are looked for.
const PERIOD: Millis = Millis::from_secs(60);
/// Deletions under way at once.
const DELETIONS_MAX: usize = 64;

struct Event {
    key: Key,
    version: Version,
    uid: Arc<str>,
    /// The latest of its own times.
    written: Millis,
}

impl Cached for Event {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    metadata: WireMeta,
    event_time: Option<String>,
    last_timestamp: Option<String>,
    series: Option<WireSeries>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    creation_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSeries {
    last_observed_time: Option<String>,
}

fn project(bytes: &[u8]) -> Result<Event, ProjectError> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "Event", source })?;
    let times = [
        wire.metadata.creation_timestamp,
        wire.event_time,
        wire.last_timestamp,
        wire.series.and_then(|series| series.last_observed_time),
    ];
    let now = clock::now();
    let written = times.iter().flatten().filter_map(|text| text.parse::<jiff::Timestamp>().ok());
    // A client whose clock is ahead does not keep its events for longer.
    let written = written.map(|at| Millis(at.as_millisecond()).min(now)).max().unwrap_or(now);
    Ok(Event {
        key: Key::new(&wire.metadata.namespace, &wire.metadata.name),
        version: Version::parse(&wire.metadata.resource_version),
        uid: wire.metadata.uid.into(),
        written,
    })
}

enum Message {
    Event(Delta<Event>),
    Deleted(Result<(), Failure>),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("event-ttl-controller");
    let events = context.feeds.open("events", "/api/v1/events", project);
    let mut inbox = Inbox::new();
    inbox.follow(&events, Message::Event);
    let mut by_age: BTreeSet<(Millis, Key)> = BTreeSet::new();
    let mut known: BTreeMap<Key, Millis> = BTreeMap::new();
    let mut deleting = 0usize;
    let mut look_at = clock::now().plus(PERIOD);
    loop {
        match inbox.next(Some(look_at)).await {
            Some(Message::Event(Delta::Put { new, .. })) => {
                if let Some(before) = known.insert(new.key.clone(), new.written) {
                    by_age.remove(&(before, new.key.clone()));
                }
                by_age.insert((new.written, new.key.clone()));
            }
            Some(Message::Event(Delta::Gone(old))) => {
                if let Some(before) = known.remove(&old.key) {
                    by_age.remove(&(before, old.key.clone()));
                }
            }
            Some(Message::Deleted(result)) => {
                deleting -= 1;
                if let Err(failure) = result {
                    tracing::debug!(error = %Chain(&failure), "an old event stays for another round");
                }
            }
            Some(Message::Event(Delta::Synced)) | None => {}
        }
        let now = clock::now();
        if now < look_at {
            continue;
        }
        look_at = now.plus(PERIOD);
        let old = by_age.iter().take_while(|(written, _)| now.since(*written) > TTL);
        let old: Vec<Key> = old.take(DELETIONS_MAX.saturating_sub(deleting)).map(|(_, key)| key.clone()).collect();
        if old.len() == DELETIONS_MAX {
            // There are more: go on as soon as these are gone.
            look_at = now.plus(Millis(200));
        }
        for event in old.iter().filter_map(|key| events.get(key)) {
            deleting += 1;
            inbox.act(delete(api.clone(), event));
        }
    }
}

async fn delete(api: Api, event: Arc<Event>) -> Message {
    let path = format!("{}/{}", collection("", "v1", &event.key.namespace, "events"), event.key.name);
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": &*event.uid}});
    Message::Deleted(match api.delete(&path, &options).await {
        Err(failure) if !failure.is_not_found() => Err(failure),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A398: what counts is the last write, old style or new.
    #[test]
    fn an_event_is_as_old_as_its_last_word() {
        for (times, expect) in [
            (r#""lastTimestamp":"2026-01-01T00:00:05Z""#, 5),
            (r#""lastTimestamp":null,"eventTime":"2026-01-01T00:00:07.000001Z""#, 7),
            (r#""eventTime":"2026-01-01T00:00:02Z","series":{"count":2,"lastObservedTime":"2026-01-01T00:00:09Z"}"#, 9),
            (r#""lastTimestamp":"2020-01-01T00:00:00Z""#, 1),
        ] {
            let text = format!(
                r#"{{"metadata":{{"name":"e","namespace":"a","creationTimestamp":"2026-01-01T00:00:01Z"}},{times}}}"#
            );
            let begin = Millis::from_secs(1_767_225_600);
            let written = project(text.as_bytes()).map(|event| event.written.since(begin)).ok();
            assert_eq!(written, Some(Millis::from_secs(expect)), "{times}");
        }
    }
}
