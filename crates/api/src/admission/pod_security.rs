//! PodSecurity (A242): the levels *baseline* and *restricted* of the pod security standards.
//!
//! A level is a list of checks; a violated one gives a reason and a detail. Versions are accepted and not told apart:
//! the newest rules apply.

mod baseline;
mod restricted;

use serde_json::{Map, Value};

use super::containers;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Known ways to the node are closed.
    Baseline,
    /// Today's hardening practice.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level with the version that a namespace asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The level.
    pub level: Level,
    version: String,
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.level.as_str(), self.version)
    }
}

/// What a namespace's labels demand for `mode` (`enforce`, `warn`, `audit`).
pub fn demand(namespace: &Value, mode: &str) -> Demand {
    let label = |name: String| {
        let labels = namespace.pointer("/metadata/labels").and_then(Value::as_object);
        labels.and_then(|labels| labels.get(&name)).and_then(Value::as_str)
    };
    Demand {
        level: label(format!("{PREFIX}{mode}")).and_then(Level::parse).unwrap_or(Level::Privileged),
        version: label(format!("{PREFIX}{mode}-version")).unwrap_or("latest").to_owned(),
    }
}

/// The labels of a namespace that mean nothing: (label, value, what it must be).
pub fn bad_labels(labels: Option<&Map<String, Value>>) -> Vec<(String, String, &'static str)> {
    let mut bad = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let at = |name: &str| labels.and_then(|labels| labels.get(name)).and_then(Value::as_str).map(str::to_owned);
        let name = format!("{PREFIX}{mode}");
        if let Some(value) = at(&name).filter(|value| Level::parse(value).is_none()) {
            bad.push((name, value, "must be one of privileged, baseline, restricted"));
        }
        let name = format!("{PREFIX}{mode}-version");
        if let Some(value) = at(&name).filter(|value| !is_version(value)) {
            bad.push((name, value, "must be \"latest\" or \"v1.x\""));
        }
    }
    bad
}

fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    text == "latest"
        || minor.is_some_and(|minor| !minor.is_empty() && minor.len() <= 4 && minor.bytes().all(|b| b.is_ascii_digit()))
}

/// One violated check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check in a few words.
    pub reason: &'static str,
    /// Where, and what it must be; may be empty.
    pub detail: String,
}

/// The violated checks of a level, in upstream's order. `pod` is a pod or a pod template.
pub fn evaluate(level: Level, pod: &Value) -> Vec<Violation> {
    let empty = Value::Null;
    let spec = pod.get("spec").unwrap_or(&empty);
    let checks: Vec<Option<Violation>> = match level {
        Level::Privileged => return Vec::new(),
        Level::Baseline => baseline::checks(pod, spec, false),
        Level::Restricted => [baseline::checks(pod, spec, true), restricted::checks(spec)].concat(),
    };
    checks.into_iter().flatten().collect()
}

/// `reason (detail), reason (detail)`.
pub fn sentence(violations: &[Violation]) -> String {
    let parts: Vec<String> = violations
        .iter()
        .map(|one| match one.detail.as_str() {
            "" => one.reason.to_owned(),
            detail => format!("{} ({detail})", one.reason),
        })
        .collect();
    parts.join(", ")
}

/// The warnings that follow a stricter `enforce` of a namespace with these pods (name, pod).
pub fn warn_about_existing(namespace: &str, demand: &Demand, pods: &[(String, Value)]) -> Vec<String> {
    let mut groups: Vec<(String, &str, usize)> = Vec::new();
    for (name, pod) in pods {
        let violations = evaluate(demand.level, pod);
        if violations.is_empty() {
            continue;
        }
        let reasons: Vec<&str> = violations.iter().map(|one| one.reason).collect();
        let reasons = reasons.join(", ");
        match groups.iter_mut().find(|(other, ..)| *other == reasons) {
            Some((_, _, others)) => *others += 1,
            None => groups.push((reasons, name, 0)),
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    groups.sort_by_key(|(_, name, _)| *name);
    let title =
        format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{demand}\"");
    let lines = groups.into_iter().map(|(reasons, name, others)| match others {
        0 => format!("{name}: {reasons}"),
        1 => format!("{name} (and 1 other pod): {reasons}"),
        _ => format!("{name} (and {others} other pods): {reasons}"),
    });
    std::iter::once(title).chain(lines).collect()
}

/// The names of the containers for which `bad` holds.
fn offenders<'a>(spec: &'a Value, bad: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
    containers(spec).filter(|(_, one)| bad(one)).map(|(_, one)| super::text(one, "name")).collect()
}

/// `container "a"` or `containers "a", "b"`.
fn named(kind: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{kind}{plural} {}", quoted(names))
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

#[cfg(test)]
mod tests;
