//! What was last said against a pod whose own status does not tell what keeps it from being ready: a volume that cannot be mounted,
//! a probe that fails.

use std::collections::BTreeMap;

use everynode_core::explain::Trouble;
use everynode_core::model::{Millis, Pod};

use super::event::{self, Event};
use super::{Around, ExplainError};
use crate::api::Api;

/// What was said longer ago is over: who still sees the cause says it again within this time.
const FRESH: Millis = Millis::from_secs(5 * 60);
/// So many warnings of a namespace are looked through.
const MOST: usize = 5_000;
const WARNINGS: &str = "involvedObject.kind=Pod,type=Warning";

impl Around {
    /// Asks for warnings about pods that are not ready without a word of why, if there are any such pods.
    pub(super) async fn add_warnings(&mut self, api: &Api, namespace: &str, now: Millis) -> Result<(), ExplainError> {
        let is_silent = |pod: &&Pod| {
            let told = self.troubles.get(&pod.key.name).is_some_and(|trouble| !trouble.message.is_empty());
            !pod.ready.is && !pod.is_terminating() && !told
        };
        let silent: BTreeMap<String, &Pod> =
            self.pods.iter().filter(is_silent).map(|pod| (pod.uid.as_str().to_owned(), pod)).collect();
        if silent.is_empty() {
            return Ok(());
        }
        let events = event::select(api, namespace, WARNINGS, MOST).await?;
        for (uid, event) in latest(events, now) {
            if let Some(pod) = silent.get(&uid) {
                let trouble = self.troubles.entry(pod.key.name.clone()).or_default();
                *trouble = Trouble { reason: event.reason, message: event.message, restarts: trouble.restarts };
            }
        }
        Ok(())
    }
}

/// The last fresh event by the uid of what it is about.
fn latest(events: Vec<Event>, now: Millis) -> BTreeMap<String, Event> {
    let mut latest = BTreeMap::<String, Event>::new();
    for event in events {
        let is_newest = latest.get(&event.involved_object.uid).is_none_or(|known| known.at() < event.at());
        if event.at().0 >= now.0 - FRESH.0 && is_newest {
            latest.insert(event.involved_object.uid.clone(), event);
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_fresh_warning_of_each_pod_counts() {
        let event = |uid: &str, reason: &str, at: &str| -> Event {
            let event = json!({"involvedObject": {"uid": uid}, "reason": reason, "lastTimestamp": at});
            serde_json::from_value(event).expect("an event")
        };
        let events = vec![
            event("a", "FailedMount", "2026-01-01T00:09:00Z"),
            event("a", "Unhealthy", "2026-01-01T00:09:30Z"),
            event("a", "BackOff", "2026-01-01T00:09:10Z"),
            event("b", "FailedMount", "2026-01-01T00:01:00Z"),
        ];
        let latest = latest(events, Millis::from_secs(1_767_225_600 + 600));
        let told: Vec<_> = latest.iter().map(|(uid, event)| (uid.as_str(), event.reason.as_str())).collect();
        assert_eq!(told, [("a", "Unhealthy")], "what was said of b is over");
    }
}
