//! Pod templates inside other kinds: their defaults and the selector that must fit them.

use serde_json::{Map, Value, json};

use super::defaults;
use crate::Object;
use crate::field::{Error, Path};
use crate::selector::structured;
use crate::value::{Read, at_mut, set, set_default};

/// Annotations of init containers from before they were fields; dropped wherever a template passes (R8).
const LEGACY: &[&str] = &[
    "pod.beta.kubernetes.io/init-containers",
    "pod.alpha.kubernetes.io/init-containers",
    "pod.beta.kubernetes.io/init-container-statuses",
    "pod.alpha.kubernetes.io/init-container-statuses",
];

/// Defaults the template at a dotted path (R12). It is part of its parent: one that was left out is an empty one.
pub fn default_template(object: &mut Object, path: &str) {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    if !at_mut(object, parent).is_some_and(|parent| parent.is_object()) {
        return;
    }
    set_default(object, path, json!({}));
    let Some(template) = at_mut(object, path).filter(|t| t.is_object()) else { return };
    if let Some(annotations) = template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !LEGACY.contains(&key.as_str()));
    }
    if template.at("spec").is_none() {
        set(template, "spec", json!({}));
    }
    if let Some(spec) = template.get_mut("spec") {
        defaults::template_spec(spec);
    }
}

/// The rules of `spec.selector` and that it selects the template (R23). `kind` is how upstream names the kind in the text,
/// `stored` the selector that it replaces.
pub fn validate_selector(spec: &Value, stored: Option<&Value>, at: &Path, kind: &str, errors: &mut Vec<Error>) {
    let selector = spec.at("selector");
    let before = errors.len();
    if let Some(selector) = selector {
        structured::validate_beside(selector, stored, &at.child("selector"), errors);
    }
    let labels = spec.map("template.metadata.labels");
    let selects = selector.is_some_and(|s| structured::matches(s, labels));
    if errors.len() == before && !selects {
        let shown = labels.filter(|l| !l.is_empty()).cloned().map_or(Value::Null, Value::Object);
        let why = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&at.child("template").child("metadata").child("labels"), shown, why));
    }
    if selector.is_some_and(structured::is_empty) {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(Error::invalid(&at.child("selector"), Value::Object(Map::new()), why));
    }
}

/// The error of a changed `spec.selector`.
pub fn selector_immutable(new: &Object) -> Error {
    let shown = new.at("spec.selector").unwrap_or(&Value::Null);
    crate::meta::shaped(&Path::new("spec.selector"), shown, "meta.v1.LabelSelector", "field is immutable")
}
