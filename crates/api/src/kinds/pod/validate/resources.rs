//! Requests and limits.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scope, invalid};
use crate::field::{Error, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::value::Read;

/// The rules of `resources` of a container or a pod.
pub(super) fn requirements(resources: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let (limits_at, requests_at) = (at.child("limits"), at.child("requests"));
    let (mut basic, mut huge) = (false, false);
    let mut see = |name: &str| {
        basic |= matches!(name, "cpu" | "memory");
        huge |= huge_pages(name);
    };
    for (name, amount) in resources.map("limits").into_iter().flatten() {
        see(name);
        resource_name(name, &limits_at, errors);
        amount_of(name, amount, &limits_at.key(name), errors);
    }
    for (name, amount) in resources.map("requests").into_iter().flatten() {
        see(name);
        resource_name(name, &requests_at, errors);
        amount_of(name, amount, &requests_at.key(name), errors);
        let limit = resources.map("limits").and_then(|l| l.get(name));
        compare(name, amount, limit, &requests_at, &limits_at, errors);
    }
    if huge && !basic {
        errors.push(Error::forbidden(at, "HugePages require cpu or memory"));
    }
    let mut seen = BTreeSet::new();
    for (i, claim) in resources.list("claims").iter().enumerate() {
        let name = claim.text_or_empty("name");
        let at = at.child("claims").index(i);
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        } else if !seen.insert((name, claim.text_or_empty("request"))) {
            errors.push(Error::duplicate(&at, name));
        } else if !scope.claims.contains(name) {
            errors.push(Error::not_found(&at, name));
        }
    }
}

/// `overhead`: names and amounts only.
pub(super) fn overhead(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("overhead");
    for (name, amount) in spec.map("overhead").into_iter().flatten() {
        resource_name(name, &at, errors);
        amount_of(name, amount, &at.key(name), errors);
    }
}

fn huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Resources that the system itself knows: without a prefix or with one of kubernetes.io.
pub(in crate::kinds) fn native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn resource_name(name: &str, list: &Path, errors: &mut Vec<Error>) {
    const STANDARD: &[&str] = &[
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "services",
        "resourcequotas",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "storage",
        "requests.storage",
        "services.nodeports",
        "services.loadbalancers",
    ];
    let at = list.key(name);
    let texts = names::qualified_name(name);
    let spelt = texts.is_empty();
    invalid(errors, &at, name, texts);
    if !spelt {
        return;
    }
    if !name.contains('/') {
        if !STANDARD.contains(&name) && !huge_pages(name) && !name.starts_with("requests.hugepages-") {
            let why = "must be a standard resource type or fully qualified";
            errors.push(Error::invalid(&at, name, why));
        }
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !huge_pages(name) {
            errors.push(Error::invalid(&at, name, "must be a standard resource for containers"));
        }
    } else if !native(name) && name.starts_with("requests.") {
        errors.push(Error::invalid(&at, name, "doesn't follow extended resource name standard"));
    }
}

fn parse(amount: &Value) -> Option<Quantity> {
    amount.as_str().and_then(|t| t.parse().ok())
}

/// An amount of a resource: not negative, whole where it counts things.
pub(in crate::kinds) fn amount_of(name: &str, amount: &Value, at: &Path, errors: &mut Vec<Error>) {
    let Some(quantity) = parse(amount) else { return };
    if quantity.sign() < 0 {
        errors.push(Error::invalid(at, amount.clone(), "must be greater than or equal to 0"));
    }
    if !native(name) && !quantity.is_whole() {
        errors.push(Error::invalid(at, amount.clone(), "must be an integer"));
    }
}

fn compare(name: &str, amount: &Value, limit: Option<&Value>, requests: &Path, limits: &Path, errors: &mut Vec<Error>) {
    let overcommit = native(name) && !huge_pages(name);
    let Some(limit) = limit else {
        if !overcommit {
            errors.push(Error::required(limits, "Limit must be set for non overcommitable resources"));
        }
        return;
    };
    let (Some(a), Some(b)) = (parse(amount), parse(limit)) else { return };
    let shown = limit.as_str().unwrap_or_default();
    if !overcommit && a != b {
        errors.push(Error::invalid(requests, amount.clone(), format!("must be equal to {name} limit of {shown}")));
    } else if a > b {
        let why = format!("must be less than or equal to {name} limit of {shown}");
        errors.push(Error::invalid(requests, amount.clone(), why));
    }
}
