//! Putting an intent over the live object, and taking fields out of one (A151), as the marks of each place say.
//!
//! Owned by parts: maps and structs merge member by member, lists element by element, the live order first. Owned as a whole: the
//! intent's value. A null leaves a container with parts as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::element::Element;
use super::place::{Atom, Place, element_of};
use super::set::Set;
use super::walk::{items, members};
use crate::schema::{ListKind, Shape};

/// The live object with an intent over it.
pub(super) fn merge(shape: &Shape, live: &Value, intent: &Value) -> Value {
    merged(Place::of_shape(shape), live, intent)
}

fn merged(place: Place, live: &Value, intent: &Value) -> Value {
    let inner = |name: &str| match place.atom() {
        Atom::Struct { shape, atomic: false } => Some(shape.member(name).map_or(Place::ANY, Place::of_field)),
        Atom::Map { item, atomic: false } => Some(item),
        _ => None,
    };
    match place.atom() {
        Atom::Struct { atomic: false, .. } | Atom::Map { atomic: false, .. } => {
            let (a, b) = (members(Some(live)), members(Some(intent)));
            if a.is_none_or(Map::is_empty) && b.is_none_or(Map::is_empty) {
                return intent.clone();
            }
            let mut out = a.cloned().unwrap_or_default();
            for (name, wanted) in b.into_iter().flatten() {
                let value = match (out.get(name), inner(name)) {
                    (Some(current), Some(place)) => merged(place, current, wanted),
                    _ => wanted.clone(),
                };
                out.insert(name.clone(), value);
            }
            Value::Object(out)
        }
        Atom::List { kind: kind @ (ListKind::Set | ListKind::Map), keys, item } => {
            let (a, b) = (items(Some(live)), items(Some(intent)));
            if a.is_empty() && b.is_empty() {
                return intent.clone();
            }
            let named = |values: &'_ [Value]| -> Vec<Option<Element>> {
                values.iter().map(|value| element_of(kind, keys, item, value).ok()).collect()
            };
            Value::Array(interleave(item, a, &named(a), b, &named(b)))
        }
        _ => intent.clone(),
    }
}

/// Both lists as one. Elements of one list keep their order, the live one's own come as early as they can; where the two disagree
/// about the order of what they share, the intent's order holds.
fn interleave(
    item: Place,
    live: &[Value],
    live_names: &[Option<Element>],
    wanted: &[Value],
    wanted_names: &[Option<Element>],
) -> Vec<Value> {
    let in_live: BTreeSet<&Element> = live_names.iter().flatten().collect();
    let in_wanted: BTreeSet<&Element> = wanted_names.iter().flatten().collect();
    let mut current: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (name, value) in live_names.iter().zip(live).filter_map(|(name, value)| Some((name.as_ref()?, value))) {
        // Of repeated elements none is the one to merge with.
        current.entry(name).and_modify(|known| *known = None).or_insert(Some(value));
    }
    let take = |name: &Element, value: &Value| match current.get(name) {
        Some(Some(current)) => merged(item, current, value),
        _ => value.clone(),
    };
    let shared: Vec<&Element> = wanted_names.iter().flatten().filter(|name| in_live.contains(name)).collect();
    let mut shared = shared.into_iter().peekable();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(wanted.len()));
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < wanted.len() {
        let (left, right) = (live_names.get(l).and_then(Option::as_ref), wanted_names.get(r).and_then(Option::as_ref));
        if l < live.len() {
            let Some(name) = left else {
                l += 1;
                continue;
            };
            if Some(name) == right {
                out.push(take(name, &wanted[r]));
                done.insert(name);
                (l, r) = (l + 1, r + 1);
                shared.next();
                continue;
            }
            if !in_wanted.contains(name) {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            // Shared, and not the one whose turn it is: it comes where the intent has it.
            if done.contains(name) || r >= wanted.len() || shared.peek().is_some_and(|next| *next != name) {
                l += 1;
                continue;
            }
        }
        if let Some(name) = right {
            out.push(take(name, &wanted[r]));
            done.insert(name);
            if shared.peek() == Some(&name) {
                shared.next();
            }
        }
        r += 1;
    }
    out
}

/// An object without these fields. What loses its last part stands as null.
pub(super) fn remove(shape: &Shape, object: &Value, fields: &Set) -> Value {
    if fields.is_empty() { object.clone() } else { without(Place::of_shape(shape), object, fields) }
}

fn without(place: Place, value: &Value, fields: &Set) -> Value {
    match (place.atom(), value) {
        (Atom::Scalar(_), _) => value.clone(),
        (Atom::Struct { shape, atomic: false }, Value::Object(members)) => {
            let inner = |name: &str| shape.member(name).map_or(Place::ANY, Place::of_field);
            without_members(members, fields, inner)
        }
        (Atom::Map { item, atomic: false }, Value::Object(members)) => without_members(members, fields, |_| item),
        (Atom::List { kind: kind @ (ListKind::Set | ListKind::Map), keys, item }, Value::Array(items)) => {
            let kept = items.iter().filter_map(|inner| {
                let Ok(element) = element_of(kind, keys, item, inner) else { return Some(inner.clone()) };
                if fields.has(&element) {
                    return None;
                }
                Some(fields.within(&element).map_or_else(|| inner.clone(), |below| without(item, inner, below)))
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        _ => Value::Null,
    }
}

fn without_members(members: &Map<String, Value>, fields: &Set, place: impl Fn(&str) -> Place) -> Value {
    let mut kept = Map::new();
    for (name, inner) in members {
        let element = Element::Field(name.clone());
        if fields.has(&element) {
            continue;
        }
        let inner = match fields.within(&element) {
            Some(below) => without(place(name), inner, below),
            None => inner.clone(),
        };
        kept.insert(name.clone(), inner);
    }
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}
