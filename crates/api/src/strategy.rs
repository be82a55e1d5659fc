//! What a kind does with its objects on the write path: defaults, preparation, validation, warnings, deletion, selectable fields.
//!
//! The server drives it for every resource in this order (A62, A310):
//! decode → [`Strategy::default`] → (`View::to_stored`) → mutating admission → [`before_create`] or [`before_update`] (metadata, preparation,
//! validation; what upstream calls BeforeCreate and BeforeUpdate) → validating admission → store.
//! Not here: names, labels, owners, finalizers ([`crate::meta`]), which all kinds share.
//!
//! Invariants: strategies are pure and see objects of the *stored* version in canonical form (only `default` sees the request's version);
//! `prepare_*` never fail; `validate_*` never change; `validate_update` runs the create rules too where upstream does.

use jiff::Timestamp;
use serde_json::Value;

use crate::Object;
use crate::field::Error;
use crate::meta;
use crate::registry::{Durability, Resource};
use crate::value::{Read, remove, set};

/// Who asks, for the few kinds that record it (certificate requests).
#[derive(Clone, Debug, Default)]
pub struct Requester {
    /// User name.
    pub user: String,
    /// User's uid.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra attributes, by key.
    pub extra: Vec<(String, Vec<String>)>,
}

/// What a write needs to know beside the objects. Times and random parts are given, never taken.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Empty for the main resource.
    pub subresource: &'a str,
    /// Namespace of the request, empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// Now, to be cut to seconds.
    pub now: Timestamp,
    /// The uid of a new object.
    pub uid: &'a str,
    /// Five characters of [`meta::NAME_ALPHABET`] for generated names.
    pub suffix: &'a str,
    /// Who asks.
    pub requester: Option<&'a Requester>,
}

/// The behaviour of a kind. Every method has the behaviour of a plain stored object as its default.
pub trait Strategy: Send + Sync {
    /// Fills what a client may leave out. Also run when a stored object is read for comparison, so it must be idempotent.
    fn default(&self, _object: &mut Object) {}

    /// Resets what clients may not set on create. The generic part (status, generation) has been done.
    fn prepare_for_create(&self, _object: &mut Object, _context: &Context<'_>) {}

    /// The rules of a new object, metadata excluded.
    fn validate(&self, _object: &Object) -> Vec<Error> {
        Vec::new()
    }

    /// Restores what an update may not touch. The generic part (status or spec kept, generation) is [`prepare_update`].
    fn prepare_for_update(&self, resource: &Resource, new: &mut Object, old: &Object, context: &Context<'_>) {
        prepare_update(resource, new, old, context);
    }

    /// The rules of a change, metadata excluded. `subresource` is empty for the main resource.
    fn validate_update(&self, new: &Object, _old: &Object, subresource: &str) -> Vec<Error> {
        if subresource.is_empty() { self.validate(new) } else { Vec::new() }
    }

    /// Warnings for the client. `old` is absent on create.
    fn warnings(&self, _new: &Object, _old: Option<&Object>, _subresource: &str) -> Vec<String> {
        Vec::new()
    }

    /// Seconds until the object may go, or nothing if the kind has no graceful deletion. `asked` is `gracePeriodSeconds`.
    fn grace(&self, _object: &Object, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// The value of a selectable field of a stored object; `None` for a label the kind does not have.
    fn select(&self, _object: &Object, _field: &str) -> Option<String> {
        None
    }

    /// Index topics of watches, such as `spec.nodeName=node-1`: a watch with that field selector is woken by these only.
    fn topics(&self, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    /// How soon this write must be durable.
    fn durability(&self, _new: &Object, _old: Option<&Object>, _subresource: &str) -> Durability {
        Durability::Now
    }

    /// How many times upstream checks the metadata of an update of the main resource: so many times a cause stands (A57).
    fn metadata_checks(&self) -> usize {
        3
    }

    /// The name itself, beyond the syntax of the row's [`crate::registry::NameRule`].
    fn validate_name(&self, _name: &str) -> Vec<String> {
        Vec::new()
    }
}

/// A kind that is only stored.
#[derive(Debug)]
pub struct Plain;

impl Strategy for Plain {}

/// The one [`Plain`].
pub static PLAIN: Plain = Plain;

/// The generic preparation of an update: the main resource keeps the old status, `status` keeps everything but status and metadata, and
/// a change of anything but metadata and status counts as a generation where the row says so (A43, A64).
pub fn prepare_update(resource: &Resource, new: &mut Object, old: &Object, context: &Context<'_>) {
    match context.subresource {
        "" if resource.status => keep(new, old, "status"),
        "status" => keep_all_but_status(new, old),
        _ => {}
    }
    if resource.generation {
        let mut generation = old.int("metadata.generation").unwrap_or(0);
        if context.subresource.is_empty() && differs_beyond_metadata(new, old) {
            generation += 1;
        }
        meta::set_generation(new, generation);
    }
}

/// Puts the old object's top-level member in place of the new one's.
pub fn keep(new: &mut Object, old: &Object, member: &str) {
    match old.get(member) {
        Some(value) => set(new, member, value.clone()),
        None => drop(remove(new, member)),
    }
}

fn keep_all_but_status(new: &mut Object, old: &Object) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    new.retain(|key, _| matches!(key.as_str(), "metadata" | "status" | "kind" | "apiVersion"));
    for (key, value) in old {
        if !matches!(key.as_str(), "metadata" | "status" | "kind" | "apiVersion") {
            new.insert(key.clone(), value.clone());
        }
    }
}

/// Whether anything but metadata, status, kind and apiVersion differs (nil and empty lists and maps are the same, R16).
pub fn differs_beyond_metadata(new: &Object, old: &Object) -> bool {
    let (Some(a), Some(b)) = (new.as_object(), old.as_object()) else { return new != old };
    let counts = |key: &&String| !matches!(key.as_str(), "metadata" | "status" | "kind" | "apiVersion");
    a.keys().filter(counts).chain(b.keys().filter(counts)).any(|key| !same(a.get(key), b.get(key)))
}

/// Semantic equality (R16): absent, null, `[]` and `{}` are one, everything else is compared by value.
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (solid(a), solid(b)) {
        (None, None) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| same(Some(value), b.get(key)))
                && b.iter().all(|(key, value)| a.contains_key(key) || solid(Some(value)).is_none())
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

fn solid(value: Option<&Value>) -> Option<&Value> {
    value.filter(|v| match v {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    })
}

/// Prepares and checks a new object; what remains is validating admission and the write. Answers the warnings, or the
/// errors for an `Invalid` answer.
pub fn before_create(
    resource: &'static Resource,
    object: &mut Object,
    context: &Context<'_>,
) -> Result<Vec<String>, Vec<Error>> {
    meta::prepare_create(resource, object, context);
    // A node may be registered with its status (A340).
    if resource.status && resource.kind != "Node" {
        drop(remove(object, "status"));
    }
    if resource.generation {
        meta::set_generation(object, 1);
    }
    let stored = resource.stored();
    stored.strategy.prepare_for_create(object, context);
    let mut errors = stored.strategy.validate(object);
    let mut all = meta::validate_create(resource, object);
    all.append(&mut errors);
    if !all.is_empty() {
        return Err(all);
    }
    let mut warnings = meta::warnings(object);
    warnings.extend(stored.strategy.warnings(object, None, ""));
    if resource.stored_only {
        warnings.push(format!("{} objects are stored, but nothing in everynode acts on them", resource.kind));
    }
    Ok(warnings)
}

/// Prepares and checks a change of the main resource or a subresource. Answers the warnings.
pub fn before_update(
    resource: &'static Resource,
    new: &mut Object,
    old: &Object,
    context: &Context<'_>,
) -> Result<Vec<String>, Vec<Error>> {
    let stored = resource.stored();
    meta::prepare_update(resource, new, old);
    stored.strategy.prepare_for_update(stored, new, old, context);
    let mut all = meta::validate_update(resource, new, old, context.subresource);
    all.extend(stored.strategy.validate_update(new, old, context.subresource));
    if !all.is_empty() {
        return Err(all);
    }
    let mut warnings = meta::warnings(new);
    warnings.extend(stored.strategy.warnings(new, Some(old), context.subresource));
    Ok(warnings)
}

/// The value of a selectable field of a stored object (A98): metadata for every kind, the row's own fields by its strategy.
/// `None`: the label is not selectable for this kind.
pub fn select(resource: &'static Resource, object: &Object, field: &str) -> Option<String> {
    match field {
        "metadata.name" => Some(object.text_or_empty("metadata.name").to_owned()),
        "metadata.namespace" if resource.namespaced => Some(object.text_or_empty("metadata.namespace").to_owned()),
        _ if resource.selectable.contains(&field) => Some(
            resource.stored().strategy.select(object, field).unwrap_or_else(|| object.text_or_empty(field).to_owned()),
        ),
        _ => None,
    }
}
