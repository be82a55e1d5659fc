//! Events as the server remembers them, in both ways of writing them.

use everynode_api::project::ProjectError;
use everynode_core::model::Millis;
use serde::Deserialize;

use super::{ExplainError, read};
use crate::api::{Api, collection};

/// One kind of thing that was said, once or often.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Event {
    metadata: Meta,
    pub(super) involved_object: Involved,
    pub(super) reason: String,
    pub(super) message: String,
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

/// What it is about.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Involved {
    pub(super) uid: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: u32,
    last_observed_time: Option<String>,
}

impl Event {
    /// When it was said last.
    pub(super) fn at(&self) -> Millis {
        let times = [
            self.series.as_ref().and_then(|series| series.last_observed_time.as_deref()),
            self.last_timestamp.as_deref(),
            self.event_time.as_deref(),
            self.metadata.creation_timestamp.as_deref(),
        ];
        let at = times.into_iter().flatten().find_map(|text| text.parse::<jiff::Timestamp>().ok());
        at.map_or(Millis::default(), |at| Millis(at.as_millisecond()))
    }

    /// How often.
    pub(super) fn times(&self) -> u32 {
        self.series.as_ref().map(|series| series.count).or(self.count).unwrap_or(1)
    }
}

/// The events of a namespace that `about`, a field selector, selects; so many at most, to the page.
pub(super) async fn select(api: &Api, namespace: &str, about: &str, most: usize) -> Result<Vec<Event>, ExplainError> {
    let path = collection("", "v1", namespace, "events");
    read::pages(api, &format!("{path}?fieldSelector={}", read::escape(about)), most, event).await
}

fn event(bytes: &[u8]) -> Result<Event, ProjectError> {
    read::object("Event", bytes)
}
