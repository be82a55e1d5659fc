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
    amounts(resources, container_resource, at, errors);
    claims(resources.list("claims"), scope, &at.child("claims"), errors);
}

/// The rules of `resources` of a pod: few resources, no claims, and no container may have more.
pub(super) fn of_pod(spec: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let Some(own) = spec.at("resources") else { return };
    if own.at("claims").is_some() {
        errors.push(Error::forbidden(&at.child("claims"), "claims cannot be set for Resources at pod-level"));
    }
    amounts(own, pod_resource, at, errors);
    claims(own.list("claims"), scope, &at.child("claims"), errors);
    for (i, container) in spec.list("containers").iter().enumerate() {
        for (name, limit) in container.map("resources.limits").into_iter().flatten() {
            let whole = own.map("limits").and_then(|limits| limits.get(name));
            let (Some(part), Some(most)) = (parse(limit), whole.and_then(parse)) else { continue };
            if part > most {
                let field = at.child("containers").index(i).key(name).child("limits");
                errors.push(Error::invalid(
                    &field,
                    limit.clone(),
                    format!("must be less than or equal to pod limits of {most}"),
                ));
            }
        }
    }
}

type NameRule = fn(&str, &Path, &mut Vec<Error>);

fn amounts(resources: &Value, name_rule: NameRule, at: &Path, errors: &mut Vec<Error>) {
    let (limits_at, requests_at) = (at.child("limits"), at.child("requests"));
    let (mut basic, mut huge) = (false, false);
    let mut see = |name: &str| {
        basic |= matches!(name, "cpu" | "memory");
        huge |= huge_pages(name);
    };
    for (name, amount) in resources.map("limits").into_iter().flatten() {
        see(name);
        name_rule(name, &limits_at.key(name), errors);
        amount_of(name, amount, &limits_at.key(name), errors);
        whole_pages(name, amount, &limits_at.key(name), errors);
    }
    for (name, amount) in resources.map("requests").into_iter().flatten() {
        see(name);
        name_rule(name, &requests_at.key(name), errors);
        amount_of(name, amount, &requests_at.key(name), errors);
        let limit = resources.map("limits").and_then(|l| l.get(name));
        compare(name, amount, limit, &requests_at, &limits_at, errors);
        whole_pages(name, amount, &requests_at.key(name), errors);
    }
    if huge && !basic {
        errors.push(Error::forbidden(at, "HugePages require cpu or memory"));
    }
}

fn claims(claims: &[Value], scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (i, claim) in claims.iter().enumerate() {
        let (name, request) = (claim.text_or_empty("name"), claim.text_or_empty("request"));
        let at = at.index(i);
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        if seen.contains(&(name, "")) {
            errors.push(Error::duplicate(&at, name));
        } else {
            if !request.is_empty() {
                invalid(errors, &at.child("request"), request, names::label(request));
            }
            if seen.contains(&(name, request)) {
                errors.push(Error::duplicate(&at, format!("{name}/{request}")));
            } else if request.is_empty() {
                let parts = seen.iter().filter(|(other, _)| *other == name);
                errors.extend(parts.map(|_| Error::duplicate(&at, name)));
            }
            seen.insert((name, request));
        }
        if !scope.claims.contains(name) {
            let known = scope.claims.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { " which is empty".to_owned() } else { format!(": {known}") };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{known}");
            errors.push(Error { detail, ..Error::not_found(&at, name) });
        }
    }
}

/// Huge pages are asked for in whole pages.
fn whole_pages(name: &str, amount: &Value, at: &Path, errors: &mut Vec<Error>) {
    let (Some(size), Some(quantity)) = (name.strip_prefix("hugepages-"), parse(amount)) else { return };
    let size = size.parse::<Quantity>().ok().filter(|size| size.sign() > 0 && size.is_whole());
    if size.is_none_or(|size| quantity.value() % size.value() != 0) {
        let why = format!("{quantity} is not positive integer multiple of {name}");
        errors.push(Error::invalid(at, amount.clone(), why));
    }
}

/// `overhead`: names and amounts only.
pub(super) fn overhead(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("overhead");
    for (name, amount) in spec.map("overhead").into_iter().flatten() {
        container_resource(name, &at.key(name), errors);
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

/// A resource that there is at all; says whether it is spelt well.
pub(in crate::kinds) fn resource_name(name: &str, at: &Path, errors: &mut Vec<Error>) {
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
    let texts = names::qualified_name(name);
    let spelt = texts.is_empty();
    invalid(errors, at, name, texts);
    let known = STANDARD.contains(&name) || huge_pages(name) || name.starts_with("requests.hugepages-");
    if spelt && !name.contains('/') && !known {
        errors.push(Error::invalid(at, name, "must be a standard resource type or fully qualified"));
    }
}

fn container_resource(name: &str, at: &Path, errors: &mut Vec<Error>) {
    resource_name(name, at, errors);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !huge_pages(name) {
            errors.push(Error::invalid(at, name, "must be a standard resource for containers"));
        }
    } else if !native(name) && name.starts_with("requests.") {
        errors.push(Error::invalid(at, name, "doesn't follow extended resource name standard"));
    }
}

fn pod_resource(name: &str, at: &Path, errors: &mut Vec<Error>) {
    let before = errors.len();
    resource_name(name, at, errors);
    if errors.len() == before && !matches!(name, "cpu" | "memory") && !huge_pages(name) {
        errors.push(Error::not_supported(at, name, &["cpu", "hugepages-", "memory"]));
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
