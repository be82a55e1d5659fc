//! Volumes and their classes: stored, defaulted and checked for what must not change (A303, A407).

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::strategy::{Context, Strategy};
use crate::value::{Read, list_mut, same, set, set_default};

/// A kind whose listed members may not change once made.
#[derive(Debug)]
pub struct Fixed {
    defaults: fn(&mut Object),
    prepare: fn(&mut Object),
    rules: fn(&Object, &mut Vec<Error>),
    fixed: &'static [&'static str],
}

const NOTHING: fn(&mut Object) = |_| {};
const NO_RULES: fn(&Object, &mut Vec<Error>) = |_, _| {};

/// StorageClass.
pub static STORAGE_CLASS: Fixed = Fixed {
    defaults: default_class,
    prepare: NOTHING,
    rules: class_rules,
    fixed: &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"],
};
/// CSIDriver.
pub static CSI_DRIVER: Fixed =
    Fixed { defaults: default_driver, prepare: NOTHING, rules: NO_RULES, fixed: &["spec.attachRequired"] };
/// PersistentVolumeClaim.
pub static CLAIM: Fixed = Fixed { defaults: default_claim, prepare: prepare_claim, rules: claim_rules, fixed: &[] };
/// PersistentVolume.
pub static VOLUME: Fixed = Fixed { defaults: default_volume, prepare: prepare_volume, rules: NO_RULES, fixed: &[] };
/// VolumeAttachment.
pub static ATTACHMENT: Fixed = Fixed { defaults: NOTHING, prepare: NOTHING, rules: NO_RULES, fixed: &["spec"] };

impl Strategy for Fixed {
    fn default(&self, object: &mut Object) {
        (self.defaults)(object);
    }

    fn prepare_for_create(&self, object: &mut Object, _context: &Context<'_>) {
        (self.prepare)(object);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        (self.rules)(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        if subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate(new);
        for member in self.fixed.iter().filter(|m| !same(new.at(m), old.at(m))) {
            let shown = new.at(member).cloned().unwrap_or(Value::Null);
            errors.push(Error::invalid(&Path::new(*member), shown, "field is immutable"));
        }
        errors
    }
}

fn default_class(class: &mut Object) {
    set_default(class, "reclaimPolicy", "Delete");
    set_default(class, "volumeBindingMode", "Immediate");
}

fn class_rules(class: &Object, errors: &mut Vec<Error>) {
    if class.text_or_empty("provisioner").is_empty() {
        errors.push(Error::required(&Path::new("provisioner"), ""));
    }
    let policy = class.text_or_empty("reclaimPolicy");
    if !matches!(policy, "Delete" | "Retain") {
        errors.push(Error::not_supported(&Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]));
    }
    let mode = class.text_or_empty("volumeBindingMode");
    if !matches!(mode, "Immediate" | "WaitForFirstConsumer") {
        let modes = &["Immediate", "WaitForFirstConsumer"];
        errors.push(Error::not_supported(&Path::new("volumeBindingMode"), mode, modes));
    }
}

fn default_driver(driver: &mut Object) {
    for (member, value) in [
        ("attachRequired", json!(true)),
        ("podInfoOnMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
    ] {
        set_default(driver, &format!("spec.{member}"), value);
    }
    if driver.list("spec.volumeLifecycleModes").is_empty() {
        set(driver, "spec.volumeLifecycleModes", json!(["Persistent"]));
    }
}

/// The defaults of a claim; also of the claims in a StatefulSet.
pub fn default_claim(claim: &mut Object) {
    set_default(claim, "spec.volumeMode", "Filesystem");
    if claim.text_or_empty("status.phase").is_empty() {
        set(claim, "status.phase", "Pending");
    }
}

fn prepare_claim(claim: &mut Object) {
    set(claim, "status", json!({"phase": "Pending"}));
    protect(claim, "kubernetes.io/pvc-protection");
}

fn protect(object: &mut Object, finalizer: &str) {
    let finalizers = list_mut(object, "metadata.finalizers");
    if !finalizers.iter().any(|f| f.as_str() == Some(finalizer)) {
        finalizers.push(json!(finalizer));
    }
}

fn claim_rules(claim: &Object, errors: &mut Vec<Error>) {
    claim_spec(claim.at("spec").unwrap_or(&Value::Null), &Path::new("spec"), errors);
}

/// The rules of what a claim asks for, also of one that is made with its pod.
pub(super) fn claim_spec(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    if spec.list("accessModes").is_empty() {
        errors.push(Error::required(&at.child("accessModes"), "at least 1 access mode is required"));
    }
    if spec.map("resources.requests").is_none_or(|r| !r.contains_key("storage")) {
        errors.push(Error::required(&at.child("resources").key("storage"), ""));
    }
}

fn default_volume(volume: &mut Object) {
    set_default(volume, "spec.persistentVolumeReclaimPolicy", "Retain");
    set_default(volume, "spec.volumeMode", "Filesystem");
    if volume.text_or_empty("status.phase").is_empty() {
        set(volume, "status.phase", "Pending");
    }
    if let Some(path) = volume.pointer_mut("/spec/hostPath").filter(|p| p.is_object()) {
        set_default(path, "type", "");
    }
}

fn prepare_volume(volume: &mut Object) {
    set(volume, "status", json!({"phase": "Pending"}));
    protect(volume, "kubernetes.io/pv-protection");
}
