//! Events in the form that a watcher asked for: plain, as tables, as metadata alone, in another version, in protobuf.

use bytes::{BufMut, Bytes, BytesMut};
use everynode_api::codec::proto;
use everynode_api::resource::Resource;
use everynode_api::status::Status;
use everynode_store::Revision;
use serde_json::json;

use super::frames;
use crate::forms::{present, shape};
use crate::negotiate::{Accepted, Format, Transform};
use crate::render;
use crate::request::call::Call;
use crate::request::look::Include;
use crate::stored;

/// Media types of watches (A105).
pub(super) const SERVED: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// Puts objects into events.
pub(super) struct Encoder {
    row: &'static Resource,
    accepted: Accepted,
    include: Include,
    /// Column definitions stand in the first event only.
    columns_sent: bool,
}

impl Encoder {
    pub(super) fn new(call: &Call, accepted: Accepted) -> Result<Self, Status> {
        let include = Include::parse(&call.query, accepted)?;
        if accepted.transform == Transform::MetadataList {
            return Err(render::not_a_list(call.row));
        }
        Ok(Self { row: call.row, accepted, include, columns_sent: false })
    }

    pub(super) fn media_type(&self) -> &'static str {
        match self.accepted.format {
            Format::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            _ => "application/json",
        }
    }

    /// Whether stored buffers go out as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.accepted.format == Format::Json
            && self.accepted.transform == Transform::None
            && render::is_own_form(self.row)
    }

    /// Appends the event of a stored object.
    pub(super) fn write(&mut self, out: &mut BytesMut, kind: &str, object: &Bytes) {
        if self.is_plain() {
            return frames::write_line(out, kind, object);
        }
        let object = present(self.row, object);
        match self.accepted.transform {
            Transform::Table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let table = render::row_table(self.row, &object, self.include, columns, self.accepted.meta_version);
                frames::write_line(out, kind, &table);
            }
            Transform::Metadata | Transform::MetadataList => {
                frames::write_line(out, kind, &render::metadata_of(self.row, &object, self.accepted.meta_version));
            }
            Transform::None if self.accepted.format == Format::Protobuf => self.write_protobuf(out, kind, &object),
            Transform::None => frames::write_line(out, kind, &object),
        }
    }

    fn write_protobuf(&self, out: &mut BytesMut, kind: &str, object: &Bytes) {
        let Ok(shape) = shape(self.row) else { return };
        frame(out, kind, &proto::encode(&stored::parse(object), shape));
    }

    /// A BOOKMARK; `marker` ends the initial events (A101, A102).
    pub(super) fn bookmark(&mut self, revision: Revision, marker: bool) -> Bytes {
        let mut object = json!({
            "kind": self.row.kind, "apiVersion": self.row.api_version(),
            "metadata": {"resourceVersion": revision.to_string()},
        });
        if marker {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let bytes = shape(self.row).map_or_else(
            |_| object.to_string().into_bytes(),
            |shape| everynode_api::codec::json::encode(&object, shape),
        );
        let mut out = BytesMut::new();
        if self.is_plain() || !render::is_own_form(self.row) && self.accepted == Accepted::JSON {
            frames::write_line(&mut out, "BOOKMARK", &bytes);
        } else {
            self.write_presented(&mut out, &Bytes::from(bytes));
        }
        out.freeze()
    }

    fn write_presented(&mut self, out: &mut BytesMut, object: &Bytes) {
        match self.accepted.transform {
            Transform::Table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let table = render::row_table(self.row, object, self.include, columns, self.accepted.meta_version);
                frames::write_line(out, "BOOKMARK", &table);
            }
            Transform::None if self.accepted.format == Format::Protobuf => {
                self.write_protobuf(out, "BOOKMARK", object);
            }
            Transform::None => frames::write_line(out, "BOOKMARK", object),
            _ => {
                frames::write_line(out, "BOOKMARK", &render::metadata_of(self.row, object, self.accepted.meta_version))
            }
        }
    }

    /// An ERROR event; a Status is never converted (A105).
    pub(super) fn error(&self, status: &Status) -> Bytes {
        if self.accepted.format == Format::Protobuf
            && let Some(shape) = everynode_api::schema::table().shape("meta.v1.Status")
        {
            let mut out = BytesMut::new();
            frame(&mut out, "ERROR", &proto::encode(&status.to_object(), shape));
            return out.freeze();
        }
        frames::line("ERROR", &status.to_bytes())
    }
}

/// A frame of a protobuf watch (A191): its length, then a bare WatchEvent {1 type, 2 RawExtension {1 enveloped object}}.
fn frame(out: &mut BytesMut, kind: &str, object: &[u8]) {
    let mut raw = Vec::with_capacity(object.len() + 16);
    field(&mut raw, 1, object);
    let mut event = Vec::with_capacity(raw.len() + 32);
    field(&mut event, 1, kind.as_bytes());
    field(&mut event, 2, &raw);
    out.put_u32(u32::try_from(event.len()).unwrap_or(u32::MAX));
    out.put_slice(&event);
}

/// A length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(low_bits(length) | 0x80);
        length >>= 7;
    }
    out.push(low_bits(length));
    out.extend_from_slice(bytes);
}

/// The lowest seven bits.
fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}
