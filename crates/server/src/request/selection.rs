//! Which objects a list or watch is about: label and field selectors over stored buffers (A97, A98).
//!
//! Matching looks at as little of a buffer as it can: names come from the key, labels from the metadata alone, and a
//! field's value is searched as bytes before anything is parsed.

use everynode_api::resource::Resource;
use everynode_api::selector::{fields, labels};
use everynode_api::status::Status;
use everynode_store::{Entry, Scope, Topic};
use memchr::memmem;
use serde_json::{Map, Value};

use crate::router::{Place, Query};
use crate::stored;

/// The scope and the selectors of a request.
#[derive(Clone)]
pub(crate) struct Selection {
    row: &'static Resource,
    /// Prefix of the keys.
    prefix: String,
    labels: labels::Selector,
    fields: fields::Selector,
    /// `metadata.name=…`
    name: Option<String>,
    /// The name is all that the field selector says.
    only_name: bool,
    /// Texts that an object with the selected field values must contain.
    needles: Vec<String>,
}

impl Selection {
    /// Reads the selectors of a request for a collection.
    pub(crate) fn parse(row: &'static Resource, place: &Place, query: &Query) -> Result<Self, Status> {
        let bad = |error: everynode_api::selector::ParseError| Status::bad_request(error.to_string());
        let mut text = query.text("fieldSelector").to_owned();
        if place.watch && !place.name.is_empty() {
            // The deprecated path of a single object (A107).
            text = format!("metadata.name={}", place.name);
        }
        let labels = labels::Selector::parse(query.text("labelSelector")).map_err(bad)?;
        let fields = fields::Selector::parse(&text, row).map_err(bad)?;
        let namespace = if place.is_namespaced() { place.namespace.as_str() } else { "" };
        // A field selector on the namespace narrows a list over all of them.
        let namespace = match fields.exact("metadata.namespace") {
            Some(selected) if namespace.is_empty() => selected,
            _ => namespace,
        };
        let prefix = row.prefix(Some(namespace).filter(|n| !n.is_empty()));
        let name = fields.exact("metadata.name").filter(|n| !n.is_empty()).map(str::to_owned);
        let only_name = name.as_ref().is_some_and(|name| text == format!("metadata.name={name}"));
        let needles = row.selectable.iter().filter_map(|field| needle(fields.exact(field)?)).collect();
        Ok(Self { row, prefix, labels, fields, name, only_name, needles })
    }

    /// The prefix of all keys that can match.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The one key that can match, if there is only one.
    pub(crate) fn key(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        let slashes = self.prefix.matches('/').count() - self.row.store_key.matches('/').count();
        let complete = !self.row.namespaced || slashes == 4;
        (complete && !name.contains('/')).then(|| format!("{}{name}", self.prefix))
    }

    /// What a watch must be woken for.
    pub(crate) fn scope(&self) -> (Scope, Option<Topic>) {
        if let Some(key) = self.key() {
            return (Scope::Key(key.into()), None);
        }
        let topic =
            self.fields.exact("spec.nodeName").filter(|_| self.row.store_key == "pods" && !self.needles.is_empty());
        (Scope::Prefix(self.prefix.as_str().into()), topic.map(crate::topic::pod_topic))
    }

    /// Whether everything in the scope matches.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether a stored object matches.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        if let Some(name) = &self.name
            && entry.key.rsplit('/').next() != Some(name)
        {
            return false;
        }
        if self.needles.iter().any(|needle| memmem::find(&entry.value, needle.as_bytes()).is_none()) {
            return false;
        }
        if !self.labels.is_empty() && !self.labels.matches(labels_of(&entry.value).as_ref()) {
            return false;
        }
        self.fields.is_empty() || self.only_name || self.fields.matches(self.row, &self.present(entry))
    }

    fn present(&self, entry: &Entry) -> Value {
        let mut object = stored::parse(&entry.value);
        if let everynode_api::resource::Storage::View(view) = self.row.storage {
            (view.from_stored)(&mut object);
        }
        object
    }
}

/// The JSON text of a field's value, if that text must stand in an object which has it.
fn needle(value: &str) -> Option<String> {
    let literal = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b':' | b'_'));
    let scalar = matches!(value, "true" | "false") || value.bytes().all(|b| b.is_ascii_digit());
    (literal && !scalar && !value.is_empty()).then(|| format!("\"{value}\""))
}

fn labels_of(value: &[u8]) -> Option<Map<String, Value>> {
    #[derive(serde::Deserialize)]
    struct Labels {
        labels: Option<Map<String, Value>>,
    }
    let metadata = stored::metadata(value)?;
    serde_json::from_str::<Labels>(metadata.get()).ok()?.labels
}
