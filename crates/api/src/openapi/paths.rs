//! The paths of a resource: what may be done to it, with which parameters.

use serde_json::{Map, Value, json};

use super::{Dialect, schemas};
use crate::{
    resource::{KindRef, Resource, Verb},
    schema::table,
};

/// Media types in which objects travel.
const MEDIA: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Media types of patches.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// One operation on a path.
struct Operation<'a> {
    method: &'static str,
    /// The word of `x-kubernetes-action`, which begins the operation's id, too.
    action: &'static str,
    verb_word: &'static str,
    parameters: &'a [&'static str],
    has_body: bool,
    answer: String,
}

const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];

/// Adds all paths of a resource.
pub(super) fn of_resource(resource: &Resource, dialect: Dialect, paths: &mut Map<String, Value>) {
    let root = format!("/{}", super::document_path(resource));
    let main = resource.kind_ref();
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let object = format!("{collection}/{{name}}");
    let list = format!("{}List", resource.shape);
    let of_collection: Vec<Operation<'_>> = [
        (Verb::List, "get", "list", "list", LIST, false, list.as_str()),
        (Verb::Create, "post", "post", "create", WRITE, true, resource.shape),
        (Verb::DeleteCollection, "delete", "deletecollection", "deleteCollection", LIST, false, "meta.v1.Status"),
    ]
    .into_iter()
    .filter(|row| resource.allows(row.0))
    .map(|(_, method, action, word, parameters, has_body, answer)| Operation {
        method,
        action,
        verb_word: word,
        parameters,
        has_body,
        answer: answer.to_owned(),
    })
    .collect();
    insert(paths, &collection, resource, main, "", dialect, &of_collection);
    insert(paths, &object, resource, main, "", dialect, &on_object(resource.verbs, resource.shape));
    if resource.namespaced && resource.allows(Verb::List) {
        let everywhere = format!("{root}/{}", resource.plural);
        let listing = Operation {
            method: "get",
            action: "list",
            verb_word: "list",
            parameters: LIST,
            has_body: false,
            answer: list,
        };
        insert(paths, &everywhere, resource, main, "ForAllNamespaces", dialect, &[listing]);
    }
    for sub in resource.subresources {
        let body = sub.body.unwrap_or(main);
        let mut operations = on_object(sub.verbs, body.shape);
        if sub.connects {
            for operation in &mut operations {
                operation.action = "connect";
                operation.verb_word = "connect";
                operation.has_body = false;
                operation.parameters = &[];
            }
        } else if sub.verbs.contains(&Verb::Create) {
            operations.push(Operation {
                method: "post",
                action: "post",
                verb_word: "create",
                parameters: WRITE,
                has_body: true,
                answer: body.shape.to_owned(),
            });
        }
        insert(paths, &format!("{object}/{}", sub.name), resource, body, &title(sub.name), dialect, &operations);
    }
}

fn on_object<'a>(verbs: &[Verb], shape: &str) -> Vec<Operation<'a>> {
    [
        (Verb::Get, "get", "get", "read", &[][..], false, shape),
        (Verb::Update, "put", "put", "replace", WRITE, true, shape),
        (Verb::Patch, "patch", "patch", "patch", PATCH, true, shape),
        (Verb::Delete, "delete", "delete", "delete", DELETE, true, "meta.v1.Status"),
    ]
    .into_iter()
    .filter(|row| verbs.contains(&row.0))
    .map(|(_, method, action, verb_word, parameters, has_body, answer)| Operation {
        method,
        action,
        verb_word,
        parameters,
        has_body,
        answer: answer.to_owned(),
    })
    .collect()
}

fn title(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn insert(
    paths: &mut Map<String, Value>,
    path: &str,
    resource: &Resource,
    body: KindRef,
    suffix: &str,
    dialect: Dialect,
    operations: &[Operation<'_>],
) {
    if operations.is_empty() {
        return;
    }
    let mut item = Map::new();
    for operation in operations {
        item.insert(operation.method.into(), of_operation(operation, path, resource, body, suffix, dialect));
    }
    let mut parameters: Vec<Value> = Vec::new();
    for name in ["name", "namespace"] {
        if path.contains(&format!("{{{name}}}")) {
            parameters.push(parameter(name, "path", dialect));
        }
    }
    parameters.push(parameter("pretty", "query", dialect));
    item.insert("parameters".into(), parameters.into());
    paths.insert(path.to_owned(), item.into());
}

fn parameter(name: &str, place: &str, dialect: Dialect) -> Value {
    let ty = match name {
        "allowWatchBookmarks" | "force" | "orphanDependents" | "sendInitialEvents" | "watch" => "boolean",
        "gracePeriodSeconds" | "limit" | "timeoutSeconds" => "integer",
        _ => "string",
    };
    let mut parameter = json!({"name": name, "in": place});
    if place == "path" {
        parameter["required"] = true.into();
    }
    match dialect {
        Dialect::V2 => parameter["type"] = ty.into(),
        Dialect::V3 => parameter["schema"] = json!({"type": ty}),
    }
    parameter["uniqueItems"] = true.into();
    if dialect == Dialect::V3 {
        // In this form uniqueness belongs to the schema.
        if let Some(schema) = parameter.as_object_mut().and_then(|p| p.remove("uniqueItems")) {
            parameter["schema"]["uniqueItems"] = schema;
        }
    }
    parameter
}

fn of_operation(
    operation: &Operation<'_>,
    path: &str,
    resource: &Resource,
    body: KindRef,
    suffix: &str,
    dialect: Dialect,
) -> Value {
    let group: String = match resource.group.split('.').next() {
        Some("") | None => "Core".into(),
        Some(folder) => title(folder),
    };
    let namespaced = if path.contains("{namespace}") { "Namespaced" } else { "" };
    let id = format!("{}{group}{}{namespaced}{}{suffix}", operation.verb_word, title(resource.version), resource.kind);
    let mut parameters: Vec<Value> = operation.parameters.iter().map(|n| parameter(n, "query", dialect)).collect();
    let answer = table().shape(&operation.answer);
    let sent =
        if operation.method == "delete" { table().shape("meta.v1.DeleteOptions") } else { table().shape(body.shape) };
    let mut value = json!({
        "operationId": id,
        "tags": [format!("{}_{}", group.to_lowercase(), resource.version)],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": body.group, "version": body.version, "kind": body.kind},
    });
    match dialect {
        Dialect::V2 => {
            if operation.has_body {
                let schema = match (operation.method, sent) {
                    ("patch", _) | (_, None) => json!({"type": "object"}),
                    (_, Some(shape)) => schemas::reference(shape, dialect),
                };
                parameters.insert(0, json!({"name": "body", "in": "body", "required": true, "schema": schema}));
            }
            value["consumes"] = if operation.method == "patch" { PATCHES.into() } else { MEDIA.into() };
            value["produces"] = MEDIA.into();
            let mut response = json!({"description": "OK"});
            if let Some(shape) = answer {
                response["schema"] = schemas::reference(shape, dialect);
            }
            value["responses"] = json!({"200": response});
        }
        Dialect::V3 => {
            if operation.has_body {
                let content: Map<String, Value> = match (operation.method, sent) {
                    ("patch", _) => {
                        let patched = table().shape(body.shape).map(|s| schemas::reference(s, dialect));
                        let schema = json!({"schema": patched.unwrap_or_else(|| json!({"type": "object"}))});
                        PATCHES.iter().map(|media| ((*media).to_owned(), schema.clone())).collect()
                    }
                    (_, Some(shape)) => {
                        let schema = json!({"schema": schemas::reference(shape, dialect)});
                        [("*/*".to_owned(), schema)].into_iter().collect()
                    }
                    (_, None) => Map::new(),
                };
                value["requestBody"] = json!({"content": content, "required": operation.method != "delete"});
            }
            let mut response = json!({"description": "OK"});
            if let Some(shape) = answer {
                let content: Map<String, Value> = MEDIA
                    .iter()
                    .map(|media| ((*media).to_owned(), json!({"schema": schemas::reference(shape, dialect)})))
                    .collect();
                response["content"] = content.into();
            }
            value["responses"] = json!({"200": response});
        }
    }
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    value
}
