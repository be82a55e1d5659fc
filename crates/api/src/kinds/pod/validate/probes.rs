//! Probes and lifecycle hooks.

use serde_json::Value;

use super::{Scope, invalid, nonnegative};
use crate::field::{Error, Path};
use crate::names;
use crate::value::Read;

/// The hooks and probes of a container that may have them.
pub(super) fn all(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    for hook in ["postStart", "preStop"] {
        if let Some(handler_of) = container.at(&format!("lifecycle.{hook}")) {
            handler(handler_of, scope, &at.child("lifecycle").child(hook), errors);
        }
    }
    if let Some(probe) = container.at("livenessProbe") {
        validate(probe, scope, true, &at.child("livenessProbe"), errors);
    }
    if let Some(probe) = container.at("readinessProbe") {
        let at = at.child("readinessProbe");
        validate(probe, scope, false, &at, errors);
        if let Some(seconds) = probe.int("terminationGracePeriodSeconds") {
            let why = "must not be set for readinessProbes";
            errors.push(Error::invalid(&at.child("terminationGracePeriodSeconds"), seconds, why));
        }
    }
    if let Some(probe) = container.at("startupProbe") {
        validate(probe, scope, true, &at.child("startupProbe"), errors);
    }
}

fn validate(probe: &Value, scope: &Scope, succeeds_once: bool, at: &Path, errors: &mut Vec<Error>) {
    handler(probe, scope, at, errors);
    for member in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        nonnegative(errors, probe, member, at);
    }
    if let Some(seconds) = probe.int("terminationGracePeriodSeconds").filter(|s| *s <= 0) {
        errors.push(Error::invalid(&at.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
    if succeeds_once && let Some(times) = probe.int("successThreshold").filter(|n| *n != 1) {
        errors.push(Error::invalid(&at.child("successThreshold"), times, "must be 1"));
    }
}

fn handler(owner: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let mut handlers = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = owner.at(kind) else { continue };
        let at = at.child(kind);
        if handlers > 0 {
            errors.push(Error::forbidden(&at, "may not specify more than 1 handler type"));
            continue;
        }
        handlers += 1;
        match kind {
            "exec" if action.list("command").is_empty() => errors.push(Error::required(&at.child("command"), "")),
            "httpGet" => http_get(action, &at, errors),
            "tcpSocket" => port(action, &at, errors),
            "grpc" => {
                let number = action.int("port").unwrap_or(0);
                let texts = names::port_number(number).into_iter();
                errors.extend(texts.map(|text| Error::invalid(&at.child("port"), number, text)));
            }
            "sleep" => sleep(action, scope, &at, errors),
            _ => {}
        }
    }
    if handlers == 0 {
        errors.push(Error::required(at, "must specify a handler type"));
    }
}

/// A hook sleeps no longer than the pod has to end.
fn sleep(action: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let (seconds, Some(grace)) = (action.int("seconds").unwrap_or(0), scope.grace) else { return };
    if seconds < 0 || seconds > grace {
        let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(at, seconds, why));
    }
}

fn http_get(action: &Value, at: &Path, errors: &mut Vec<Error>) {
    if action.text_or_empty("path").is_empty() {
        errors.push(Error::required(&at.child("path"), ""));
    }
    port(action, at, errors);
    let scheme = action.text_or_empty("scheme");
    if !matches!(scheme, "HTTP" | "HTTPS") {
        errors.push(Error::not_supported(&at.child("scheme"), scheme, &["HTTP", "HTTPS"]));
    }
    for header in action.list("httpHeaders") {
        let name = header.text_or_empty("name");
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let why = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex \
                       used for validation is '[-A-Za-z0-9]+')";
            errors.push(Error::invalid(&at.child("httpHeaders"), name, why));
        }
    }
}

/// A port by number or name.
fn port(action: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("port");
    match action.text("port") {
        Some(name) => invalid(errors, &at, name, names::port_name(name)),
        None => {
            let number = action.int("port").unwrap_or(0);
            let texts = names::port_number(number).into_iter();
            errors.extend(texts.map(|text| Error::invalid(&at, number, text)));
        }
    }
}
