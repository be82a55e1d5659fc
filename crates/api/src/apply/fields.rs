//! `FieldsV1`: a [`Set`] as JSON (A154). A member without parts is `{}`; one with parts has the member `"."` beside them.
//!
//! [`touches`] and [`covers`] ask that JSON directly: a heartbeat changes a handful of fields that its manager owns already, and
//! should not pay for reading hundreds of others.

use serde_json::{Map, Value};

use super::element::Element;
use super::set::Set;

const SELF: &str = ".";

/// Reads the JSON of a set; null is the empty one.
pub fn read(fields: &Value) -> Result<Set, String> {
    let members = match fields {
        Value::Null => return Ok(Set::default()),
        Value::Object(members) => members,
        _ => return Err("a set of fields is an object".to_owned()),
    };
    let mut set = Set::default();
    for (name, inner) in members.iter().filter(|(name, _)| *name != SELF) {
        let Some(element) = Element::parse(name)? else { continue };
        let below = read(inner)?;
        let member = below.is_empty() || is_member(inner);
        set.graft(|| element, member, below);
    }
    Ok(set)
}

/// The JSON of a set.
pub fn write(set: &Set) -> Value {
    let members = set.nodes().map(|(element, node)| {
        let mut inner = write(&node.below);
        if let (Value::Object(inner), true, false) = (&mut inner, node.member, node.below.is_empty()) {
            inner.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        (element.encode(), inner)
    });
    Value::Object(members.collect())
}

fn is_member(inner: &Value) -> bool {
    inner.as_object().is_none_or(|members| members.is_empty() || members.contains_key(SELF))
}

/// Whether the set in this JSON and another have a member in common.
pub(super) fn touches(fields: &Value, set: &Set) -> bool {
    set.nodes().any(|(element, node)| {
        fields
            .get(element.encode())
            .is_some_and(|inner| (node.member && is_member(inner)) || touches(inner, &node.below))
    })
}

/// Whether the set in this JSON has all members of another.
pub(super) fn covers(fields: &Value, set: &Set) -> bool {
    set.nodes().all(|(element, node)| {
        fields
            .get(element.encode())
            .is_some_and(|inner| (!node.member || is_member(inner)) && covers(inner, &node.below))
    })
}
