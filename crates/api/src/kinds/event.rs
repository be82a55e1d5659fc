//! Events: one stored object (core v1) with two spellings (A395–A398).

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::names;
use crate::resource::View;
use crate::strategy::Strategy;
use crate::value::{Read, remove, set};

/// Selectable fields of core v1 events.
pub const CORE_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Selectable fields of events.k8s.io events.
pub const NEW_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

/// events.k8s.io/v1 as a spelling of core v1.
pub static VIEW: View = View { of: ("", "v1", "events"), to_stored, from_stored };

/// (core v1, events.k8s.io/v1): members that differ only in name.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn to_stored(object: &mut Object) {
    for (core, new) in NAMES {
        if let Some(value) = remove(object, new) {
            set(object, core, value);
        }
    }
    set(object, "apiVersion", "v1");
}

fn from_stored(object: &mut Object) {
    for (core, new) in NAMES {
        if let Some(value) = remove(object, core) {
            set(object, new, value);
        }
    }
    set(object, "apiVersion", "events.k8s.io/v1");
    debug_assert!(object.text("apiVersion").is_some());
}

/// The strategy of events.
#[derive(Debug)]
pub struct Event;

/// The one [`Event`].
pub static EVENT: Event = Event;

impl Strategy for Event {
    fn validate(&self, event: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        namespaces(event, &mut errors);
        if event.at("eventTime").is_some() {
            new_style(event, &mut errors);
        }
        errors
    }

    fn select(&self, event: &Object, field: &str) -> Option<String> {
        let component = || {
            let component = event.text_or_empty("source.component");
            if component.is_empty() { event.text_or_empty("reportingComponent") } else { component }
        };
        let text = match field {
            "source" => component(),
            "reportingController" | "reportingComponent" => event.text_or_empty("reportingComponent"),
            _ => match field.strip_prefix("regarding.") {
                Some(member) => event.text_or_empty(&format!("involvedObject.{member}")),
                None => event.text_or_empty(field),
            },
        };
        Some(text.to_owned())
    }
}

/// Events about things in a namespace live there; about cluster-wide things in `default` (A396).
fn namespaces(event: &Object, errors: &mut Vec<Error>) {
    let (own, involved) = (event.text_or_empty("metadata.namespace"), event.text_or_empty("involvedObject.namespace"));
    let field = Path::new("involvedObject.namespace");
    if involved.is_empty() {
        if !matches!(own, "default" | "kube-system") {
            errors.push(Error::invalid(&field, involved, "does not match event.namespace"));
        }
    } else if own != involved {
        errors.push(Error::invalid(&field, involved, "does not match event.namespace"));
    }
}

fn new_style(event: &Object, errors: &mut Vec<Error>) {
    const SHORT: usize = 128;
    const NOTE: usize = 1024;
    let controller = event.text_or_empty("reportingComponent");
    let at = |member: &str| Path::new(member);
    if controller.is_empty() {
        errors.push(Error::required(&at("reportingController"), ""));
    } else {
        invalid(errors, &at("reportingController"), controller, names::qualified_name(controller));
    }
    for member in ["reportingInstance", "action", "reason"] {
        let value = event.text_or_empty(member);
        if value.is_empty() {
            errors.push(Error::required(&at(member), ""));
        } else if value.len() > SHORT {
            errors.push(Error::invalid(&at(member), "", format!("can have at most {SHORT} characters")));
        }
    }
    let kind = event.text_or_empty("type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(Error::invalid(&at("type"), "", format!("has invalid value: {kind}")));
    }
    if event.text_or_empty("message").len() > NOTE {
        errors.push(Error::invalid(&at("message"), "", format!("can have at most {NOTE} characters")));
    }
}
