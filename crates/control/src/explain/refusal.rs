//! Why the server last refused to make a pod of a set, from the set's events.
//!
//! Quota, admission and permissions answer the controller, not us: its events are where that can be read (R116).

use everynode_api::project::ProjectError;
use everynode_core::explain::Refusal;
use everynode_core::explain::events::FAILED_CREATE;
use everynode_core::model::{Millis, Set};
use serde::Deserialize;

use super::{ExplainError, read};
use crate::api::{Api, collection};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    metadata: Meta,
    message: String,
    count: Option<u32>,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    series: Option<Series>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    creation_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: u32,
    last_observed_time: Option<String>,
}

impl Event {
    fn refusal(self) -> Refusal {
        let series = self.series.as_ref();
        let times = [
            series.and_then(|series| series.last_observed_time.as_deref()),
            self.last_timestamp.as_deref(),
            self.event_time.as_deref(),
            self.metadata.creation_timestamp.as_deref(),
        ];
        let at = times.into_iter().flatten().find_map(|text| text.parse::<jiff::Timestamp>().ok());
        Refusal {
            at: at.map_or(Millis::default(), |at| Millis(at.as_millisecond())),
            times: series.map(|series| series.count).or(self.count).unwrap_or(1),
            message: bare(&self.message).to_owned(),
        }
    }
}

/// Without what is said of every such event.
fn bare(message: &str) -> &str {
    let message = message.strip_prefix("(combined from similar events): ").unwrap_or(message);
    message.strip_prefix("Error creating: ").unwrap_or(message)
}

/// The last refusal that the server still remembers.
pub(super) async fn last(api: &Api, set: &Set) -> Result<Option<Refusal>, ExplainError> {
    let about = format!(
        "involvedObject.kind=DaemonSet,involvedObject.name={},involvedObject.uid={},reason={FAILED_CREATE}",
        set.key.name,
        set.uid.as_str()
    );
    let path = collection("", "v1", &set.key.namespace, "events");
    let events = read::list(api, &format!("{path}?fieldSelector={}", read::escape(&about)), event).await?;
    Ok(latest(events))
}

fn event(bytes: &[u8]) -> Result<Event, ProjectError> {
    read::object("Event", bytes)
}

fn latest(events: Vec<Event>) -> Option<Refusal> {
    let all: Vec<Refusal> = events.into_iter().map(Event::refusal).collect();
    // Every pod has another name, so one cause makes many events.
    let times = all.iter().map(|refusal| refusal.times).fold(0, u32::saturating_add);
    all.into_iter().max_by_key(|refusal| refusal.at).map(|refusal| Refusal { times, ..refusal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_latest_event_tells_whichever_way_it_was_written() {
        let event = |event: serde_json::Value| serde_json::from_value::<Event>(event).expect("an event");
        let events = vec![
            event(json!({"message": "Error creating: old", "count": 3, "lastTimestamp": "2026-01-01T00:00:05Z"})),
            event(json!({
                "message": "(combined from similar events): Error creating: exceeded quota",
                "eventTime": "2026-01-01T00:00:01.000000Z",
                "series": {"count": 9, "lastObservedTime": "2026-01-01T00:00:09.000000Z"},
            })),
            event(json!({"message": "Error creating: x", "metadata": {"creationTimestamp": "2026-01-01T00:00:07Z"}})),
        ];
        let last = latest(events).expect("there is one");
        assert_eq!((last.message.as_str(), last.times), ("exceeded quota", 13));
        assert_eq!(last.at, Millis::from_secs(1_767_225_609));
        assert_eq!(latest(Vec::new()), None);
    }
}
