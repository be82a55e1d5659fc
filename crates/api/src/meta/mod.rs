//! Rules about metadata that hold for every kind (A40–A59): what the server owns, names, labels, annotations, owners, finalizers.
//!
//! Not here: managedFields, preconditions of a request (the server), the names of single kinds (their strategies).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::names;
use crate::resource::{NameRule, Resource};
use crate::schema::table;
use crate::strategy::Context;
use crate::value::{Read, remove, same, set};

/// The letters of random name suffixes: no vowels, no look-alikes.
pub const NAME_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a random suffix.
pub const SUFFIX_LEN: usize = 5;
/// Bytes of a generated name's base that are kept.
const GENERATED_BASE: usize = 58;
/// Bytes of all annotations of an object.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// A random suffix from a seed, for [`Context::suffix`].
pub fn suffix(mut seed: u64) -> String {
    (0..SUFFIX_LEN)
        .map(|_| {
            let letter = NAME_ALPHABET[usize::try_from(seed % 27).unwrap_or_default()];
            seed /= 27;
            char::from(letter)
        })
        .collect()
}

/// Sets `metadata.generation`; zero leaves it out.
pub fn set_generation(object: &mut Object, generation: i64) {
    if generation == 0 {
        drop(remove(object, "metadata.generation"));
    } else {
        set(object, "metadata.generation", generation);
    }
}

/// Sets what the server owns on a new object: uid, creation time, generated name, namespace (A40–A51).
pub fn prepare_create(resource: &Resource, object: &mut Object, context: &Context<'_>) {
    for member in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove(member);
        }
    }
    set(object, "metadata.uid", context.uid);
    set(object, "metadata.creationTimestamp", crate::time::format(context.now));
    if !resource.namespaced {
        drop(remove(object, "metadata.namespace"));
    } else if !context.namespace.is_empty() {
        set(object, "metadata.namespace", context.namespace);
    }
    if object.text_or_empty("metadata.name").is_empty()
        && let Some(base) = object.text("metadata.generateName").filter(|base| !base.is_empty())
    {
        let mut cut = base.len().min(GENERATED_BASE);
        while !base.is_char_boundary(cut) {
            cut -= 1;
        }
        let name = format!("{}{}", &base[..cut], context.suffix);
        set(object, "metadata.name", name);
    }
    dedup_owners(object);
}

/// Puts back what an update may not change silently: uid if left out, creation time, generation of kinds that do not count (A41, A43).
pub fn prepare_update(resource: &Resource, new: &mut Object, old: &Object) {
    for member in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let field = format!("metadata.{member}");
        if new.is_zero(&field)
            && let Some(value) = old.at(&field)
        {
            set(new, &field, value.clone());
        }
    }
    match old.at("metadata.creationTimestamp") {
        Some(value) => set(new, "metadata.creationTimestamp", value.clone()),
        None => drop(remove(new, "metadata.creationTimestamp")),
    }
    if new.is_zero("metadata.generation") || resource.generation {
        set_generation(new, old.int("metadata.generation").unwrap_or(0));
    }
    drop(remove(new, "metadata.selfLink"));
    dedup_owners(new);
}

/// Removes owner references of a uid that stands already (A55).
fn dedup_owners(object: &mut Object) {
    let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else { return };
    let mut seen = BTreeSet::new();
    owners.retain(|owner| seen.insert(owner.text_or_empty("uid").to_owned()));
}

/// The warning about owner references that stand twice, to be asked before they are removed (A55).
pub fn duplicate_owner_warning(object: &Object) -> Option<String> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = object
        .list("metadata.ownerReferences")
        .iter()
        .map(|o| o.text_or_empty("uid"))
        .filter(|uid| !seen.insert(*uid))
        .collect();
    (!twice.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such \
             requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

/// Warnings about metadata alone.
pub fn warnings(_object: &Object) -> Vec<String> {
    Vec::new()
}

/// The rules of a new object's metadata.
pub fn validate_create(resource: &Resource, object: &Object) -> Vec<Error> {
    let at = Path::new("metadata");
    let mut errors = Vec::new();
    let generate = object.text_or_empty("metadata.generateName");
    if !generate.is_empty() {
        let prefix = match resource.names {
            NameRule::PathSegment => generate.to_owned(),
            NameRule::Subdomain | NameRule::Label => names::as_prefix(generate),
        };
        let field = at.child("generateName");
        errors.extend(check_name(resource, &prefix).into_iter().map(|text| Error::invalid(&field, generate, text)));
    }
    let name = object.text_or_empty("metadata.name");
    if name.is_empty() {
        errors.push(Error::required(&at.child("name"), "name or generateName is required"));
    } else {
        errors.extend(check_name(resource, name).into_iter().map(|text| Error::invalid(&at.child("name"), name, text)));
    }
    let namespace = object.text_or_empty("metadata.namespace");
    if resource.namespaced {
        if namespace.is_empty() {
            errors.push(Error::required(&at.child("namespace"), ""));
        } else {
            errors.extend(
                names::label(namespace).into_iter().map(|text| Error::invalid(&at.child("namespace"), namespace, text)),
            );
        }
    } else if !namespace.is_empty() {
        errors.push(Error::forbidden(&at.child("namespace"), "not allowed on this type"));
    }
    validate_rest(resource, object, &at, &mut errors);
    errors
}

fn check_name(resource: &Resource, name: &str) -> Vec<String> {
    let mut out = match resource.names {
        NameRule::Subdomain => names::subdomain(name),
        NameRule::Label => names::label(name),
        NameRule::PathSegment => names::path_segment(name),
    };
    out.extend(resource.strategy.validate_name(name));
    out
}

fn validate_rest(resource: &Resource, object: &Object, at: &Path, errors: &mut Vec<Error>) {
    if let Some(generation) = object.int("metadata.generation").filter(|g| *g < 0) {
        errors.push(Error::invalid(&at.child("generation"), generation, "must be greater than or equal to 0"));
    }
    validate_labels(object.at("metadata.labels"), &at.child("labels"), errors);
    validate_annotations(object.at("metadata.annotations"), &at.child("annotations"), errors);
    validate_owners(object.list("metadata.ownerReferences"), &at.child("ownerReferences"), errors);
    validate_finalizers(
        object.list("metadata.finalizers"),
        resource.strict_finalizers,
        &at.child("finalizers"),
        errors,
    );
}

/// Keys and values of a label map (A52, A53).
pub fn validate_labels(labels: Option<&Value>, at: &Path, errors: &mut Vec<Error>) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        errors.extend(names::label_key(key).into_iter().map(|text| Error::invalid(at, key.as_str(), text)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(names::label_value(value).into_iter().map(|text| Error::invalid(at, value, text)));
    }
}

/// Keys of an annotation map, lower-cased first, and the size of it (A52, A54).
pub fn validate_annotations(annotations: Option<&Value>, at: &Path, errors: &mut Vec<Error>) {
    let mut total = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        errors.extend(
            names::qualified_name(&key.to_lowercase()).into_iter().map(|text| Error::invalid(at, key.as_str(), text)),
        );
        total += key.len() + value.as_str().map_or(0, str::len);
    }
    if total > ANNOTATIONS_MAX {
        errors.push(Error::too_long(at, ANNOTATIONS_MAX));
    }
}

fn validate_owners(owners: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let mut controller: Option<&Value> = None;
    for owner in owners {
        let api_version = owner.text_or_empty("apiVersion");
        let version = match api_version.split_once('/') {
            Some((_, version)) if version.contains('/') => "",
            Some((_, version)) => version,
            None => api_version,
        };
        if version.is_empty() {
            errors.push(Error::invalid(&at.child("apiVersion"), api_version, "version must not be empty"));
        }
        for member in ["kind", "name", "uid"] {
            if owner.text_or_empty(member).is_empty() {
                errors.push(Error::invalid(&at.child(member), "", "must not be empty"));
            }
        }
        if api_version == "v1" && owner.text("kind") == Some("Event") {
            errors.push(shaped(
                at,
                owner,
                "meta.v1.OwnerReference",
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.is_true("controller") {
            if let Some(first) = controller {
                let name = |o: &Value| format!("{}/{}", o.text_or_empty("kind"), o.text_or_empty("name"));
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    name(first),
                    name(owner)
                );
                let ty = table().shape("meta.v1.ObjectMeta").and_then(|s| s.member("ownerReferences")).map(|m| m.ty);
                errors.push(ty.map_or_else(
                    || Error::invalid(at, json!(owners), detail.as_str()),
                    |ty| Error::invalid_shaped(at, &json!(owners), ty, detail.as_str()),
                ));
            }
            controller = Some(owner);
        }
    }
}

/// An `Invalid value` whose members print in the order of a shape.
pub(crate) fn shaped(at: &Path, value: &Value, shape: &str, detail: impl Into<String>) -> Error {
    let detail = detail.into();
    let mut error = Error::invalid(at, value.clone(), detail);
    if let (Some(shape), true) = (table().shape(shape), value.is_object()) {
        let text = crate::codec::json::encode(value, shape);
        error.value = Some(String::from_utf8_lossy(&text).trim_end().to_owned());
    }
    error
}

fn validate_finalizers(finalizers: &[Value], strict: bool, at: &Path, errors: &mut Vec<Error>) {
    let standard = |name: &str| matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
    for (i, finalizer) in finalizers.iter().filter_map(Value::as_str).enumerate() {
        let violations = names::qualified_name(finalizer);
        errors.extend(violations.into_iter().map(|text| Error::invalid(at, finalizer, text)));
        if strict && !finalizer.contains('/') && !standard(finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&at.index(i), finalizer, detail));
        }
    }
    let has = |name: &str| finalizers.iter().any(|f| f.as_str() == Some(name));
    if has("orphan") && has("foregroundDeletion") {
        errors.push(Error::invalid(
            at,
            json!(finalizers),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

/// The rules of a change of metadata (A43, A45, A56, A57). Upstream checks in the generic update, then in the kind's own, and there often
/// twice; a cause stands as many times.
pub fn validate_update(resource: &Resource, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
    let at = Path::new("metadata");
    let mut errors = Vec::new();
    let checks = if subresource.is_empty() { resource.strategy.metadata_checks() } else { 2 };
    for check in 0..checks {
        if check < 2 {
            for member in
                ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
            {
                immutable(new, old, member, &at, &mut errors);
            }
            new_finalizers(new, old, &at, &mut errors);
            let generation = |o: &Object| o.int("metadata.generation").unwrap_or(0);
            if generation(new) < generation(old) {
                errors.push(Error::invalid(&at.child("generation"), generation(new), "must not be decremented"));
            }
        }
        validate_rest(resource, new, &at, &mut errors);
    }
    errors
}

fn immutable(new: &Object, old: &Object, member: &str, at: &Path, errors: &mut Vec<Error>) {
    let field = format!("metadata.{member}");
    let (a, b) = (new.at(&field), old.at(&field));
    if !same(a, b) {
        errors.push(Error::invalid(&at.child(member), a.cloned().unwrap_or(Value::Null), "field is immutable"));
    }
}

fn new_finalizers(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    if old.at("metadata.deletionTimestamp").is_none() {
        return;
    }
    let before: BTreeSet<&str> = old.list("metadata.finalizers").iter().filter_map(Value::as_str).collect();
    let added: Vec<String> = new
        .list("metadata.finalizers")
        .iter()
        .filter_map(Value::as_str)
        .filter(|f| !before.contains(f))
        .map(crate::quote::go_quote)
        .collect();
    if !added.is_empty() {
        let list = added.join(", ");
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
        );
        errors.push(Error::forbidden(&at.child("finalizers"), detail));
    }
}
