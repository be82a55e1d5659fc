//! The one buffer of an object: canonical JSON and a newline, with `metadata.resourceVersion` right after the uid.
//!
//! It is encoded once per write; the store's number is spliced in when it is known, and the same buffer is then what the
//! store keeps, what `get` answers, what a list concatenates and what every watcher is sent.
//! Invariant: every stored object has a uid, and nothing but kind, apiVersion, name, generateName and namespace before it.

use bytes::{BufMut, Bytes, BytesMut};
use everynode_api::Object;
use everynode_api::codec::json;
use everynode_api::schema::Shape;
use everynode_api::value::{Read, remove};
use everynode_store::Revision;
use memchr::memmem;

use crate::verbatim::Verbatim;

const UID: &[u8] = b",\"uid\":\"";
const VERSION: &[u8] = b",\"resourceVersion\":\"";
const METADATA: &[u8] = b"\"metadata\":";

/// Encoded, but without its revision.
#[derive(Debug)]
pub(crate) struct Unsealed {
    bytes: Vec<u8>,
    /// Where the resourceVersion goes; `None` in an object without uid.
    at: Option<usize>,
}

impl Unsealed {
    /// Encodes an object; a resourceVersion in it is dropped.
    pub(crate) fn new(object: &mut Object, shape: &Shape) -> Self {
        drop(remove(object, "metadata.resourceVersion"));
        let bytes = json::encode(object, shape);
        let at = end_of_uid(&bytes);
        Self { bytes, at }
    }

    /// The same, with a member as it was sent.
    pub(crate) fn keeping(mut self, kept: Option<&Verbatim>) -> Self {
        if let Some(kept) = kept {
            kept.put_into(&mut self.bytes);
        }
        self
    }

    /// The stored form at a revision.
    pub(crate) fn seal(&self, revision: Revision) -> Bytes {
        let Some(at) = self.at else { return self.unversioned() };
        let digits = revision.to_string();
        let mut out = BytesMut::with_capacity(self.bytes.len() + VERSION.len() + digits.len() + 2);
        out.put_slice(self.bytes.get(..at).unwrap_or_default());
        out.put_slice(VERSION);
        out.put_slice(digits.as_bytes());
        out.put_u8(b'"');
        out.put_slice(self.bytes.get(at..).unwrap_or_default());
        out.put_u8(b'\n');
        out.freeze()
    }

    /// The form of something that is not stored (dry run).
    pub(crate) fn unversioned(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes.len() + 1);
        out.put_slice(&self.bytes);
        out.put_u8(b'\n');
        out.freeze()
    }
}

fn end_of_uid(bytes: &[u8]) -> Option<usize> {
    let start = memmem::find(bytes, UID)? + UID.len();
    let length = bytes.get(start..)?.iter().position(|&b| b == b'"')?;
    Some(start + length + 1)
}

/// The same object at another revision: what watchers of a deletion get.
pub(crate) fn reseal(stored: &Bytes, revision: Revision) -> Bytes {
    let parts = || {
        let start = memmem::find(stored, VERSION)? + VERSION.len();
        let length = stored.get(start..)?.iter().position(|&b| b == b'"')?;
        Some((stored.get(..start)?, stored.get(start + length..)?))
    };
    let Some((before, after)) = parts() else { return stored.clone() };
    let digits = revision.to_string();
    let mut out = BytesMut::with_capacity(before.len() + digits.len() + after.len());
    out.put_slice(before);
    out.put_slice(digits.as_bytes());
    out.put_slice(after);
    out.freeze()
}

/// A stored object as a value.
pub(crate) fn parse(stored: &[u8]) -> Object {
    serde_json::from_slice(stored).unwrap_or_else(|error| {
        // Only a damaged or foreign store holds such a value; it must not take the server down.
        tracing::error!(%error, "a stored object is not JSON");
        Object::Null
    })
}

/// Where the body of a list item begins: kind and apiVersion are not repeated in the items of built-in lists (A58).
/// The item is `{` and everything from there, without the newline.
pub(crate) fn item(stored: &[u8]) -> &[u8] {
    let start = memmem::find(stored, METADATA).unwrap_or(1);
    let end = stored.len() - usize::from(stored.ends_with(b"\n"));
    stored.get(start..end).unwrap_or_default()
}

/// The metadata alone, as it stands in the buffer.
pub(crate) fn metadata(stored: &[u8]) -> Option<&serde_json::value::RawValue> {
    let start = memmem::find(stored, METADATA)? + METADATA.len();
    // Reads one value and stops: the rest of the object is not looked at.
    let mut values =
        serde_json::Deserializer::from_slice(stored.get(start..)?).into_iter::<&serde_json::value::RawValue>();
    values.next()?.ok()
}

/// The revision that stands in an object.
pub(crate) fn revision_of(object: &Object) -> &str {
    object.text_or_empty("metadata.resourceVersion")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &[u8] = b"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u-1\",\"resourceVersion\":\"7\",\"labels\":{\"uid\":\"x\"}},\"data\":{\"a\":\"b\"}}\n";

    fn unsealed() -> Unsealed {
        let text = String::from_utf8(STORED.to_vec()).expect("text").replace(",\"resourceVersion\":\"7\"", "");
        let bytes = text.trim_end().as_bytes().to_vec();
        let at = end_of_uid(&bytes);
        Unsealed { bytes, at }
    }

    /// A42, A104: the revision is spliced where the canonical order has it, on a write and again on a deletion.
    #[test]
    fn a42_the_revision_is_spliced_in() {
        let sealed = unsealed().seal(Revision(7));
        assert_eq!(sealed, Bytes::from_static(STORED));
        let deleted = reseal(&sealed, Revision(1234));
        let text = String::from_utf8(STORED.to_vec()).expect("text");
        assert_eq!(deleted, Bytes::from(text.replace("\"7\"", "\"1234\"")));
    }

    /// A58: items of lists carry neither kind nor apiVersion.
    #[test]
    fn a58_items_lose_their_kind() {
        let item = item(STORED);
        assert!(item.starts_with(b"\"metadata\":{\"name\""));
        assert!(item.ends_with(b"}}"));
        let metadata = metadata(STORED).expect("metadata").get();
        assert!(metadata.starts_with("{\"name\":\"a\"") && metadata.ends_with("{\"uid\":\"x\"}}"));
    }
}
