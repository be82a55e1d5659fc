//! Volumes: one source each, and what each source must say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{env, invalid, mounts, one_of};
use crate::field::{Error, Path};
use crate::names;
use crate::value::Read;

/// The sources, in the order in which upstream looks at them.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Members that a source must have, beyond the rules of [`source_rules`].
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("image", &["reference"]),
];

/// Checks the volumes and answers the names of the valid ones.
pub(super) fn validate(volumes: &[Value], at: &Path, errors: &mut Vec<Error>) -> BTreeSet<String> {
    let mut valid = BTreeSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let at = at.index(i);
        let mut own = Vec::new();
        source(volume, &at, &mut own);
        let name = volume.text_or_empty("name");
        if name.is_empty() {
            own.push(Error::required(&at.child("name"), ""));
        } else {
            invalid(&mut own, &at.child("name"), name, names::label(name));
        }
        if valid.contains(name) {
            own.push(Error::duplicate(&at.child("name"), name));
        }
        if own.is_empty() {
            valid.insert(name.to_owned());
        }
        errors.append(&mut own);
    }
    valid
}

fn source(volume: &Value, at: &Path, errors: &mut Vec<Error>) {
    let mut sources = 0;
    for kind in SOURCES {
        let Some(source) = volume.at(kind) else { continue };
        let at = at.child(kind);
        if sources > 0 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 volume type"));
            continue;
        }
        sources += 1;
        let required = REQUIRED.iter().find(|(k, _)| k == kind).map_or(&[] as &[&str], |(_, members)| members);
        for member in required.iter().filter(|m| source.is_zero(m)) {
            errors.push(Error::required(&at.child(member), ""));
        }
        source_rules(kind, source, &at, errors);
    }
    if sources == 0 {
        errors.push(Error::required(at, "must specify a volume type"));
    }
}

fn source_rules(kind: &str, source: &Value, at: &Path, errors: &mut Vec<Error>) {
    match kind {
        "emptyDir" => {
            let size = source.text("sizeLimit").and_then(|t| t.parse::<crate::quantity::Quantity>().ok());
            if size.is_some_and(|s| s.sign() < 0) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.push(Error::forbidden(&at.child("sizeLimit"), why));
            }
        }
        "hostPath" => host_path(source, at, errors),
        "secret" | "configMap" => {
            mode(source, "defaultMode", at, errors);
            items(source, at, errors);
        }
        "nfs" => {
            let path = source.text_or_empty("path");
            if !path.is_empty() && !path.starts_with('/') {
                errors.push(Error::invalid(&at.child("path"), path, "must be an absolute path"));
            }
        }
        "downwardAPI" => {
            mode(source, "defaultMode", at, errors);
            downward(source, at, errors);
        }
        "projected" => {
            mode(source, "defaultMode", at, errors);
            projected(source, at, errors);
        }
        "image" => one_of(errors, source, "pullPolicy", at, &["Always", "IfNotPresent", "Never"]),
        _ => {}
    }
}

fn host_path(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = source.text_or_empty("path");
    if path.is_empty() {
        errors.push(Error::required(&at.child("path"), ""));
        return;
    }
    mounts::no_backsteps(path, &at.child("path"), errors);
    let kind = source.text_or_empty("type");
    if !TYPES.contains(&kind) {
        errors.push(Error::not_supported(&at.child("type"), kind, TYPES));
    }
}

fn mode(owner: &Value, member: &str, at: &Path, errors: &mut Vec<Error>) {
    if let Some(mode) = owner.int(member).filter(|m| !(0..=0o777).contains(m)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(Error::invalid(&at.child(member), mode, why));
    }
}

fn items(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, item) in source.list("items").iter().enumerate() {
        let at = at.child("items").index(i);
        if item.text_or_empty("key").is_empty() {
            errors.push(Error::required(&at.child("key"), ""));
        }
        let path = item.text_or_empty("path");
        if path.is_empty() {
            errors.push(Error::required(&at.child("path"), ""));
        }
        mounts::non_reserved(path, &at.child("path"), errors);
        mode(item, "mode", &at, errors);
    }
}

fn downward(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    // Upstream reports the items without their index.
    for file in source.list("items") {
        let path = file.text_or_empty("path");
        if path.is_empty() {
            errors.push(Error::required(&at.child("path"), ""));
        }
        mounts::non_reserved(path, &at.child("path"), errors);
        match (file.at("fieldRef"), file.at("resourceFieldRef")) {
            (Some(field), both) => {
                env::field_ref(field, env::VOLUME_FIELDS, &at.child("fieldRef"), errors);
                if both.is_some() {
                    let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                    errors.push(Error::invalid(at, "resource", why));
                }
            }
            (None, Some(resource)) => {
                env::resource_field_ref(resource, true, &at.child("resourceFieldRef"), errors);
            }
            (None, None) => errors.push(Error::required(at, "one of fieldRef and resourceFieldRef is required")),
        }
        mode(file, "mode", at, errors);
    }
}

fn projected(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, part) in source.list("sources").iter().enumerate() {
        let at = at.child("sources").index(i);
        let mut kinds = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let Some(inner) = part.at(kind) else { continue };
            let own = at.child(kind);
            kinds += 1;
            if kinds > 1 {
                errors.push(Error::forbidden(&at, "may not specify more than 1 volume type per source"));
            }
            match kind {
                "secret" | "configMap" => {
                    if inner.text_or_empty("name").is_empty() {
                        errors.push(Error::required(&own.child("name"), ""));
                    }
                    items(inner, &own, errors);
                }
                "downwardAPI" => downward(inner, &own, errors),
                "serviceAccountToken" => token(inner, &own, errors),
                _ => {}
            }
        }
    }
}

fn token(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let seconds = source.int("expirationSeconds").unwrap_or(3600);
    let field = at.child("expirationSeconds");
    if seconds < 600 {
        errors.push(Error::invalid(&field, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > 1 << 32 {
        errors.push(Error::invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    let path = source.text_or_empty("path");
    if path.is_empty() {
        errors.push(Error::required(&at.child("path"), ""));
    } else {
        mounts::non_reserved(path, &at.child("path"), errors);
    }
}
