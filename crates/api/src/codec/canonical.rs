//! What vanishes on the wire and what is written though it is zero (A303b). One rule for values and for bytes.
//!
//! Two forms of an object follow: the *normal* one, which decoding gives and which decisions read, holds only what says something; the
//! *full* one is what stands in our JSON, zeros and empty structs included.

use serde_json::{Map, Value};

use crate::{
    schema::{Body, FieldDef, Omit, Shape, Special, Type},
    value::is_zero,
};

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is left out.
    Leave,
    /// It stands as `null`.
    Null,
    /// It is written; a null is written as the zero of its type.
    Write,
}

/// What becomes of a member with this definition and value; null stands for "not given".
pub(crate) fn presence(field: &FieldDef, value: &Value) -> Presence {
    if field.name == "-" {
        // It stands on the protobuf wire only.
        return Presence::Leave;
    }
    let null = if field.omit == Omit::Never { Presence::Null } else { Presence::Leave };
    if field.ty.is_pointer() {
        return if value.is_null() { null } else { Presence::Write };
    }
    match field.ty.resolved() {
        Type::List(_) | Type::Map(_) | Type::Bytes | Type::Any if value.is_null() => null,
        Type::Any => Presence::Write,
        Type::Shape(id) => match id.get().body {
            Body::Special(Special::Time | Special::MicroTime) if value.is_null() => {
                // A time by value has no "empty" for the encoder; only `zero` leaves it out.
                if field.omit == Omit::Zero { Presence::Leave } else { Presence::Null }
            }
            _ if field.omit == Omit::Zero && is_zero(value) => Presence::Leave,
            _ => Presence::Write,
        },
        _ if field.omit != Omit::Never && is_zero(value) => Presence::Leave,
        _ => Presence::Write,
    }
}

/// Brings an object of a shape into normal form: what the encoder leaves out goes, and so does what it writes without being told
/// (zero scalars, nulls, empty structs held by value); members that the shape does not have go. `kind` and `apiVersion` stay.
pub fn normalise(object: &mut Value, shape: &Shape) {
    let given = match object {
        Value::Object(members) => std::mem::take(members),
        _ => Map::new(),
    };
    *object = Value::Object(normal_members(given, shape));
}

/// As [`normalise`], for a value of any type. List elements and map values that are null become the zero of their type.
pub fn normalise_type(value: &mut Value, ty: Type) {
    match (ty.resolved(), &mut *value) {
        (Type::Shape(id), _) => {
            let shape = id.get();
            match (shape.body, &*value) {
                (Body::Struct, Value::Object(_)) => normalise(value, shape),
                (Body::Struct, Value::Null) if !ty.is_pointer() => *value = Value::Object(Map::new()),
                (Body::Special(special), _) => normalise_special(value, special, ty.is_pointer()),
                _ => {}
            }
        }
        (Type::List(inner), Value::Array(items)) => {
            for item in items {
                normalise_type(item, *inner);
            }
        }
        (Type::Map(map), Value::Object(members)) => {
            for (_, item) in members.iter_mut() {
                normalise_type(item, map.value);
            }
        }
        (Type::Bool, Value::Null) if !ty.is_pointer() => *value = false.into(),
        (Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64, Value::Null) if !ty.is_pointer() => *value = 0.into(),
        (Type::String, Value::Null) if !ty.is_pointer() => *value = "".into(),
        _ => {}
    }
}

fn normalise_special(value: &mut Value, special: Special, pointer: bool) {
    let schema = || crate::schema::table().shape("apiextensions.v1.JSONSchemaProps").map(|s| Type::Shape(s.id));
    match (special, &mut *value) {
        (Special::Quantity, Value::Null) if !pointer => *value = "0".into(),
        (Special::IntOrString, Value::Null) if !pointer => *value = 0.into(),
        (Special::Duration, Value::Null) if !pointer => *value = "0s".into(),
        (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray, Value::Object(_)) => {
            if let Some(ty) = schema() {
                normalise_type(value, ty);
            }
        }
        (Special::SchemaOrArray, Value::Array(items)) => {
            for item in items {
                if let Some(ty) = schema() {
                    normalise_type(item, ty);
                }
            }
        }
        _ => {}
    }
}

/// Whether the encoder writes this very value when a member is absent.
fn comes_by_itself(field: &FieldDef, value: &Value) -> bool {
    if field.ty.is_pointer() {
        return false;
    }
    match field.ty.resolved() {
        // An empty list that is never omitted differs from the null that stands for none.
        Type::List(_) | Type::Map(_) | Type::Bytes | Type::Any => false,
        Type::Shape(id) => match id.get().body {
            Body::Special(Special::Quantity) => value == "0",
            Body::Special(Special::Duration) => value == "0s",
            Body::Special(Special::IntOrString) => value.as_i64() == Some(0),
            Body::Special(_) => value.is_null(),
            Body::Struct | Body::Alias(_) => is_zero(value),
        },
        _ => is_zero(value),
    }
}

fn normal_members(mut given: Map<String, Value>, shape: &Shape) -> Map<String, Value> {
    let mut members = Map::new();
    if shape.is_kind {
        for name in ["kind", "apiVersion"] {
            if let Some(text @ Value::String(_)) = given.remove(name).filter(|v| !is_zero(v)) {
                members.insert(name.to_owned(), text);
            }
        }
    }
    for field in shape.members() {
        let Some(mut value) = given.remove(field.name) else { continue };
        if presence(field, &value) == Presence::Write {
            normalise_type(&mut value, field.ty);
            if !comes_by_itself(field, &value) {
                members.insert(field.name.to_owned(), value);
            }
        }
    }
    members
}
