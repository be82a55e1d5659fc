//! Volumes: one source each, and what each source must say. What the drivers of one vendor say is in [`drivers`].

mod drivers;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Owner, env, invalid, mounts, one_of};
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
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("ephemeral", &["volumeClaimTemplate"]),
];

/// Whether a volume is a claim, so that it may be a block device.
pub(super) fn is_claim(volume: &Value) -> bool {
    volume.at("persistentVolumeClaim").or(volume.at("ephemeral")).is_some()
}

/// Checks the volumes and answers the valid ones: their names, and whether they are claims.
pub(super) fn validate(volumes: &[Value], owner: Owner, at: &Path, errors: &mut Vec<Error>) -> BTreeMap<String, bool> {
    let mut valid = BTreeMap::new();
    for (i, volume) in volumes.iter().enumerate() {
        let at = at.index(i);
        let mut own = Vec::new();
        source(volume, owner, &at, &mut own);
        let name = volume.text_or_empty("name");
        if name.is_empty() {
            own.push(Error::required(&at.child("name"), ""));
        } else {
            invalid(&mut own, &at.child("name"), name, names::label(name));
        }
        if valid.contains_key(name) {
            own.push(Error::duplicate(&at.child("name"), name));
        }
        if own.is_empty() {
            valid.insert(name.to_owned(), is_claim(volume));
        }
        errors.append(&mut own);
    }
    valid
}

fn source(volume: &Value, owner: Owner, at: &Path, errors: &mut Vec<Error>) {
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
        source_rules(kind, source, owner, &at, errors);
    }
    if sources == 0 {
        errors.push(Error::required(at, "must specify a volume type"));
    }
}

fn source_rules(kind: &str, source: &Value, owner: Owner, at: &Path, errors: &mut Vec<Error>) {
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
            if !path.starts_with('/') {
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
        "image" => {
            if owner == Owner::Pod && source.is_zero("reference") {
                errors.push(Error::required(&at.child("reference"), ""));
            }
            one_of(errors, source, "pullPolicy", at, &["Always", "IfNotPresent", "Never"]);
        }
        "gitRepo" => mounts::descending(source.text_or_empty("directory"), &at.child("directory"), errors),
        _ => drivers::rules(kind, source, at, errors),
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

/// Two files of one projected volume at one place.
fn one_place<'a>(paths: &mut BTreeSet<&'a str>, path: &'a str, shown: &str, at: &Path, errors: &mut Vec<Error>) {
    if !path.is_empty() && !paths.insert(path) {
        errors.push(Error::invalid(at, shown, "conflicting duplicate paths"));
    }
}

fn item(item: &Value, at: &Path, errors: &mut Vec<Error>) {
    if item.text_or_empty("key").is_empty() {
        errors.push(Error::required(&at.child("key"), ""));
    }
    let path = item.text_or_empty("path");
    if path.is_empty() {
        errors.push(Error::required(&at.child("path"), ""));
    }
    mounts::non_reserved(path, &at.child("path"), errors);
    mode(item, "mode", at, errors);
}

fn items(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, one) in source.list("items").iter().enumerate() {
        item(one, &at.child("items").index(i), errors);
    }
}

fn downward(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    for file in source.list("items") {
        downward_file(file, at, errors);
    }
}

/// Upstream reports the files without their index.
fn downward_file(file: &Value, at: &Path, errors: &mut Vec<Error>) {
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

fn projected(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    let mut paths = BTreeSet::new();
    for (i, part) in source.list("sources").iter().enumerate() {
        let here = at.child("sources").index(i);
        let mut kinds = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let Some(inner) = part.at(kind) else { continue };
            let own = here.child(kind);
            kinds += 1;
            match kind {
                "secret" | "configMap" => {
                    let name = inner.text_or_empty("name");
                    if name.is_empty() {
                        errors.push(Error::required(&own.child("name"), ""));
                    }
                    for (j, one) in inner.list("items").iter().enumerate() {
                        item(one, &own.child("items").index(j), errors);
                        one_place(&mut paths, one.text_or_empty("path"), name, at, errors);
                    }
                }
                "downwardAPI" => {
                    for file in inner.list("items") {
                        downward_file(file, &own, errors);
                        let path = file.text_or_empty("path");
                        one_place(&mut paths, path, path, at, errors);
                    }
                }
                "serviceAccountToken" => token(inner, at, &own, errors),
                _ => {
                    trust_bundle(inner, &own, errors);
                    let path = inner.text_or_empty("path");
                    one_place(&mut paths, path, path, at, errors);
                }
            }
        }
        if kinds > 1 {
            errors.push(Error::forbidden(&here, "may not specify more than 1 volume type per source"));
        }
    }
}

/// Upstream looks for the path of a token in the volume, not in its source.
fn token(source: &Value, volume: &Path, at: &Path, errors: &mut Vec<Error>) {
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
        errors.push(Error::required(&volume.child("path"), ""));
    } else {
        mounts::non_reserved(path, &volume.child("path"), errors);
    }
}

fn trust_bundle(source: &Value, at: &Path, errors: &mut Vec<Error>) {
    match (source.text("name"), source.text("signerName")) {
        (Some(""), None) => errors.push(Error::required(&at.child("name"), "must be a valid object name")),
        (None, Some("")) => errors.push(Error::required(&at.child("signerName"), "must be a valid signer name")),
        (None, None) => errors.push(Error::required(at, "either name or signerName must be specified")),
        (Some(_), Some(_)) => {
            let why = "only one of name and signerName may be used";
            errors.push(Error::invalid(at, source.clone(), why));
        }
        _ => {}
    }
    let path = source.text_or_empty("path");
    if path.is_empty() {
        errors.push(Error::required(&at.child("path"), ""));
    }
    mounts::non_reserved(path, &at.child("path"), errors);
}
