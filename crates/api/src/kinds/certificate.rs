//! CertificateSigningRequest (A445, A446). Not here: approving and signing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::strategy::{Context, Strategy};
use crate::value::{Read, at_mut, keep, remove, same, set};

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The strategy of certificate requests.
#[derive(Debug)]
pub struct Request;

/// The one [`Request`].
pub static REQUEST: Request = Request;

impl Strategy for Request {
    /// The requester is stamped, whatever the body says.
    fn prepare_for_create(&self, request: &mut Object, context: &Context<'_>) {
        for member in ["username", "uid", "groups", "extra"] {
            drop(remove(request, &format!("spec.{member}")));
        }
        let Some(who) = context.requester else { return };
        set(request, "spec.username", who.user.as_str());
        if !who.uid.is_empty() {
            set(request, "spec.uid", who.uid.as_str());
        }
        if !who.groups.is_empty() {
            set(request, "spec.groups", json!(who.groups));
        }
        if !who.extra.is_empty() {
            let extra: serde_json::Map<String, Value> = who.extra.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            set(request, "spec.extra", Value::Object(extra));
        }
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object, context: &Context<'_>) {
        keep(new, old, "spec");
        let now = crate::time::format(context.now);
        match context.subresource {
            "approval" => {
                let conditions = new.at("status.conditions").cloned();
                keep(new, old, "status");
                match conditions {
                    Some(conditions) => set(new, "status.conditions", conditions),
                    None => drop(remove(new, "status.conditions")),
                }
                stamp(new, &now);
            }
            "status" => stamp(new, &now),
            _ => {}
        }
    }

    fn validate(&self, request: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        let encoded = request.text_or_empty("spec.request");
        let pem = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        if !pem.contains("-----BEGIN CERTIFICATE REQUEST-----") {
            let why = "PEM block type must be CERTIFICATE REQUEST";
            errors.push(Error::invalid(&at.child("request"), encoded, why));
        }
        usages(request, &at, &mut errors);
        signer(request, &at, &mut errors);
        if let Some(seconds) = request.int("spec.expirationSeconds").filter(|s| *s < 600) {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(Error::invalid(&at.child("expirationSeconds"), seconds, why));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("status");
        let has =
            |object: &Object, kind: &str| object.list("status.conditions").iter().any(|c| c.text("type") == Some(kind));
        for kind in ["Approved", "Denied", "Failed"] {
            if has(old, kind) && !has(new, kind) {
                let why = format!("updates may not remove a condition of type {}", crate::quote::go_quote(kind));
                errors.push(Error::forbidden(&at.child("conditions"), why));
            }
        }
        if has(new, "Approved") && has(new, "Denied") {
            let shown = new.at("status.conditions").cloned().unwrap_or(Value::Null);
            errors.push(Error::invalid(
                &at.child("conditions"),
                shown,
                "Approved and Denied conditions are mutually exclusive",
            ));
        }
        if subresource == "status"
            && old.at("status.certificate").is_some()
            && !same(new.at("status.certificate"), old.at("status.certificate"))
        {
            errors.push(Error::forbidden(
                &at.child("certificate"),
                "updates may not modify existing certificate content",
            ));
        }
        errors
    }
}

fn stamp(request: &mut Object, now: &str) {
    for condition in at_mut(request, "status.conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        for member in ["lastUpdateTime", "lastTransitionTime"] {
            if condition.at(member).is_none() {
                set(condition, member, now);
            }
        }
        if condition.text_or_empty("status").is_empty() {
            set(condition, "status", "True");
        }
    }
}

fn usages(request: &Object, at: &Path, errors: &mut Vec<Error>) {
    let usages = request.list("spec.usages");
    if usages.is_empty() {
        errors.push(Error::required(&at.child("usages"), ""));
    }
    for (i, usage) in usages.iter().filter_map(Value::as_str).enumerate() {
        if !USAGES.contains(&usage) {
            errors.push(Error::not_supported(&at.child("usages").index(i), usage, USAGES));
        }
    }
}

fn signer(request: &Object, at: &Path, errors: &mut Vec<Error>) {
    let name = request.text_or_empty("spec.signerName");
    let field = at.child("signerName");
    match name.split_once('/') {
        _ if name.is_empty() => errors.push(Error::required(&field, "")),
        Some((domain, path)) if domain.contains('.') && !path.is_empty() => {}
        _ => {
            let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            errors.push(Error::invalid(&field, name, why));
        }
    }
}
