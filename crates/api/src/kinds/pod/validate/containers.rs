//! Containers, init containers and ephemeral containers: names, images, ports, and what each sort may have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scope, env, invalid, mounts, one_of, probes, resources, security, volumes};
use crate::field::{Error, Path};
use crate::names;
use crate::value::{Read, is_zero};

/// The list `containers` (A316).
pub(super) fn regular(spec: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("containers");
    let containers = spec.list("containers");
    if containers.is_empty() {
        errors.push(Error::required(&at, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let at = at.index(i);
        common(container, scope, &at, errors);
        let name = container.text_or_empty("name");
        if !seen.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        probes::all(container, scope, &at, errors);
        restarts(container, &at, errors);
    }
    host_port_conflicts(containers.iter().enumerate(), &at, errors);
}

/// The list `initContainers`.
pub(super) fn init(spec: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let at = at.child("initContainers");
    let mut seen: BTreeSet<&str> = spec.list("containers").iter().map(|c| c.text_or_empty("name")).collect();
    for (i, container) in spec.list("initContainers").iter().enumerate() {
        let at_list = &at;
        let at = at.index(i);
        common(container, scope, &at, errors);
        restarts(container, &at, errors);
        let name = container.text_or_empty("name");
        if !name.is_empty() && !seen.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        // Each is looked at alone, as the first of a list of one: that is the index upstream says.
        host_port_conflicts(std::iter::once((0, container)), at_list, errors);
        if container.text("restartPolicy") == Some("Always") {
            probes::all(container, scope, &at, errors);
            continue;
        }
        for member in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.at(member).is_some() {
                let why = "may not be set for init containers without restartPolicy=Always";
                errors.push(Error::forbidden(&at.child(member), why));
            }
        }
    }
}

/// The list `ephemeralContainers` of a pod (A326).
pub(in crate::kinds::pod) fn ephemeral(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let volumes = spec.list("volumes").iter().map(|v| (v.text_or_empty("name").to_owned(), volumes::is_claim(v)));
    let claims = spec.list("resourceClaims").iter().map(|c| c.text_or_empty("name").to_owned());
    let scope = Scope::new(spec, volumes.collect(), claims.collect());
    ephemeral_in(spec, &scope, at, errors);
}

/// The same list, wherever it stands: a template is told each mistake in it, and that it may not have one.
pub(super) fn ephemeral_in(spec: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let named = |list: &str| spec.list(list).iter().map(|c| c.text_or_empty("name"));
    let mut seen: BTreeSet<&str> = named("containers").chain(named("initContainers")).collect();
    let others = seen.clone();
    let at = at.child("ephemeralContainers");
    for (i, container) in spec.list("ephemeralContainers").iter().enumerate() {
        let at = at.index(i);
        common(container, scope, &at, errors);
        let image = container.text_or_empty("image");
        if image.trim() != image {
            let why = "must not have leading or trailing whitespace";
            errors.push(Error::invalid(&at.child("image"), image, why));
        }
        let name = container.text_or_empty("name");
        if !seen.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        let target = container.text_or_empty("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&at.child("targetContainerName"), target));
        }
        let why = "cannot be set for an Ephemeral Container";
        for member in NOT_EPHEMERAL {
            let given = container.at(member).is_some_and(|value| !value.is_array() || !is_zero(value));
            if given && !(*member == "resources" && has_no_resources(container)) {
                errors.push(Error::forbidden(&at.child(member), why));
            }
        }
        for (j, mount) in container.list("volumeMounts").iter().enumerate() {
            for member in ["subPath", "subPathExpr"].into_iter().filter(|member| !mount.is_zero(member)) {
                errors.push(Error::forbidden(&at.child("volumeMounts").index(j).child(member), why));
            }
        }
    }
}

/// What an ephemeral container may not have, in the order of the type.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// `resources` is no pointer: an empty one is none.
fn has_no_resources(container: &Value) -> bool {
    ["limits", "requests", "claims"].iter().all(|member| container.is_zero(&format!("resources.{member}")))
}

/// A container's own restart policy, and the rules that need one.
fn restarts(container: &Value, at: &Path, errors: &mut Vec<Error>) {
    let rules = container.list("restartPolicyRules");
    match container.text("restartPolicy") {
        None if !rules.is_empty() => {
            let why = "must specify restartPolicy when restart rules are used";
            errors.push(Error::required(&at.child("restartPolicy"), why));
        }
        Some(policy) if !["Always", "Never", "OnFailure"].contains(&policy) => {
            errors.push(Error::not_supported(&at.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]));
        }
        _ => {}
    }
    for (i, rule) in rules.iter().enumerate() {
        let at = at.child("restartPolicyRules").index(i);
        let action = rule.text_or_empty("action");
        if !matches!(action, "Restart" | "RestartAllContainers") {
            errors.push(Error::not_supported(&at.child("action"), action, &["Restart", "RestartAllContainers"]));
        }
        let Some(codes) = rule.at("exitCodes") else {
            errors.push(Error::required(&at.child("exitCodes"), "must be specified"));
            continue;
        };
        let operator = codes.text_or_empty("operator");
        if !matches!(operator, "In" | "NotIn") {
            let field = at.child("exitCodes").child("operator");
            errors.push(Error::not_supported(&field, operator, &["In", "NotIn"]));
        }
    }
}

/// What a change of resources means for a running container.
fn resize_policy(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, rule) in container.list("resizePolicy").iter().enumerate() {
        let resource = rule.text_or_empty("resourceName");
        if !seen.insert(resource) {
            errors.push(Error::duplicate(&at.index(i), resource));
        }
        // Upstream says the list, not the member, from here on.
        for (value, supported) in
            [(resource, ["cpu", "memory"]), (rule.text_or_empty("restartPolicy"), ["NotRequired", "RestartContainer"])]
        {
            match value {
                "" => errors.push(Error::required(at, "")),
                value if supported.contains(&value) => {}
                value => errors.push(Error::not_supported(at, value, &supported)),
            }
        }
        let policy = rule.text_or_empty("restartPolicy");
        if scope.never_restarts && policy != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(at, policy, why));
        }
    }
}

fn common(container: &Value, scope: &Scope, at: &Path, errors: &mut Vec<Error>) {
    let name = container.text_or_empty("name");
    if name.is_empty() {
        errors.push(Error::required(&at.child("name"), ""));
    } else {
        invalid(errors, &at.child("name"), name, names::label(name));
    }
    let image = container.text_or_empty("image");
    if image.is_empty() {
        errors.push(Error::required(&at.child("image"), ""));
    }
    one_of(errors, container, "terminationMessagePolicy", at, &["File", "FallbackToLogsOnError"]);
    ports(container.list("ports"), &at.child("ports"), errors);
    env::validate(container, at, errors);
    mounts::validate(container, scope, at, errors);
    one_of(errors, container, "imagePullPolicy", at, &["Always", "IfNotPresent", "Never"]);
    static NONE: Value = Value::Null;
    let own = container.at("resources").unwrap_or(&NONE);
    resources::requirements(own, scope, &at.child("resources"), errors);
    resize_policy(container, scope, &at.child("resizePolicy"), errors);
    security::container(container, scope, at, errors);
}

fn ports(ports: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        let name = port.text_or_empty("name");
        if !name.is_empty() {
            let texts = names::port_name(name);
            if texts.is_empty() && !seen.insert(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
            invalid(errors, &at.child("name"), name, texts);
        }
        let number = |member: &str| port.int(member).unwrap_or(0);
        let check = |member: &str, errors: &mut Vec<Error>| {
            let value = number(member);
            let texts = names::port_number(value).into_iter();
            errors.extend(texts.map(|text| Error::invalid(&at.child(member), value, text)));
        };
        if number("containerPort") == 0 {
            errors.push(Error::required(&at.child("containerPort"), ""));
        } else {
            check("containerPort", errors);
        }
        if number("hostPort") != 0 {
            check("hostPort", errors);
        }
        one_of(errors, port, "protocol", &at, &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts<'a>(containers: impl Iterator<Item = (usize, &'a Value)>, at: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (i, container) in containers {
        for (j, port) in container.list("ports").iter().enumerate() {
            let Some(number) = port.int("hostPort").filter(|n| *n != 0) else { continue };
            let key = format!("{}/{}/{number}", port.text_or_empty("protocol"), port.text_or_empty("hostIP"));
            if !seen.insert(key.clone()) {
                errors.push(Error::duplicate(&at.index(i).child("ports").index(j).child("hostPort"), key));
            }
        }
    }
}
