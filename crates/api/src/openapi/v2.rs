//! The Swagger 2.0 document: one for everything (A38), as JSON. kubectl asks for its protobuf form only, which is not made.

use serde_json::{Map, Value, json};

use super::{Dialect, by_version, closure, paths, roots, schema_name, schemas};
use crate::codec::json::encode_any;

/// The document. It is made anew with each call; the caller keeps it.
pub fn document() -> Vec<u8> {
    let resources: Vec<_> = by_version().into_values().flatten().collect();
    let mut items = Map::new();
    for resource in &resources {
        paths::of_resource(resource, Dialect::V2, &mut items);
    }
    let definitions: Map<String, Value> = closure(roots(&resources))
        .into_iter()
        .map(|id| (schema_name(id.get()), schemas::of_shape(id.get(), Dialect::V2)))
        .collect();
    encode_any(&json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": items,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
        "security": [{"BearerToken": []}],
    }))
}
