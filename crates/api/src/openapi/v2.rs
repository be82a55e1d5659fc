//! The Swagger 2.0 document: one for everything (A38), as JSON, and its schemas in the protobuf form that kubectl asks for.

use serde_json::{Map, Value, json};

use crate::codec::{proto::wire, yaml};

use super::{Dialect, by_version, closure, paths, roots, schema_name, schemas};
use crate::codec::json::encode_any;

/// The document. It is made anew with each call; the caller keeps it.
pub fn document() -> Vec<u8> {
    let resources: Vec<_> = by_version().into_values().flatten().collect();
    let mut items = Map::new();
    for resource in &resources {
        paths::of_resource(resource, Dialect::V2, &mut items);
    }
    let definitions: Map<String, Value> = definitions().collect();
    encode_any(&json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": items,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
        "security": [{"BearerToken": []}],
    }))
}

/// The name and schema of each definition.
fn definitions() -> impl Iterator<Item = (String, Value)> {
    let resources: Vec<_> = by_version().into_values().flatten().collect();
    closure(roots(&resources)).into_iter().map(|id| (schema_name(id.get()), schemas::of_shape(id.get(), Dialect::V2)))
}

/// The document as a message of `openapi.v2.Document`, without its paths: `explain` and client-side validation read only definitions.
pub fn document_message() -> Vec<u8> {
    let mut info = Vec::new();
    wire::string(&mut info, 1, "Kubernetes");
    wire::string(&mut info, 2, "v1.36.2");
    let mut all = Vec::new();
    for (name, schema) in definitions() {
        named_schema(&mut all, &name, &schema);
    }
    let mut out = Vec::with_capacity(all.len() + 64);
    wire::string(&mut out, 1, "2.0");
    wire::bytes(&mut out, 2, &info);
    wire::bytes(&mut out, 8, &[]);
    wire::bytes(&mut out, 9, &all);
    out
}

/// `NamedSchema`, as field 1 of definitions and of properties.
fn named_schema(out: &mut Vec<u8>, name: &str, schema: &Value) {
    let mut named = Vec::new();
    wire::string(&mut named, 1, name);
    wire::bytes(&mut named, 2, &schema_message(schema));
    wire::bytes(out, 1, &named);
}

fn schema_message(schema: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Value::Object(members) = schema else { return out };
    for (key, value) in members {
        match (key.as_str(), value) {
            ("$ref", Value::String(text)) => wire::string(&mut out, 1, text),
            ("format", Value::String(text)) => wire::string(&mut out, 2, text),
            ("description", Value::String(text)) => wire::string(&mut out, 4, text),
            ("default", value) => wire::bytes(&mut out, 5, &any_message(value)),
            ("required", Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    wire::string(&mut out, 19, name);
                }
            }
            ("enum", Value::Array(values)) => {
                for value in values {
                    wire::bytes(&mut out, 20, &any_message(value));
                }
            }
            ("additionalProperties", inner) => {
                let mut item = Vec::new();
                wire::bytes(&mut item, 1, &schema_message(inner));
                wire::bytes(&mut out, 21, &item);
            }
            ("type", Value::String(text)) => {
                let mut item = Vec::new();
                wire::string(&mut item, 1, text);
                wire::bytes(&mut out, 22, &item);
            }
            ("items", inner) => {
                let mut item = Vec::new();
                wire::bytes(&mut item, 1, &schema_message(inner));
                wire::bytes(&mut out, 23, &item);
            }
            ("properties", Value::Object(properties)) => {
                let mut item = Vec::new();
                for (name, schema) in properties {
                    named_schema(&mut item, name, schema);
                }
                wire::bytes(&mut out, 25, &item);
            }
            (key, value) if key.starts_with("x-") => {
                let mut named = Vec::new();
                wire::string(&mut named, 1, key);
                wire::bytes(&mut named, 2, &any_message(value));
                wire::bytes(&mut out, 31, &named);
            }
            _ => {}
        }
    }
    out
}

/// `Any`: its value as YAML text.
fn any_message(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    wire::bytes(&mut out, 2, &yaml::encode(value));
    out
}
