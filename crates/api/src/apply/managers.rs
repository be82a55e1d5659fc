//! `metadata.managedFields`: who owns which fields, entry by entry (A153, A155, A157).
//!
//! The fields of an entry stay JSON until somebody asks for them. Invariants: no two entries have the same owner; entries with no fields
//! vanish when the list is written; the list is written in one order (applies first, then by time, manager, version, subresource).

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::fields;
use super::set::Set;
use crate::quote::go_quote;
use crate::value::Read;

/// How many entries of updates an object has at most.
const UPDATERS_MAX: usize = 10;
/// Who owns what the oldest updaters owned.
const ANCIENT: &str = "ancient-changes";

/// What made an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A server-side apply: an intent.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// An owner. The version of an apply is no part of who it is (see [`Owner::is`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The manager's name.
    pub manager: String,
    /// What it did.
    pub operation: Operation,
    /// The version in which its fields are named.
    pub api_version: String,
    /// The subresource that it wrote through; empty for the object itself.
    pub subresource: String,
}

impl Owner {
    /// Whether it is the same owner.
    pub fn is(&self, other: &Owner) -> bool {
        let versions = self.operation == Operation::Apply || self.api_version == other.api_version;
        versions
            && self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
    }

    /// As conflicts name it (A150).
    pub(super) fn show(&self) -> String {
        let mut text = go_quote(&self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {}", go_quote(&self.subresource));
        }
        match self.operation {
            Operation::Apply => text,
            Operation::Update => format!("{text} using {}", self.api_version),
        }
    }
}

/// What one owner owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who.
    pub owner: Owner,
    /// Since when, as on the wire; unknown for an apply that changed nothing.
    pub time: Option<String>,
    /// Which fields, as JSON.
    fields: Value,
}

impl Entry {
    /// An owner's fields.
    pub fn new(owner: Owner, time: Option<String>, set: &Set) -> Self {
        Entry { owner, time, fields: fields::write(set) }
    }

    /// The fields. An entry is checked when it is read, so it holds a set.
    pub fn set(&self) -> Set {
        fields::read(&self.fields).unwrap_or_default()
    }

    fn owns_nothing(&self) -> bool {
        self.fields.as_object().is_none_or(Map::is_empty)
    }

    /// Whether it owns one of these.
    pub(super) fn touches(&self, set: &Set) -> bool {
        fields::touches(&self.fields, set)
    }

    /// Whether it owns all of these.
    pub(super) fn covers(&self, set: &Set) -> bool {
        fields::covers(&self.fields, set)
    }

    /// Takes fields away from it.
    pub(super) fn lose(&mut self, set: &Set) {
        if self.touches(set) {
            self.fields = fields::write(&self.set().difference(set));
        }
    }

    /// Gives fields to it.
    pub(super) fn gain(&mut self, set: &Set) {
        if !self.covers(set) {
            self.fields = fields::write(&self.set().union(set));
        }
    }

    fn read(value: &Value) -> Result<Self, String> {
        let operation = match value.text_or_empty("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let owner = Owner {
            manager: value.text_or_empty("manager").to_owned(),
            operation,
            api_version: value.text_or_empty("apiVersion").to_owned(),
            subresource: value.text_or_empty("subresource").to_owned(),
        };
        if owner.api_version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match value.text_or_empty("fieldsType") {
            "FieldsV1" => {}
            "" => return Err("missing fieldsType in managed fields entry".to_owned()),
            other => return Err(format!("invalid fieldsType {} in managed fields entry", go_quote(other))),
        }
        let fields = value.get("fieldsV1").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Entry { owner, time: value.text("time").map(str::to_owned), fields })
    }

    fn write(self) -> Value {
        let mut entry = Map::new();
        let Owner { manager, operation, api_version, subresource } = self.owner;
        let optional = [("manager", Some(manager)), ("subresource", Some(subresource)), ("time", self.time)];
        for (name, text) in optional {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                entry.insert(name.to_owned(), text.into());
            }
        }
        entry.insert("operation".to_owned(), operation.as_str().into());
        entry.insert("apiVersion".to_owned(), api_version.into());
        entry.insert("fieldsType".to_owned(), "FieldsV1".into());
        entry.insert("fieldsV1".to_owned(), self.fields);
        Value::Object(entry)
    }
}

/// All owners of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers {
    /// In no special order.
    pub entries: Vec<Entry>,
}

impl Managers {
    /// Reads what the server stored itself.
    pub fn read(list: &[Value]) -> Result<Self, String> {
        let mut own = Managers::default();
        for value in list {
            let entry = Entry::read(value)?;
            // Of an owner that stands twice the last entry counts.
            own.entries.retain(|known| !known.owner.is(&entry.owner));
            own.entries.push(entry);
        }
        Ok(own)
    }

    /// Reads what a client sent: the sets of fields too have to be well formed, and are brought into their one form.
    pub fn read_sent(list: &[Value]) -> Result<Self, String> {
        let mut own = Self::read(list)?;
        for entry in &mut own.entries {
            entry.fields = fields::write(&fields::read(&entry.fields)?);
        }
        Ok(own)
    }

    /// The list of an object.
    pub fn write(mut self) -> Vec<Value> {
        self.entries.retain(|entry| !entry.owns_nothing());
        self.entries.sort_by(|a, b| {
            let key = |e: &Entry| (e.owner.operation, e.time.clone().unwrap_or_default());
            let name = |e: &Entry| (e.owner.manager.clone(), e.owner.api_version.clone(), e.owner.subresource.clone());
            key(a).cmp(&key(b)).then_with(|| name(a).cmp(&name(b)))
        });
        self.entries.into_iter().map(Entry::write).collect()
    }

    /// Whether nobody owns anything: ownership is not tracked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of an owner.
    pub fn of(&self, owner: &Owner) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.owner.is(owner))
    }

    pub(super) fn of_mut(&mut self, owner: &Owner) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.owner.is(owner))
    }

    /// Everybody but one.
    pub(super) fn others(&self, owner: &Owner) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| !entry.owner.is(owner))
    }

    pub(super) fn others_mut(&mut self, owner: &Owner) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().filter(move |entry| !entry.owner.is(owner))
    }

    /// Merges the oldest updaters of a version into one, until few enough are left (A155).
    pub(super) fn cap(&mut self) {
        self.entries.retain(|entry| !entry.owns_nothing());
        let (mut updaters, applies): (Vec<Entry>, Vec<Entry>) =
            self.entries.drain(..).partition(|entry| entry.owner.operation == Operation::Update);
        // The oldest is last.
        updaters.sort_by_cached_key(|entry| Reverse((entry.time.clone(), entry.owner.clone())));
        let mut kept = Vec::new();
        while updaters.len() + kept.len() > UPDATERS_MAX {
            let Some(old) = updaters.pop() else { break };
            merge_ancient(&mut kept, old);
        }
        for entry in kept {
            // There may be an ancient one that is younger than what was merged now.
            match updaters.iter_mut().find(|known| known.owner.is(&entry.owner)) {
                Some(known) => known.gain(&entry.set()),
                None => updaters.push(entry),
            }
        }
        self.entries = applies;
        self.entries.append(&mut updaters);
    }
}

/// Puts an old updater to the one of its version that was taken out before it, both under the name of the ancients; alone it stays
/// what it is.
fn merge_ancient(taken: &mut Vec<Entry>, old: Entry) {
    match taken.iter_mut().find(|entry| entry.owner.api_version == old.owner.api_version) {
        Some(first) => {
            ANCIENT.clone_into(&mut first.owner.manager);
            first.owner.subresource.clear();
            first.gain(&old.set());
            first.time = old.time;
        }
        None => taken.push(old),
    }
}
