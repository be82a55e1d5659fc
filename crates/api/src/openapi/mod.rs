//! OpenAPI documents, made on demand from the table of shapes and the registry (A33–A39).
//!
//! As much as kubectl's validation, `explain` and `apply` read: schemas with list, map and patch semantics, and paths with their
//! group, version, kind and query parameters. Descriptions are our own, for what people look up most. Not here: HTTP, custom resources.

mod paths;
mod schemas;
#[cfg(test)]
mod tests;
pub mod v2;
pub mod v3;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    registry,
    resource::Resource,
    schema::{Body, Shape, ShapeId, Type, table},
};

/// Which of the two document forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// Where a schema is referred to.
    fn reference(self, shape: &Shape) -> String {
        let base = if self == Dialect::V2 { "#/definitions/" } else { "#/components/schemas/" };
        format!("{base}{}", schema_name(shape))
    }
}

/// The name of a schema in documents: `io.k8s.api.apps.v1.DaemonSet`.
pub fn schema_name(shape: &Shape) -> String {
    let (folder, name) = (shape.folder(), shape.name);
    let rest = name.strip_prefix(folder).unwrap_or(name);
    match folder {
        "meta" => format!("io.k8s.apimachinery.pkg.apis.meta{rest}"),
        "resource" if shape.version() == "resource" => format!("io.k8s.apimachinery.pkg.api.resource{rest}"),
        "intstr" => format!("io.k8s.apimachinery.pkg.util.intstr{rest}"),
        "runtime" => format!("io.k8s.apimachinery.pkg.runtime{rest}"),
        "apiextensions" => format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions{rest}"),
        "apiregistration" => format!("io.k8s.kube-aggregator.pkg.apis.apiregistration{rest}"),
        _ => format!("io.k8s.api.{name}"),
    }
}

/// Whether a shape has a schema of its own; aliases are spelled out where they are used.
fn has_schema(shape: &Shape) -> bool {
    !matches!(shape.body, Body::Alias(_))
}

/// All shapes that the given ones are made of, themselves included.
fn closure(roots: impl IntoIterator<Item = ShapeId>) -> BTreeSet<ShapeId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<ShapeId> = roots.into_iter().collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            for field in id.get().members() {
                named_in(field.ty, &mut open);
            }
            // Their JSON form holds schemas again.
            if let Body::Alias(to) = id.get().body {
                named_in(to, &mut open);
            }
        }
    }
    found.retain(|id| has_schema(id.get()));
    found
}

fn named_in(ty: Type, open: &mut Vec<ShapeId>) {
    match ty {
        Type::Shape(id) => open.push(id),
        Type::Pointer(inner) | Type::List(inner) => named_in(*inner, open),
        Type::Map(map) => named_in(map.value, open),
        _ => {}
    }
}

/// The shapes that the paths of resources speak of.
fn roots(resources: &[&'static Resource]) -> Vec<ShapeId> {
    let mut names: BTreeSet<String> =
        ["meta.v1.DeleteOptions", "meta.v1.Status", "meta.v1.WatchEvent", "meta.v1.APIResourceList", "meta.v1.Patch"]
            .iter()
            .map(|n| (*n).to_owned())
            .collect();
    for resource in resources {
        names.insert(resource.shape.to_owned());
        names.insert(format!("{}List", resource.shape));
        names.extend(resource.subresources.iter().filter_map(|s| s.body).map(|b| b.shape.to_owned()));
    }
    names.iter().filter_map(|name| table().shape(name)).map(|shape| shape.id).collect()
}

/// The resources of each group and version; the key is the path of its document: `api/v1`, `apis/apps/v1`.
fn by_version() -> BTreeMap<String, Vec<&'static Resource>> {
    let mut versions: BTreeMap<String, Vec<&'static Resource>> = BTreeMap::new();
    for resource in registry::all() {
        versions.entry(document_path(resource)).or_default().push(resource);
    }
    versions
}

/// `api/v1`, `apis/apps/v1`
fn document_path(resource: &Resource) -> String {
    if resource.group.is_empty() {
        format!("api/{}", resource.version)
    } else {
        format!("apis/{}/{}", resource.group, resource.version)
    }
}
