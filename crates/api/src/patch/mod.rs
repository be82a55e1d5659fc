//! Patches: what a PATCH request makes of an object (A135–A145). Server-side apply is not here yet.
//!
//! A patch works on the *full* form of the current object ([`crate::codec::json::full`], or simply the parsed stored bytes) and gives a
//! decoded object in normal form. Errors are complete answers. Not here: defaults, validation, retries on conflict.

pub mod client;
pub mod json;
pub mod merge;
pub mod strategic;

use serde_json::Value;

use crate::{
    codec::{
        DecodeError, Strictness,
        body::{Decoded, Expected, decode_patched},
    },
    status::Status,
};

/// How a patch is written, by content type (A135).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`; kinds with a shape only.
    Strategic,
}

impl Kind {
    /// The kind of a media type without parameters.
    pub fn of(media_type: &str) -> Option<Kind> {
        match media_type {
            "application/json-patch+json" => Some(Kind::Json),
            "application/merge-patch+json" => Some(Kind::Merge),
            "application/strategic-merge-patch+json" => Some(Kind::Strategic),
            _ => None,
        }
    }
}

/// Applies a patch to an object in full form. The result carries kind and version of the URL.
pub fn apply(
    kind: Kind,
    current: &Value,
    patch: &[u8],
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<Decoded, Status> {
    match kind {
        Kind::Json => {
            let (operations, repeats) = json::parse(patch)?;
            let patched = json::apply(current.clone(), &operations).map_err(|_| Status::rejected())?;
            finish(&patched, repeats, expected, strictness, None)
        }
        Kind::Merge => {
            let (patch, repeats) =
                parse_map(patch).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
            let mut patched = current.clone();
            merge::apply(&mut patched, &patch);
            finish(&patched, repeats, expected, strictness, None)
        }
        Kind::Strategic => {
            let Some(shape) = expected.shape else { return Err(Status::unsupported_media_type()) };
            let (mut patch, repeats) = parse_map(patch).map_err(Status::bad_request)?;
            let patched = strategic::apply(current.clone(), &mut patch, shape).map_err(|e| e.into_status())?;
            finish(&patched, repeats, expected, strictness, Some(&patch))
        }
    }
}

/// Decodes the patched object. What is quoted in an error is the whole result, or of a strategic merge patch the patch (A75).
fn finish(
    patched: &Value,
    repeats: Vec<String>,
    expected: &Expected<'_>,
    strictness: Strictness,
    strategic: Option<&Value>,
) -> Result<Decoded, Status> {
    decode_patched(patched, repeats, expected, strictness, strategic.is_some()).map_err(|error| {
        let quoted = match strategic {
            Some(patch) => go_print(patch),
            None => String::from_utf8_lossy(&crate::codec::json::encode_any(patched)).into_owned(),
        };
        Status::invalid_patch(&quoted, error)
    })
}

/// A patch that has to be an object, with its repeated members.
fn parse_map(patch: &[u8]) -> Result<(Value, Vec<String>), String> {
    match crate::codec::json::parse_reporting(patch) {
        Ok((value @ Value::Object(_), repeats)) => Ok((value, repeats)),
        // Null is an empty map to upstream.
        Ok((Value::Null, repeats)) => Ok((Value::Object(serde_json::Map::new()), repeats)),
        Ok((other, _)) => {
            Err(format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", json_kind(&other)))
        }
        Err(DecodeError::Syntax(text) | DecodeError::Type(text)) => Err(text),
        Err(other) => Err(other.to_string()),
    }
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as Go prints maps and slices of anything: `map[a:1 b:[x y]]`, keys sorted, strings bare.
pub fn go_print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_print).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let pairs: Vec<String> = members.iter().map(|(k, v)| format!("{k}:{}", go_print(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => String::from_utf8_lossy(&crate::codec::json::encode_any(other)).into_owned(),
    }
}

#[cfg(test)]
mod tests;
