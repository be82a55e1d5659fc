//! Messages into values. The result is sparse, with scalars as the JSON decoder would give them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Envelope, MAGIC, ProtoError, open,
    wire::{Field, Fields, read_varint},
};
use crate::{
    codec::{DEPTH_MAX, render, syntax},
    quantity,
    schema::{Body, Shape, Special, Type, table},
    time,
};

pub(super) fn envelope(message: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    let mut envelope = Envelope::default();
    let mut fields = Fields(message);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => {
                let mut meta = Fields(field.as_bytes()?);
                while let Some((number, field)) = meta.next()? {
                    let text = std::str::from_utf8(field.as_bytes()?).unwrap_or_default();
                    match number {
                        1 => envelope.api_version = text,
                        2 => envelope.kind = text,
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = field.as_bytes()?,
            _ => {}
        }
    }
    Ok(envelope)
}

pub(super) fn message(bytes: &[u8], shape: &Shape, depth: usize) -> Result<Map<String, Value>, ProtoError> {
    if depth > DEPTH_MAX {
        return Err(ProtoError::Depth);
    }
    let mut object = Map::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        let Some(def) = shape.fields.iter().find(|f| f.proto == number && number != 0) else { continue };
        if def.inline {
            if let Some(inner) = def.ty.as_struct() {
                object.append(&mut message(field.as_bytes()?, inner, depth + 1)?);
            }
            continue;
        }
        match unaliased(def.ty) {
            Type::List(inner) => {
                let slot = object.entry(def.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = slot {
                    append(list, field, *inner, depth)?;
                }
            }
            Type::Map(map) => {
                let (key, value) = entry(field.as_bytes()?, map.value, depth)?;
                let slot = object.entry(def.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(members) = slot {
                    members.insert(key, value);
                }
            }
            ty => {
                let value = single(field, ty, depth)?;
                match (object.get_mut(def.name), value) {
                    // A message given in two pieces is one message.
                    (Some(Value::Object(old)), Value::Object(mut new)) => old.append(&mut new),
                    (_, value) => drop(object.insert(def.name.to_owned(), value)),
                }
            }
        }
    }
    Ok(object)
}

/// The type behind pointers and aliases, except that a named list of strings stays: it is a message on this wire.
pub(super) fn unaliased(ty: Type) -> Type {
    match ty {
        Type::Pointer(inner) => unaliased(*inner),
        Type::Shape(id) => match id.get().body {
            Body::Alias(Type::List(Type::String)) => ty,
            Body::Alias(to) => unaliased(to),
            _ => ty,
        },
        other => other,
    }
}

fn append(list: &mut Vec<Value>, field: Field<'_>, inner: Type, depth: usize) -> Result<(), ProtoError> {
    let scalar = matches!(unaliased(inner), Type::Bool | Type::Int32 | Type::Int64 | Type::Uint8);
    if let (true, Field::Bytes(mut packed)) = (scalar, field) {
        while !packed.is_empty() {
            list.push(single(Field::Varint(read_varint(&mut packed)?), inner, depth)?);
        }
    } else {
        list.push(single(field, inner, depth)?);
    }
    Ok(())
}

fn entry(bytes: &[u8], of: Type, depth: usize) -> Result<(String, Value), ProtoError> {
    let (mut key, mut value) = (String::new(), None);
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => key = text(field.as_bytes()?),
            2 => value = Some(single(field, of, depth)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_default()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signed(n: u64) -> i64 {
    i64::from_le_bytes(n.to_le_bytes())
}

fn single(field: Field<'_>, ty: Type, depth: usize) -> Result<Value, ProtoError> {
    Ok(match unaliased(ty) {
        Type::Bool => (field.as_varint()? != 0).into(),
        Type::Int32 | Type::Int64 | Type::Uint8 => {
            let n = signed(field.as_varint()?);
            // An int32 that does not fit keeps its low half, as a cast does.
            let fits = ty.resolved() != Type::Int32 || i32::try_from(n).is_ok();
            if fits { n.into() } else { i32::from_le_bytes(low_half(n)).into() }
        }
        Type::Float64 => match field {
            Field::Fixed64(bits) => serde_json::Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Into::into),
            other => return Err(other.wrong()),
        },
        Type::String => text(field.as_bytes()?).into(),
        Type::Bytes => render::base64(field.as_bytes()?).into(),
        Type::Any => raw(field.as_bytes()?, depth)?,
        Type::Shape(id) => {
            let shape = id.get();
            match shape.body {
                Body::Struct => Value::Object(message(field.as_bytes()?, shape, depth + 1)?),
                Body::Special(special) => special_value(field.as_bytes()?, special, depth)?,
                // Only named lists of strings stay aliases: {items 1 repeated}.
                Body::Alias(_) => strings(field.as_bytes()?)?,
            }
        }
        Type::Pointer(inner) => single(field, *inner, depth)?,
        // Lists and maps never stand in lists or maps without a name.
        Type::List(_) | Type::Map(_) => return Err(field.wrong()),
    })
}

fn low_half(n: i64) -> [u8; 4] {
    let b = n.to_le_bytes();
    [b[0], b[1], b[2], b[3]]
}

fn strings(bytes: &[u8]) -> Result<Value, ProtoError> {
    let mut list = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            list.push(text(field.as_bytes()?).into());
        }
    }
    Ok(Value::Array(list))
}

/// The integers 1 and 2 of a message, as times and int-or-strings have them.
fn two_varints(bytes: &[u8]) -> Result<(i64, i64, Option<String>), ProtoError> {
    let (mut one, mut two, mut three) = (0, 0, None);
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => one = signed(field.as_varint()?),
            2 => two = signed(field.as_varint()?),
            3 => three = Some(text(field.as_bytes()?)),
            _ => {}
        }
    }
    Ok((one, two, three))
}

fn first_bytes(bytes: &[u8]) -> Result<&[u8], ProtoError> {
    let mut found: &[u8] = &[];
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            found = field.as_bytes()?;
        }
    }
    Ok(found)
}

fn special_value(bytes: &[u8], special: Special, depth: usize) -> Result<Value, ProtoError> {
    Ok(match special {
        Special::Time | Special::MicroTime => {
            let (seconds, nanos, _) = two_varints(bytes)?;
            if seconds == 0 && nanos == 0 {
                return Ok(Value::Null);
            }
            let nanos = i32::try_from(nanos).unwrap_or_default().clamp(0, 999_999_999);
            let time = Timestamp::new(seconds, nanos).map_err(|e| ProtoError::Raw(e.to_string()))?;
            if special == Special::Time { time::format(time) } else { time::format_micro(time) }.into()
        }
        Special::Duration => time::format_duration(two_varints(bytes)?.0).into(),
        Special::Quantity => {
            let spelled = text(first_bytes(bytes)?);
            quantity::canonical(&spelled).map_err(|e| ProtoError::Raw(e.to_string()))?.into()
        }
        Special::IntOrString => match two_varints(bytes)? {
            (1, _, text) => text.unwrap_or_default().into(),
            (_, n, _) => i32::from_le_bytes(low_half(n)).into(),
        },
        Special::Fields | Special::Raw => raw(first_bytes(bytes)?, depth)?,
        Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray => {
            schema_or(bytes, special, depth)?
        }
    })
}

/// A schema, or the other thing that may stand in its place.
fn schema_or(bytes: &[u8], special: Special, depth: usize) -> Result<Value, ProtoError> {
    let schema_number = if special == Special::SchemaOrBool { 2 } else { 1 };
    let Some(schema) = table().shape("apiextensions.v1.JSONSchemaProps") else { return Ok(Value::Null) };
    let mut other: Option<Value> = None;
    let mut list = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        if number == schema_number {
            return Ok(Value::Object(message(field.as_bytes()?, schema, depth + 1)?));
        }
        match special {
            Special::SchemaOrBool if number == 1 => other = Some((field.as_varint()? != 0).into()),
            Special::SchemaOrArray if number == 2 => {
                list.push(Value::Object(message(field.as_bytes()?, schema, depth + 1)?));
            }
            Special::SchemaOrStringArray if number == 2 => list.push(text(field.as_bytes()?).into()),
            _ => {}
        }
    }
    Ok(other.unwrap_or(Value::Array(list)))
}

/// JSON, or an object in its own envelope.
fn raw(bytes: &[u8], depth: usize) -> Result<Value, ProtoError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if !bytes.starts_with(&MAGIC) {
        return syntax::parse(bytes).map(|node| node.to_value()).map_err(ProtoError::Raw);
    }
    let envelope = open(bytes)?;
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", envelope.api_version));
    let shape = table().kind(group, version, envelope.kind).ok_or_else(|| {
        ProtoError::Raw(format!("no kind {:?} is known in {:?}", envelope.kind, envelope.api_version))
    })?;
    let mut object = message(envelope.raw, shape, depth + 1)?;
    object.insert("apiVersion".into(), envelope.api_version.into());
    object.insert("kind".into(), envelope.kind.into());
    Ok(Value::Object(object))
}
