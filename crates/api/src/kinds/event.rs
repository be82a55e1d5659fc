//! Events: one stored object (core v1) with two spellings (A395–A398).

use crate::Object;
use crate::registry::View;
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
