//! What of a pod may change after it was made (A320, A326, A327).

use serde_json::{Value, json};

use super::{take_only, validate};
use crate::Object;
use crate::field::{Error, Path};
use crate::value::{Read, at_mut, remove, same, set};

const MAY_CHANGE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// The rules of a change through the main resource.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<Error> {
    let at = Path::new("spec");
    let mut errors = Vec::new();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        if new.list(&path).len() != old.list(&path).len() {
            errors.push(Error::forbidden(&at.child(list), "pod updates may not add or remove containers"));
            return errors;
        }
        for (i, container) in new.list(&path).iter().enumerate() {
            if container.text_or_empty("image").is_empty() {
                errors.push(Error::required(&at.child(list).index(i).child("image"), ""));
            }
        }
    }
    trimmed_images(new, &at, &mut errors);
    deadline(new, old, &at, &mut errors);
    tolerations(new, old, &at, &mut errors);
    gates(new, old, &at, &mut errors);
    narrowing(new, old, &at, &mut errors);
    let masked = with_old_mutables(new, old);
    if !same(masked.get("spec"), old.get("spec")) {
        let changed = changes(masked.get("spec"), old.get("spec"));
        errors.push(Error::forbidden(&at, format!("{MAY_CHANGE}\n{changed}\n")));
    }
    errors
}

/// Images of pods (not of templates) may not have blanks around them.
pub(super) fn trimmed_images(pod: &Object, at: &Path, errors: &mut Vec<Error>) {
    for list in ["containers", "initContainers"] {
        for (i, container) in pod.list(&format!("spec.{list}")).iter().enumerate() {
            let image = container.text_or_empty("image");
            if image.trim() != image {
                let field = at.child(list).index(i).child("image");
                errors.push(Error::invalid(&field, image, "must not have leading or trailing whitespace"));
            }
        }
    }
}

fn deadline(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    let field = at.child("activeDeadlineSeconds");
    let path = "spec.activeDeadlineSeconds";
    match (new.int(path), old.int(path)) {
        (Some(now), before) => {
            if !(1..=i64::from(i32::MAX)).contains(&now) {
                errors.push(Error::invalid(&field, now, "must be between 1 and 2147483647, inclusive"));
            } else if before.is_some_and(|before| now > before) {
                errors.push(Error::invalid(&field, now, "must be less than or equal to previous value"));
            }
        }
        (None, Some(_)) => {
            errors.push(Error::invalid(&field, Value::Null, "must not update from a positive integer to nil value"));
        }
        (None, None) => {}
    }
}

fn without_seconds(toleration: &Value) -> Value {
    let mut bare = toleration.clone();
    drop(remove(&mut bare, "tolerationSeconds"));
    bare
}

fn tolerations(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    let path = "spec.tolerations";
    if same(new.at(path), old.at(path)) {
        return;
    }
    let field = at.child("tolerations");
    let now: Vec<Value> = new.list(path).iter().map(without_seconds).collect();
    if old.list(path).iter().any(|before| !now.contains(&without_seconds(before))) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(&field, why));
        return;
    }
    validate::tolerations(new.list(path), &field, errors);
}

fn gates(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    let path = "spec.schedulingGates";
    let name = |gate: &Value| gate.text_or_empty("name").to_owned();
    let before: Vec<String> = old.list(path).iter().map(name).collect();
    for (i, gate) in new.list(path).iter().enumerate() {
        let gate = name(gate);
        if !before.contains(&gate) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{gate}'");
            errors.push(Error::forbidden(&at.child("schedulingGates").index(i).child("name"), why));
        }
    }
}

/// The new pod with the old values of everything that may change: what is left of a difference is forbidden.
fn with_old_mutables(new: &Object, old: &Object) -> Object {
    let mut masked = new.clone();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        let images: Vec<Value> =
            old.list(&path).iter().map(|c| c.get("image").cloned().unwrap_or(Value::Null)).collect();
        let containers = at_mut(&mut masked, &path).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, image) in containers.zip(images) {
            set(container, "image", image);
        }
    }
    let mut restore = vec!["spec.activeDeadlineSeconds", "spec.tolerations", "spec.schedulingGates"];
    let grace = "spec.terminationGracePeriodSeconds";
    if new.int(grace) == Some(1) && old.int(grace).is_some_and(|g| g < 0) {
        restore.push(grace);
    }
    if !old.list("spec.schedulingGates").is_empty() {
        restore.extend(["spec.nodeSelector", "spec.affinity.nodeAffinity"]);
    }
    for path in restore {
        match old.at(path) {
            Some(value) => set(&mut masked, path, value.clone()),
            None => drop(remove(&mut masked, path)),
        }
    }
    masked
}

/// A pod that waits at its gates may be sent to fewer nodes, not to others.
fn narrowing(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    const TERMS: &str = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    if old.list("spec.schedulingGates").is_empty() {
        return;
    }
    let now = new.map("spec.nodeSelector");
    let mut before = old.map("spec.nodeSelector").into_iter().flatten();
    if before.any(|(key, value)| now.and_then(|now| now.get(key)) != Some(value)) {
        let shown = now.cloned().map_or(Value::Null, Value::Object);
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(Error::invalid(&at.child("nodeSelector"), shown, why));
    }
    let (before, now) = (old.list(&format!("spec.{TERMS}")), new.list(&format!("spec.{TERMS}")));
    if before.is_empty() {
        return;
    }
    let field = at.child(TERMS);
    if before.len() != now.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(Error::invalid(&field, Value::from(now), why));
        return;
    }
    for (i, (now, before)) in now.iter().zip(before).enumerate() {
        if !only_more(now, before) {
            let why = "only additions are allowed (no mutations or deletions)";
            errors.push(Error::invalid(&field.index(i), now.clone(), why));
        }
    }
}

/// Whether a term asks for all that the other asks for, first, in its order. One that matches nothing stays so.
fn only_more(now: &Value, before: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let nothing = |term: &Value| lists.iter().all(|list| term.list(list).is_empty());
    if nothing(before) {
        return nothing(now);
    }
    lists.iter().all(|list| now.list(list).starts_with(before.list(list)))
}

/// The members of two specs that differ, one a line: what the client sees below the error's first line.
fn changes(new: Option<&Value>, old: Option<&Value>) -> String {
    let none = serde_json::Map::new();
    let (a, b) = (new.and_then(Value::as_object).unwrap_or(&none), old.and_then(Value::as_object).unwrap_or(&none));
    let mut out = Vec::new();
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        if !same(a.get(name), b.get(name)) {
            let show = |v: Option<&Value>| v.map_or_else(|| "null".to_owned(), Value::to_string);
            out.push(format!("- {name}: {}\n+ {name}: {}", show(b.get(name)), show(a.get(name))));
        }
    }
    out.join("\n")
}

/// The rules of a change of `/ephemeralcontainers`.
pub(super) fn validate_ephemeral(new: &Object, old: &Object) -> Vec<Error> {
    let at = Path::new("spec");
    let mut errors = Vec::new();
    let field = at.child("ephemeralContainers");
    if old.entry("metadata.annotations", "kubernetes.io/config.mirror").is_some() {
        errors.push(Error::forbidden(&Path::default(), "static pods do not support ephemeral containers"));
        return errors;
    }
    validate::ephemeral(new.get("spec").unwrap_or(&Value::Null), &at, &mut errors);
    for before in old.list("spec.ephemeralContainers") {
        let name = before.text_or_empty("name");
        let shown = crate::quote::go_quote(name);
        match new.list("spec.ephemeralContainers").iter().find(|c| c.text("name") == Some(name)) {
            None => {
                let why = format!("existing ephemeral containers {shown} may not be removed\n");
                errors.push(Error::forbidden(&field, why));
            }
            Some(now) if !same(Some(now), Some(before)) => {
                let changed = changes(Some(now), Some(before));
                let why = format!("existing ephemeral containers {shown} may not be changed\n{changed}\n");
                errors.push(Error::forbidden(&field, why));
            }
            Some(_) => {}
        }
    }
    errors
}

/// Takes only resources and resize policies of a resize request.
pub(super) fn take_resize(new: &mut Object, old: &Object) {
    let given = new.get("spec").cloned().unwrap_or(Value::Null);
    take_only(new, old, "spec", old.get("spec").cloned());
    for list in ["containers", "initContainers"] {
        let containers = at_mut(new, &format!("spec.{list}")).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers {
            let name = container.text_or_empty("name").to_owned();
            let Some(asked) = given.list(list).iter().find(|c| c.text_or_empty("name") == name) else { continue };
            for member in ["resources", "resizePolicy"] {
                match asked.at(member) {
                    Some(value) => set(container, member, value.clone()),
                    None => drop(remove(container, member)),
                }
            }
        }
    }
}

/// The rules of a resize.
pub(super) fn validate_resize(new: &Object, old: &Object) -> Vec<Error> {
    let at = Path::new("spec");
    let mut errors = Vec::new();
    if super::qos::class(&new["spec"]) != super::qos::class(&old["spec"]) {
        errors.push(Error::invalid(
            &at,
            json!(super::qos::class(&new["spec"])),
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    validate::pod_spec(new.get("spec").unwrap_or(&Value::Null), &at, &mut errors);
    errors
}
