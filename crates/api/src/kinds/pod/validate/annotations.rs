//! Annotations of a pod that mean something to the server, from before they were fields.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::quote::go_quote;
use crate::value::Read;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const MIRROR: &str = "kubernetes.io/config.mirror";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The rules of a pod's annotations; `spec` is the pod's.
pub(super) fn validate(annotations: Option<&Value>, spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(annotations) = annotations.and_then(Value::as_object) else { return };
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    if let Some(given) = text(MIRROR)
        && spec.is_zero("nodeName")
    {
        let why = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(Error::invalid(&at.key(MIRROR), given, why));
    }
    if let Some(cost) = text(DELETION_COST)
        && !is_cost(cost)
    {
        errors.push(Error::invalid(&at.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    let containers = ["containers", "initContainers", "ephemeralContainers"];
    let known = |name: &str| {
        containers.iter().any(|list| spec.list(list).iter().any(|container| container.text("name") == Some(name)))
    };
    for (key, value) in annotations {
        let Some(container) = key.strip_prefix(APP_ARMOR) else { continue };
        if !known(container) {
            errors.push(Error::invalid(&at.key(key), container, "container not found"));
        }
        let value = value.as_str().unwrap_or_default();
        if !matches!(value, "" | "runtime/default" | "unconfined") && !value.starts_with("localhost/") {
            let why = format!("invalid AppArmor profile name: {}", go_quote(value));
            errors.push(Error::invalid(&at.key(key), value, why));
        }
    }
}

/// Digits with an optional minus, as there is one way only to write a number.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" && digits == text || digits.starts_with(|c: char| matches!(c, '1'..='9'));
    plain && text.parse::<i32>().is_ok()
}
