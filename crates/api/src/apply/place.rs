//! What stands at a place of an object, for ownership: a scalar, or a list, map or struct that is owned as a whole or by its parts
//! (A145). All of it comes from the table of shapes: the type of a field and the marks on the field.
//!
//! A list without a mark is owned as a whole, a map or struct by its parts. Raw JSON is owned as a whole.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::element::{Element, Scalar};
use crate::codec::{Presence, presence};
use crate::schema::{Body, FieldDef, ListKind, MapKind, Shape, Special, Type};

/// A type, and the marks of the field that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    ty: Type,
    list: Option<ListKind>,
    keys: &'static [&'static str],
    map: Option<MapKind>,
}

/// A scalar that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bool,
    /// Any of these: a quantity, a time, a port by number or name.
    Any,
}

/// A place, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Atom {
    Scalar(Kind),
    List {
        kind: ListKind,
        keys: &'static [&'static str],
        item: Place,
    },
    Struct {
        shape: &'static Shape,
        atomic: bool,
    },
    Map {
        item: Place,
        atomic: bool,
    },
    /// Any JSON.
    Raw,
}

impl Place {
    /// Any JSON.
    pub(super) const ANY: Place = Place::of_type(Type::Any);

    pub(super) const fn of_type(ty: Type) -> Self {
        Place { ty, list: None, keys: &[], map: None }
    }

    pub(super) fn of_shape(shape: &Shape) -> Self {
        Place::of_type(Type::Shape(shape.id))
    }

    pub(super) fn of_field(field: &FieldDef) -> Self {
        Place { ty: field.ty, list: field.list, keys: field.keys, map: field.map }
    }

    pub(super) fn atom(self) -> Atom {
        match self.ty.resolved() {
            Type::Bool => Atom::Scalar(Kind::Bool),
            Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64 => Atom::Scalar(Kind::Number),
            Type::String | Type::Bytes => Atom::Scalar(Kind::Text),
            // A resolved type is never a pointer.
            Type::Any | Type::Pointer(_) => Atom::Raw,
            Type::List(item) => {
                Atom::List { kind: self.list.unwrap_or(ListKind::Atomic), keys: self.keys, item: Place::of_type(*item) }
            }
            Type::Map(map) => Atom::Map { item: Place::of_type(map.value), atomic: self.map == Some(MapKind::Atomic) },
            Type::Shape(id) => {
                let shape = id.get();
                match shape.body {
                    Body::Special(special) => of_special(special),
                    Body::Struct | Body::Alias(_) => {
                        Atom::Struct { shape, atomic: self.map.or(shape.map) == Some(MapKind::Atomic) }
                    }
                }
            }
        }
    }
}

fn of_special(special: Special) -> Atom {
    match special {
        Special::Time | Special::MicroTime | Special::Quantity | Special::IntOrString => Atom::Scalar(Kind::Any),
        Special::Duration => Atom::Scalar(Kind::Text),
        Special::Fields
        | Special::Raw
        | Special::SchemaOrBool
        | Special::SchemaOrArray
        | Special::SchemaOrStringArray => Atom::Raw,
    }
}

/// Fields that ownership does not look at: the record of it.
pub(super) fn is_untracked(field: &FieldDef) -> bool {
    field.name == "managedFields" || field.name == "-"
}

/// Why a list element has no name under ownership.
pub(super) type Nameless = String;

/// The element of a list that is owned by its parts.
pub(super) fn element_of(
    kind: ListKind,
    keys: &'static [&'static str],
    item: Place,
    value: &Value,
) -> Result<Element, Nameless> {
    if kind == ListKind::Set {
        return match value {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            other => Ok(Element::Value(Scalar::of(other).unwrap_or(Scalar::Null))),
        };
    }
    let members = match value {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let named = keys.iter().map(|key| match members.get(*key) {
        Some(value) => match Scalar::of(value) {
            Some(scalar) => Ok(((*key).to_owned(), scalar)),
            None => Err(format!("associative list with keys has an element whose key field \"{key}\" is no scalar")),
        },
        None => match key_default(item, key) {
            Some(scalar) => Ok(((*key).to_owned(), scalar)),
            None => Err(format!(
                "associative list with keys has an element that omits key field \"{key}\" (and doesn't have default value)"
            )),
        },
    });
    Ok(Element::key(named.collect::<Result<_, _>>()?))
}

/// What a key field is when it is left out (A149).
fn key_default(item: Place, key: &str) -> Option<Scalar> {
    let field = item.ty.as_struct()?.member(key)?;
    let text = field.default?;
    Some(match field.ty.resolved() {
        Type::String => Scalar::Text(text.trim_matches('"').to_owned()),
        _ => Scalar::of(&serde_json::from_str(text).ok()?)?,
    })
}

static NULL: Value = Value::Null;

/// A member of a struct as the encoder would write it: an object in normal form is compared as if it were the full one, without
/// making that.
pub(super) fn shown<'v>(field: &FieldDef, given: Option<&'v Value>) -> Option<&'v Value> {
    let value = given.unwrap_or(&NULL);
    match presence(field, value) {
        Presence::Leave => None,
        Presence::Null => Some(&NULL),
        Presence::Write if value.is_null() => Some(zero(field.ty)),
        Presence::Write => Some(value),
    }
}

/// What the encoder writes for a null of a type.
fn zero(ty: Type) -> &'static Value {
    static FALSE: Value = Value::Bool(false);
    static NUMBER: LazyLock<Value> = LazyLock::new(|| 0.into());
    static TEXT: LazyLock<Value> = LazyLock::new(|| "".into());
    static AMOUNT: LazyLock<Value> = LazyLock::new(|| "0".into());
    static SPAN: LazyLock<Value> = LazyLock::new(|| "0s".into());
    if ty.is_pointer() {
        return &NULL;
    }
    match ty.resolved() {
        Type::Bool => &FALSE,
        Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64 => &NUMBER,
        Type::String => &TEXT,
        Type::Shape(id) => match id.get().body {
            Body::Struct => nothing(),
            Body::Special(Special::Quantity) => &AMOUNT,
            Body::Special(Special::IntOrString) => &NUMBER,
            Body::Special(Special::Duration) => &SPAN,
            _ => &NULL,
        },
        _ => &NULL,
    }
}

/// An object without members.
pub(super) fn nothing() -> &'static Value {
    static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
    &NOTHING
}
