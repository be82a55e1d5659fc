//! Environment variables: names, and what `valueFrom` and `envFrom` may name.

use serde_json::Value;

use super::invalid;
use crate::field::{Error, Path};
use crate::names;
use crate::value::Read;

/// What a downward field may be in an environment variable.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What it may be in a volume.
pub(super) const VOLUME_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Everything that has a name at all.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

pub(super) fn validate(container: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, var) in container.list("env").iter().enumerate() {
        let at = at.child("env").index(i);
        let name = var.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        } else {
            invalid(errors, &at.child("name"), name, names::env_name(name));
        }
        if let Some(source) = var.at("valueFrom") {
            value_from(source, !var.text_or_empty("value").is_empty(), &at.child("valueFrom"), errors);
        }
    }
    let list = at.child("envFrom");
    for (i, from) in container.list("envFrom").iter().enumerate() {
        env_from(from, &list, &list.index(i), errors);
    }
}

fn value_from(source: &Value, has_value: bool, at: &Path, errors: &mut Vec<Error>) {
    let mut sources = 0;
    for kind in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let Some(one) = source.at(kind) else { continue };
        sources += 1;
        let at = at.child(kind);
        match kind {
            "fieldRef" => field_ref(one, ENV_FIELDS, &at, errors),
            "resourceFieldRef" => resource_field_ref(one, false, &at, errors),
            "configMapKeyRef" | "secretKeyRef" => key_ref(one, &at, errors),
            _ => {}
        }
    }
    let why = match (sources, has_value) {
        (0, _) => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        (_, true) => "may not be specified when `value` is not empty",
        (1, false) => return,
        (_, false) => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(at, "", why));
}

fn key_ref(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let name = source.text_or_empty("name");
    invalid(errors, &at.child("name"), name, names::subdomain(name));
    let key = source.text_or_empty("key");
    if key.is_empty() {
        errors.push(Error::required(&at.child("key"), ""));
    } else {
        invalid(errors, &at.child("key"), key, names::config_key(key));
    }
}

/// How many sources there are is said of the whole list.
fn env_from(from: &Value, list: &Path, at: &Path, errors: &mut Vec<Error>) {
    let prefix = from.text_or_empty("prefix");
    if !prefix.is_empty() {
        invalid(errors, &at.child("prefix"), prefix, names::env_name(prefix));
    }
    let mut sources = 0;
    for kind in ["configMapRef", "secretRef"] {
        let Some(one) = from.at(kind) else { continue };
        sources += 1;
        let field = at.child(kind).child("name");
        match one.text_or_empty("name") {
            "" => errors.push(Error::required(&field, "")),
            name => invalid(errors, &field, name, names::subdomain(&names::as_prefix(name))),
        }
    }
    match sources {
        0 => errors.push(Error::invalid(list, "", "must specify one of: `configMapRef` or `secretRef`")),
        1 => {}
        _ => errors.push(Error::invalid(list, "", "may not have more than one field specified at a time")),
    }
}

/// A `fieldRef`, in an environment variable or a volume.
pub(super) fn field_ref(source: &Value, supported: &[&str], at: &Path, errors: &mut Vec<Error>) {
    let version = source.text_or_empty("apiVersion");
    if version.is_empty() {
        errors.push(Error::required(&at.child("apiVersion"), ""));
        return;
    }
    let field = at.child("fieldPath");
    let given = source.text_or_empty("fieldPath");
    if given.is_empty() {
        errors.push(Error::required(&field, ""));
        return;
    }
    if version != "v1" {
        let why = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(Error::invalid(&field, given, why));
        return;
    }
    let subscript = given.strip_suffix("']").and_then(|t| t.split_once("['")).filter(|(map, _)| !map.is_empty());
    if let Some((map, key)) = subscript {
        // The key is reported at the reference, without the member that holds it.
        match map {
            "metadata.annotations" => {
                let key = key.to_lowercase();
                invalid(errors, at, &key, names::qualified_name(&key));
            }
            "metadata.labels" => invalid(errors, at, key, names::qualified_name(key)),
            _ => {
                let why = format!("error converting fieldPath: field label does not support subscript: {given}");
                errors.push(Error::invalid(&field, given, why));
            }
        }
        return;
    }
    let path = if given == "spec.host" { "spec.nodeName" } else { given };
    if !KNOWN_FIELDS.contains(&path) {
        let why = format!("error converting fieldPath: field label not supported: {given}");
        errors.push(Error::invalid(&field, given, why));
    } else if !supported.contains(&path) {
        errors.push(Error::not_supported(&field, path, supported));
    }
}

/// A `resourceFieldRef`; in a volume it names its container.
pub(super) fn resource_field_ref(source: &Value, in_volume: bool, at: &Path, errors: &mut Vec<Error>) {
    const RESOURCES: &[&str] = &[
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = source.text_or_empty("resource");
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_volume && source.text_or_empty("containerName").is_empty() {
        errors.push(Error::required(&at.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&at.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !huge {
        errors.push(Error::not_supported(&at.child("resource"), resource, RESOURCES));
    }
    divisor(source, resource, at, errors);
}

fn divisor(source: &Value, resource: &str, at: &Path, errors: &mut Vec<Error>) {
    const SIZES: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let given = source.text_or_empty("divisor");
    if given.is_empty() || given == "0" {
        return;
    }
    let Some((_, what)) = resource.split_once('.') else { return };
    let (what, list) = match what {
        "cpu" => ("cpu", "1m and 1"),
        "memory" => ("memory", SIZES),
        "ephemeral-storage" => ("local ephemeral storage", SIZES),
        _ if what.starts_with("hugepages-") => ("hugepages", SIZES),
        _ => return,
    };
    let fine = if what == "cpu" { matches!(given, "1" | "1m") } else { SIZES.split(", ").any(|s| s == given) };
    if !fine {
        let why = format!("only divisor's values {list} are supported with the {what} resource");
        errors.push(Error::invalid(&at.child("divisor"), resource, why));
    }
}
