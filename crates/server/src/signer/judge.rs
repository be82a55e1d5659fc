//! Which certificate request is granted by itself, and what an approved one may become. Pure.

use everynode_api::Object;
use jiff::SignedDuration;
use serde_json::Value;

use crate::tls::{CertificateRequest, LEAF_LIFETIME, Usage};

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const NODE_SERVING: &str = "kubernetes.io/kubelet-serving";
const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";
/// The shortest life that may be asked for.
const SECONDS_MIN: i64 = 600;

/// Why a request may be approved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Approval {
    /// The subresource of certificatesigningrequests that the requester must be allowed to create, if any.
    pub(super) needs: Option<&'static str>,
    /// For the condition.
    pub(super) message: &'static str,
}

/// What an approved request becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signing {
    pub(super) usages: Vec<Usage>,
    pub(super) lifetime: SignedDuration,
}

/// Signed, failed or denied: nothing is left to do.
pub(super) fn is_settled(object: &Object) -> bool {
    let certificate = object.pointer("/status/certificate").and_then(Value::as_str).unwrap_or_default();
    !certificate.is_empty() || has_condition(object, "Failed") || has_condition(object, "Denied")
}

pub(super) fn is_approved(object: &Object) -> bool {
    has_condition(object, "Approved")
}

/// The node that a request is about.
pub(super) fn node_of(request: &CertificateRequest) -> Option<&str> {
    request.common_name.strip_prefix(NODE_PREFIX).filter(|node| !node.is_empty())
}

/// Whether a request may be approved without a person. `addresses` are those of the node's object.
pub(super) fn approval(object: &Object, request: &CertificateRequest, addresses: &[String]) -> Option<Approval> {
    let by_itself = text(object, "username") == request.common_name;
    match text(object, "signerName") {
        NODE_CLIENT => {
            check_node_client(request, &usages(object)).ok()?;
            Some(if by_itself {
                Approval {
                    needs: Some("selfnodeclient"),
                    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
                }
            } else {
                Approval {
                    needs: Some("nodeclient"),
                    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
                }
            })
        }
        NODE_SERVING => {
            check_node_serving(request, &usages(object)).ok()?;
            let node = node_of(request)?;
            let groups = object.pointer("/spec/groups").and_then(Value::as_array);
            let is_node = groups.is_some_and(|groups| groups.iter().any(|group| group == NODES));
            let own = |name: &str| name == node || addresses.iter().any(|address| address == name);
            let names_are_own = request.dns_names.iter().all(|name| own(name))
                && request.addresses.iter().all(|address| own(&address.to_string()));
            (by_itself && is_node && names_are_own).then_some(Approval {
                needs: None,
                message: "Auto approving the certificate of the node's own names and addresses.",
            })
        }
        _ => None,
    }
}

/// What an approved request becomes: `None` if nobody here signs it, an error if it must not be signed.
pub(super) fn signing(object: &Object, request: &CertificateRequest) -> Option<Result<Signing, String>> {
    let asked = usages(object);
    let allowed: &[Usage] = match text(object, "signerName") {
        CLIENT => {
            if !asked.iter().any(|usage| usage == "client auth") {
                return Some(Err("usages did not include client auth".to_owned()));
            }
            &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ClientAuth]
        }
        NODE_CLIENT => {
            if let Err(why) = check_node_client(request, &asked) {
                return Some(Err(why.to_owned()));
            }
            &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ClientAuth]
        }
        NODE_SERVING => {
            if let Err(why) = check_node_serving(request, &asked) {
                return Some(Err(why.to_owned()));
            }
            &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth]
        }
        _ => return None,
    };
    let mut usages = Vec::new();
    for name in &asked {
        match usage(name).filter(|usage| allowed.contains(usage)) {
            Some(usage) => usages.push(usage),
            None => return Some(Err(format!("unsupported usage {name:?} for this signer"))),
        }
    }
    let seconds = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
    let lifetime = seconds.map_or(LEAF_LIFETIME, |seconds| SignedDuration::from_secs(seconds.max(SECONDS_MIN)));
    Some(Ok(Signing { usages, lifetime: lifetime.min(LEAF_LIFETIME) }))
}

fn check_node_client(request: &CertificateRequest, usages: &[String]) -> Result<(), &'static str> {
    check_node_subject(request)?;
    if !request.dns_names.is_empty() || !request.addresses.is_empty() || request.other_names {
        return Err("DNS, IP, email and URI subjectAltNames are not allowed");
    }
    check_usages(usages, "client auth")
}

fn check_node_serving(request: &CertificateRequest, usages: &[String]) -> Result<(), &'static str> {
    check_node_subject(request)?;
    if request.dns_names.is_empty() && request.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required");
    }
    if request.other_names {
        return Err("email and URI subjectAltNames are not allowed");
    }
    check_usages(usages, "server auth")
}

fn check_node_subject(request: &CertificateRequest) -> Result<(), &'static str> {
    if request.organizations != [NODES] {
        return Err("subject organization is not system:nodes");
    }
    if node_of(request).is_none() {
        return Err("subject common name does not begin with system:node:");
    }
    Ok(())
}

/// `digital signature` and the purpose, and `key encipherment` or not.
fn check_usages(usages: &[String], purpose: &str) -> Result<(), &'static str> {
    let has = |name: &str| usages.iter().any(|usage| usage == name);
    let known = |usage: &String| usage == purpose || usage == "digital signature" || usage == "key encipherment";
    if has("digital signature") && has(purpose) && usages.iter().all(known) {
        Ok(())
    } else {
        Err("usages did not match what this signer grants")
    }
}

fn usage(name: &str) -> Option<Usage> {
    match name {
        "digital signature" => Some(Usage::DigitalSignature),
        "key encipherment" => Some(Usage::KeyEncipherment),
        "client auth" => Some(Usage::ClientAuth),
        "server auth" => Some(Usage::ServerAuth),
        _ => None,
    }
}

fn text<'a>(object: &'a Object, member: &str) -> &'a str {
    object.get("spec").and_then(|spec| spec.get(member)).and_then(Value::as_str).unwrap_or_default()
}

fn usages(object: &Object) -> Vec<String> {
    let list = object.pointer("/spec/usages").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has_condition(object: &Object, kind: &str) -> bool {
    let list = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|condition| condition.get("type")).any(|found| found == kind)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use serde_json::json;

    use super::*;

    fn asked(groups: &[&str], name: &str, sans: &[&str]) -> CertificateRequest {
        let sans: Vec<String> = sans.iter().map(|san| (*san).to_owned()).collect();
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
        CertificateRequest::parse(&pem).unwrap()
    }

    fn object(signer: &str, by: &str, usages: &[&str]) -> Object {
        json!({"spec": {"signerName": signer, "username": by, "groups": ["system:nodes"], "usages": usages}})
    }

    /// A447, A450.
    #[test]
    fn a_node_gets_its_own_certificates_and_no_other() {
        let client = ["digital signature", "client auth"];
        let serving = ["digital signature", "server auth"];
        let node = "system:node:n1";
        let own = ["10.0.0.5".to_owned()];
        let needs = |object: &Object, request: &CertificateRequest| {
            approval(object, request, &own).map(|approval| approval.needs.unwrap_or("nothing"))
        };
        let plain = asked(&[NODES], node, &[]);
        assert_eq!(needs(&object(NODE_CLIENT, "system:bootstrap:abcdef", &client), &plain), Some("nodeclient"));
        assert_eq!(needs(&object(NODE_CLIENT, node, &client), &plain), Some("selfnodeclient"));
        assert_eq!(needs(&object(NODE_CLIENT, node, &serving), &plain), None);
        assert_eq!(needs(&object(CLIENT, node, &client), &plain), None);
        assert_eq!(needs(&object(NODE_CLIENT, node, &client), &asked(&["system:masters"], node, &[])), None);
        assert_eq!(needs(&object(NODE_CLIENT, node, &client), &asked(&[NODES], "jane", &[])), None);
        assert_eq!(needs(&object(NODE_CLIENT, node, &client), &asked(&[NODES], node, &["x"])), None);
        let named = asked(&[NODES], node, &["n1", "10.0.0.5"]);
        assert_eq!(needs(&object(NODE_SERVING, node, &serving), &named), Some("nothing"));
        assert_eq!(needs(&object(NODE_SERVING, "system:node:n2", &serving), &named), None);
        assert_eq!(needs(&object(NODE_SERVING, node, &serving), &asked(&[NODES], node, &["n2"])), None);
        assert_eq!(needs(&object(NODE_SERVING, node, &serving), &asked(&[NODES], node, &["10.0.0.6"])), None);
    }

    /// A448.
    #[test]
    fn an_approved_request_gets_what_its_signer_grants() {
        let node = "system:node:n1";
        let mut short = object(CLIENT, "jane", &["client auth"]);
        short["spec"]["expirationSeconds"] = json!(3600);
        let signing = |object: &Object, request: &CertificateRequest| super::signing(object, request);
        assert_eq!(
            signing(&short, &asked(&["ops"], "rita", &[])),
            Some(Ok(Signing { usages: vec![Usage::ClientAuth], lifetime: SignedDuration::from_hours(1) }))
        );
        let serving = object(NODE_SERVING, node, &["digital signature", "server auth"]);
        assert_eq!(
            signing(&serving, &asked(&[NODES], node, &[])),
            Some(Err("DNS or IP subjectAltName is required".to_owned()))
        );
        assert!(matches!(signing(&object(CLIENT, "x", &["server auth"]), &asked(&[], "x", &[])), Some(Err(_))));
        assert_eq!(signing(&object("example.com/own", "x", &["client auth"]), &asked(&[], "x", &[])), None);
    }
}
