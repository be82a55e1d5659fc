//! WIRE: Kubernetes shapes as one table, and all that follows from it: codecs, patches, OpenAPI, defaulting, validation, tables.
//!
//! Pure: no sockets, no async, no clock; time and random seeds are arguments. An object is a [`serde_json::Value`] ([`Object`])
//! in *normal form* ([`codec`]); at rest and on the wire it is canonical JSON.

pub mod admission;
pub mod apply;
pub mod codec;
pub mod daemonset;
pub mod deletion;
pub mod field;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod node_access;
pub mod openapi;
pub mod patch;
pub mod project;
pub mod quantity;
pub mod quote;
pub mod rbac;
pub mod registry;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod table;
pub mod time;
pub mod value;
pub mod write;

/// An API object on the write path: decoded and checked against the table of shapes, no typed struct behind it.
pub type Object = serde_json::Value;
