//! Types whose JSON is not what their fields say: times, quantities, int-or-string, bytes. Their text is normalised while decoding.

use base64::Engine as _;
use serde_json::Value;

use super::syntax::Node;
use crate::{quantity, schema::Special, time};

/// Why a special value was refused. Either way decoding stops at once, as upstream.
pub(super) enum Refused {
    /// A wrong JSON type: what was there, and the Go type that was wanted. The decoder adds the field.
    Type(String, &'static str),
    /// A finished text.
    Text(String),
}

/// The normalised value of a special type that holds no nested shapes. Null is the zero value and not passed here.
pub(super) fn decode(node: &Node<'_>, special: Special) -> Result<Value, Refused> {
    match special {
        Special::Time => Ok(time::format(time::parse(text(node)?).map_err(Refused::Text)?).into()),
        Special::MicroTime => Ok(time::format_micro(time::parse_micro(text(node)?).map_err(Refused::Text)?).into()),
        Special::Duration => {
            Ok(time::format_duration(time::parse_duration(text(node)?).map_err(Refused::Text)?).into())
        }
        Special::Quantity => {
            let text = match node {
                Node::String(s) => s,
                Node::Number(n) => n,
                _ => return Err(Refused::Text(quantity::ParseError::Format.to_string())),
            };
            Ok(quantity::canonical(text).map_err(|e| Refused::Text(e.to_string()))?.into())
        }
        Special::IntOrString => match node {
            Node::String(s) => Ok(s.as_ref().into()),
            Node::Number(n) => match n.parse::<i32>() {
                Ok(n) => Ok(n.into()),
                Err(_) => Err(Refused::Type(format!("number {n}"), "int32")),
            },
            other => Err(Refused::Type(other.kind().to_owned(), "int32")),
        },
        // Raw JSON stays as it is. The schema variants are handled by the decoder itself.
        Special::Fields
        | Special::Raw
        | Special::SchemaOrBool
        | Special::SchemaOrArray
        | Special::SchemaOrStringArray => Ok(node.to_value()),
    }
}

fn text<'a>(node: &'a Node<'_>) -> Result<&'a str, Refused> {
    match node {
        Node::String(s) => Ok(s),
        other => Err(Refused::Type(other.kind().to_owned(), "string")),
    }
}

/// Checks base64 and gives its canonical spelling. Line breaks inside are allowed, as in Go.
pub(super) fn base64(text: &str) -> Result<Value, String> {
    let engine = base64::engine::general_purpose::STANDARD;
    if engine.decode(text).is_ok() {
        return Ok(text.into());
    }
    let plain: String = text.chars().filter(|c| *c != '\n' && *c != '\r').collect();
    match engine.decode(&plain) {
        Ok(bytes) => Ok(engine.encode(bytes).into()),
        Err(error) => Err(format!("illegal base64 data at input byte {}", corrupt_at(text, &error))),
    }
}

/// The position that Go names: of the first byte that cannot stand there.
fn corrupt_at(text: &str, error: &base64::DecodeError) -> usize {
    let kept: Vec<usize> =
        text.bytes().enumerate().filter(|(_, c)| *c != b'\n' && *c != b'\r').map(|(i, _)| i).collect();
    match error {
        base64::DecodeError::InvalidByte(at, _) => kept.get(*at).copied().unwrap_or(text.len()),
        base64::DecodeError::InvalidLength(_) => kept.len() / 4 * 4,
        base64::DecodeError::InvalidLastSymbol(at, _) => kept.get(*at).copied().unwrap_or(text.len()),
        base64::DecodeError::InvalidPadding => text.len(),
    }
}
