//! Descriptions, in our own words, of what people look up most. They stand in `words.txt`: `⟨type⟩[.⟨field⟩] ⟨text⟩`, one a line.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::schema::{FieldDef, Shape};

/// The whole text, for hashing.
pub(super) const TEXT: &str = include_str!("words.txt");

fn lookup(key: &str) -> Option<&'static str> {
    static WORDS: LazyLock<BTreeMap<&'static str, &'static str>> =
        LazyLock::new(|| TEXT.lines().filter_map(|line| line.split_once(' ')).collect());
    WORDS.get(key).copied()
}

/// What a type is.
pub(super) fn of_type(shape: &Shape) -> Option<String> {
    if let Some(text) = lookup(shape.name) {
        return Some(text.to_owned());
    }
    if !shape.is_kind {
        return None;
    }
    let name = shape.short_name();
    Some(match name.strip_suffix("List") {
        Some(of) if !of.is_empty() => format!("A list of {of} objects."),
        _ => format!("An object of kind {name}."),
    })
}

/// What a field is for.
pub(super) fn of_field(shape: &Shape, field: &FieldDef) -> Option<String> {
    if let Some(text) = lookup(&format!("{}.{}", shape.name, field.name)) {
        return Some(text.to_owned());
    }
    if !shape.is_kind {
        return None;
    }
    let text = match field.name {
        "metadata" if shape.short_name().ends_with("List") => {
            "About the list: its version, and how to go on reading it."
        }
        "metadata" => "Name, namespace, labels and the rest of what every object carries.",
        "spec" => "What is wanted.",
        "status" => "What is, as last seen. Written by the system.",
        "items" => "The objects.",
        _ => return None,
    };
    Some(text.to_owned())
}

/// `apiVersion` and `kind`.
pub(super) fn type_meta(name: &str) -> &'static str {
    match name {
        "kind" => "Which kind of object this is. It cannot be changed.",
        _ => "The group and version in which this object is written, such as apps/v1.",
    }
}
