//! Ingress, NetworkPolicy, IngressClass, Endpoints, EndpointSlice: stored and checked for their shape (A303, A388).

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::names;
use crate::selector::structured;
use crate::strategy::Strategy;
use crate::value::{Read, set, set_default};

/// The strategy of ingresses.
#[derive(Debug)]
pub struct Ingress;

/// The one [`Ingress`].
pub static INGRESS: Ingress = Ingress;

impl Strategy for Ingress {
    fn validate(&self, ingress: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        if ingress.list("spec.rules").is_empty() && ingress.at("spec.defaultBackend").is_none() {
            let why = "either `defaultBackend` or `rules` must be specified";
            errors.push(Error::invalid(&at, ingress.list("spec.rules"), why));
        }
        for (i, rule) in ingress.list("spec.rules").iter().enumerate() {
            let at = at.child("rules").index(i);
            for (j, path) in rule.list("http.paths").iter().enumerate() {
                let at = at.child("http").child("paths").index(j);
                match path.text_or_empty("pathType") {
                    "Exact" | "Prefix" | "ImplementationSpecific" => {}
                    "" => errors.push(Error::required(&at.child("pathType"), "pathType must be specified")),
                    other => {
                        let kinds = &["Exact", "ImplementationSpecific", "Prefix"];
                        errors.push(Error::not_supported(&at.child("pathType"), other, kinds));
                    }
                }
            }
        }
        errors
    }
}

/// The strategy of network policies.
#[derive(Debug)]
pub struct NetworkPolicy;

/// The one [`NetworkPolicy`].
pub static NETWORK_POLICY: NetworkPolicy = NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn default(&self, policy: &mut Object) {
        let Some(spec) = policy.get_mut("spec").filter(|s| s.is_object()) else { return };
        for direction in ["ingress", "egress"] {
            for rule in spec.get_mut(direction).and_then(Value::as_array_mut).into_iter().flatten() {
                for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                    set_default(port, "protocol", "TCP");
                }
            }
        }
        if spec.list("policyTypes").is_empty() {
            let egress = !spec.list("egress").is_empty();
            set(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
        }
    }

    fn validate(&self, policy: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec");
        if let Some(selector) = policy.at("spec.podSelector") {
            structured::validate(selector, &at.child("podSelector"), &mut errors);
        }
        for (i, kind) in policy.list("spec.policyTypes").iter().filter_map(Value::as_str).enumerate() {
            if !matches!(kind, "Ingress" | "Egress") {
                let field = at.child("policyTypes").index(i);
                errors.push(Error::not_supported(&field, kind, &["Egress", "Ingress"]));
            }
        }
        errors
    }
}

/// The strategy of endpoints.
#[derive(Debug)]
pub struct Endpoints;

/// The one [`Endpoints`].
pub static ENDPOINTS: Endpoints = Endpoints;

impl Strategy for Endpoints {
    fn default(&self, endpoints: &mut Object) {
        for subset in endpoints.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten() {
            for port in subset.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if port.text_or_empty("protocol").is_empty() {
                    set(port, "protocol", "TCP");
                }
            }
        }
    }

    fn validate(&self, endpoints: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for (i, subset) in endpoints.list("subsets").iter().enumerate() {
            let at = Path::new("subsets").index(i);
            for list in ["addresses", "notReadyAddresses"] {
                for (j, address) in subset.list(list).iter().enumerate() {
                    let at = at.child(list).index(j).child("ip");
                    let ip = address.text_or_empty("ip");
                    invalid(&mut errors, &at, ip, names::ip(ip));
                    if ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
                        errors.push(Error::invalid(&at, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
                    }
                }
            }
        }
        errors
    }
}

/// The strategy of endpoint slices.
#[derive(Debug)]
pub struct EndpointSlice;

/// The one [`EndpointSlice`].
pub static ENDPOINT_SLICE: EndpointSlice = EndpointSlice;

impl Strategy for EndpointSlice {
    fn default(&self, slice: &mut Object) {
        for port in slice.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
    }

    fn validate(&self, slice: &Object) -> Vec<Error> {
        let kind = slice.text_or_empty("addressType");
        match kind {
            "IPv4" | "IPv6" | "FQDN" => Vec::new(),
            "" => vec![Error::required(&Path::new("addressType"), "")],
            other => vec![Error::not_supported(&Path::new("addressType"), other, &["FQDN", "IPv4", "IPv6"])],
        }
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = self.validate(new);
        if new.text("addressType") != old.text("addressType") {
            let kind = new.text_or_empty("addressType");
            errors.push(Error::invalid(&Path::new("addressType"), kind, "field is immutable"));
        }
        errors
    }
}
