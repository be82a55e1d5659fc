//! ConfigMap and Secret (A380–A383).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::names;
use crate::strategy::{Context, Strategy};
use crate::value::{Read, remove, same, set, set_entry};

/// Bytes of all values of one object.
const DATA_MAX: usize = 1024 * 1024;
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The strategy of config maps.
#[derive(Debug)]
pub struct ConfigMap;

/// The one [`ConfigMap`].
pub static CONFIG_MAP: ConfigMap = ConfigMap;

/// The strategy of secrets.
#[derive(Debug)]
pub struct Secret;

/// The one [`Secret`].
pub static SECRET: Secret = Secret;

impl Strategy for ConfigMap {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut total = 0;
        let binary = object.map("binaryData");
        for (key, value) in object.map("data").into_iter().flatten() {
            let at = Path::new("data").key(key);
            invalid(&mut errors, &at, key, names::config_key(key));
            if binary.is_some_and(|b| b.contains_key(key)) {
                errors.push(Error::invalid(&at, key.as_str(), "duplicate of key present in binaryData"));
            }
            total += value.as_str().map_or(0, str::len);
        }
        for (key, value) in binary.into_iter().flatten() {
            invalid(&mut errors, &Path::new("binaryData").key(key), key, names::config_key(key));
            total += decoded_len(value);
        }
        if total > DATA_MAX {
            // Upstream reports it without a path.
            errors.push(Error::too_long(&Path::default(), DATA_MAX));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        immutable(new, old, &["data", "binaryData"], &mut errors);
        errors.extend(self.validate(new));
        errors
    }
}

fn immutable(new: &Object, old: &Object, members: &[&str], errors: &mut Vec<Error>) {
    if !old.is_true("immutable") {
        return;
    }
    if !new.is_true("immutable") {
        errors.push(Error::forbidden(&Path::new("immutable"), IMMUTABLE));
    }
    for member in members.iter().filter(|m| !same(new.get(**m), old.get(**m))) {
        errors.push(Error::forbidden(&Path::new(*member), IMMUTABLE));
    }
}

fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    (text.len() / 4 * 3).saturating_sub(text.bytes().rev().take_while(|b| *b == b'=').count())
}

impl Strategy for Secret {
    fn default(&self, object: &mut Object) {
        if object.text_or_empty("type").is_empty() {
            set(object, "type", "Opaque");
        }
        if let Some(Value::Object(plain)) = remove(object, "stringData") {
            for (key, value) in plain {
                set_entry(object, "data", &key, STANDARD.encode(value.as_str().unwrap_or_default()));
            }
        }
    }

    fn prepare_for_create(&self, object: &mut Object, _context: &Context<'_>) {
        self.default(object);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("data");
        let mut total = 0;
        for (key, value) in object.map("data").into_iter().flatten() {
            invalid(&mut errors, &at.key(key), key, names::config_key(key));
            total += decoded_len(value);
        }
        if total > DATA_MAX {
            errors.push(Error::too_long(&at, DATA_MAX));
        }
        by_type(object, &at, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        if new.text("type") != old.text("type") {
            errors.push(Error::invalid(&Path::new("type"), new.text_or_empty("type"), "field is immutable"));
        }
        immutable(new, old, &["data"], &mut errors);
        errors.extend(self.validate(new));
        errors
    }
}

fn by_type(object: &Object, at: &Path, errors: &mut Vec<Error>) {
    let data = object.map("data");
    let has = |key: &str| data.is_some_and(|d| d.contains_key(key));
    let mut need = |keys: &[&str]| {
        for key in keys.iter().filter(|k| !has(k)) {
            errors.push(Error::required(&at.key(key), ""));
        }
    };
    match object.text_or_empty("type") {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if object.entry("metadata.annotations", name).unwrap_or_default().is_empty() {
                errors.push(Error::required(&Path::new("metadata.annotations").key(name), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker(object, ".dockercfg", at, errors),
        "kubernetes.io/dockerconfigjson" => docker(object, ".dockerconfigjson", at, errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => need(&["username", "password"]),
        "kubernetes.io/ssh-auth" => need(&["ssh-privatekey"]),
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn docker(object: &Object, key: &str, at: &Path, errors: &mut Vec<Error>) {
    let Some(text) = object.entry("data", key) else {
        errors.push(Error::required(&at.key(key), ""));
        return;
    };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    if let Err(error) = crate::codec::json::parse(&bytes) {
        errors.push(Error::invalid(&at.key(key), "<secret contents redacted>", error.to_string()));
    }
}
