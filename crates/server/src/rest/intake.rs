//! Request bodies: their bounds, their forms, and whether they agree with the URL (A5, A47, A84).

use bytes::{Bytes, BytesMut};
use everynode_api::Object;
use everynode_api::codec::Strictness;
use everynode_api::codec::body::{self, Expected, Media};
use everynode_api::resource::{KindRef, Resource, Storage};
use everynode_api::schema;
use everynode_api::status::Status;
use everynode_api::value::Read;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;

use crate::body::RequestBody;
use crate::negotiate::{self, Format};
use crate::request::call::Call;
use crate::verbatim::Verbatim;

/// Bytes of a request's body (A84).
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;
/// Bytes of an oversized body that are read before the connection is given up.
const DRAIN_BYTES_MAX: usize = 16 << 20;
/// Media types of bodies.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads a body whole. Of one that is too large the rest is read and dropped up to a bound, since a client that is
/// still sending would not see the answer.
pub(crate) async fn read(headers: &HeaderMap, mut body: RequestBody) -> Result<Bytes, Status> {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    let mut whole = BytesMut::new();
    let mut only = Bytes::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("cannot read the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen > BODY_BYTES_MAX || length.is_some_and(|length| length > BODY_BYTES_MAX) {
            if seen > DRAIN_BYTES_MAX {
                break;
            }
            seen = seen.max(BODY_BYTES_MAX + 1);
        } else if seen == data.len() {
            // Most bodies come in one piece, which is taken as it is.
            only = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut only));
            whole.extend_from_slice(&data);
        }
    }
    if seen > BODY_BYTES_MAX {
        return Err(Status::body_too_large(BODY_BYTES_MAX));
    }
    Ok(if whole.is_empty() { only } else { whole.freeze() })
}

fn media(headers: &HeaderMap) -> Result<Media, Status> {
    match negotiate::body_format(headers) {
        Some(Format::Json) => Ok(Media::Json),
        Some(Format::Yaml) => Ok(Media::Yaml),
        Some(Format::Protobuf) => Ok(Media::Protobuf),
        None => Err(Status::unsupported_body(&ACCEPTED)),
    }
}

/// What a body must be.
pub(crate) fn expected(kind: KindRef) -> Expected<'static> {
    Expected { group: kind.group, version: kind.version, kind: kind.kind, shape: schema::table().shape(kind.shape) }
}

/// Decodes the body of a call, with defaults filled in; the object is in the request's version.
pub(crate) fn decode(call: &Call, bytes: &[u8], strictness: Strictness) -> Result<(Object, Vec<String>), Status> {
    let kind = call.body_kind();
    let decoded = body::decode(bytes, media(&call.headers)?, &expected(kind), strictness)?;
    let mut object = decoded.object;
    if kind.kind == call.row.kind {
        call.row.strategy.readable(&object).map_err(|why| {
            let KindRef { version, kind, .. } = kind;
            Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
        })?;
        call.row.strategy.default(&mut object);
    }
    let mut warnings = decoded.warnings;
    warnings.extend(everynode_api::meta::duplicate_owner_warning(&object));
    Ok((object, warnings))
}

/// What of a body is kept as it was sent. Only JSON is kept so; from other forms an object is written anew.
pub(crate) fn verbatim(call: &Call, bytes: &[u8]) -> Option<Verbatim> {
    match media(&call.headers) {
        Ok(Media::Json) => Verbatim::of_json(call.row, bytes),
        _ => None,
    }
}

/// Decodes a body that holds `DeleteOptions` (A76).
pub(crate) fn decode_delete_options(call: &Call, bytes: &[u8]) -> Result<Object, Status> {
    Ok(body::decode_delete_options(bytes, media(&call.headers)?)?.unwrap_or_default())
}

/// Body and URL must agree on the namespace (A47); an empty one is filled in from the URL later.
pub(crate) fn check_namespace(call: &Call, object: &Object) -> Result<(), Status> {
    let sent = object.text_or_empty("metadata.namespace");
    let own = if call.row.namespaced { call.place.namespace.as_str() } else { "" };
    if sent.is_empty() || sent == own {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Body and URL must agree on the name (A47).
pub(crate) fn check_name(call: &Call, object: &Object) -> Result<(), Status> {
    let (sent, own) = (object.text_or_empty("metadata.name"), call.place.name.as_str());
    if sent.is_empty() {
        let text = format!("the name of the object ({own} based on URL) was undeterminable: name must be provided");
        return Err(Status::bad_request(text));
    }
    if sent != own {
        let text = format!("the name of the object ({sent}) does not match the name on the URL ({own})");
        return Err(Status::bad_request(text));
    }
    Ok(())
}

/// Brings an object of a row into the version that is stored.
pub(crate) fn to_stored(row: &Resource, object: &mut Object) {
    if let Storage::View(view) = row.storage {
        (view.to_stored)(object);
    }
}
