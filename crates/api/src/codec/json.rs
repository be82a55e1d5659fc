//! JSON bodies: decoding by shape, canonical encoding (A60, A75, A303b).

use serde_json::Value;

use super::{DecodeError, Strictness, normalise, render, syntax, typed};
use crate::{
    Object,
    schema::{Shape, Type},
};

/// Decodes the JSON of an object of a shape into its normal form. The strings are the unknown and repeated fields as warnings,
/// none under [`Strictness::Ignore`]; under [`Strictness::Strict`] they are the error. `kind` and `apiVersion` are kept as given.
pub fn decode(bytes: &[u8], shape: &Shape, strictness: Strictness) -> Result<(Object, Vec<String>), DecodeError> {
    let node = syntax::parse(bytes).map_err(DecodeError::Syntax)?;
    decode_node(&node, shape, strictness)
}

pub(super) fn decode_node(
    node: &syntax::Node<'_>,
    shape: &Shape,
    strictness: Strictness,
) -> Result<(Object, Vec<String>), DecodeError> {
    let (mut object, findings) = typed::decode(node, shape).map_err(DecodeError::Type)?;
    normalise_sent(&mut object, shape);
    settle(object, findings, strictness)
}

/// As [`decode_node`] with every finding, and with the words of upstream's converter of maps, which reads strategically merged objects.
pub(super) fn convert_node(node: &syntax::Node<'_>, shape: &Shape) -> Result<(Object, Vec<String>), DecodeError> {
    let (mut object, findings) = typed::convert(node, shape).map_err(DecodeError::Type)?;
    normalise_sent(&mut object, shape);
    Ok((object, findings))
}

/// Brings what a client sent into normal form. Only here an empty list is an order, to forget who owns what (A157); it is kept in
/// its other spelling, one empty entry.
fn normalise_sent(object: &mut Object, shape: &Shape) {
    const MANAGED: &str = "/metadata/managedFields";
    let clears = object.pointer(MANAGED).and_then(Value::as_array).is_some_and(Vec::is_empty);
    normalise(object, shape);
    if clears {
        crate::value::set(object, "metadata.managedFields", Value::Array(vec![Value::Object(serde_json::Map::new())]));
    }
}

/// Decodes the JSON of an object without a shape (a custom resource): only repeated members are findings.
pub fn decode_any(bytes: &[u8], strictness: Strictness) -> Result<(Object, Vec<String>), DecodeError> {
    let node = syntax::parse(bytes).map_err(DecodeError::Syntax)?;
    decode_any_node(&node, strictness)
}

pub(super) fn decode_any_node(
    node: &syntax::Node<'_>,
    strictness: Strictness,
) -> Result<(Object, Vec<String>), DecodeError> {
    let findings = typed::repeats(node);
    settle(node.to_value(), findings, strictness)
}

/// Decodes an object that is already a value (the result of a patch) by a shape. Repeated fields cannot be seen any more.
pub fn decode_value(
    value: &Value,
    shape: &Shape,
    strictness: Strictness,
) -> Result<(Object, Vec<String>), DecodeError> {
    decode(&encode_any(value), shape, strictness)
}

/// Reads any JSON, with upstream's words for what is wrong: of repeated members the last wins.
pub fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    syntax::parse(bytes).map(|node| node.to_value()).map_err(DecodeError::Syntax)
}

/// Reads any JSON and reports repeated members as `duplicate field "a.b"`.
pub fn parse_reporting(bytes: &[u8]) -> Result<(Value, Vec<String>), DecodeError> {
    let node = syntax::parse(bytes).map_err(DecodeError::Syntax)?;
    let findings = typed::repeats(&node);
    Ok((node.to_value(), findings))
}

fn settle(object: Object, findings: Vec<String>, strictness: Strictness) -> Result<(Object, Vec<String>), DecodeError> {
    match strictness {
        Strictness::Ignore => Ok((object, Vec::new())),
        Strictness::Strict if !findings.is_empty() => Err(DecodeError::Strict(findings)),
        Strictness::Warn | Strictness::Strict => Ok((object, findings)),
    }
}

/// The canonical JSON of an object: members in wire order, `kind` and `apiVersion` first, map keys sorted. No newline at the end.
pub fn encode(object: &Object, shape: &Shape) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    match object {
        Value::Object(members) => render::object(&mut out, members, shape),
        other => render::any(&mut out, other),
    }
    out
}

/// The full form of an object: what parsing its canonical JSON gives. Patches work on it.
pub fn full(object: &Object, shape: &Shape) -> Value {
    serde_json::from_slice(&encode(object, shape)).unwrap_or_default()
}

/// The JSON of a value of any type of the table.
pub fn encode_type(value: &Value, ty: Type) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    render::typed(&mut out, value, ty);
    out
}

/// The JSON of an object without a shape: all keys sorted.
pub fn encode_any(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    render::any(&mut out, value);
    out
}

/// The same JSON with two-space indentation, as `?pretty=true` and curl get it (A61). Takes compact JSON of any origin.
pub fn pretty(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut bytes = compact.iter().copied().peekable();
    let newline = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    while let Some(c) = bytes.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = match c {
                _ if escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            continue;
        }
        match c {
            b'"' => {
                in_string = true;
                out.push(c);
            }
            b'{' | b'[' => {
                out.push(c);
                if matches!(bytes.peek(), Some(b'}' | b']')) {
                    out.extend(bytes.next());
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            b',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\t' | b'\r' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
