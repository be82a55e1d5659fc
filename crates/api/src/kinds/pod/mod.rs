//! Pods: what the server does with them beyond storing (A310–A334), and the pod spec that every kind with a template shares.
//!
//! `defaults` fills a spec, `validate` checks it, `template` serves the kinds that contain one, `update` says what may change,
//! `bind` is the scheduler's write. Not here: admission (service accounts, priorities), the node's half.

pub mod bind;
mod create;
pub mod defaults;
pub mod qos;
pub mod template;
pub mod update;
pub mod validate;
pub mod warnings;

use serde_json::{Value, json};

pub use template::{default_template, validate_selector};

use crate::Object;
use crate::field::{Error, Path};
use crate::strategy::{Context, Strategy};
use crate::value::{Read, keep, remove, same, set};
use crate::{meta, names};

/// Seconds of grace when neither the request nor the pod says.
pub const DEFAULT_GRACE: i64 = 30;

/// The strategy of pods.
#[derive(Debug)]
pub struct Pod;

/// The one [`Pod`].
pub static POD: Pod = Pod;

impl Strategy for Pod {
    fn metadata_checks(&self) -> usize {
        4
    }

    fn default(&self, pod: &mut Object) {
        if pod.at("spec").is_none() {
            set(pod, "spec", json!({}));
        }
        if let Some(spec) = pod.get_mut("spec") {
            defaults::template_spec(spec);
            defaults::pod_spec(spec);
        }
        mirror_addresses(pod);
    }

    fn prepare_for_create(&self, pod: &mut Object, _context: &Context<'_>) {
        let mut status = json!({"phase": "Pending", "qosClass": qos::class(pod.get("spec").unwrap_or(&Value::Null))});
        if !pod.list("spec.schedulingGates").is_empty() {
            status["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates"}]);
        }
        set(pod, "status", status);
        create::expand_label_keys(pod);
        create::app_armor(pod);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object, context: &Context<'_>) {
        match context.subresource {
            "status" => prepare_status(new, old),
            "ephemeralcontainers" => {
                let given = new.at("spec.ephemeralContainers").cloned();
                take_only(new, old, "spec.ephemeralContainers", given);
                count(new, old);
            }
            "resize" => {
                update::take_resize(new, old);
                count(new, old);
            }
            _ => {}
        }
    }

    fn validate(&self, pod: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        validate::pod_spec(pod.get("spec").unwrap_or(&Value::Null), &at, &mut errors);
        update::trimmed_images(pod, &at, &mut errors);
        if !pod.list("spec.ephemeralContainers").is_empty() {
            errors.push(Error::forbidden(&at.child("ephemeralContainers"), "cannot be set on create"));
        }
        if !pod.text_or_empty("spec.nodeName").is_empty() && !pod.list("spec.schedulingGates").is_empty() {
            let why = "cannot be set until all schedulingGates have been cleared";
            errors.push(Error::forbidden(&at.child("nodeName"), why));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        match subresource {
            "status" => validate_status(new, old),
            "ephemeralcontainers" => update::validate_ephemeral(new, old),
            "resize" => update::validate_resize(new, old),
            _ => update::validate(new, old),
        }
    }

    fn warnings(&self, pod: &Object, old: Option<&Object>, subresource: &str) -> Vec<String> {
        if !subresource.is_empty() || old.is_some_and(|old| same(old.get("spec"), pod.get("spec"))) {
            return Vec::new();
        }
        let mut out = Vec::new();
        let name = pod.text_or_empty("metadata.name");
        let texts = names::label(name);
        if old.is_none() && !texts.is_empty() {
            let why = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended";
            out.push(format!("metadata.name: {why}: [{}]", texts.join(" ")));
        }
        out.extend(warnings::of_pod(pod, ""));
        out
    }

    fn grace(&self, pod: &Object, asked: Option<i64>) -> Option<i64> {
        let finished = matches!(pod.text_or_empty("status.phase"), "Succeeded" | "Failed");
        if finished || pod.text_or_empty("spec.nodeName").is_empty() {
            return Some(0);
        }
        let grace = asked.or_else(|| pod.int("spec.terminationGracePeriodSeconds")).unwrap_or(DEFAULT_GRACE);
        Some(if grace < 0 { 1 } else { grace })
    }

    fn select(&self, pod: &Object, field: &str) -> Option<String> {
        match field {
            "spec.host" => Some(pod.text_or_empty("spec.nodeName").to_owned()),
            "spec.hostNetwork" => Some(pod.is_true("spec.hostNetwork").to_string()),
            "status.podIPs" => {
                let ips = pod.list("status.podIPs").iter().map(|p| p.text_or_empty("ip"));
                Some(ips.collect::<Vec<_>>().join(","))
            }
            _ => None,
        }
    }

    fn topics(&self, pod: &Object) -> Vec<String> {
        vec![format!("spec.nodeName={}", pod.text_or_empty("spec.nodeName"))]
    }
}

/// `podIP` is the first of `podIPs` and the other way round; so is `hostIP` (A322).
fn mirror_addresses(pod: &mut Object) {
    let Some(status) = pod.get_mut("status").filter(|s| s.is_object()) else { return };
    for (one, many) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let first = status.list(many).first().map(|ip| ip.text_or_empty("ip").to_owned());
        match (status.text_or_empty(one).to_owned(), first) {
            (given, Some(first)) if given.is_empty() => set(status, one, first),
            (given, Some(first)) if given != first => set(status, many, json!([{"ip": given}])),
            (given, None) if !given.is_empty() => set(status, many, json!([{"ip": given}])),
            _ => {}
        }
    }
}

/// Makes the new object the old one with another value at one path, keeping the new metadata.
fn take_only(new: &mut Object, old: &Object, path: &str, given: Option<Value>) {
    keep(new, old, "spec");
    keep(new, old, "status");
    match given {
        Some(value) => set(new, path, value),
        None => drop(remove(new, path)),
    }
}

/// A change of the spec by way of a subresource counts as a generation too.
fn count(new: &mut Object, old: &Object) {
    let step = i64::from(!same(new.get("spec"), old.get("spec")));
    meta::set_generation(new, old.int("metadata.generation").unwrap_or(0) + step);
}

/// A status write: spec, owners and deletion stay; qosClass and observedGeneration survive a body without them (A322).
fn prepare_status(new: &mut Object, old: &Object) {
    keep(new, old, "spec");
    for path in ["metadata.ownerReferences", "metadata.deletionTimestamp", "metadata.generation"] {
        match old.at(path) {
            Some(value) => set(new, path, value.clone()),
            None => drop(remove(new, path)),
        }
    }
    for path in ["status.qosClass", "status.observedGeneration"] {
        if new.is_zero(path)
            && let Some(value) = old.at(path)
        {
            set(new, path, value.clone());
        }
    }
}

fn validate_status(new: &Object, old: &Object) -> Vec<Error> {
    let at = Path::new("status");
    let mut errors = Vec::new();
    for (i, condition) in new.list("status.conditions").iter().enumerate() {
        let kind = condition.text_or_empty("type");
        let field = at.child("conditions").index(i).child("Type");
        validate::invalid(&mut errors, &field, kind, names::qualified_name(kind));
    }
    if !same(new.at("status.qosClass"), old.at("status.qosClass")) {
        let given = new.text_or_empty("status.qosClass");
        errors.push(Error::invalid(&at.child("qosClass"), given, "field is immutable"));
    }
    let nominated = "status.nominatedNodeName";
    if !old.text_or_empty("spec.nodeName").is_empty()
        && !new.text_or_empty(nominated).is_empty()
        && new.text(nominated) != old.text(nominated)
    {
        let why = "may not be set on pods that are already bound to a node";
        errors.push(Error::forbidden(&at.child("nominatedNodeName"), why));
    }
    transitions(new, old, &at, &mut errors);
    addresses(new, "podIPs", "", &at, &mut errors);
    addresses(new, "hostIPs", "hostIP", &at, &mut errors);
    errors
}

/// Addresses of a pod or its host: one of each family at most, the first as the field that holds one only.
fn addresses(pod: &Object, list: &str, one: &str, at: &Path, errors: &mut Vec<Error>) {
    let field = at.child(list);
    let items = pod.list(&format!("status.{list}"));
    let texts: Vec<&str> = items.iter().map(|item| item.text_or_empty("ip")).collect();
    if let Some(first) =
        texts.first().filter(|first| !one.is_empty() && **first != pod.text_or_empty(&format!("status.{one}")))
    {
        errors.push(Error::invalid(&field.index(0).child("ip"), *first, format!("must be equal to `{one}`")));
    }
    for (i, text) in texts.iter().enumerate() {
        validate::invalid(errors, &field.index(i), text, names::ip(text));
    }
    let families: Vec<bool> =
        texts.iter().filter_map(|t| t.parse::<std::net::IpAddr>().ok()).map(|ip| ip.is_ipv4()).collect();
    let both = families.contains(&true) && families.contains(&false);
    if texts.len() > 1 && families.len() == texts.len() && (!both || texts.len() > 2) {
        let shown: Vec<Value> = texts.iter().map(|text| json!({"IP": text})).collect();
        let why = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(&field, Value::from(shown), why));
    }
}

/// A container that ended for good may not run again.
fn transitions(new: &Object, old: &Object, at: &Path, errors: &mut Vec<Error>) {
    let policy = old.text_or_empty("spec.restartPolicy");
    if policy == "Always" {
        return;
    }
    for before in old.list("status.containerStatuses") {
        let Some(code) = before.at("state.terminated").map(|t| t.int("exitCode").unwrap_or(0)) else { continue };
        if policy == "OnFailure" && code != 0 {
            continue;
        }
        let name = before.text_or_empty("name");
        let now =
            new.list("status.containerStatuses").iter().enumerate().find(|(_, s)| s.text_or_empty("name") == name);
        if let Some((i, _)) = now.filter(|(_, s)| s.at("state.terminated").is_none()) {
            let field = at.child("containerStatuses").index(i).child("state");
            errors.push(Error::forbidden(&field, "may not be transitioned to non-terminated state"));
        }
    }
}

/// The containers of a pod spec of all three lists, as (list, value).
pub fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| spec.list(list).iter().map(move |c| (list, c)))
}
