//! PodSecurity (A242): enforced on pods, warned about on what makes pods.

use everynode_api::admission::pod_security::{self, Level};
use everynode_api::status::Status;
use everynode_api::{Object, field};
use everynode_store::Store;
use serde_json::Value;

use super::{Context, Operation, list, read};

/// Kinds that hold a pod template, and where.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("apps", "daemonsets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("batch", "jobs", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
    ("", "replicationcontrollers", "/spec/template"),
    ("", "podtemplates", "/template"),
];
/// Pods that are looked at when a namespace becomes stricter.
const EXISTING_PODS_MAX: usize = 3000;

pub(super) fn check(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    object: &Object,
) -> Result<Vec<String>, Status> {
    if context.is("", "namespaces") {
        return check_namespace(store, context, operation, old, object);
    }
    let new_pod = context.is("", "pods") && operation == Operation::Create;
    if new_pod || context.is_sub("", "pods", "ephemeralcontainers") {
        let Some(namespace) = namespace_of(store, context) else { return Ok(Vec::new()) };
        let demand = pod_security::demand(&namespace, "enforce");
        let violations = pod_security::evaluate(demand.level, object);
        if !violations.is_empty() {
            let why = format!("violates PodSecurity \"{demand}\": {}", pod_security::sentence(&violations));
            return Err(context.forbidden(why));
        }
        return Ok(warnings(&namespace, object));
    }
    let template = TEMPLATES.iter().find(|(group, resource, _)| context.is(group, resource));
    let Some((_, _, pointer)) = template else { return Ok(Vec::new()) };
    let (Some(namespace), Some(template)) = (namespace_of(store, context), object.pointer(pointer)) else {
        return Ok(Vec::new());
    };
    Ok(warnings(&namespace, template))
}

fn warnings(namespace: &Value, pod: &Value) -> Vec<String> {
    let demand = pod_security::demand(namespace, "warn");
    let violations = pod_security::evaluate(demand.level, pod);
    if violations.is_empty() {
        return Vec::new();
    }
    vec![format!("would violate PodSecurity \"{demand}\": {}", pod_security::sentence(&violations))]
}

fn check_namespace(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    object: &Object,
) -> Result<Vec<String>, Status> {
    if !matches!(operation, Operation::Create | Operation::Update) {
        return Ok(Vec::new());
    }
    let labels = |object: &Object| object.pointer("/metadata/labels").and_then(Value::as_object).cloned();
    let bad = pod_security::bad_labels(labels(object).as_ref());
    if !bad.is_empty() && old.is_none_or(|old| labels(old) != labels(object)) {
        let path = field::Path::new("metadata.labels");
        let errors =
            bad.into_iter().map(|(label, value, why)| field::Error::invalid(&path.key(&label), value, why)).collect();
        return Err(Status::invalid("", "Namespace", context.name, errors));
    }
    let (Some(old), Operation::Update) = (old, operation) else { return Ok(Vec::new()) };
    let demand = pod_security::demand(object, "enforce");
    if demand.level == Level::Privileged || demand == pod_security::demand(old, "enforce") {
        return Ok(Vec::new());
    }
    let pods = list(store, &format!("/registry/pods/{}/", context.name)).into_iter().take(EXISTING_PODS_MAX);
    let named = pods.map(|pod| {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        (name, pod)
    });
    Ok(pod_security::warn_about_existing(context.name, &demand, &named.collect::<Vec<_>>()))
}

fn namespace_of(store: &Store, context: &Context<'_>) -> Option<Value> {
    read(store, &format!("/registry/namespaces/{}", context.namespace))
}
