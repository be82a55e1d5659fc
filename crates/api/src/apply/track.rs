//! Ownership under every write that is no apply (A152, A155–A157): who changes a field owns it from then on, alone.
//!
//! Fields that the endpoint resets are not looked at (A156), nor is what the server writes itself afterwards (admission, preparation).
//! A write that changes nothing leaves the entries as they are; one that changes only what its manager owns already (a heartbeat) moves
//! a time and reads no set.

use std::sync::LazyLock;

use serde_json::Value;

use super::managers::{Entry, Managers, Operation, Owner};
use super::place::nothing;
use super::set::Set;
use super::walk::{Reading, compare};
use crate::Object;
use crate::resource::Resource;
use crate::schema::Shape;
use crate::value::{Read, remove, set};

const MANAGED: &str = "metadata.managedFields";

/// Who writes, when, through what.
#[derive(Clone, Debug)]
pub struct Writer<'w> {
    /// The manager's name (A73).
    pub manager: &'w str,
    /// The version of the kind.
    pub api_version: &'w str,
    /// The subresource; empty for the object itself.
    pub subresource: &'w str,
    /// The time, as on the wire.
    pub now: &'w str,
    /// Fields that the endpoint does not keep.
    pub resets: &'w Set,
}

impl Writer<'_> {
    pub(super) fn owner(&self, operation: Operation) -> Owner {
        let name = if self.manager.is_empty() { "unknown" } else { self.manager };
        Owner {
            manager: name.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }
}

/// The fields that an endpoint of a resource does not keep (A156).
pub fn resets(resource: &Resource, subresource: &str) -> Set {
    let fields: &[&[&str]] = match (resource.kind, subresource) {
        (_, "") if resource.status => &[&["status"]],
        ("Pod", "status") => &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]],
        (_, "status") => &[&["spec"]],
        _ => &[],
    };
    Set::of_paths(fields.iter().copied())
}

/// What nobody owns: who an object is, and what the server alone writes (A149).
pub(super) fn unowned() -> &'static Set {
    static UNOWNED: LazyLock<Set> = LazyLock::new(|| {
        let paths: [&[&str]; 12] = [
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ];
        Set::of_paths(paths)
    });
    &UNOWNED
}

/// Whether the same entries stand in both, whatever their times.
pub fn same_but_times(a: &Object, b: &Object) -> bool {
    let (a, b) = (a.list(MANAGED), b.list(MANAGED));
    let parts = ["manager", "operation", "apiVersion", "subresource", "fieldsV1"];
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| parts.iter().all(|part| a.get(part) == b.get(part)))
}

/// Records a write: sets the entries of `new`, which replaces `live` (`None`: it is created). What the client sent of them counts
/// only as far as it may (A157).
pub fn update(shape: &Shape, live: Option<&Object>, new: &mut Object, writer: &Writer<'_>) {
    let sent = remove(new, MANAGED);
    let stored = live.map_or(&[] as &[Value], |live| live.list(MANAGED));
    let (mut managers, replaced) = match accept(sent.as_ref(), stored, writer) {
        Accepted::Stored => (Managers::read(stored).unwrap_or_default(), false),
        Accepted::Sent(managers) => (managers, true),
    };
    if live.is_some() && managers.is_empty() {
        // Once nobody owns anything, only an apply starts to track again.
        return;
    }
    let diff = compare(shape, live.unwrap_or(nothing()), new, Reading::Shown).without_fields(writer.resets);
    if diff.is_empty() && !replaced {
        set(new, MANAGED, stored.to_vec());
        return;
    }
    record(&mut managers, &diff.set(), &diff.removed, writer);
    managers.cap();
    let list = managers.write();
    if !list.is_empty() {
        set(new, MANAGED, list);
    }
}

/// Gives what was set to the writer, and takes what was set or removed from everybody else.
pub(super) fn record(managers: &mut Managers, changed: &Set, removed: &Set, writer: &Writer<'_>) {
    let owner = writer.owner(Operation::Update);
    for entry in managers.others_mut(&owner).filter(|entry| entry.owner.api_version == writer.api_version) {
        entry.lose(changed);
        entry.lose(removed);
    }
    if let Some(own) = managers.of_mut(&owner) {
        own.lose(removed);
    }
    let gained = changed.difference(unowned());
    if gained.is_empty() {
        return;
    }
    match managers.of_mut(&owner) {
        Some(own) => {
            own.gain(&gained);
            own.time = Some(writer.now.to_owned());
        }
        None => managers.entries.push(Entry::new(owner, Some(writer.now.to_owned()), &gained)),
    }
}

enum Accepted {
    /// The stored entries go on.
    Stored,
    /// The client rewrites them.
    Sent(Managers),
}

fn accept(sent: Option<&Value>, stored: &[Value], writer: &Writer<'_>) -> Accepted {
    let Some(Value::Array(sent)) = sent.filter(|_| writer.subresource.is_empty()) else { return Accepted::Stored };
    if sent.as_slice() == stored && !stored.is_empty() {
        return Accepted::Stored;
    }
    if is_reset(sent) {
        return Accepted::Sent(Managers::default());
    }
    match Managers::read_sent(sent) {
        Ok(managers) if !managers.is_empty() => Accepted::Sent(managers),
        _ => Accepted::Stored,
    }
}

/// `[]` and `[{}]` clear all.
fn is_reset(sent: &[Value]) -> bool {
    match sent {
        [] => true,
        [Value::Object(only)] => only.values().all(crate::value::is_zero),
        _ => false,
    }
}
