//! What an object costs under which names.
//!
//! Every object costs one `count/RESOURCE.GROUP`; a few kinds have older names for that, and pods, services and claims cost
//! more than their number. Pods that have ended still count as objects and cost nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::super::{items, text};
use super::{Amounts, amounts};
use crate::kinds::pod::qos;
use crate::quantity::Quantity;

/// Names that a quota may have for a pod, beyond prefixes.
const OF_PODS: [&str; 10] = [
    "pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Of these every container of a pod must name an amount as soon as a quota bounds them.
const DEMANDED: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
const OF_SERVICES: [&str; 3] = ["services", "services.loadbalancers", "services.nodeports"];
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// Kinds whose number has a name from before `count/`.
const NUMBERED: [&str; 4] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource<'a> {
    /// API group.
    pub group: &'a str,
    /// Plural.
    pub plural: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Pods,
    Services,
    Claims,
    Numbered,
    Other,
}

impl Resource<'_> {
    fn class(&self) -> Class {
        match (self.group, self.plural) {
            ("", "pods") => Class::Pods,
            ("", "services") => Class::Services,
            ("", "persistentvolumeclaims") => Class::Claims,
            ("", plural) if NUMBERED.contains(&plural) => Class::Numbered,
            _ => Class::Other,
        }
    }

    /// The name under which its objects are numbered.
    #[must_use]
    pub fn count_name(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("count/{}{dot}{}", self.plural, self.group)
    }

    /// The kind that a name is about, if it can be told from the name alone.
    #[must_use]
    pub fn named(bound: &str) -> Option<Resource<'_>> {
        if let Some(counted) = bound.strip_prefix("count/") {
            let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
            return Some(Resource { group, plural });
        }
        let core = |plural| Resource { group: "", plural };
        ["pods", "services", "persistentvolumeclaims"]
            .into_iter()
            .chain(NUMBERED)
            .map(core)
            .find(|resource| resource.is_bound(bound))
    }

    /// Whether an update may cost more than what it replaces.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        !matches!(self.class(), Class::Numbered | Class::Other)
    }

    /// Whether a bound of this name is about this kind.
    #[must_use]
    pub fn is_bound(&self, name: &str) -> bool {
        if name == self.count_name() {
            return true;
        }
        match self.class() {
            Class::Pods => {
                let asked = name.strip_prefix("requests.").unwrap_or_default();
                OF_PODS.contains(&name)
                    || name.starts_with("hugepages-")
                    || asked.starts_with("hugepages-")
                    || (is_extended(asked) && !name.contains(STORAGE_CLASS))
            }
            Class::Services => OF_SERVICES.contains(&name),
            Class::Claims => {
                let amount = name.split_once(STORAGE_CLASS).map_or(name, |(_, amount)| amount);
                matches!(amount, "persistentvolumeclaims" | "requests.storage")
            }
            Class::Numbered => name == self.plural,
            Class::Other => false,
        }
    }

    /// What containers of a pod do not say although one of these bounds demands it: `requests.cpu for: a,b`.
    #[must_use]
    pub fn missing(&self, object: &Value, bounds: &[&str]) -> Option<String> {
        if self.class() != Class::Pods {
            return None;
        }
        let spec = object.get("spec")?;
        let of_pod = spec.get("resources").map(spoken).unwrap_or_default();
        let demanded: Vec<&str> =
            DEMANDED.into_iter().filter(|name| bounds.contains(name) && !of_pod.contains(*name)).collect();
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for container in items(spec, "containers").chain(items(spec, "initContainers")) {
            let said = container.get("resources").map(spoken).unwrap_or_default();
            for name in demanded.iter().filter(|name| !said.contains(**name)) {
                missing.entry(name).or_default().insert(text(container, "name"));
            }
        }
        let lines = missing
            .into_iter()
            .map(|(name, of)| format!("{name} for: {}", of.into_iter().collect::<Vec<_>>().join(",")));
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// The names that a `resources` speaks of.
fn spoken(resources: &Value) -> BTreeSet<String> {
    priced(&amounts(resources.get("requests")), &amounts(resources.get("limits"))).into_keys().collect()
}

/// A resource with a domain that is not Kubernetes' own: `example.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

/// What scopes look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodTraits {
    pub(super) has_deadline: bool,
    pub(super) is_best_effort: bool,
    pub(super) looks_abroad: bool,
    pub(super) priority_class: String,
}

/// What one object costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charge {
    /// As long as it exists.
    number: Amounts,
    /// As long as it is alive.
    life: Amounts,
    /// When it counts as dead although it is still there: its grace has run out twice.
    dead_at: Option<Timestamp>,
    pod: Option<PodTraits>,
}

impl Charge {
    /// The cost of an object of this kind.
    #[must_use]
    pub fn of(of: &Resource<'_>, object: &Value) -> Self {
        let one = || Quantity::from_int(1);
        let mut charge = Self { number: Amounts::from([(of.count_name(), one())]), ..Self::default() };
        match of.class() {
            Class::Pods => charge.add_pod(object),
            Class::Services => charge.number.extend(service(object)),
            Class::Claims => charge.number.extend(claim(object)),
            Class::Numbered => {
                charge.number.insert(of.plural.to_owned(), one());
            }
            Class::Other => {}
        }
        charge
    }

    /// What scopes look at, of a pod.
    pub(super) fn pod(&self) -> Option<&PodTraits> {
        self.pod.as_ref()
    }

    /// All that it costs when it is alive.
    #[must_use]
    pub fn all(&self) -> Amounts {
        self.number.iter().chain(&self.life).map(|(name, amount)| (name.clone(), amount.clone())).collect()
    }

    /// What it costs at this time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Amounts {
        if self.dead_at.is_some_and(|at| now > at) { self.number.clone() } else { self.all() }
    }

    fn add_pod(&mut self, pod: &Value) {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        self.pod = Some(PodTraits {
            has_deadline: spec.get("activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds >= 0),
            is_best_effort: qos::class(spec) == "BestEffort",
            looks_abroad: looks_abroad(spec),
            priority_class: text(spec, "priorityClassName").to_owned(),
        });
        let phase = pod.pointer("/status/phase").and_then(Value::as_str);
        if matches!(phase, Some("Failed" | "Succeeded")) {
            return;
        }
        self.life = priced(&whole(spec, "requests"), &whole(spec, "limits"));
        self.life.insert("pods".to_owned(), Quantity::from_int(1));
        let meta = pod.get("metadata").unwrap_or(&Value::Null);
        let grace = meta.get("deletionGracePeriodSeconds").and_then(Value::as_i64);
        let deleted: Option<Timestamp> = text(meta, "deletionTimestamp").parse().ok();
        self.dead_at =
            deleted.zip(grace).and_then(|(at, grace)| at.checked_add(jiff::SignedDuration::from_secs(grace)).ok());
    }
}

/// Requests and limits under the names that quotas have for them.
fn priced(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut priced = Amounts::new();
    for (name, amount) in requests {
        match name.as_str() {
            "cpu" | "memory" | "ephemeral-storage" => {
                priced.insert(name.clone(), amount.clone());
                priced.insert(format!("requests.{name}"), amount.clone());
            }
            other if other.starts_with("hugepages-") => {
                priced.insert(name.clone(), amount.clone());
                priced.insert(format!("requests.{name}"), amount.clone());
            }
            other if is_extended(other) => {
                priced.insert(format!("requests.{name}"), amount.clone());
            }
            _ => {}
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            priced.insert(format!("limits.{name}"), amount.clone());
        }
    }
    priced
}

/// What a pod asks for as a whole: containers and sidecars together, or the largest init step beside the sidecars started
/// before it; what the pod itself names instead; plus overhead.
fn whole(spec: &Value, half: &str) -> Amounts {
    let of = |holder: &Value| amounts(holder.get("resources").and_then(|resources| resources.get(half)));
    let (mut total, mut sidecars, mut peak) = (Amounts::new(), Amounts::new(), Amounts::new());
    for container in items(spec, "initContainers") {
        let mut step = of(container);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sidecars, &step);
            raise(&mut peak, &sidecars);
        } else {
            add(&mut step, &sidecars);
            raise(&mut peak, &step);
        }
    }
    for container in items(spec, "containers") {
        add(&mut total, &of(container));
    }
    add(&mut total, &sidecars);
    raise(&mut total, &peak);
    total.extend(of(spec));
    let overhead = amounts(spec.get("overhead"));
    // A limit that nobody has set is none, whatever the runtime needs on top.
    let overhead = overhead.into_iter().filter(|(name, _)| half == "requests" || total.contains_key(name)).collect();
    add(&mut total, &overhead);
    total
}

/// Adds amounts to amounts.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or_else(|| amount.clone(), |have| have.plus(amount));
        total.insert(name.clone(), sum);
    }
}

/// Takes amounts from amounts.
pub fn subtract(total: &mut Amounts, less: &Amounts) {
    for (name, amount) in less {
        if let Some(have) = total.get_mut(name) {
            *have = have.minus(amount);
        }
    }
}

fn raise(total: &mut Amounts, to: &Amounts) {
    for (name, amount) in to {
        if total.get(name).is_none_or(|have| have < amount) {
            total.insert(name.clone(), amount.clone());
        }
    }
}

fn looks_abroad(spec: &Value) -> bool {
    let Some(affinity) = spec.get("affinity") else { return false };
    let kinds = ["podAffinity", "podAntiAffinity"].into_iter().filter_map(|kind| affinity.get(kind));
    kinds.into_iter().any(|kind| {
        let required = items(kind, "requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = items(kind, "preferredDuringSchedulingIgnoredDuringExecution");
        required.chain(preferred.filter_map(|weighted| weighted.get("podAffinityTerm"))).any(|term| {
            items(term, "namespaces").next().is_some() || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
        })
    })
}

fn service(service: &Value) -> Amounts {
    let spec = service.get("spec").unwrap_or(&Value::Null);
    let ports = || items(spec, "ports");
    let open = ports().filter(|port| port.get("nodePort").and_then(Value::as_i64).unwrap_or(0) != 0).count();
    let (node_ports, balancers) = match text(spec, "type") {
        "NodePort" => (ports().count(), 0),
        "LoadBalancer" if spec.get("allocateLoadBalancerNodePorts") == Some(&Value::Bool(false)) => (open, 1),
        "LoadBalancer" => (ports().count(), 1),
        _ => (0, 0),
    };
    let amount = |n: usize| Quantity::from_int(i64::try_from(n).unwrap_or(i64::MAX));
    OF_SERVICES.map(str::to_owned).into_iter().zip([amount(1), amount(balancers), amount(node_ports)]).collect()
}

fn claim(claim: &Value) -> Amounts {
    let spec = claim.get("spec").unwrap_or(&Value::Null);
    let beta = claim.pointer("/metadata/annotations/volume.beta.kubernetes.io~1storage-class").and_then(Value::as_str);
    let class = beta.unwrap_or_else(|| text(spec, "storageClassName"));
    let storage = amounts(spec.pointer("/resources/requests")).remove("storage");
    let mut used = Amounts::new();
    let one = || Quantity::from_int(1);
    used.insert("persistentvolumeclaims".to_owned(), one());
    if !class.is_empty() {
        used.insert(format!("{class}{STORAGE_CLASS}persistentvolumeclaims"), one());
    }
    if let Some(storage) = storage {
        if !class.is_empty() {
            used.insert(format!("{class}{STORAGE_CLASS}requests.storage"), storage.clone());
        }
        used.insert("requests.storage".to_owned(), storage);
    }
    used
}
