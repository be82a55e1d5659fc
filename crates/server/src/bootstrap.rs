//! The objects that exist from the start, and come back when they are lost (A351, A390, A405, A414, A515).
//!
//! Everything is written through the API itself, as a component in `system:masters`, so these objects are defaulted,
//! validated and versioned as anybody else's. What is there already is left alone, but for default roles and bindings:
//! rules and subjects that are missing from them are added back, unless they are marked not to be.
//!
//! Not here: what the objects say that are pure data (`everynode_api::rbac::policy`).

mod objects;
mod policy;

use std::net::SocketAddr;

use everynode_api::Object;
use everynode_store::Store;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;

use crate::Service;
use crate::security::Security;

/// As whom the server writes.
pub const USER: &str = "system:apiserver";

/// Why a server could not bring its own objects into being.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {answer}")]
pub struct BootstrapError {
    /// The path of the request.
    pub path: String,
    /// What the API answered.
    pub answer: String,
}

/// Brings all of it into being. Safe to repeat; then it costs a few reads.
pub async fn run(
    service: &Service,
    store: &Store,
    security: &Security,
    advertise: SocketAddr,
) -> Result<(), BootstrapError> {
    let api = Api { service, store };
    for namespace in objects::namespaces() {
        api.ensure(&namespace).await?;
    }
    let policy = policy::all();
    futures::future::try_join_all(policy.iter().map(|wanted| api.ensure(wanted))).await?;
    aggregate(service, store).await?;
    let wanted = objects::others(security, advertise);
    futures::future::try_join_all(wanted.iter().map(|wanted| api.ensure(wanted))).await?;
    Ok(())
}

/// Writes the rules of those ClusterRoles that are made of others and are not up to date (A413).
pub async fn aggregate(service: &Service, store: &Store) -> Result<(), BootstrapError> {
    const ROLES: &str = "/registry/clusterroles/";
    let Ok(page) = store.list(ROLES, None, 0, None) else { return Ok(()) };
    let roles = page.entries.iter().filter_map(|entry| {
        let role: Value = serde_json::from_slice(&entry.value).ok()?;
        Some((entry.key.strip_prefix(ROLES)?.to_owned(), role))
    });
    let mut roles = roles.collect();
    for (name, rules) in everynode_api::rbac::stale(&roles) {
        let Some(role) = roles.get_mut(&name) else { continue };
        role["rules"] = rules;
        let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}");
        // Somebody else may have changed or removed it meanwhile: the next round looks again.
        send(service, Method::PUT, &path, role, &[StatusCode::OK, StatusCode::CONFLICT, StatusCode::NOT_FOUND]).await?;
    }
    Ok(())
}

/// Keeps aggregated ClusterRoles up to date until it is dropped.
pub async fn keep_aggregated(service: Service, store: Store) {
    use everynode_store::Scope;
    loop {
        let Ok(mut watch) = store.watch(Scope::Prefix("/registry/clusterroles/".into()), None, store.revision()) else {
            continue;
        };
        loop {
            if let Err(error) = aggregate(&service, &store).await {
                tracing::warn!(%error, "cannot aggregate cluster roles");
            }
            if watch.next().await.is_err() {
                break;
            }
        }
    }
}

/// An object that must exist.
struct Wanted {
    /// The path of its collection.
    collection: String,
    /// Its name.
    name: String,
    /// Its key in the store.
    key: String,
    /// Its state when it is made.
    object: Object,
    /// What to do if it is there.
    merge: Merge,
}

/// From the stored and the wanted state: the state to write, or `None` to leave it.
type Merge = fn(&Object, &Object) -> Option<Object>;

/// Leaves what is there.
fn keep(_: &Object, _: &Object) -> Option<Object> {
    None
}

struct Api<'a> {
    service: &'a Service,
    store: &'a Store,
}

impl Api<'_> {
    async fn ensure(&self, wanted: &Wanted) -> Result<(), BootstrapError> {
        let stored = self.store.get(&wanted.key).and_then(|entry| serde_json::from_slice(&entry.value).ok());
        match stored {
            None => {
                let fine = [StatusCode::CREATED, StatusCode::CONFLICT];
                send(self.service, Method::POST, &wanted.collection, &wanted.object, &fine).await
            }
            Some(stored) => match (wanted.merge)(&stored, &wanted.object) {
                Some(merged) => {
                    let path = format!("{}/{}", wanted.collection, wanted.name);
                    let fine = [StatusCode::OK, StatusCode::CONFLICT, StatusCode::NOT_FOUND];
                    send(self.service, Method::PUT, &path, &merged, &fine).await
                }
                None => Ok(()),
            },
        }
    }
}

/// Sends one object to the API of this process; other answers than the `fine` ones are errors.
pub(crate) async fn send(
    service: &Service,
    method: Method,
    path: &str,
    object: &Object,
    fine: &[StatusCode],
) -> Result<(), BootstrapError> {
    let failed = |answer: String| BootstrapError { path: path.to_owned(), answer };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, "everynode/bootstrap")
        .body(Full::new(bytes::Bytes::from(object.to_string())))
        .map_err(|error| failed(error.to_string()))?;
    let response = match service.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    if fine.contains(&parts.status) {
        return Ok(());
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|status| Some(status.get("message")?.as_str()?.to_owned()))
        .unwrap_or_default();
    Err(failed(format!("{} {message}", parts.status.as_u16())))
}
