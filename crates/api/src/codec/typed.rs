//! Decoding a document by a shape. The result is sparse: what was given, scalars normalised; canonical form comes after.
//!
//! As upstream: a value of a wrong type is remembered (the first one is the error in the end) and reading goes on; a special type that
//! cannot read its text ends it at once. Unknown and repeated fields are findings. Of repeated members the last wins, objects merge.

use serde_json::{Map, Value};

use super::{
    FINDINGS_MAX, render, scalar,
    scalar::Refused,
    syntax::{self, Node},
};
use crate::schema::{Body, Shape, Special, Type, table};

/// The sparse object and the findings, or the text of the first error.
pub(super) fn decode(node: &Node<'_>, shape: &Shape) -> Result<(Value, Vec<String>), String> {
    let mut decoder = Decoder::default();
    let object = decoder.structure(node, shape, &Type::Shape(shape.id))?;
    match decoder.first_error {
        Some(error) => Err(error),
        None => Ok((object.unwrap_or_else(|| Value::Object(Map::new())), decoder.findings)),
    }
}

/// As [`decode`], with the words of upstream's converter of maps for a value of a wrong type.
pub(super) fn convert(node: &Node<'_>, shape: &Shape) -> Result<(Value, Vec<String>), String> {
    let mut decoder = Decoder { converts: true, ..Decoder::default() };
    let object = decoder.structure(node, shape, &Type::Shape(shape.id))?;
    match decoder.first_error {
        Some(error) => Err(error),
        None => Ok((object.unwrap_or_else(|| Value::Object(Map::new())), decoder.findings)),
    }
}

/// Repeated members of a document without a shape.
pub(super) fn repeats(node: &Node<'_>) -> Vec<String> {
    let mut decoder = Decoder::default();
    decoder.repeats(node);
    decoder.findings
}

#[derive(Default)]
struct Decoder {
    findings: Vec<String>,
    first_error: Option<String>,
    /// Where we are, with indices and map keys: `spec.containers[0]`.
    path: String,
    /// The names of the struct fields we are in: `spec.containers`.
    fields: Vec<&'static str>,
    /// The innermost struct.
    owner: Option<&'static str>,
    /// Errors are worded as by the converter of maps.
    converts: bool,
}

impl Decoder {
    fn find(&mut self, what: &str, name: &str) {
        if self.findings.len() >= FINDINGS_MAX {
            return;
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        let finding = format!("{what} field \"{}{dot}{name}\"", self.path);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn within<T>(&mut self, step: std::fmt::Arguments<'_>, act: impl FnOnce(&mut Self) -> T) -> T {
        use std::fmt::Write;
        let before = self.path.len();
        // Writing to a string cannot fail.
        let _ = self.path.write_fmt(step);
        let result = act(self);
        self.path.truncate(before);
        result
    }

    fn within_member<T>(&mut self, name: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.within(format_args!("{dot}{name}"), act)
    }

    fn mismatch_text(&self, found: &str, wanted: &str) -> String {
        match self.owner {
            Some(owner) => {
                format!(
                    "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {wanted}",
                    self.fields.join(".")
                )
            }
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        }
    }

    /// Remembers that a value has the wrong type; reading goes on without it.
    fn mismatch(&mut self, found: &str, wanted: Type) -> Option<Value> {
        if self.first_error.is_none() {
            let text =
                if self.converts { conversion(found, wanted) } else { self.mismatch_text(found, &wanted.go_name()) };
            self.first_error = Some(text);
        }
        None
    }

    /// A value of a type; nothing if it was null or refused.
    fn value(&mut self, node: &Node<'_>, ty: Type) -> Result<Option<Value>, String> {
        if matches!(node, Node::Null) {
            return Ok(None);
        }
        let resolved = ty.resolved();
        let value = match (resolved, node) {
            (Type::Any, _) => {
                self.repeats(node);
                Some(node.to_value())
            }
            (Type::Shape(id), _) => return self.shape(node, id.get(), &ty),
            (Type::Bool, Node::Bool(b)) => Some(Value::Bool(*b)),
            (Type::String, Node::String(s)) => Some(s.as_ref().into()),
            (Type::Int32, Node::Number(n)) => match n.parse::<i32>() {
                Ok(n) => Some(n.into()),
                Err(_) => self.mismatch(&format!("number {n}"), ty),
            },
            (Type::Int64, Node::Number(n)) => match n.parse::<i64>() {
                Ok(n) => Some(n.into()),
                Err(_) => self.mismatch(&format!("number {n}"), ty),
            },
            (Type::Uint8, Node::Number(n)) => match n.parse::<u8>() {
                Ok(n) => Some(n.into()),
                Err(_) => self.mismatch(&format!("number {n}"), ty),
            },
            (Type::Float64, Node::Number(n)) => match n.parse::<f64>() {
                Ok(f) if f.is_finite() => Some(syntax::number(n)),
                _ => self.mismatch(&format!("number {n}"), ty),
            },
            (Type::Bytes, Node::String(s)) => match scalar::base64(s) {
                Ok(text) => Some(text),
                Err(error) => {
                    self.first_error.get_or_insert(error);
                    None
                }
            },
            (Type::Bytes, Node::List(items)) => self.byte_list(items),
            (Type::List(inner), Node::List(items)) => Some(self.list(items, *inner)?),
            (Type::Map(map), Node::Object(members)) => Some(self.map(members, map.value)?),
            (_, other) => self.mismatch(other.kind(), ty),
        };
        Ok(value)
    }

    fn byte_list(&mut self, items: &[Node<'_>]) -> Option<Value> {
        let mut bytes = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Node::Number(n) if n.parse::<u8>().is_ok() => bytes.push(n.parse().unwrap_or_default()),
                Node::Null => bytes.push(0),
                Node::Number(n) => return self.mismatch(&format!("number {n}"), Type::Uint8),
                other => return self.mismatch(other.kind(), Type::Uint8),
            }
        }
        Some(render::base64(&bytes).into())
    }

    fn list(&mut self, items: &[Node<'_>], inner: Type) -> Result<Value, String> {
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let value = self.within(format_args!("[{i}]"), |d| d.value(item, inner))?;
            list.push(value.unwrap_or_default());
        }
        Ok(Value::Array(list))
    }

    fn map(&mut self, members: &[(std::borrow::Cow<'_, str>, Node<'_>)], inner: Type) -> Result<Value, String> {
        let mut map = Map::new();
        for (key, node) in members {
            if map.contains_key(key.as_ref()) {
                self.find("duplicate", key);
            }
            let value = self.within_member(key, |d| d.value(node, inner))?;
            map.insert(key.clone().into_owned(), value.unwrap_or_default());
        }
        Ok(Value::Object(map))
    }

    fn shape(&mut self, node: &Node<'_>, shape: &'static Shape, ty: &Type) -> Result<Option<Value>, String> {
        match shape.body {
            Body::Special(special) => self.special(node, special).map(Some),
            Body::Struct => self.structure(node, shape, ty),
            // Resolved types are never aliases.
            Body::Alias(to) => self.value(node, to),
        }
    }

    fn structure(&mut self, node: &Node<'_>, shape: &Shape, ty: &Type) -> Result<Option<Value>, String> {
        let members = match node {
            Node::Null => return Ok(None),
            Node::Object(members) => members,
            other => return Ok(self.mismatch(other.kind(), *ty)),
        };
        let mut object = Map::new();
        let owner = self.owner.replace(shape.short_name());
        let mut seen: Vec<&str> = Vec::with_capacity(members.len());
        for (key, node) in members {
            let known = if shape.is_kind && (key == "kind" || key == "apiVersion") {
                Some((if key == "kind" { "kind" } else { "apiVersion" }, Type::String))
            } else {
                shape.member(key).map(|field| (field.name, field.ty))
            };
            let Some((name, ty)) = known else {
                self.find("unknown", key);
                continue;
            };
            if seen.contains(&name) {
                self.find("duplicate", name);
            } else {
                seen.push(name);
            }
            self.fields.push(name);
            let value = self.within_member(name, |d| d.value(node, ty))?;
            self.fields.pop();
            match value {
                Some(value) => merge(&mut object, name, value),
                // Null clears what can be absent; a scalar by value keeps what an earlier repeat gave it.
                None if matches!(ty.resolved(), Type::List(_) | Type::Map(_)) || ty.is_pointer() => {
                    object.remove(name);
                }
                None => {}
            }
        }
        self.owner = owner;
        Ok(Some(Value::Object(object)))
    }

    fn special(&mut self, node: &Node<'_>, special: Special) -> Result<Value, String> {
        let schema = || table().shape("apiextensions.v1.JSONSchemaProps").map(|s| Type::Shape(s.id));
        match (special, node) {
            (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray, Node::Object(_)) => {
                match schema() {
                    Some(ty) => Ok(self.value(node, ty)?.unwrap_or_default()),
                    None => Ok(node.to_value()),
                }
            }
            (Special::SchemaOrArray, Node::List(items)) => match schema() {
                Some(ty) => self.list(items, ty),
                None => Ok(node.to_value()),
            },
            (Special::SchemaOrBool, Node::Bool(b)) => Ok((*b).into()),
            (Special::SchemaOrBool, _) => Err("boolean or JSON schema expected".to_owned()),
            _ => scalar::decode(node, special).map_err(|refused| match refused {
                Refused::Text(text) => text,
                Refused::Type(found, wanted) => self.mismatch_text(&found, wanted),
            }),
        }
    }

    fn repeats(&mut self, node: &Node<'_>) {
        match node {
            Node::Object(members) => {
                let mut seen = std::collections::BTreeSet::new();
                for (key, node) in members {
                    if !seen.insert(key.as_ref()) {
                        self.find("duplicate", key);
                    }
                    self.within_member(key, |d| d.repeats(node));
                }
            }
            Node::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.within(format_args!("[{i}]"), |d| d.repeats(item));
                }
            }
            _ => {}
        }
    }
}

/// What the converter of maps says about a value that cannot become another type.
fn conversion(found: &str, wanted: Type) -> String {
    let found = match found {
        "object" => "map",
        "array" => "slice",
        "number" => "int64",
        other if other.starts_with("number ") => "float64",
        other => other,
    };
    match wanted.resolved() {
        Type::List(_) | Type::Bytes => format!("cannot restore slice from {found}"),
        Type::Map(_) => format!("cannot restore map from {found}"),
        Type::Shape(_) => format!("cannot restore struct from: {found}"),
        other => format!("unrecognized type: {}", other.go_name()),
    }
}

/// Sets a member; an object given twice keeps what only the first one had.
fn merge(object: &mut Map<String, Value>, name: &str, value: Value) {
    match (object.get_mut(name), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (key, value) in new {
                merge(old, &key, value);
            }
        }
        (_, value) => {
            object.insert(name.to_owned(), value);
        }
    }
}
