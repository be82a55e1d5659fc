//! Answers in the form that the client asked for: JSON, YAML, protobuf; whole, as tables, as metadata; indented; gzipped
//! (A6–A8, A60, A61, A170–A174).

mod table;

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use everynode_api::codec::{json, proto, yaml};
use everynode_api::resource::{KindRef, Resource, Storage};
use everynode_api::schema::{self, Shape};
use everynode_api::status::Status;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use crate::answer::Answer;
use crate::body::Body;
use crate::forms::{present, shape};
use crate::gzip;
use crate::list::{self, Page};
use crate::negotiate::{Format, Refusal, Transform};
use crate::request::call::Call;
use crate::request::look::{Include, Look};
use crate::stored;

pub(crate) use table::row_table;

/// Media types of objects.
const SERVED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// The same for collections, which can be watched.
const SERVED_WATCHED: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// The answer when no clause of Accept fits (A123).
pub(crate) fn refuse(refusal: Refusal, collection: bool) -> Status {
    match (refusal, collection) {
        (Refusal::MediaType, true) => Status::not_acceptable(&SERVED_WATCHED),
        (Refusal::MediaType, false) => Status::not_acceptable(&SERVED),
        (Refusal::Parameters, _) => Status::only_acceptable(&SERVED),
    }
}

/// The answer to a list transform of one object, or the reverse (A173).
pub(crate) fn not_a_list(row: &Resource) -> Status {
    mismatch(&format!(
        "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
        go(row, "")
    ))
}

fn mismatch(message: &str) -> Status {
    Status::failure(406, everynode_api::status::Reason::NotAcceptable, message, None)
}

fn go(row: &Resource, suffix: &str) -> String {
    let folder = schema::folder_of(row.group).unwrap_or("core");
    format!("*{folder}.{}{suffix}", row.kind)
}

/// Whether objects of a row are sent as they are stored.
pub(crate) fn is_own_form(row: &Resource) -> bool {
    !matches!(row.storage, Storage::View(_))
}

/// A Status as an answer.
pub(crate) fn status(status: &Status, look: Look) -> Response<Body> {
    let code = StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let shape = schema::table().shape("meta.v1.Status");
    let mut response = object(code, status.to_bytes(), shape, look);
    if let Some(seconds) = status.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What a handler found, as the client wants it.
pub(crate) fn answer(call: &Call, answer: Answer, look: Look) -> Result<Response<Body>, Status> {
    match answer {
        Answer::Raw(response) => Ok(response),
        Answer::Status(found) => Ok(status(&found, look)),
        Answer::Other(code, bytes, kind) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
            Ok(object(code, bytes.to_vec(), shape_of(kind), look))
        }
        Answer::Object(code, bytes) => one(call, code, &bytes, look),
        Answer::List(page) => many(call, &page, look),
    }
}

fn shape_of(kind: KindRef) -> Option<&'static Shape> {
    schema::table().shape(kind.shape)
}

fn one(call: &Call, code: u16, bytes: &Bytes, look: Look) -> Result<Response<Body>, Status> {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    let bytes = present(call.row, bytes);
    match look.accepted.transform {
        Transform::None if look.accepted.format == Format::Json && !look.pretty => Ok(json_body(code, bytes, look)),
        Transform::None => Ok(object(code, bytes.to_vec(), Some(shape(call.row)?), look)),
        Transform::Table => {
            let include = Include::parse(&call.query, look.accepted)?;
            let table = row_table(call.row, &bytes, include, true, look.accepted.meta_version);
            Ok(object(code, table, None, look))
        }
        Transform::Metadata => Ok(object(code, metadata_of(call.row, &bytes, look.accepted.meta_version), None, look)),
        Transform::MetadataList => Err(not_a_list(call.row)),
    }
}

/// A PartialObjectMetadata of a stored object.
pub(crate) fn metadata_of(row: &Resource, object: &[u8], meta_version: &str) -> Vec<u8> {
    let metadata = stored::metadata(object).map_or("{}", serde_json::value::RawValue::get);
    let metadata = own_metadata(row, metadata);
    format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{meta_version}\",\"metadata\":{metadata}}}")
        .into_bytes()
}

/// The generation of a DaemonSet's template is an annotation of the whole object only: upstream adds it when it encodes
/// one (R13).
fn own_metadata<'m>(row: &Resource, metadata: &'m str) -> Cow<'m, str> {
    const GENERATION: &str = "deprecated.daemonset.template.generation";
    if row.kind != "DaemonSet" || !metadata.contains(GENERATION) {
        return Cow::Borrowed(metadata);
    }
    let mut value = stored::parse(metadata.as_bytes());
    if let Some(annotations) = value.get_mut("annotations").and_then(serde_json::Value::as_object_mut) {
        annotations.remove(GENERATION);
    }
    match schema::table().shape("meta.v1.ObjectMeta") {
        Some(shape) => Cow::Owned(String::from_utf8_lossy(&json::encode(&value, shape)).into_owned()),
        None => Cow::Borrowed(metadata),
    }
}

fn many(call: &Call, page: &Page, look: Look) -> Result<Response<Body>, Status> {
    let bytes = match look.accepted.transform {
        Transform::None => list_body(call, page)?,
        Transform::Table => {
            let include = Include::parse(&call.query, look.accepted)?;
            table::list_table(call.row, page, include, look.accepted.meta_version)
        }
        Transform::MetadataList => metadata_list(call, page, look.accepted.meta_version),
        Transform::Metadata => {
            let kind = go(call.row, "List");
            let text = format!("you requested PartialObjectMetadata, but the requested object is a list ({kind})");
            return Err(mismatch(&text));
        }
    };
    let list_shape = match look.accepted.transform {
        Transform::None => schema::table().shape(&format!("{}List", call.row.shape)),
        _ => None,
    };
    Ok(object(StatusCode::OK, bytes, list_shape, look))
}

fn list_body(call: &Call, page: &Page) -> Result<Vec<u8>, Status> {
    let size: usize = page.entries.iter().map(|entry| entry.value.len() + 1).sum();
    let mut out = list::head(call.row, page);
    out.reserve(size + 8);
    for (index, entry) in page.entries.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        out.extend_from_slice(stored::item(&present(call.row, &entry.value)));
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn metadata_list(call: &Call, page: &Page, meta_version: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(page.entries.len() * 512);
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"");
    out.extend_from_slice(meta_version.as_bytes());
    out.extend_from_slice(format!("\",\"metadata\":{},\"items\":[", list::list_metadata(page)).as_bytes());
    for (index, entry) in page.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&metadata_of(call.row, &present(call.row, &entry.value), meta_version));
    }
    out.extend_from_slice(b"]}");
    out
}

/// Complete JSON as an answer in the wanted format; `shape` is needed for protobuf.
pub(crate) fn object(code: StatusCode, json_text: Vec<u8>, shape: Option<&Shape>, look: Look) -> Response<Body> {
    match (look.accepted.format, shape) {
        (Format::Yaml, _) => {
            let text = yaml::encode(&stored::parse(&json_text));
            respond_bytes(code, "application/yaml", Bytes::from(text), look)
        }
        (Format::Protobuf, Some(shape)) => {
            let bytes = proto::encode(&stored::parse(&json_text), shape);
            respond_bytes(code, "application/vnd.kubernetes.protobuf", Bytes::from(bytes), look)
        }
        _ if look.pretty => respond_bytes(code, "application/json", Bytes::from(json::pretty(&json_text)), look),
        _ => json_body(code, with_newline(json_text), look),
    }
}

fn with_newline(mut bytes: Vec<u8>) -> Bytes {
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    Bytes::from(bytes)
}

fn json_body(code: StatusCode, bytes: Bytes, look: Look) -> Response<Body> {
    respond_bytes(code, "application/json", bytes, look)
}

fn respond_bytes(code: StatusCode, media_type: &'static str, bytes: Bytes, look: Look) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    *response.body_mut() = if look.gzip && code == StatusCode::OK {
        gzip::maybe(bytes, response.headers_mut())
    } else {
        Body::from(bytes)
    };
    response
}

/// Warnings as headers (A20).
pub(crate) fn add_warnings(headers: &mut HeaderMap, warnings: &[String]) {
    const ALL_MAX: usize = 4096;
    const EACH_MAX: usize = 256;
    let clean: Vec<String> = warnings.iter().map(|w| w.chars().filter(|c| !c.is_control()).collect()).collect();
    let total: usize = clean.iter().map(|w| w.chars().count()).sum();
    let mut left = ALL_MAX;
    for text in clean {
        let text: String = if total > ALL_MAX { text.chars().take(EACH_MAX).collect() } else { text };
        let length = text.chars().count();
        if length > left {
            return;
        }
        left -= length;
        let mut value = BytesMut::with_capacity(text.len() + 16);
        value.put_slice(b"299 - \"");
        for byte in text.bytes() {
            if matches!(byte, b'"' | b'\\') {
                value.put_u8(b'\\');
            }
            value.put_u8(byte);
        }
        value.put_u8(b'"');
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append("warning", value);
        }
    }
}
