//! Writes JSON as upstream's encoder does: no blanks, `<`, `>`, `&`, U+2028 and U+2029 escaped, floats in Go's form, map keys sorted.

use std::io::Write;

use base64::Engine as _;
use serde_json::{Map, Number, Value};

use super::canonical::{Presence, presence};
use crate::schema::{Body, Shape, Special, Type};

/// A string with quotes.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let escape: &[u8] = match c {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '\u{8}' => b"\\b",
            '\u{c}' => b"\\f",
            '<' => b"\\u003c",
            '>' => b"\\u003e",
            '&' => b"\\u0026",
            '\u{2028}' => b"\\u2028",
            '\u{2029}' => b"\\u2029",
            c if (c as u32) < 0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        if escape.is_empty() {
            write_to(out, format_args!("\\u{:04x}", c as u32));
        }
        out.extend_from_slice(escape);
        from = at + c.len_utf8();
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

/// A number; floats as Go prints them.
pub(super) fn number(out: &mut Vec<u8>, number: &Number) {
    match (number.is_f64(), number.as_f64()) {
        (true, Some(f)) => float(out, f),
        _ => write_to(out, format_args!("{number}")),
    }
}

fn float(out: &mut Vec<u8>, f: f64) {
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{f:e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                write_to(out, format_args!("{mantissa}e+{exponent}"))
            }
            _ => out.extend_from_slice(text.as_bytes()),
        }
    } else {
        write_to(out, format_args!("{f}"));
    }
}

/// Any value, keys sorted.
pub(super) fn any(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => number(out, n),
        Value::String(s) => string(out, s),
        Value::Array(items) => list(out, items, any),
        Value::Object(members) => map(out, members, any),
    }
}

fn list(out: &mut Vec<u8>, items: &[Value], mut each: impl FnMut(&mut Vec<u8>, &Value)) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

fn map(out: &mut Vec<u8>, members: &Map<String, Value>, mut each: impl FnMut(&mut Vec<u8>, &Value)) {
    out.push(b'{');
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, key);
        out.push(b':');
        each(out, value);
    }
    out.push(b'}');
}

/// A value of a type: members in wire order, omission applied. A value of another JSON type than declared is written as it is.
pub(super) fn typed(out: &mut Vec<u8>, value: &Value, ty: Type) {
    match (ty.resolved(), value) {
        (Type::Shape(id), _) => {
            let shape = id.get();
            match (shape.body, value) {
                (Body::Struct, Value::Object(members)) => object(out, members, shape),
                (Body::Struct, Value::Null) if !ty.is_pointer() => object(out, &Map::new(), shape),
                (Body::Special(special), _) => special_value(out, value, special, ty),
                _ => any(out, value),
            }
        }
        (Type::List(inner), Value::Array(items)) => list(out, items, |out, item| typed(out, item, *inner)),
        (Type::Map(of), Value::Object(members)) => map(out, members, |out, item| typed(out, item, of.value)),
        (Type::Bool, Value::Null) if !ty.is_pointer() => out.extend_from_slice(b"false"),
        (Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64, Value::Null) if !ty.is_pointer() => out.push(b'0'),
        (Type::String, Value::Null) if !ty.is_pointer() => out.extend_from_slice(b"\"\""),
        _ => any(out, value),
    }
}

fn special_value(out: &mut Vec<u8>, value: &Value, special: Special, ty: Type) {
    use crate::schema::table;
    let nested = |name: &str| table().shape(name).map(|shape| Type::Shape(shape.id));
    match (special, value) {
        (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray, Value::Object(_)) => {
            match nested("apiextensions.v1.JSONSchemaProps") {
                Some(schema) => typed(out, value, schema),
                None => any(out, value),
            }
        }
        (Special::SchemaOrArray, Value::Array(items)) => match nested("apiextensions.v1.JSONSchemaProps") {
            Some(schema) => list(out, items, |out, item| typed(out, item, schema)),
            None => any(out, value),
        },
        (Special::Quantity, Value::Null) if !ty.is_pointer() => out.extend_from_slice(b"\"0\""),
        (Special::IntOrString, Value::Null) if !ty.is_pointer() => out.push(b'0'),
        (Special::Duration, Value::Null) if !ty.is_pointer() => out.extend_from_slice(b"\"0s\""),
        // The text of numbers in raw JSON is kept, as far as it was kept in memory.
        (Special::Raw | Special::Fields, _) => raw(out, value),
        _ => any(out, value),
    }
}

fn raw(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(n) => write_to(out, format_args!("{n}")),
        Value::Array(items) => list(out, items, raw),
        Value::Object(members) => map(out, members, raw),
        _ => any(out, value),
    }
}

/// A struct.
pub(super) fn object(out: &mut Vec<u8>, members: &Map<String, Value>, shape: &Shape) {
    out.push(b'{');
    let mut first = true;
    let mut key = |out: &mut Vec<u8>, name: &str| {
        if !first {
            out.push(b',');
        }
        first = false;
        string(out, name);
        out.push(b':');
    };
    if shape.is_kind {
        for name in ["kind", "apiVersion"] {
            if let Some(Value::String(text)) = members.get(name).filter(|v| v.as_str() != Some("")) {
                key(out, name);
                string(out, text);
            }
        }
    }
    for field in shape.members() {
        let value = members.get(field.name).unwrap_or(&Value::Null);
        match presence(field, value) {
            Presence::Leave => {}
            Presence::Null => {
                key(out, field.name);
                out.extend_from_slice(b"null");
            }
            Presence::Write => {
                key(out, field.name);
                typed(out, value, field.ty);
            }
        }
    }
    out.push(b'}');
}

/// Bytes as base64 text.
pub(super) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
