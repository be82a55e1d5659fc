//! Whether an intent fits its shape (A149): unknown fields, wrong types, list elements without a name or twice.
//!
//! Upstream refuses before it merges, with the texts of its typed values, and with code 500 (A75).

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::place::{Atom, Kind, Place, element_of};
use crate::schema::{ListKind, Shape};

/// All that is wrong, as upstream prints it; nothing if all is well.
pub(super) fn check(shape: &Shape, object: &Value) -> Result<(), String> {
    let mut check = Check::default();
    check.value(Place::of_shape(shape), object);
    match check.errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

#[derive(Default)]
struct Check {
    path: String,
    errors: Vec<String>,
}

impl Check {
    fn error(&mut self, text: &str) {
        let error = if self.path.is_empty() { text.to_owned() } else { format!("{}: {text}", self.path) };
        self.errors.push(error);
    }

    fn within(&mut self, step: &str, act: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        self.path.push_str(step);
        act(self);
        self.path.truncate(before);
    }

    fn value(&mut self, place: Place, value: &Value) {
        match (place.atom(), value) {
            // Null is of every type.
            (_, Value::Null) | (Atom::Raw, _) => {}
            (Atom::Scalar(kind), _) => self.scalar(kind, value),
            (Atom::List { kind, keys, item }, Value::Array(items)) => self.list(kind, keys, item, items),
            (Atom::List { .. }, _) => self.error(&format!("expected list, got &{{{}}}", go_value(value))),
            (Atom::Struct { shape, .. }, Value::Object(members)) => self.structure(shape, members),
            (Atom::Map { item, .. }, Value::Object(members)) => {
                for (name, inner) in members {
                    self.within(&format!(".{name}"), |check| check.value(item, inner));
                }
            }
            (Atom::Struct { .. } | Atom::Map { .. }, _) => {
                self.error(&format!("expected map, got &{{{}}}", go_value(value)));
            }
        }
    }

    fn structure(&mut self, shape: &Shape, members: &Map<String, Value>) {
        for (name, inner) in members {
            let place = match shape.member(name) {
                Some(field) => Place::of_field(field),
                None if shape.is_kind && (name == "kind" || name == "apiVersion") => {
                    Place::of_type(crate::schema::Type::String)
                }
                None => {
                    self.within(&format!(".{name}"), |check| check.error("field not declared in schema"));
                    return;
                }
            };
            self.within(&format!(".{name}"), |check| check.value(place, inner));
        }
    }

    fn list(&mut self, kind: ListKind, keys: &'static [&'static str], item: Place, items: &[Value]) {
        let mut seen = BTreeSet::new();
        for (i, inner) in items.iter().enumerate() {
            let step = if kind == ListKind::Atomic {
                format!("[{i}]")
            } else {
                match element_of(kind, keys, item, inner) {
                    Err(why) => return self.error(&format!("element {i}: {why}")),
                    Ok(element) => {
                        let step = element.to_string();
                        if !seen.insert(element) {
                            self.error(&format!("duplicate entries for key {step}"));
                        }
                        step
                    }
                }
            };
            self.within(&step, |check| check.value(item, inner));
        }
    }

    fn scalar(&mut self, kind: Kind, value: &Value) {
        let fits = match kind {
            Kind::Number => value.is_number(),
            Kind::Text => value.is_string(),
            Kind::Bool => value.is_boolean(),
            Kind::Any => !value.is_array() && !value.is_object(),
        };
        if fits {
            return;
        }
        let text = match kind {
            Kind::Number => format!("expected numeric (int or float), got {}", go_type(value)),
            Kind::Text => format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)),
            Kind::Bool => format!("expected boolean, got &{{{}}}", go_value(value)),
            Kind::Any => format!("expected any scalar, got &{{{}}}", go_value(value)),
        };
        self.error(&text);
    }
}

fn go_value(value: &Value) -> String {
    crate::patch::go_print(value)
}

/// The Go type that holds a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go source.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => crate::quote::go_quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(members) => {
            let mut out = String::from("map[string]interface {}{");
            for (i, (name, inner)) in members.iter().enumerate() {
                let comma = if i > 0 { ", " } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(out, "{comma}{}:{}", crate::quote::go_quote(name), go_syntax(inner));
            }
            out + "}"
        }
        other => go_value(other),
    }
}
