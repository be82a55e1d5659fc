//! The canonical form of an object (A303b): what vanishes, what is written though it is zero. One rule for values and for bytes.

use serde_json::{Map, Value};

use crate::{
    schema::{Body, FieldDef, Omit, Shape, Special, Type},
    value::is_zero,
};

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is left out.
    Leave,
    /// It stands as `null`.
    Null,
    /// It is written; a null is written as the zero of its type.
    Write,
}

/// What becomes of a member with this definition and value; null stands for "not given".
pub(super) fn presence(field: &FieldDef, value: &Value) -> Presence {
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

/// Brings an object of a shape into canonical form: members that the encoder leaves out go, those it always writes come, members that
/// the shape does not have go. `kind` and `apiVersion` of kinds stay.
pub fn canonicalise(object: &mut Value, shape: &Shape) {
    let given = match object {
        Value::Object(members) => std::mem::take(members),
        _ => Map::new(),
    };
    *object = Value::Object(canonical_members(given, shape));
}

/// As [`canonicalise`], for a value of any type.
pub fn canonicalise_type(value: &mut Value, ty: Type) {
    match (ty.resolved(), &mut *value) {
        (Type::Shape(id), _) => {
            let shape = id.get();
            match (shape.body, &mut *value) {
                (Body::Struct, Value::Object(members)) => {
                    let given = std::mem::take(members);
                    *value = Value::Object(canonical_members(given, shape));
                }
                (Body::Struct, Value::Null) if !ty.is_pointer() => canonicalise(value, shape),
                (Body::Special(special), _) => canonicalise_special(value, special, ty.is_pointer()),
                _ => {}
            }
        }
        (Type::List(inner), Value::Array(items)) => {
            for item in items {
                canonicalise_type(item, *inner);
            }
        }
        (Type::Map(map), Value::Object(members)) => {
            for (_, item) in members.iter_mut() {
                canonicalise_type(item, map.value);
            }
        }
        (Type::Bool, Value::Null) if !ty.is_pointer() => *value = false.into(),
        (Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64, Value::Null) if !ty.is_pointer() => *value = 0.into(),
        (Type::String, Value::Null) if !ty.is_pointer() => *value = "".into(),
        _ => {}
    }
}

fn canonicalise_special(value: &mut Value, special: Special, pointer: bool) {
    let schema = || crate::schema::table().shape("apiextensions.v1.JSONSchemaProps").map(|s| Type::Shape(s.id));
    match (special, &mut *value) {
        (Special::Quantity, Value::Null) if !pointer => *value = "0".into(),
        (Special::IntOrString, Value::Null) if !pointer => *value = 0.into(),
        (Special::Duration, Value::Null) if !pointer => *value = "0s".into(),
        (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray, Value::Object(_)) => {
            if let Some(ty) = schema() {
                canonicalise_type(value, ty);
            }
        }
        (Special::SchemaOrArray, Value::Array(items)) => {
            for item in items {
                if let Some(ty) = schema() {
                    canonicalise_type(item, ty);
                }
            }
        }
        _ => {}
    }
}

fn canonical_members(mut given: Map<String, Value>, shape: &Shape) -> Map<String, Value> {
    let mut members = Map::new();
    if shape.is_kind {
        for name in ["kind", "apiVersion"] {
            if let Some(text @ Value::String(_)) = given.remove(name).filter(|v| !is_zero(v)) {
                members.insert(name.to_owned(), text);
            }
        }
    }
    for field in shape.members() {
        let mut value = given.remove(field.name).unwrap_or_default();
        match presence(field, &value) {
            Presence::Leave => {}
            Presence::Null => {
                members.insert(field.name.to_owned(), Value::Null);
            }
            Presence::Write => {
                canonicalise_type(&mut value, field.ty);
                members.insert(field.name.to_owned(), value);
            }
        }
    }
    members
}
