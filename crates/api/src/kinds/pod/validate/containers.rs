//! Containers, init containers and ephemeral containers: names, images, ports, and what each sort may have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scope, env, invalid, maybe_one_of, mounts, one_of, probes, resources, security};
use crate::field::{Error, Path};
use crate::names;
use crate::value::Read;

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
        maybe_one_of(errors, container, "restartPolicy", &at, &["Always", "Never", "OnFailure"]);
        probes::all(container, &at, errors);
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
        maybe_one_of(errors, container, "restartPolicy", &at, &["Always", "Never", "OnFailure"]);
        let name = container.text_or_empty("name");
        if !name.is_empty() && !seen.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        host_port_conflicts(std::iter::once((i, container)), at_list, errors);
        if container.text("restartPolicy") == Some("Always") {
            probes::all(container, &at, errors);
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
    let volumes = spec.list("volumes").iter().map(|v| v.text_or_empty("name").to_owned()).collect();
    let scope = Scope { volumes, claims: BTreeSet::new() };
    let named = |list: &str| spec.list(list).iter().map(|c| c.text_or_empty("name"));
    let mut seen: BTreeSet<&str> = named("containers").chain(named("initContainers")).collect();
    let others = seen.clone();
    let at = at.child("ephemeralContainers");
    for (i, container) in spec.list("ephemeralContainers").iter().enumerate() {
        let at = at.index(i);
        common(container, &scope, &at, errors);
        let name = container.text_or_empty("name");
        if !seen.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        let target = container.text_or_empty("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&at.child("targetContainerName"), target));
        }
        for member in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources"] {
            if !container.is_zero(member) {
                errors.push(Error::forbidden(&at.child(member), "cannot be set for an Ephemeral Container"));
            }
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
    security::container(container, at, errors);
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
        let mut check = |member: &str| {
            let value = number(member);
            let texts = names::port_number(value).into_iter();
            errors.extend(texts.map(|text| Error::invalid(&at.child(member), value, text)));
        };
        if number("containerPort") != 0 {
            check("containerPort");
        }
        if number("hostPort") != 0 {
            check("hostPort");
        }
        if number("containerPort") == 0 {
            errors.push(Error::required(&at.child("containerPort"), ""));
        }
        one_of(errors, port, "protocol", &at, &["SCTP", "TCP", "UDP"]);
        let ip = port.text_or_empty("hostIP");
        if !ip.is_empty() {
            invalid(errors, &at.child("hostIP"), ip, names::ip(ip));
        }
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
