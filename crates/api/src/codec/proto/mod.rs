//! Protobuf by the table of shapes, both ways (A190, A192, schema.md): the envelope and the object in it.
//!
//! Unknown field numbers are skipped; a value of a wrong wire type is an error. Not here: watch framing.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use serde_json::Value;

use super::normalise;
use crate::{Object, schema::Shape};

/// What every enveloped body begins with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// Why bytes are no protobuf of a shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// The body does not begin with the magic bytes.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// A message ends in the middle of a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A varint is longer than 64 bits, or a length is negative.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field has another wire type than its type wants.
    #[error("proto: wrong wireType = {0}")]
    WireType(u8),
    /// Messages within messages, too deep.
    #[error("proto: exceeded max depth")]
    Depth,
    /// Raw JSON in a field cannot be read.
    #[error("{0}")]
    Raw(String),
}

/// An opened envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// As in the body's type meta; may be empty.
    pub api_version: &'a str,
    /// As in the body's type meta; may be empty.
    pub kind: &'a str,
    /// The message of the object.
    pub raw: &'a [u8],
}

/// Opens the envelope of a body.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    decode::envelope(body.strip_prefix(&MAGIC).ok_or(ProtoError::Magic)?)
}

/// Decodes the message of an object of a shape into normal form, without `kind` and `apiVersion`, which stand in the envelope.
pub fn decode(message: &[u8], shape: &Shape) -> Result<Object, ProtoError> {
    let mut object = Value::Object(decode::message(message, shape, 0)?);
    normalise(&mut object, shape);
    Ok(object)
}

/// Encodes an object with its envelope; kind and version are those it carries.
pub fn encode(object: &Object, shape: &Shape) -> Vec<u8> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut meta = Vec::new();
    wire::string(&mut meta, 1, text("apiVersion"));
    wire::string(&mut meta, 2, text("kind"));
    let raw = encode_message(object, shape);
    let mut out = Vec::with_capacity(raw.len() + 64);
    out.extend_from_slice(&MAGIC);
    wire::bytes(&mut out, 1, &meta);
    wire::bytes(&mut out, 2, &raw);
    wire::string(&mut out, 3, "");
    wire::string(&mut out, 4, "");
    out
}

/// Encodes the message of an object of a shape, without an envelope.
pub fn encode_message(object: &Object, shape: &Shape) -> Vec<u8> {
    let mut out = Vec::new();
    encode::message(&mut out, object, shape);
    out
}
