//! Values into messages, fields in the order of their numbers as upstream writes them.

use base64::Engine as _;
use serde_json::{Map, Value};

use super::{decode::unaliased, wire};
use crate::{
    codec::json,
    schema::{Body, FieldDef, Shape, Special, Type, table},
    time,
};

static NOTHING: Value = Value::Null;

pub(super) fn message(out: &mut Vec<u8>, object: &Value, shape: &Shape) {
    let empty = Map::new();
    let members = object.as_object().unwrap_or(&empty);
    let mut fields: Vec<&FieldDef> = shape.fields.iter().filter(|f| f.proto != 0).collect();
    fields.sort_unstable_by_key(|f| f.proto);
    for field in fields {
        if field.inline {
            if let Some(inner) = field.ty.as_struct() {
                nested(out, field.proto, |out| message(out, object, inner));
            }
            continue;
        }
        let value = members.get(field.name).unwrap_or(&NOTHING);
        if field.ty.is_pointer() && value.is_null() {
            continue;
        }
        match unaliased(field.ty) {
            Type::List(inner) => {
                for item in value.as_array().map_or(&[][..], Vec::as_slice) {
                    single(out, field.proto, item, *inner);
                }
            }
            Type::Map(map) => {
                for (key, item) in value.as_object().unwrap_or(&empty) {
                    nested(out, field.proto, |out| {
                        wire::string(out, 1, key);
                        single(out, 2, item, map.value);
                    });
                }
            }
            Type::Bytes if value.is_null() => {}
            ty => single(out, field.proto, value, ty),
        }
    }
}

fn nested(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    wire::bytes(out, number, &inner);
}

fn unsigned(n: i64) -> u64 {
    u64::from_le_bytes(n.to_le_bytes())
}

fn base64(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

fn single(out: &mut Vec<u8>, number: u32, value: &Value, ty: Type) {
    match unaliased(ty) {
        Type::Bool => wire::varint(out, number, u64::from(value.as_bool().unwrap_or_default())),
        Type::Int32 | Type::Int64 | Type::Uint8 => {
            wire::varint(out, number, unsigned(value.as_i64().unwrap_or_default()))
        }
        Type::Float64 => wire::fixed64(out, number, value.as_f64().unwrap_or_default().to_bits()),
        Type::String => wire::string(out, number, value.as_str().unwrap_or_default()),
        Type::Bytes => wire::bytes(out, number, &base64(value)),
        Type::Any => wire::bytes(out, number, &json::encode_any(value)),
        Type::Shape(id) => {
            let shape = id.get();
            nested(out, number, |out| match shape.body {
                Body::Struct => message(out, value, shape),
                Body::Special(special) => special_value(out, value, special),
                Body::Alias(_) => {
                    for item in value.as_array().map_or(&[][..], Vec::as_slice) {
                        wire::string(out, 1, item.as_str().unwrap_or_default());
                    }
                }
            });
        }
        // Pointers are gone, lists and maps were handled where they may stand.
        Type::Pointer(_) | Type::List(_) | Type::Map(_) => {}
    }
}

fn special_value(out: &mut Vec<u8>, value: &Value, special: Special) {
    let text = value.as_str().unwrap_or_default();
    match special {
        Special::Time | Special::MicroTime => {
            let parsed = if special == Special::Time { time::parse(text) } else { time::parse_micro(text) };
            // The zero time is an empty message.
            if let Ok(time) = parsed {
                let seconds = time::floor_seconds(time);
                wire::varint(out, 1, unsigned(seconds));
                let nanos = time.as_nanosecond() - i128::from(seconds) * 1_000_000_000;
                wire::varint(out, 2, u64::try_from(nanos).unwrap_or_default());
            }
        }
        Special::Duration => wire::varint(out, 1, unsigned(time::parse_duration(text).unwrap_or_default())),
        Special::Quantity => wire::string(out, 1, if text.is_empty() { "0" } else { text }),
        Special::IntOrString => {
            wire::varint(out, 1, u64::from(value.is_string()));
            wire::varint(out, 2, unsigned(value.as_i64().unwrap_or_default()));
            wire::string(out, 3, text);
        }
        Special::Fields | Special::Raw if value.is_null() => {}
        Special::Fields | Special::Raw => wire::bytes(out, 1, &json::encode_any(value)),
        Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray => schema_or(out, value, special),
    }
}

fn schema_or(out: &mut Vec<u8>, value: &Value, special: Special) {
    let Some(schema) = table().shape("apiextensions.v1.JSONSchemaProps") else { return };
    if special == Special::SchemaOrBool {
        wire::varint(out, 1, u64::from(value != &Value::Bool(false)));
    }
    match value {
        Value::Object(_) => {
            nested(out, if special == Special::SchemaOrBool { 2 } else { 1 }, |out| message(out, value, schema));
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) => wire::string(out, 2, text),
                    _ => nested(out, 2, |out| message(out, item, schema)),
                }
            }
        }
        _ => {}
    }
}
