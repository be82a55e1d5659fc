//! Certificates for those who ask over the API: approves what a joining or renewing node may have, signs what is
//! approved (A445–A450).
//!
//! ```text
//! request ── judge::approval ──> /approval ── judge::signing ──> /status: certificate, or condition Failed
//! ```
//!
//! Not here: what a client may ask for (`admission`), who may approve by hand (RBAC).

mod judge;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everynode_api::Object;
use everynode_store::{EventKind, Scope, Store};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Service;
use crate::admission::certificates::request_of;
use crate::authz::{Attributes, Authorizer};
use crate::bootstrap::send;
use crate::identity::Identity;
use crate::security::Security;
use crate::tls::{CertificateRequest, Pki};

/// As whom certificates are approved and signed.
pub const USER: &str = "system:serviceaccount:kube-system:certificate-controller";
const RANGE: &str = "/registry/certificatesigningrequests/";
const GROUP: &str = "certificates.k8s.io";

/// Serves requests until it is dropped. `service` acts as [`USER`].
pub async fn run(service: Service, store: Store, security: Security) {
    let signer = Signer { service, store, authorizer: security.authorizer, pki: security.pki };
    loop {
        let Ok(page) = signer.store.list(RANGE, None, 0, None) else { continue };
        let Ok(mut watch) = signer.store.watch(Scope::Prefix(RANGE.into()), None, page.revision) else { continue };
        for entry in &page.entries {
            signer.look_at(&entry.value).await;
        }
        while let Ok(batch) = watch.next().await {
            for event in batch.events.iter().filter(|event| event.kind == EventKind::Put) {
                signer.look_at(&event.entry.value).await;
            }
        }
    }
}

struct Signer {
    service: Service,
    store: Store,
    authorizer: Arc<Authorizer>,
    pki: Arc<Pki>,
}

impl Signer {
    async fn look_at(&self, value: &[u8]) {
        let Ok(object) = serde_json::from_slice::<Object>(value) else { return };
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if judge::is_settled(&object) {
            return;
        }
        let Some(request) = request_of(&object).and_then(|pem| CertificateRequest::parse(&pem).ok()) else { return };
        let done = if judge::is_approved(&object) {
            self.sign(&name, object, &request).await
        } else {
            self.approve(&name, object, &request).await
        };
        if let Err(error) = done {
            tracing::warn!(%error, request = name, "cannot serve a certificate request");
        }
    }

    async fn approve(&self, name: &str, mut object: Object, request: &CertificateRequest) -> Result<(), String> {
        let addresses = judge::node_of(request).map(|node| self.addresses(node)).unwrap_or_default();
        let Some(approval) = judge::approval(&object, request, &addresses) else { return Ok(()) };
        if let Some(subresource) = approval.needs {
            let asker = requester(&object);
            let may = Attributes {
                verb: "create",
                group: GROUP,
                version: "v1",
                resource: "certificatesigningrequests",
                subresource,
                ..Attributes::default()
            };
            if !self.authorizer.decide(&asker, &may).allowed {
                return Ok(());
            }
        }
        let condition =
            json!({ "type": "Approved", "status": "True", "reason": "AutoApproved", "message": approval.message });
        add_condition(&mut object, condition);
        self.put(name, "approval", &object).await
    }

    async fn sign(&self, name: &str, mut object: Object, request: &CertificateRequest) -> Result<(), String> {
        match judge::signing(&object, request) {
            None => return Ok(()),
            Some(Err(message)) => {
                let condition = json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": message,
                });
                add_condition(&mut object, condition);
            }
            Some(Ok(signing)) => {
                let issued = self
                    .pki
                    .sign_request(request, &signing.usages, signing.lifetime, Timestamp::now())
                    .map_err(|error| error.to_string())?;
                object["status"]["certificate"] = json!(STANDARD.encode(issued.certificate_pem));
            }
        }
        self.put(name, "status", &object).await
    }

    async fn put(&self, name: &str, subresource: &str, object: &Object) -> Result<(), String> {
        let path = format!("/apis/{GROUP}/v1/certificatesigningrequests/{name}/{subresource}");
        // A conflict or a deletion comes with an event of its own.
        let fine = [StatusCode::OK, StatusCode::CONFLICT, StatusCode::NOT_FOUND];
        send(&self.service, Method::PUT, &path, object, &fine).await.map_err(|error| error.to_string())
    }

    /// What a node's own object says are its addresses and names.
    fn addresses(&self, node: &str) -> Vec<String> {
        let entry = self.store.get(&format!("/registry/minions/{node}"));
        let object: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
        let list = object.as_ref().and_then(|object| object.pointer("/status/addresses")).and_then(Value::as_array);
        let addresses = list.into_iter().flatten().filter_map(|one| one.get("address").and_then(Value::as_str));
        addresses.map(str::to_owned).collect()
    }
}

/// Who made the request, as stamped at admission.
fn requester(object: &Object) -> Identity {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let text = |member: &str| spec.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let extra = spec.get("extra").and_then(Value::as_object).into_iter().flatten();
    Identity {
        user: text("username"),
        uid: text("uid"),
        groups: spec.get("groups").map(texts).unwrap_or_default(),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

fn add_condition(object: &mut Object, condition: Value) {
    everynode_api::value::list_mut(object, "status.conditions").push(condition);
}
