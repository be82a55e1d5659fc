//! The order in which a write meets the rules that all kinds share and those of its own kind.
//!
//! The server drives it for every resource (A62, A310): decode → [`default`](crate::strategy::Strategy::default) → (`View::to_stored`) →
//! mutating admission → [`before_create`] or [`before_update`] (metadata, preparation, validation; what upstream calls BeforeCreate and
//! BeforeUpdate) → validating admission → store.

use crate::field::Error;
use crate::resource::Resource;
use crate::strategy::Context;
use crate::value::{Read, keep, remove, same};
use crate::{Object, meta};

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
    prepare_update(stored, new, old, context);
    stored.strategy.prepare_for_update(new, old, context);
    let mut all = meta::validate_update(resource, new, old, context.subresource);
    all.extend(stored.strategy.validate_update(new, old, context.subresource));
    if !all.is_empty() {
        return Err(all);
    }
    let mut warnings = meta::warnings(new);
    warnings.extend(stored.strategy.warnings(new, Some(old), context.subresource));
    Ok(warnings)
}

/// The generic preparation of an update: the main resource keeps the old status, `status` keeps everything but status and metadata, and
/// a change of anything but metadata and status counts as a generation where the row says so (A43, A64).
fn prepare_update(resource: &Resource, new: &mut Object, old: &Object, context: &Context<'_>) {
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
