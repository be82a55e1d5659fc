//! The rules of a pod spec, in upstream's order (A316): volumes, containers, then the rest of the spec.
//!
//! Not here: what may change on an update ([`super::update`]), admission.

mod annotations;
mod containers;
mod env;
mod mounts;
mod probes;
mod resources;
mod scheduling;
mod security;
mod system;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(in crate::kinds::pod) use containers::ephemeral;
pub(in crate::kinds) use resources::{amount_of, resource_name};
pub(in crate::kinds) use scheduling::tolerations;
pub use scheduling::{EFFECTS, validate_node_selector_term};

use crate::field::{Error, Path};
use crate::kinds::{go_struct, quoted};
use crate::meta::{validate_annotations, validate_labels};
use crate::names;
use crate::value::Read;

/// Adds one error per text.
pub(in crate::kinds) fn invalid(errors: &mut Vec<Error>, at: &Path, value: &str, texts: Vec<String>) {
    errors.extend(texts.into_iter().map(|text| Error::invalid(at, value, text)));
}

/// A number that must not be negative.
pub(in crate::kinds) fn nonnegative(errors: &mut Vec<Error>, owner: &Value, member: &str, at: &Path) {
    if let Some(value) = owner.int(member).filter(|v| *v < 0) {
        errors.push(Error::invalid(&at.child(member), value, "must be greater than or equal to 0"));
    }
}

/// A text of a closed set; empty is `Required`.
fn one_of(errors: &mut Vec<Error>, owner: &Value, member: &str, at: &Path, supported: &[&str]) {
    match owner.text_or_empty(member) {
        "" => errors.push(Error::required(&at.child(member), "")),
        value if supported.contains(&value) => {}
        value => errors.push(Error::not_supported_in_order(&at.child(member), value, supported)),
    }
}

/// As [`one_of`], but it may be left out.
fn maybe_one_of(errors: &mut Vec<Error>, owner: &Value, member: &str, at: &Path, supported: &[&str]) {
    if owner.at(member).is_some() {
        one_of(errors, owner, member, at, supported);
    }
}

/// The rules of a pod template at `⟨at⟩` (R23: labels stand at `⟨at⟩.labels`, as upstream's path has it).
pub fn template(template: &Value, at: &Path, errors: &mut Vec<Error>) {
    validate_labels(template.at("metadata.labels"), &at.child("labels"), errors);
    validate_annotations(template.at("metadata.annotations"), &at.child("annotations"), errors);
    static NONE: Value = Value::Null;
    let spec = template.at("spec").unwrap_or(&NONE);
    annotations::validate(template.at("metadata.annotations"), spec, &at.child("annotations"), errors);
    let at = at.child("spec");
    spec_of(spec, Owner::Template, &at, errors);
    if !spec.list("ephemeralContainers").is_empty() {
        let why = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&at.child("ephemeralContainers"), why));
    }
}

/// Whose spec it is: a few rules hold for pods alone, so that old templates stay valid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A pod.
    Pod,
    /// A template of another kind.
    Template,
}

/// What the containers of a pod may refer to.
struct Scope {
    /// Names of the valid volumes; the flag says whether it is a claim, which may be a block device.
    volumes: BTreeMap<String, bool>,
    /// Names of the resource claims.
    claims: BTreeSet<String>,
    /// Seconds that a hook may sleep.
    grace: Option<i64>,
    /// Whether the pod has users of its own (`hostUsers: false`).
    own_users: bool,
    /// The pod's restart policy is `Never`.
    never_restarts: bool,
}

impl Scope {
    fn new(spec: &Value, volumes: BTreeMap<String, bool>, claims: BTreeSet<String>) -> Self {
        Scope {
            volumes,
            claims,
            grace: spec.int("terminationGracePeriodSeconds"),
            own_users: spec.flag("hostUsers") == Some(false),
            never_restarts: spec.text("restartPolicy") == Some("Never"),
        }
    }
}

/// The rules of a pod's spec.
pub fn pod_spec(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    spec_of(spec, Owner::Pod, at, errors);
}

fn spec_of(spec: &Value, owner: Owner, at: &Path, errors: &mut Vec<Error>) {
    let volumes = volumes::validate(spec.list("volumes"), owner, &at.child("volumes"), errors);
    let claims = claims(spec.list("resourceClaims"), &at.child("resourceClaims"), errors);
    let scope = Scope::new(spec, volumes, claims);
    containers::regular(spec, &scope, at, errors);
    containers::init(spec, &scope, at, errors);
    containers::ephemeral_in(spec, &scope, at, errors);
    resources::of_pod(spec, &scope, &at.child("resources"), errors);
    security::host_ports(spec, at, errors);
    one_of(errors, spec, "restartPolicy", at, &["Always", "OnFailure", "Never"]);
    one_of(errors, spec, "dnsPolicy", at, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    validate_labels(spec.at("nodeSelector"), &at.child("nodeSelector"), errors);
    security::pod(spec, at, errors);
    scheduling::affinity(spec, at, errors);
    dns_config(spec, at, errors);
    gates(spec, at, errors);
    scheduling::spread(spec.list("topologySpreadConstraints"), &at.child("topologySpreadConstraints"), errors);
    system::host_process(spec, at, errors);
    system::host_users(spec, at, errors);
    names_of(spec, at, errors);
    scheduling::tolerations(spec.list("tolerations"), &at.child("tolerations"), errors);
    host_aliases(spec, at, errors);
    more_names(spec, at, errors);
    maybe_one_of(errors, spec, "preemptionPolicy", at, &["PreemptLowerPriority", "Never"]);
    resources::overhead(spec, at, errors);
    system::os(spec, at, errors);
}

fn claims(claims: &[Value], at: &Path, errors: &mut Vec<Error>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (i, claim) in claims.iter().enumerate() {
        let at = at.index(i);
        let name = claim.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        } else if !seen.insert(name.to_owned()) {
            errors.push(Error::duplicate(&at.child("name"), name));
        } else {
            invalid(errors, &at.child("name"), name, names::label(name));
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let text = |member: &str| claim.at(member).cloned().unwrap_or(Value::Null);
        let shown = || {
            let names = ["ResourceClaimName", "ResourceClaimTemplateName"];
            go_struct([("Name", Value::from(name))].into_iter().chain(names.into_iter().zip(sources.map(text))))
        };
        match sources.iter().filter(|member| claim.at(member).is_some()).count() {
            1 => {}
            0 => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(quoted(&at, shown(), why));
            }
            _ => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(quoted(&at, shown(), why));
            }
        }
        for member in sources {
            if let Some(name) = claim.text(member) {
                invalid(errors, &at.child(member), name, names::subdomain(name));
            }
        }
    }
    seen
}

fn dns_config(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("dnsConfig");
    let none = spec.text("dnsPolicy") == Some("None");
    let Some(config) = spec.at("dnsConfig") else {
        if none {
            errors.push(Error::required(&at, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return;
    };
    let servers = config.list("nameservers");
    if none && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(Error::required(&at.child("nameservers"), why));
        return;
    }
    if servers.len() > 3 {
        let why = "must not have more than 3 nameservers";
        errors.push(Error::invalid(&at.child("nameservers"), Value::from(servers), why));
    }
    for (i, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        invalid(errors, &at.child("nameservers").index(i), server, names::ip(server));
    }
    let searches = config.list("searches");
    if searches.len() > 32 {
        let why = "must not have more than 32 search paths";
        errors.push(Error::invalid(&at.child("searches"), Value::from(searches), why));
    }
    let length = searches.iter().filter_map(Value::as_str).map(|s| s.len() + 1).sum::<usize>().saturating_sub(1);
    if length > 2048 {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        errors.push(Error::invalid(&at.child("searches"), Value::from(searches), why));
    }
    for (i, search) in searches.iter().filter_map(Value::as_str).enumerate() {
        if search != "." {
            let plain = search.strip_suffix('.').unwrap_or(search).replace('_', "a");
            invalid(errors, &at.child("searches").index(i), search, names::subdomain(&plain));
        }
    }
    for (i, option) in config.list("options").iter().enumerate() {
        if option.text_or_empty("name").is_empty() {
            errors.push(Error::required(&at.child("options").index(i), "must not be empty"));
        }
    }
}

fn gates(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, gate) in spec.list("readinessGates").iter().enumerate() {
        let kind = gate.text_or_empty("conditionType");
        let field = at.child("readinessGates").index(i).child("conditionType");
        invalid(errors, &field, kind, names::qualified_name(kind));
    }
    let mut seen = BTreeSet::new();
    for (i, gate) in spec.list("schedulingGates").iter().enumerate() {
        let name = gate.text_or_empty("name");
        let field = at.child("schedulingGates").index(i);
        invalid(errors, &field, name, names::qualified_name(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&field, name));
        }
    }
}

type Check = fn(&str) -> Vec<String>;

fn checked(spec: &Value, member: &str, check: Check, at: &Path, errors: &mut Vec<Error>) {
    let value = spec.text_or_empty(member);
    if !value.is_empty() {
        invalid(errors, &at.child(member), value, check(value));
    }
}

fn names_of(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    checked(spec, "serviceAccountName", names::subdomain, at, errors);
    checked(spec, "nodeName", names::subdomain, at, errors);
    if let Some(seconds) = spec.int("activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = "must be between 1 and 2147483647, inclusive";
        errors.push(Error::invalid(&at.child("activeDeadlineSeconds"), seconds, why));
    }
    checked(spec, "hostname", names::label, at, errors);
    checked(spec, "subdomain", names::label, at, errors);
}

fn more_names(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    checked(spec, "priorityClassName", names::subdomain, at, errors);
    checked(spec, "runtimeClassName", names::subdomain, at, errors);
}

fn host_aliases(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    for (i, alias) in spec.list("hostAliases").iter().enumerate() {
        let at = at.child("hostAliases").index(i);
        let ip = alias.text_or_empty("ip");
        invalid(errors, &at.child("ip"), ip, names::ip(ip));
        for (j, name) in alias.list("hostnames").iter().filter_map(Value::as_str).enumerate() {
            invalid(errors, &at.child("hostnames").index(j), name, names::subdomain(name));
        }
    }
}

#[cfg(test)]
mod tests;
