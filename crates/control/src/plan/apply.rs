//! What the server would make of a manifest: its own defaults, checks and admission, by a dry run.

use everynode_api::codec::Strictness;
use everynode_api::codec::body::{Expected, Media, decode};
use everynode_api::registry;
use everynode_api::resource::Resource;
use everynode_api::strategy::Context;
use everynode_api::write::before_create;
use everynode_api::{patch, schema};
use everynode_core::model::Key;
use http::Method;
use serde_json::Value;

use crate::api::{Api, Failure, collection};

/// Who writes, as far as fields are owned.
const MANAGER: &str = "fieldManager=kubectl&fieldValidation=Strict&dryRun=All";

/// An object as it would be.
pub(super) struct Would {
    pub(super) object: Value,
    pub(super) notes: Vec<String>,
}

/// Why it would not be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Server(Failure),
    #[error("namespaces {0:?} not found")]
    NoNamespace(String),
    #[error("{0}")]
    Here(String),
    #[error("cannot read what the server answered")]
    Answer(#[source] serde_json::Error),
}

/// The object after `kubectl apply`, without applying it. `may_come`: the manifests make its namespace.
pub(super) async fn would_be(
    api: &Api,
    key: &Key,
    object: &Value,
    live: Option<&Value>,
    server_side: bool,
    may_come: bool,
) -> Result<Would, Refused> {
    let all = collection("apps", "v1", &key.namespace, "daemonsets");
    let one = format!("{all}/{}", key.name);
    let send = async |method, path: String, kind, body: &Value| {
        api.send(method, &path, kind, body.to_string().into_bytes()).await
    };
    let answer = match live {
        _ if server_side => {
            send(Method::PATCH, format!("{one}?{MANAGER}"), "application/apply-patch+yaml", object).await
        }
        None => send(Method::POST, format!("{all}?{MANAGER}"), "application/json", object).await,
        Some(live) => {
            let patch = match shape() {
                Some(shape) => patch::client::patch(patch::client::last_applied(live).as_ref(), object, shape),
                None => object.clone(),
            };
            send(Method::PATCH, format!("{one}?{MANAGER}"), "application/strategic-merge-patch+json", &patch).await
        }
    };
    match answer {
        Ok(body) => {
            let object = serde_json::from_slice(&body).map_err(Refused::Answer)?;
            Ok(Would { object, notes: Vec::new() })
        }
        Err(failure) if live.is_none() && failure.is_not_found() && may_come => here(key, object),
        Err(failure) if live.is_none() && failure.is_not_found() => {
            Err(Refused::NoNamespace(key.namespace.to_string()))
        }
        Err(failure) => Err(Refused::Server(failure)),
    }
}

fn resource() -> Option<&'static Resource> {
    registry::find("apps", "v1", "daemonsets")
}

fn shape() -> Option<&'static schema::Shape> {
    Some(schema::table().kind("apps", "v1", "DaemonSet")?.id.get())
}

/// Its namespace is not there yet, so no server can be asked: defaults and checks as everynode has them.
fn here(key: &Key, object: &Value) -> Result<Would, Refused> {
    let text = object.to_string();
    let expected = Expected { group: "apps", version: "v1", kind: "DaemonSet", shape: shape() };
    let decoded = decode(text.as_bytes(), Media::Json, &expected, Strictness::Strict);
    let mut object = decoded.map_err(|status| Refused::Here(status.message().to_owned()))?.object;
    if let Some(resource) = resource() {
        resource.strategy.default(&mut object);
        let now = jiff::Timestamp::now();
        let (namespace, uid, suffix) = (&*key.namespace, "", "");
        let context = Context { subresource: "", namespace, now, uid, suffix, requester: None };
        before_create(resource, &mut object, &context).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Refused::Here(errors.join("; "))
        })?;
    }
    let note = format!("the namespace {} is not there yet, so the server's admission was not asked", key.namespace);
    Ok(Would { object, notes: vec![note] })
}

/// What to do about a refusal.
pub(super) fn mend(error: &Refused, object: &Value, live: Option<&Value>, key: &Key) -> Option<String> {
    let selects_others = live
        .is_some_and(|live| !everynode_api::value::same(live["spec"].get("selector"), object["spec"].get("selector")));
    match error {
        Refused::NoNamespace(namespace) => {
            Some(format!("`kubectl create namespace {namespace}`, or put it into the manifests"))
        }
        Refused::Server(failure) if failure.is_invalid() && selects_others => Some(format!(
            "a selector cannot change: `kubectl delete daemonset {} -n {} --cascade=orphan`, then apply again",
            key.name, key.namespace
        )),
        _ => None,
    }
}
