//! The schema of a shape.

use serde_json::{Map, Value, json};

use super::{Dialect, has_schema, words};
use crate::{
    registry,
    schema::{Body, FieldDef, ListKind, MapKind, Omit, Shape, Special, Type, group_of},
};

/// String types that are closed sets; of the others the declared constants are only the well-known values.
const ENUMERATIONS: [&str; 31] = [
    "apps.v1.DaemonSetUpdateStrategyType",
    "apps.v1.DeploymentStrategyType",
    "apps.v1.PodManagementPolicyType",
    "apps.v1.StatefulSetUpdateStrategyType",
    "batch.v1.CompletionMode",
    "batch.v1.ConcurrencyPolicy",
    "batch.v1.PodFailurePolicyAction",
    "core.v1.DNSPolicy",
    "core.v1.HostPathType",
    "core.v1.MountPropagationMode",
    "core.v1.NamespacePhase",
    "core.v1.NodeInclusionPolicy",
    "core.v1.NodeSelectorOperator",
    "core.v1.PersistentVolumeAccessMode",
    "core.v1.PersistentVolumeReclaimPolicy",
    "core.v1.PodFSGroupChangePolicy",
    "core.v1.PodPhase",
    "core.v1.PodQOSClass",
    "core.v1.PreemptionPolicy",
    "core.v1.ProcMountType",
    "core.v1.Protocol",
    "core.v1.PullPolicy",
    "core.v1.RestartPolicy",
    "core.v1.SeccompProfileType",
    "core.v1.ServiceAffinity",
    "core.v1.ServiceType",
    "core.v1.TaintEffect",
    "core.v1.TerminationMessagePolicy",
    "core.v1.TolerationOperator",
    "core.v1.URIScheme",
    "core.v1.UnsatisfiableConstraintAction",
];

/// The schema of a shape, as it stands among the schemas of a document.
pub(super) fn of_shape(shape: &Shape, dialect: Dialect) -> Value {
    let mut schema = match shape.body {
        Body::Special(special) => of_special(special, dialect),
        Body::Struct | Body::Alias(_) => of_struct(shape, dialect),
    };
    if let Some(text) = words::of_type(shape) {
        schema["description"] = text.into();
    }
    if shape.is_kind {
        schema["x-kubernetes-group-version-kind"] = kinds_of(shape);
    }
    if shape.map == Some(MapKind::Atomic) {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    schema
}

/// The options of the meta group and `Status` are kinds of every version, or of the legacy one.
fn kinds_of(shape: &Shape) -> Value {
    let kind = |group: &str, version: &str| json!({"group": group, "version": version, "kind": shape.short_name()});
    if shape.folder() != "meta" {
        return json!([kind(group_of(shape.folder()).unwrap_or_default(), shape.version())]);
    }
    if shape.short_name() == "Status" {
        return json!([kind("", "v1")]);
    }
    registry::groups().iter().flat_map(|group| group.versions.iter().map(|version| kind(group.name, version))).collect()
}

fn of_special(special: Special, dialect: Dialect) -> Value {
    match (special, dialect) {
        (Special::Time | Special::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        (Special::Duration, _) | (Special::Quantity, Dialect::V2) => json!({"type": "string"}),
        (Special::Quantity, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Special::IntOrString, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Special::IntOrString, Dialect::V3) => {
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
        }
        (Special::Fields | Special::Raw, _) => json!({"type": "object"}),
        // A schema or something else: nothing can be said.
        (Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStringArray, _) => json!({}),
    }
}

fn of_struct(shape: &Shape, dialect: Dialect) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if shape.is_kind {
        for name in ["apiVersion", "kind"] {
            let description = words::type_meta(name);
            properties.insert(name.into(), json!({"type": "string", "description": description}));
        }
    }
    for field in shape.members().iter().filter(|f| f.name != "-") {
        properties.insert(field.name.into(), of_field(shape, field, dialect));
        if field.is_required() {
            required.push(field.name);
        }
    }
    required.sort_unstable();
    let mut schema = json!({"type": "object"});
    if !properties.is_empty() {
        schema["properties"] = properties.into();
    }
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn of_field(shape: &Shape, field: &FieldDef, dialect: Dialect) -> Value {
    let mut schema = of_type(field.ty, dialect, false);
    if let Some(text) = words::of_field(shape, field) {
        schema = described(schema, &text, dialect);
    }
    if dialect == Dialect::V3
        && !field.ty.is_pointer()
        && let Some(default) = zero_default(field)
    {
        schema["default"] = default;
    }
    if let Some(default) = field.default.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        schema["default"] = default;
    }
    if let Some(kind) = field.list {
        let word = match kind {
            ListKind::Atomic => "atomic",
            ListKind::Set => "set",
            ListKind::Map => "map",
        };
        schema["x-kubernetes-list-type"] = word.into();
    }
    if !field.keys.is_empty() {
        schema["x-kubernetes-list-map-keys"] = field.keys.into();
    }
    if field.map == Some(MapKind::Atomic) {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    let rule = field.patch;
    let strategies: Vec<&str> = [(rule.merge, "merge"), (rule.replace, "replace"), (rule.retain_keys, "retainKeys")]
        .iter()
        .filter_map(|(set, word)| set.then_some(*word))
        .collect();
    if !strategies.is_empty() {
        schema["x-kubernetes-patch-strategy"] = strategies.join(",").into();
    }
    if let Some(key) = rule.key {
        schema["x-kubernetes-patch-merge-key"] = key.into();
    }
    schema
}

/// Fields by value that are always written default to their zero.
fn zero_default(field: &FieldDef) -> Option<Value> {
    let always = field.omit == Omit::Never;
    match field.ty.resolved() {
        Type::Shape(id) if id.get().body == Body::Struct => Some(json!({})),
        Type::String if always => Some("".into()),
        Type::Bool if always => Some(false.into()),
        Type::Int32 | Type::Int64 | Type::Uint8 | Type::Float64 if always => Some(0.into()),
        _ => None,
    }
}

/// In a V3 document nothing may stand beside a reference but within `allOf`.
fn described(schema: Value, text: &str, dialect: Dialect) -> Value {
    match (dialect, schema.get("$ref")) {
        (Dialect::V3, Some(_)) => json!({"allOf": [schema], "description": text}),
        _ => {
            let mut schema = schema;
            schema["description"] = text.into();
            schema
        }
    }
}

/// The schema of a type where it is used; `inner` says that it is an element or map value, which carries its zero as default.
fn of_type(ty: Type, dialect: Dialect, inner: bool) -> Value {
    let mut schema = match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Uint8 => json!({"type": "integer", "format": "byte"}),
        Type::Float64 => json!({"type": "number", "format": "double"}),
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Any => json!({"type": "object"}),
        Type::Pointer(to) => return of_type(*to, dialect, inner),
        Type::List(element) => json!({"type": "array", "items": of_type(*element, dialect, true)}),
        Type::Map(map) => json!({"type": "object", "additionalProperties": of_type(map.value, dialect, true)}),
        Type::Shape(id) => return of_named(id.get(), dialect, inner),
    };
    if inner && dialect == Dialect::V3 && ty == Type::String {
        schema["default"] = "".into();
    }
    schema
}

fn of_named(shape: &Shape, dialect: Dialect, inner: bool) -> Value {
    if let (Body::Alias(to), false) = (shape.body, has_schema(shape)) {
        let mut schema = of_type(to, dialect, inner);
        if ENUMERATIONS.contains(&shape.name) {
            let mut values = shape.values.clone();
            values.sort_unstable();
            schema["enum"] = values.into();
        }
        return schema;
    }
    let reference = json!({"$ref": dialect.reference(shape)});
    match (dialect, inner, shape.body) {
        (Dialect::V3, true, Body::Struct) => json!({"allOf": [reference], "default": {}}),
        _ => reference,
    }
}

/// The schema at a place where a whole object stands, such as a request body.
pub(super) fn reference(shape: &Shape, dialect: Dialect) -> Value {
    json!({"$ref": dialect.reference(shape)})
}
