//! Rules of the volume sources that stand for one storage system each.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::names;
use crate::value::Read;

/// What a source of this kind must say, beyond the members it must have.
pub(super) fn rules(kind: &str, source: &Value, at: &Path, errors: &mut Vec<Error>) {
    match kind {
        "gcePersistentDisk" | "awsElasticBlockStore" => byte(source, "partition", at, errors),
        "iscsi" => iscsi(source, at, errors),
        "fc" => fibre_channel(source, at, errors),
        "flocker" => flocker(source, at, errors),
        "quobyte" => quobyte(source, at, errors),
        "cinder" if source.at("secretRef").is_some() => named(source, at, errors),
        "flexVolume" => options(source, at, errors),
        "azureDisk" => azure_disk(source, at, errors),
        "storageos" => storage_os(source, at, errors),
        "csi" => csi(source, at, errors),
        "ephemeral" => claim_template(source, at, errors),
        _ => {}
    }
}

fn byte(source: &Value, member: &str, at: &Path, errors: &mut Vec<Error>) {
    if let Some(number) = source.int(member).filter(|n| !(0..=255).contains(n)) {
        errors.push(Error::invalid(&at.child(member), number, "must be between 0 and 255, inclusive"));
    }
}

/// The secret's name, if there is a secret.
fn named(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    if source.is_zero("secretRef.name") {
        errors.push(Error::required(&at.child("secretRef").child("name"), ""));
    }
}

fn iscsi(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    if source.is_zero("targetPortal") {
        errors.push(Error::required(&at.child("targetPortal"), ""));
    }
    let name = source.text_or_empty("iqn");
    if name.is_empty() {
        errors.push(Error::required(&at.child("iqn"), ""));
    } else {
        initiator(name, &at.child("iqn"), errors);
    }
    byte(source, "lun", at, errors);
    let secret = source.is_true("chapAuthDiscovery") || source.is_true("chapAuthSession");
    if secret && source.at("secretRef").is_none() {
        errors.push(Error::required(&at.child("secretRef"), ""));
    }
    if let Some(name) = source.text("initiatorName") {
        initiator(name, &at.child("initiatorname"), errors);
    }
}

/// A name as iSCSI spells it: `iqn.2001-04.com.example:disk`, `eui.` and 16, or `naa.` and 32 letters and digits.
fn initiator(name: &str, at: &Path, errors: &mut Vec<Error>) {
    let letters = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let fine = if let Some(rest) = name.strip_prefix("iqn") {
        rest.strip_prefix('.').and_then(|rest| rest.split_once(':')).is_some_and(|(authority, unique)| {
            let date = authority.get(..8).unwrap_or_default().as_bytes();
            let host = authority.get(8..).unwrap_or_default();
            date.len() == 8
                && date.iter().enumerate().all(|(i, b)| match i {
                    4 => *b == b'-',
                    7 => *b == b'.',
                    _ => b.is_ascii_digit(),
                })
                && !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
                && !unique.is_empty()
                && !unique.contains([',', ';', '*', '&', '$', '|', ' '])
        })
    } else if let Some(rest) = name.strip_prefix("eui") {
        rest.chars().next().is_some() && letters(rest.get(1..).unwrap_or_default(), 16)
    } else if let Some(rest) = name.strip_prefix("naa") {
        rest.chars().next().is_some() && letters(rest.get(1..).unwrap_or_default(), 32)
    } else {
        errors.push(Error::invalid(at, name, "must be valid format starting with iqn, eui, or naa"));
        return;
    };
    if !fine {
        errors.push(Error::invalid(at, name, "must be valid format"));
    }
}

fn fibre_channel(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let (targets, ids) = (source.list("targetWWNs"), source.list("wwids"));
    let field = at.child("targetWWNs");
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => {
            errors.push(Error::required(&field, "must specify either targetWWNs or wwids, but not both"));
        }
        (false, false) => {
            let why = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(Error::invalid(&field, Value::from(targets), why));
        }
        _ => {}
    }
    if !targets.is_empty() {
        match source.int("lun") {
            None => errors.push(Error::required(&at.child("lun"), "lun is required if targetWWNs is specified")),
            Some(_) => byte(source, "lun", at, errors),
        }
    }
}

fn flocker(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let (name, uuid) = (source.text_or_empty("datasetName"), source.text_or_empty("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(Error::required(at, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let why = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(Error::invalid(at, "resource", why));
    }
    if name.contains('/') {
        errors.push(Error::invalid(&at.child("datasetName"), name, "must not contain '/'"));
    }
}

fn quobyte(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let why = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.text_or_empty("registry");
    if registry.is_empty() {
        errors.push(Error::required(&at.child("registry"), why));
    } else if source.text_or_empty("tenant").len() >= 65 {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(Error::required(&at.child("tenant"), why));
    } else {
        let bad = registry.split(',').filter(|pair| pair.matches(':').count() != 1);
        errors.extend(bad.map(|_| Error::invalid(&at.child("registry"), registry, why)));
    }
    if source.is_zero("volume") {
        errors.push(Error::required(&at.child("volume"), ""));
    }
}

fn options(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (key, _) in source.map("options").into_iter().flatten() {
        let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(Error::invalid(&at.child("options").key(key), key.as_str(), why));
        }
    }
}

fn azure_disk(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    for (member, values) in
        [("cachingMode", ["None", "ReadOnly", "ReadWrite"]), ("kind", ["Dedicated", "Managed", "Shared"])]
    {
        if let Some(value) = source.text(member).filter(|value| !values.contains(value)) {
            errors.push(Error::not_supported(&at.child(member), value, &values));
        }
    }
    let (uri, field) = (source.text_or_empty("diskURI"), at.child("diskURI"));
    match source.text("kind") {
        Some("Managed") if !uri.starts_with("/subscriptions/") => {
            errors.push(Error::not_supported(&field, uri, &[MANAGED]));
        }
        Some(kind) if kind != "Managed" && !uri.starts_with("https://") => {
            errors.push(Error::not_supported(&field, uri, &[BLOB]));
        }
        _ => {}
    }
}

fn storage_os(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (member, required) in [("volumeName", true), ("volumeNamespace", false)] {
        match source.text_or_empty(member) {
            "" if required => errors.push(Error::required(&at.child(member), "")),
            "" => {}
            name => invalid(errors, &at.child(member), name, names::label(name)),
        }
    }
    if source.at("secretRef").is_some() {
        named(source, at, errors);
    }
}

fn csi(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let (driver, field) = (source.text_or_empty("driver"), at.child("driver"));
    if driver.is_empty() {
        errors.push(Error::required(&field, ""));
    }
    if driver.len() > 63 {
        errors.push(Error::too_long(&field, 63));
    }
    invalid(errors, &field, driver, names::subdomain(&driver.to_lowercase()));
    if let Some(secret) = source.at("nodePublishSecretRef") {
        match secret.text_or_empty("name") {
            "" => errors.push(Error::required(&at.child("nodePublishSecretRef").child("name"), "")),
            name => invalid(errors, &at.child("name"), name, names::subdomain(name)),
        }
    }
}

/// A claim that is made with the pod: only its labels, annotations and spec are the template's.
fn claim_template(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(template) = source.at("volumeClaimTemplate") else { return };
    let (template_at, mut own) = (at.child("volumeClaimTemplate"), Vec::new());
    let metadata = template_at.child("metadata");
    crate::meta::validate_annotations(template.at("metadata.annotations"), &metadata.child("annotations"), errors);
    crate::meta::validate_labels(template.at("metadata.labels"), &metadata.child("labels"), errors);
    for (member, _) in template.map("metadata").into_iter().flatten() {
        if !matches!(member.as_str(), "annotations" | "labels") && !template.is_zero(&format!("metadata.{member}")) {
            errors.push(Error::forbidden(&metadata.child(member), "cannot be set"));
        }
    }
    crate::kinds::storage::claim_spec(
        template.at("spec").unwrap_or(&Value::Null),
        &template_at.child("spec"),
        &mut own,
    );
    errors.append(&mut own);
}
