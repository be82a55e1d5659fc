//! Why the server last refused to make a pod of a set, from the set's events.
//!
//! Quota, admission and permissions answer the controller, not us: its events are where that can be read (R116).

use everynode_core::explain::Refusal;
use everynode_core::explain::events::FAILED_CREATE;
use everynode_core::model::Set;

use super::ExplainError;
use super::event::{self, Event};
use crate::api::Api;

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
    Ok(latest(event::select(api, &set.key.namespace, &about, usize::MAX).await?))
}

fn latest(events: Vec<Event>) -> Option<Refusal> {
    // Every pod has another name, so one cause makes many events.
    let times = events.iter().map(Event::times).fold(0, u32::saturating_add);
    let last = events.into_iter().max_by_key(Event::at)?;
    Some(Refusal { at: last.at(), times, message: bare(&last.message).to_owned() })
}

#[cfg(test)]
mod tests {
    use everynode_core::model::Millis;
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
