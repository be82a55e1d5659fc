//! CertificateApproval, CertificateSigning, CertificateSubjectRestriction (A224, A237).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everynode_api::status::Status;
use everynode_api::{Object, value};
use serde_json::{Value, json};

use super::{Context, Operation};
use crate::authz::{Attributes, Authorizer};
use crate::identity::Identity;
use crate::tls::{CertificateRequest, MASTERS};

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

pub(super) fn check(
    authorizer: &Authorizer,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    object: &Object,
) -> Result<(), Status> {
    let signer =
        |object: &Object| object.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_old = old.map_or_else(|| signer(object), signer);
    match (context.subresource, operation) {
        ("", Operation::Create) if signer(object) == CLIENT_SIGNER => {
            let asked = request_of(object).and_then(|pem| CertificateRequest::parse(&pem).ok());
            if asked.is_some_and(|request| request.organizations.iter().any(|group| group == MASTERS)) {
                let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
                return Err(context.forbidden(why));
            }
            Ok(())
        }
        ("approval", Operation::Update) if !may(authorizer, context, "approve", &of_old) => {
            Err(context.forbidden(format!("user not permitted to approve requests with signerName {of_old:?}")))
        }
        ("status", Operation::Update) => {
            let part = |object: &Object, pointer: &str| object.pointer(pointer).cloned();
            let failed = |object: &Object| {
                let all = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
                all.into_iter()
                    .filter(|condition| condition.get("type").and_then(Value::as_str) == Some("Failed"))
                    .collect::<Vec<_>>()
            };
            let signs = old.is_some_and(|old| {
                part(old, "/status/certificate") != part(object, "/status/certificate") || failed(old) != failed(object)
            });
            if signs && !may(authorizer, context, "sign", &of_old) {
                return Err(
                    context.forbidden(format!("user not permitted to sign requests with signerName {of_old:?}"))
                );
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A new request says who made it, whatever its sender wrote (A445).
pub(super) fn stamp(context: &Context<'_>, object: &mut Object) {
    let Identity { user, uid, groups, extra } = context.identity;
    value::set(object, "spec.username", user.as_str());
    value::set(object, "spec.groups", groups.clone());
    for (member, there, value) in [("uid", !uid.is_empty(), json!(uid)), ("extra", !extra.is_empty(), json!(extra))] {
        match there {
            true => value::set(object, &format!("spec.{member}"), value),
            false => drop(value::remove(object, &format!("spec.{member}"))),
        }
    }
}

/// The PEM of a CertificateSigningRequest object.
pub(crate) fn request_of(object: &Object) -> Option<String> {
    let encoded = object.pointer("/spec/request").and_then(Value::as_str)?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

/// Whether the asker may use a signer, by its name or by its whole domain.
fn may(authorizer: &Authorizer, context: &Context<'_>, verb: &str, signer: &str) -> bool {
    let whole = signer.split_once('/').map(|(domain, _)| format!("{domain}/*")).unwrap_or_default();
    [signer, whole.as_str()].into_iter().any(|name| {
        let attributes =
            Attributes { verb, group: GROUP, version: "*", resource: "signers", name, ..Attributes::default() };
        authorizer.decide(context.identity, &attributes).allowed
    })
}
