//! Service: defaults, what an update keeps of the allocations, validation (A385–A387).
//!
//! Not here: drawing addresses and node ports, which needs the store. The server asks [`wants_address`] and [`wants_node_ports`] between
//! preparation and commit, and writes with [`set_address`] and `spec.ports[i].nodePort`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::names;
use crate::strategy::{Context, Strategy};
use crate::value::{Read, list_mut, remove, same, set, set_default};

/// Node ports that may be drawn.
pub const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// The strategy of services.
#[derive(Debug)]
pub struct Service;

/// The one [`Service`].
pub static SERVICE: Service = Service;

impl Strategy for Service {
    fn default(&self, service: &mut Object) {
        if service.at("spec").is_none() {
            set(service, "spec", json!({}));
        }
        let Some(spec) = service.get_mut("spec").filter(|s| s.is_object()) else { return };
        for (member, value) in [("sessionAffinity", "None"), ("type", "ClusterIP")] {
            if spec.text_or_empty(member).is_empty() {
                set(spec, member, value);
            }
        }
        if spec.text("sessionAffinity") == Some("ClientIP") {
            set_default(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", 10800);
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if port.text_or_empty("protocol").is_empty() {
                set(port, "protocol", "TCP");
            }
            let target = port.get("targetPort");
            if target.is_none_or(crate::value::is_zero) {
                set(port, "targetPort", port["port"].clone());
            }
        }
        let kind = spec.text_or_empty("type").to_owned();
        if kind != "ExternalName" {
            set_default(spec, "internalTrafficPolicy", "Cluster");
        }
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer")
            && spec.text_or_empty("externalTrafficPolicy").is_empty()
        {
            set(spec, "externalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            set_default(spec, "allocateLoadBalancerNodePorts", true);
        }
        mirror_addresses(spec);
    }

    fn prepare_for_create(&self, service: &mut Object, _context: &Context<'_>) {
        families(service);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object, context: &Context<'_>) {
        if context.subresource.is_empty() {
            follow_address(new, old);
            keep_allocations(new, old);
            release_node_ports(new, old);
            families(new);
        }
    }

    fn validate(&self, service: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        if let Some(spec) = service.at("spec") {
            validate_spec(spec, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        let mut errors = Vec::new();
        if !subresource.is_empty() {
            return errors;
        }
        let before = old.list("spec.clusterIPs");
        let now = new.list("spec.clusterIPs");
        let external = [new, old].iter().any(|s| s.text("spec.type") == Some("ExternalName"));
        if !external && before.first().is_some_and(|b| now.first() != Some(b)) {
            let field = Path::new("spec.clusterIPs").index(0);
            errors.push(Error::invalid(&field, Value::from(now), "may not change once set"));
        }
        errors.extend(self.validate(new));
        errors
    }
}

fn mirror_addresses(spec: &mut Value) {
    let one = spec.text_or_empty("clusterIP").to_owned();
    let first = spec.list("clusterIPs").first().and_then(Value::as_str).unwrap_or_default().to_owned();
    match (one.is_empty(), first.is_empty()) {
        (false, true) => set(spec, "clusterIPs", json!([one])),
        (true, false) => set(spec, "clusterIP", first),
        _ => {}
    }
}

/// IP families of services that have any; headless ones without a selector may be of both (A385).
fn families(service: &mut Object) {
    let Some(spec) = service.get_mut("spec") else { return };
    if spec.text("type") == Some("ExternalName") {
        return;
    }
    let both = spec.text("clusterIP") == Some("None") && spec.map("selector").is_none_or(serde_json::Map::is_empty);
    if both {
        set_default(spec, "ipFamilyPolicy", "RequireDualStack");
        set_default(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
    } else {
        set_default(spec, "ipFamilyPolicy", "SingleStack");
        set_default(spec, "ipFamilies", json!(["IPv4"]));
    }
}

/// Who changes one of the two spellings of the address only means the other, too.
fn follow_address(new: &mut Object, old: &Object) {
    let (one, all) = ("spec.clusterIP", "spec.clusterIPs");
    let changed = !new.text_or_empty(one).is_empty() && new.text(one) != old.text(one);
    if changed && !old.list(all).is_empty() && new.at(all) == old.at(all) {
        let first = new.at(one).cloned().unwrap_or(Value::Null);
        list_mut(new, all)[0] = first;
    }
}

/// An update that leaves out what was allocated keeps it, as long as the type still has it (A387).
fn keep_allocations(new: &mut Object, old: &Object) {
    let with_address = |s: &Object| s.text_or_empty("spec.type") != "ExternalName";
    if with_address(new) && with_address(old) && new.text_or_empty("spec.clusterIP").is_empty() {
        for member in ["spec.clusterIP", "spec.clusterIPs"] {
            if let Some(value) = old.at(member) {
                set(new, member, value.clone());
            }
        }
    }
    if !with_address(new) && with_address(old) {
        for member in ["clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            drop(remove(new, &format!("spec.{member}")));
        }
        if new.text("spec.clusterIP") == old.text("spec.clusterIP") {
            drop(remove(new, "spec.clusterIP"));
        }
    }
    if has_node_ports(new) && has_node_ports(old) {
        let before: Vec<Value> = old.list("spec.ports").to_vec();
        for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let same_port = |b: &&Value| b.get("port") == port.get("port") && b.get("protocol") == port.get("protocol");
            if port.is_zero("nodePort")
                && let Some(number) = before.iter().find(same_port).and_then(|b| b.at("nodePort")).cloned()
            {
                set(port, "nodePort", number);
            }
        }
    }
}

/// A service that stops having node ports gives back those it had.
fn release_node_ports(new: &mut Object, old: &Object) {
    if has_node_ports(new) || !has_node_ports(old) {
        return;
    }
    for member in ["spec.externalTrafficPolicy", "spec.allocateLoadBalancerNodePorts"] {
        if same(new.at(member), old.at(member)) {
            drop(remove(new, member));
        }
    }
    let before: Vec<i64> = old.list("spec.ports").iter().filter_map(|p| p.int("nodePort")).collect();
    for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port.int("nodePort").is_some_and(|n| before.contains(&n)) {
            drop(remove(port, "nodePort"));
        }
    }
}

fn has_node_ports(service: &Object) -> bool {
    matches!(service.text_or_empty("spec.type"), "NodePort" | "LoadBalancer")
}

/// Whether a cluster address has to be drawn.
pub fn wants_address(service: &Object) -> bool {
    service.text_or_empty("spec.type") != "ExternalName" && service.text_or_empty("spec.clusterIP").is_empty()
}

/// The indices of ports that need a node port.
pub fn wants_node_ports(service: &Object) -> Vec<usize> {
    let skip = service.text("spec.type") == Some("LoadBalancer")
        && service.flag("spec.allocateLoadBalancerNodePorts") == Some(false);
    if !has_node_ports(service) || skip {
        return Vec::new();
    }
    let ports = service.list("spec.ports").iter().enumerate();
    ports.filter(|(_, p)| p.is_zero("nodePort")).map(|(i, _)| i).collect()
}

/// Writes a drawn cluster address.
pub fn set_address(service: &mut Object, address: &str) {
    set(service, "spec.clusterIP", address);
    set(service, "spec.clusterIPs", json!([address]));
}

fn validate_spec(spec: &Value, errors: &mut Vec<Error>) {
    let at = Path::new("spec");
    let kind = spec.text_or_empty("type");
    let headless = spec.text("clusterIP") == Some("None");
    if spec.list("ports").is_empty() && !headless && kind != "ExternalName" {
        errors.push(Error::required(&at.child("ports"), ""));
    }
    ports(spec.list("ports"), &at.child("ports"), errors);
    crate::meta::validate_labels(spec.at("selector"), &at.child("selector"), errors);
    let affinity = spec.text_or_empty("sessionAffinity");
    if !matches!(affinity, "ClientIP" | "None") {
        errors.push(Error::not_supported(&at.child("sessionAffinity"), affinity, &["ClientIP", "None"]));
    }
    if !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        let kinds = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        errors.push(Error::not_supported(&at.child("type"), kind, kinds));
    }
    if kind == "ExternalName" {
        let name = spec.text_or_empty("externalName");
        let plain = name.strip_suffix('.').unwrap_or(name);
        if plain.is_empty() {
            errors.push(Error::required(&at.child("externalName"), ""));
        } else {
            invalid(errors, &at.child("externalName"), plain, names::subdomain(plain));
        }
    }
    for (i, address) in spec.list("externalIPs").iter().filter_map(Value::as_str).enumerate() {
        let field = at.child("externalIPs").index(i);
        invalid(errors, &field, address, names::ip(address));
        invalid(errors, &field, address, names::special_ip(address));
    }
    for (i, address) in spec.list("clusterIPs").iter().filter_map(Value::as_str).enumerate() {
        if address != "None" {
            invalid(errors, &at.child("clusterIPs").index(i), address, names::ip(address));
        }
    }
}

fn ports(ports: &[Value], at: &Path, errors: &mut Vec<Error>) {
    let mut named = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        let name = port.text_or_empty("name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(Error::required(&at.child("name"), ""));
            }
        } else {
            invalid(errors, &at.child("name"), name, names::label(name));
            if !named.insert(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
        }
        let number = port.int("port").unwrap_or(0);
        let texts = names::port_number(number).into_iter();
        errors.extend(texts.map(|text| Error::invalid(&at.child("port"), number, text)));
        let protocol = port.text_or_empty("protocol");
        if !matches!(protocol, "SCTP" | "TCP" | "UDP") {
            errors.push(Error::not_supported(&at.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        match port.get("targetPort") {
            Some(Value::String(target)) => invalid(errors, &at.child("targetPort"), target, names::port_name(target)),
            Some(Value::Number(_)) => {
                let target = port.int("targetPort").unwrap_or(0);
                let texts = names::port_number(target).into_iter();
                errors.extend(texts.map(|text| Error::invalid(&at.child("targetPort"), target, text)));
            }
            _ => {}
        }
        if !seen.insert((protocol, number)) {
            errors.push(Error::duplicate(&at, port.clone()));
        }
    }
}
