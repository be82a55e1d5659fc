//! The forms of an object on its way between the store and a handler: as it is stored, as strategies work on it, as its own
//! version says it, and how soon its write must be on disk. What they are is said by its row of the registry.

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::codec::{json, normalise};
use everynode_api::resource::{Resource, Storage};
use everynode_api::schema::{self, Shape};
use everynode_api::status::Status;
use everynode_api::strategy;
use everynode_store::{Durability, Entry};

use crate::stored;

/// The shape of a row's objects.
pub(crate) fn shape(row: &Resource) -> Result<&'static Shape, Status> {
    shape_named(row.shape)
}

/// A shape by its name.
pub(crate) fn shape_named(name: &str) -> Result<&'static Shape, Status> {
    schema::table().shape(name).ok_or_else(|| Status::internal(format!("there is no shape {name}")))
}

/// A stored object in the form that strategies work on.
pub(crate) fn normal(row: &Resource, entry: &Entry) -> Result<Object, Status> {
    let mut object = stored::parse(&entry.value);
    normalise(&mut object, shape(row)?);
    Ok(object)
}

/// A stored buffer as an object of the row's own version.
pub(crate) fn present(row: &Resource, buffer: &Bytes) -> Bytes {
    let Storage::View(view) = row.storage else { return buffer.clone() };
    let mut object = stored::parse(buffer);
    (view.from_stored)(&mut object);
    match shape(row) {
        Ok(shape) => {
            let mut bytes = json::encode(&object, shape);
            bytes.push(b'\n');
            Bytes::from(bytes)
        }
        Err(_) => buffer.clone(),
    }
}

/// How soon a write must be durable.
pub(crate) fn durability(row: &Resource, new: &Object, old: Option<&Object>, subresource: &str) -> Durability {
    match row.strategy.durability(new, old, subresource) {
        strategy::Durability::Now => Durability::Now,
        strategy::Durability::Lazy => Durability::Lazy,
    }
}
