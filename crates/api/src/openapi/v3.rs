//! The OpenAPI 3.0 documents: one for each group and version (A33–A37).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use super::{Dialect, by_version, closure, paths, roots, schema_name, schemas, words};
use crate::codec::json::encode_any;

/// The paths of all documents, without a leading slash: `api/v1`, `apis/apps/v1`, `version`, …
pub fn paths() -> Vec<String> {
    let mut all: Vec<String> = by_version().into_keys().collect();
    all.push("version".to_owned());
    all.sort();
    all
}

/// The document of a path of [`paths`], as JSON. It is made anew with each call; the caller keeps it.
pub fn document(path: &str) -> Option<Vec<u8>> {
    if path == "version" {
        return Some(encode_any(&version()));
    }
    let resources = by_version().remove(path)?;
    let mut items = Map::new();
    for resource in &resources {
        paths::of_resource(resource, Dialect::V3, &mut items);
    }
    let components: Map<String, Value> = closure(roots(&resources))
        .into_iter()
        .map(|id| (schema_name(id.get()), schemas::of_shape(id.get(), Dialect::V3)))
        .collect();
    Some(encode_any(&wrapped(items.into(), components.into())))
}

fn wrapped(paths: Value, components: Value) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths,
        "components": {"schemas": components},
    })
}

fn version() -> Value {
    let answer = json!({"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}});
    wrapped(
        json!({"/version/": {"get": {"operationId": "getCodeVersion", "tags": ["version"], "responses": answer}}}),
        json!({}),
    )
}

/// The hash of a document: changes when what it is made of changes. Upper-case hexadecimal, 128 digits. Does not make the document.
pub fn hash(path: &str) -> String {
    /// What all documents are made of.
    static COMMON: LazyLock<[u8; 64]> = LazyLock::new(|| {
        let mut digest = Sha512::new();
        for part in [env!("CARGO_PKG_VERSION"), include_str!("../schema/table.txt"), words::TEXT] {
            digest.update(part);
            digest.update([0]);
        }
        digest.finalize().into()
    });
    let mut digest = Sha512::new();
    digest.update(*COMMON);
    digest.update(path);
    for resource in by_version().get(path).map_or(&[][..], Vec::as_slice) {
        digest.update(format!("{resource:?} {} {:?} {:?}", resource.kind, resource.verbs, resource.subresources));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}
