//! Which fields a value has, and in which fields two values differ (A149, A152).
//!
//! Two objects in normal form are compared *as shown*: as if each were its full JSON. What an apply works on is compared *as given*,
//! for there a null or an empty map is an intent. Two empty containers are compared as one value, for null and empty differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::Element;
use super::place::{Atom, Place, element_of, is_untracked, shown};
use super::set::Set;
use crate::schema::{FieldDef, ListKind, Shape};

/// In which fields two values differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Only the second value has them.
    pub added: Set,
    /// They have another value.
    pub modified: Set,
    /// Only the first value has them.
    pub removed: Set,
}

impl Diff {
    /// Whether the values are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The fields that the second value set.
    pub fn set(&self) -> Set {
        self.added.union(&self.modified)
    }

    /// Without these fields and what is in them.
    #[must_use]
    pub(super) fn without_fields(&self, fields: &Set) -> Diff {
        if fields.is_empty() {
            return self.clone();
        }
        Diff {
            added: self.added.without_fields(fields),
            modified: self.modified.without_fields(fields),
            removed: self.removed.without_fields(fields),
        }
    }

    fn graft(&mut self, element: impl Fn() -> Element, (change, inner): (Change, Diff)) {
        self.added.graft(&element, change == Change::Added, inner.added);
        self.modified.graft(&element, change == Change::Modified, inner.modified);
        self.removed.graft(&element, change == Change::Removed, inner.removed);
    }
}

/// What became of a node itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Same,
    Added,
    Modified,
    Removed,
}

impl Change {
    /// Of a node that has one value.
    fn of_leaf(left: Option<&Value>, right: Option<&Value>) -> Self {
        match (left, right) {
            (Some(left), Some(right)) if left != right => Change::Modified,
            _ => Change::of_container(left, right),
        }
    }

    /// Of a node that lives by its parts.
    fn of_container(left: Option<&Value>, right: Option<&Value>) -> Self {
        match (left, right) {
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            _ => Change::Same,
        }
    }
}

/// How the members of a struct are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As the encoder would write them.
    Shown,
    /// As they stand there.
    Given,
}

/// In which fields two objects of a shape differ.
pub fn compare(shape: &Shape, left: &Value, right: &Value, reading: Reading) -> Diff {
    let place = Place::of_shape(shape);
    Comparison { reading }.compare(place, Some(left), Some(right)).1
}

struct Comparison {
    reading: Reading,
}

type Found = (Change, Diff);

impl Comparison {
    fn compare(&self, place: Place, left: Option<&Value>, right: Option<&Value>) -> Found {
        match place.atom() {
            Atom::Struct { shape, atomic: false } => self.structs(shape, left, right),
            Atom::Map { item, atomic: false } => self.maps(item, left, right),
            Atom::List { kind: kind @ (ListKind::Set | ListKind::Map), keys, item } => {
                self.lists(kind, keys, item, left, right)
            }
            _ => (Change::of_leaf(left, right), Diff::default()),
        }
    }

    fn structs(&self, shape: &'static Shape, left: Option<&Value>, right: Option<&Value>) -> Found {
        let (a, b) = (members(left), members(right));
        let mut diff = Diff::default();
        let mut empty = true;
        for field in shape.members().iter().filter(|field| !is_untracked(field)) {
            let one = self.member(field, a);
            let other = self.member(field, b);
            if one.is_none() && other.is_none() {
                continue;
            }
            empty = false;
            diff.graft(|| Element::Field(field.name.to_owned()), self.compare(Place::of_field(field), one, other));
        }
        settle(empty, left, right, diff)
    }

    fn member<'v>(&self, field: &FieldDef, of: Option<&'v Map<String, Value>>) -> Option<&'v Value> {
        let of = of?;
        match self.reading {
            Reading::Given => of.get(field.name),
            Reading::Shown => shown(field, of.get(field.name)),
        }
    }

    fn maps(&self, item: Place, left: Option<&Value>, right: Option<&Value>) -> Found {
        let (a, b) = (members(left), members(right));
        let of =
            |side: Option<&'_ Map<String, Value>>, key: &str| side.is_some_and(|members| members.contains_key(key));
        let mut diff = Diff::default();
        let only_right =
            b.into_iter().flatten().filter(|(key, _)| !of(a, key)).map(|(key, value)| (key, None, Some(value)));
        let all = a.into_iter().flatten().map(|(key, value)| (key, Some(value), b.and_then(|b| b.get(key))));
        for (key, one, other) in all.chain(only_right) {
            diff.graft(|| Element::Field(key.clone()), self.compare(item, one, other));
        }
        settle(a.is_none_or(Map::is_empty) && b.is_none_or(Map::is_empty), left, right, diff)
    }

    fn lists(
        &self,
        kind: ListKind,
        keys: &'static [&'static str],
        item: Place,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Found {
        if left == right {
            return (Change::Same, Diff::default());
        }
        let (a, b) = (items(left), items(right));
        let mut sides: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for value in a {
            if let Ok(element) = element_of(kind, keys, item, value) {
                sides.entry(element).or_default().0.push(value);
            }
        }
        for value in b {
            if let Ok(element) = element_of(kind, keys, item, value) {
                sides.entry(element).or_default().1.push(value);
            }
        }
        let mut diff = Diff::default();
        for (element, (one, other)) in sides {
            let found = self.elements(item, &one, &other);
            diff.graft(|| element.clone(), found);
        }
        settle(a.is_empty() && b.is_empty(), left, right, diff)
    }

    /// All elements of one name. Repeated ones are owned as one value.
    fn elements(&self, item: Place, left: &[&Value], right: &[&Value]) -> Found {
        let single = |side: &[&Value]| side.len() < 2;
        match (single(left), single(right)) {
            (true, true) => self.compare(item, left.first().copied(), right.first().copied()),
            (false, false) => (if left == right { Change::Same } else { Change::Modified }, Diff::default()),
            (false, true) => match right.first() {
                // What is left is owned by its parts again; its own mark stays (added and removed at once).
                Some(right) => {
                    let (_, mut diff) = self.compare(item, None, Some(right));
                    diff.added = Set::default();
                    (Change::Removed, diff)
                }
                None => (Change::Removed, Diff::default()),
            },
            (true, false) => match left.first() {
                Some(left) => (Change::Added, self.compare(item, Some(left), None).1),
                None => (Change::Added, Diff::default()),
            },
        }
    }
}

fn settle(empty: bool, left: Option<&Value>, right: Option<&Value>, diff: Diff) -> Found {
    (if empty { Change::of_leaf(left, right) } else { Change::of_container(left, right) }, diff)
}

pub(super) fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The fields that a value of a shape gives, as given: what an apply claims (A149, A159).
pub fn fields_of(shape: &Shape, object: &Value) -> Set {
    fields(Place::of_shape(shape), object).1
}

/// Whether a node itself is claimed, and what in it.
fn fields(place: Place, value: &Value) -> (bool, Set) {
    let mut set = Set::default();
    match place.atom() {
        Atom::Struct { shape, atomic: false } => {
            for (name, inner) in members(Some(value)).into_iter().flatten() {
                if let Some(field) = shape.member(name).filter(|field| !is_untracked(field)) {
                    let (member, below) = fields(Place::of_field(field), inner);
                    set.graft(|| Element::Field(name.clone()), member || says_nothing(inner), below);
                }
            }
            (false, set)
        }
        Atom::Map { item, atomic: false } => {
            for (name, inner) in members(Some(value)).into_iter().flatten() {
                set.graft(|| Element::Field(name.clone()), true, fields(item, inner).1);
            }
            (false, set)
        }
        Atom::List { kind: kind @ (ListKind::Set | ListKind::Map), keys, item } => {
            let named = |value: &Value| element_of(kind, keys, item, value).ok();
            let mut seen: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
            for inner in items(Some(value)) {
                if let Some(element) = named(inner) {
                    seen.entry(element).or_default().push(inner);
                }
            }
            for (element, values) in seen {
                let below = if let [one] = values.as_slice() { fields(item, one).1 } else { Set::default() };
                set.graft(|| element, true, below);
            }
            (false, set)
        }
        _ => (true, set),
    }
}

/// A container that is given without parts is claimed itself.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
