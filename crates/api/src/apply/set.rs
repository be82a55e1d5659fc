//! A set of fields of one object: a tree of [`Element`]s, each of which is a member or only leads to members.
//!
//! A container and what is in it are members of their own: owning `.spec.template` says nothing about `.spec.template.spec`.
//! Not here: how it stands on the wire ([`super::fields`]), which fields a value has ([`super::walk`]).
//! Invariant: no node is neither a member nor leads to one.

use std::collections::BTreeMap;

use super::element::Element;
use super::place::{Atom, Place};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: BTreeMap<Element, Node>,
}

/// A field, and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) member: bool,
    pub(super) below: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl Set {
    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The set of these paths.
    pub fn of_paths<'p>(paths: impl IntoIterator<Item = &'p [&'p str]>) -> Self {
        let mut set = Set::default();
        for path in paths {
            let path: Vec<Element> = path.iter().map(|name| Element::Field((*name).to_owned())).collect();
            set.insert(&path);
        }
        set
    }

    /// Adds one field; the way to it is not added.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() { node.member = true } else { node.below.insert(rest) }
    }

    /// Adds a field of this level together with what is in it; nothing if both are absent.
    pub(super) fn graft(&mut self, element: impl FnOnce() -> Element, member: bool, below: Set) {
        if member || !below.is_empty() {
            let node = self.nodes.entry(element()).or_default();
            node.member |= member;
            node.below.extend(below);
        }
    }

    /// Adds all members of another set.
    pub fn extend(&mut self, other: Set) {
        if self.nodes.is_empty() {
            self.nodes = other.nodes;
            return;
        }
        for (element, node) in other.nodes {
            let own = self.nodes.entry(element).or_default();
            own.member |= node.member;
            own.below.extend(node.below);
        }
    }

    /// The members of both.
    #[must_use]
    pub fn union(&self, other: &Set) -> Set {
        let mut all = self.clone();
        all.extend(other.clone());
        all
    }

    /// The members that the other set has not.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        self.keep(|element, node| match other.nodes.get(element) {
            None => node.clone(),
            Some(theirs) => Node { member: node.member && !theirs.member, below: node.below.difference(&theirs.below) },
        })
    }

    /// The members that the other set has not and that are not in a field that it has.
    #[must_use]
    pub fn without_fields(&self, fields: &Set) -> Set {
        self.keep(|element, node| match fields.nodes.get(element) {
            None => node.clone(),
            Some(theirs) if theirs.member => Node::default(),
            Some(theirs) => Node { member: node.member, below: node.below.without_fields(&theirs.below) },
        })
    }

    /// The members that both have.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        self.keep(|element, node| match other.nodes.get(element) {
            None => Node::default(),
            Some(theirs) => {
                Node { member: node.member && theirs.member, below: node.below.intersection(&theirs.below) }
            }
        })
    }

    fn keep(&self, mut each: impl FnMut(&Element, &Node) -> Node) -> Set {
        let kept = self.nodes.iter().map(|(element, node)| (element, each(element, node)));
        Set { nodes: kept.filter(|(_, node)| !node.is_empty()).map(|(e, node)| (e.clone(), node)).collect() }
    }

    /// The same set, with each struct field on the way to a member as a member too. So a struct goes when all in it goes.
    #[must_use]
    pub(super) fn with_named_fields(&self, place: Place) -> Set {
        let atom = place.atom();
        let nodes = self.nodes.iter().map(|(element, node)| {
            let (inner, named) = match (&atom, element) {
                (Atom::Struct { shape, .. }, Element::Field(name)) => {
                    let field = shape.member(name);
                    (field.map_or(Place::ANY, Place::of_field), field.is_some())
                }
                (Atom::Map { item, .. }, Element::Field(_)) | (Atom::List { item, .. }, Element::Key(_)) => {
                    (*item, false)
                }
                _ => (Place::ANY, false),
            };
            let member = node.member || (named && !node.below.is_empty());
            (element.clone(), Node { member, below: node.below.with_named_fields(inner) })
        });
        Set { nodes: nodes.collect() }
    }

    /// Whether this field of the first level is a member.
    pub fn has(&self, element: &Element) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// Whether the field at the end of a path is a member.
    pub fn has_path(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self.nodes.get(first).is_some_and(|node| node.below.has_path(rest)),
        }
    }

    /// What is in a field of the first level, if anything.
    pub fn within(&self, element: &Element) -> Option<&Set> {
        self.nodes.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.nodes.iter()
    }

    /// All members: those of a level before what is in them.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        all
    }

    fn collect(&self, path: &mut Vec<Element>, all: &mut Vec<Vec<Element>>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            all.push(path.iter().chain([element]).cloned().collect());
        }
        for (element, node) in &self.nodes {
            path.push(element.clone());
            node.below.collect(path, all);
            path.pop();
        }
    }
}

/// A path as messages show it: `.spec.containers[name="c"].image`.
pub fn show(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}
