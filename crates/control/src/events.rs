//! Events: what controllers tell users about an object, kept from flooding (R118).
//!
//! [`Correlator`] is the pure part: it drops what is too much, folds what is alike, and counts what repeats. [`Recorder`] writes
//! in the background; an event that cannot be written is lost, as upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everynode_core::model::Millis;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::{Api, Patch, collection};
use crate::clock;
use crate::meta::Meta;

/// Events of one object and type that may be written at once.
const BURST: u32 = 25;
/// How long until one more may be written.
const REFILL: Millis = Millis::from_secs(300);
/// Distinct messages of one reason before they are folded into one event.
const SIMILAR_MAX: usize = 10;
/// How long messages are remembered as similar.
const SIMILAR_WINDOW: Millis = Millis::from_secs(600);
/// Objects and events remembered; beyond it the memory starts afresh.
const REMEMBERED_MAX: usize = 4096;

/// Whether an event is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All is as it should be.
    Normal,
    /// Something should be looked at.
    Warning,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// `apps/v1`
    pub api_version: &'static str,
    /// `DaemonSet`
    pub kind: &'static str,
    /// Empty for cluster-wide objects, whose events live in `default`.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Which incarnation.
    pub uid: Arc<str>,
    /// `resourceVersion`, when known.
    pub version: u64,
}

impl About {
    /// An object that a controller holds.
    pub(crate) fn of(api_version: &'static str, kind: &'static str, meta: &Meta) -> Self {
        Self {
            api_version,
            kind,
            namespace: Arc::clone(&meta.key.namespace),
            name: Arc::clone(&meta.key.name),
            uid: meta.uid.as_str().into(),
            version: meta.version.0,
        }
    }

    fn same_object(&self) -> (&'static str, Arc<str>, Arc<str>, Arc<str>) {
        (self.kind, Arc::clone(&self.namespace), Arc::clone(&self.name), Arc::clone(&self.uid))
    }
}

/// One thing to say.
#[derive(Clone, Debug)]
pub struct Note {
    /// About what.
    pub about: About,
    /// Whether it is a warning.
    pub kind: Kind,
    /// In one word.
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

/// Says things about objects, as one component. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::UnboundedSender<(Note, Millis)>,
}

impl Recorder {
    /// Starts the writer. `component` is the event source: `daemonset-controller`, `default-scheduler`, …
    #[must_use]
    pub fn start(api: Api, component: &'static str) -> Self {
        let (notes, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(api, component, receiver));
        Self { notes }
    }

    /// Says it, some time soon.
    pub fn note(&self, note: Note) {
        // The writer lives as long as the runtime; after that nobody listens.
        let _ = self.notes.send((note, clock::now()));
    }
}

/// What to write.
#[derive(Debug, PartialEq, Eq)]
enum Write {
    /// A new event under this name.
    Create { name: String },
    /// Once more: the event of this name, its new count and message.
    Again { name: String, count: u32, first: Millis },
}

/// One thing said about one object: exact repeats are counted.
type Spoken = (ObjectId, Kind, &'static str, String);
type ObjectId = (&'static str, Arc<str>, Arc<str>, Arc<str>);

/// Drops, folds and counts.
#[derive(Default)]
struct Correlator {
    tokens: BTreeMap<(ObjectId, Kind), (u32, Millis)>,
    similar: BTreeMap<(ObjectId, Kind, &'static str), (BTreeSet<String>, Millis)>,
    written: BTreeMap<Spoken, (String, u32, Millis)>,
}

impl Correlator {
    /// What to write for this note, if anything; changes the note's message when it is folded.
    fn take(&mut self, note: &mut Note, now: Millis, serial: u64) -> Option<Write> {
        if self.tokens.len() > REMEMBERED_MAX || self.written.len() > REMEMBERED_MAX {
            *self = Self::default();
        }
        let object = note.about.same_object();
        let folded = self.fold(&object, note, now);
        let text = if folded { String::new() } else { note.message.clone() };
        let key = (object.clone(), note.kind, note.reason, text);
        // What is dropped is counted too, as upstream: the next one that is written tells the whole number.
        let write = match self.written.get_mut(&key) {
            Some((name, count, first)) => {
                *count = count.saturating_add(1);
                Write::Again { name: name.clone(), count: *count, first: *first }
            }
            None => {
                let name = format!("{}.{serial:016x}", note.about.name);
                self.written.insert(key, (name.clone(), 1, now));
                Write::Create { name }
            }
        };
        self.admits(&object, note.kind, now).then_some(write)
    }

    fn admits(&mut self, object: &ObjectId, kind: Kind, now: Millis) -> bool {
        let (tokens, filled) = self.tokens.entry((object.clone(), kind)).or_insert((BURST, now));
        let more = u32::try_from(now.since(*filled).0 / REFILL.0).unwrap_or(0);
        if more > 0 {
            *tokens = tokens.saturating_add(more).min(BURST);
            *filled = filled.plus(Millis(REFILL.0.saturating_mul(i64::from(more))));
        }
        if *tokens == BURST {
            // A full bucket saves no time up.
            *filled = now;
        }
        let admitted = *tokens > 0;
        *tokens = tokens.saturating_sub(1);
        admitted
    }

    fn fold(&mut self, object: &ObjectId, note: &mut Note, now: Millis) -> bool {
        let (messages, last) =
            self.similar.entry((object.clone(), note.kind, note.reason)).or_insert_with(|| (BTreeSet::new(), now));
        if now.since(*last) > SIMILAR_WINDOW {
            messages.clear();
        }
        *last = now;
        messages.insert(note.message.clone());
        if messages.len() <= SIMILAR_MAX {
            return false;
        }
        messages.pop_first();
        note.message = format!("(combined from similar events): {}", note.message);
        true
    }
}

async fn write(api: Api, component: &'static str, mut notes: mpsc::UnboundedReceiver<(Note, Millis)>) {
    let mut correlator = Correlator::default();
    // Names must differ between processes, and order by time is pleasant to read.
    let mut serial = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
    while let Some((mut note, now)) = notes.recv().await {
        serial = serial.wrapping_add(1);
        let Some(write) = correlator.take(&mut note, now, serial) else {
            continue;
        };
        let namespace = if note.about.namespace.is_empty() { "default" } else { &*note.about.namespace };
        let events = collection("", "v1", namespace, "events");
        let result = match &write {
            Write::Create { name } => api.create(&events, &event(&note, component, name, namespace, 1, now, now)).await,
            Write::Again { name, count, first } => {
                let patch = json!({"message": note.message, "count": count, "lastTimestamp": clock::rfc3339(now)});
                match api.patch(&format!("{events}/{name}"), Patch::Strategic, &patch).await {
                    // It has expired meanwhile.
                    Err(failure) if failure.is_not_found() => {
                        api.create(&events, &event(&note, component, name, namespace, *count, *first, now)).await
                    }
                    result => result,
                }
            }
        };
        if let Err(failure) = result
            && !failure.is_namespace_terminating()
        {
            tracing::debug!(component, reason = note.reason, error = %crate::chain::Chain(&failure), "an event is lost");
        }
    }
}

fn event(note: &Note, component: &str, name: &str, namespace: &str, count: u32, first: Millis, now: Millis) -> Value {
    let about = &note.about;
    let mut involved = json!({
        "kind": about.kind, "name": &*about.name, "uid": &*about.uid, "apiVersion": about.api_version,
    });
    if !about.namespace.is_empty() {
        involved["namespace"] = json!(&*about.namespace);
    }
    if about.version != 0 {
        involved["resourceVersion"] = json!(about.version.to_string());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": note.reason,
        "message": note.message,
        "source": {"component": component},
        "firstTimestamp": clock::rfc3339(first),
        "lastTimestamp": clock::rfc3339(now),
        "count": count,
        "type": note.kind.as_str(),
        "eventTime": null,
        "reportingComponent": component,
        "reportingInstance": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        let about = About {
            api_version: "apps/v1",
            kind: "DaemonSet",
            namespace: "default".into(),
            name: "web".into(),
            uid: "u".into(),
            version: 7,
        };
        Note { about, kind: Kind::Normal, reason: "SuccessfulCreate", message: message.to_owned() }
    }

    /// R118: exact repeats increment the count.
    #[test]
    fn repeats_are_counted() {
        let mut correlator = Correlator::default();
        let name = "web.0000000000000001".to_owned();
        assert_eq!(correlator.take(&mut note("a"), Millis(0), 1), Some(Write::Create { name: name.clone() }));
        let again = Write::Again { name, count: 2, first: Millis(0) };
        assert_eq!(correlator.take(&mut note("a"), Millis(5), 2), Some(again));
    }

    /// R118: from the eleventh distinct message they fold into one event.
    #[test]
    fn the_eleventh_message_of_a_reason_is_folded() {
        let mut correlator = Correlator::default();
        for i in 0..10 {
            assert!(matches!(correlator.take(&mut note(&i.to_string()), Millis(0), i), Some(Write::Create { .. })));
        }
        let mut eleventh = note("x");
        assert!(matches!(correlator.take(&mut eleventh, Millis(0), 11), Some(Write::Create { .. })));
        assert_eq!(eleventh.message, "(combined from similar events): x");
        assert!(matches!(correlator.take(&mut note("y"), Millis(0), 12), Some(Write::Again { count: 2, .. })));
    }

    /// R118: a burst of 25, then one in five minutes.
    #[test]
    fn a_flood_is_dropped() {
        let mut correlator = Correlator::default();
        let admitted = (0..40).filter(|i| correlator.take(&mut note("a"), Millis(0), *i).is_some()).count();
        assert_eq!(admitted, 25);
        let told = correlator.take(&mut note("a"), Millis::from_secs(301), 41);
        assert!(matches!(told, Some(Write::Again { count: 41, .. })), "those that were dropped count: {told:?}");
        assert!(correlator.take(&mut note("a"), Millis::from_secs(302), 42).is_none());
        let mut warning = note("a");
        warning.kind = Kind::Warning;
        assert!(correlator.take(&mut warning, Millis::from_secs(302), 43).is_some(), "each type has its own bucket");
        let mut other = note("a");
        other.about.uid = "v".into();
        assert!(correlator.take(&mut other, Millis::from_secs(302), 44).is_some(), "and each object");
    }

    /// R118: after ten minutes of silence messages are told apart again.
    #[test]
    fn similar_messages_are_forgotten() {
        let mut correlator = Correlator::default();
        for i in 0..11 {
            correlator.take(&mut note(&i.to_string()), Millis(0), i);
        }
        let mut soon = note("soon");
        correlator.take(&mut soon, Millis::from_secs(600), 12);
        assert_eq!(soon.message, "(combined from similar events): soon");
        let mut late = note("late");
        correlator.take(&mut late, Millis::from_secs(1201), 13);
        assert_eq!(late.message, "late");
    }
}
