//! Everything that is not a resource: version, health, discovery, OpenAPI, metrics, keys (A3, A4).

use everynode_api::status::Status;
use http::{Method, Response};

use crate::body::{Body, RequestBody};
use crate::request::Incoming;
use crate::{discovery, health, openapi, render, respond};

/// Answers a path that names no resource.
pub(crate) async fn answer(incoming: &Incoming, path: &str, _body: RequestBody) -> Response<Body> {
    let trimmed = path.trim_end_matches('/');
    let known = trimmed == "/version" || trimmed.starts_with("/api");
    if incoming.parts.method != Method::GET {
        return if known { render::status(&Status::method_not_allowed(), incoming.look) } else { respond::not_found() };
    }
    match trimmed {
        "" => root(incoming),
        "/version" => health::version(),
        "/metrics" => incoming.shared.metrics.answer(),
        "/openid/v1/jwks" => respond::json(incoming.shared.security.tokens.key_set().to_string()),
        "/.well-known/openid-configuration" => {
            let server = format!("https://{}", incoming.shared.advertised);
            respond::json(incoming.shared.security.tokens.discovery(&server).to_string())
        }
        _ => other(incoming, path),
    }
}

fn other(incoming: &Incoming, path: &str) -> Response<Body> {
    discovery::answer(incoming, path)
        .or_else(|| openapi::answer(incoming, path))
        .or_else(|| incoming.shared.health.answer(path, &incoming.query))
        .unwrap_or_else(respond::not_found)
}

/// All paths, sorted.
fn root(incoming: &Incoming) -> Response<Body> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/healthz/etcd",
        "/healthz/log",
        "/healthz/ping",
        "/livez",
        "/livez/etcd",
        "/livez/log",
        "/livez/ping",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/readyz",
        "/readyz/etcd",
        "/readyz/informer-sync",
        "/readyz/log",
        "/readyz/ping",
        "/readyz/shutdown",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    for group in everynode_api::registry::groups().iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|version| format!("/apis/{}/{version}", group.name)));
    }
    paths.sort_unstable();
    let text = serde_json::json!({"paths": paths}).to_string();
    render::object(http::StatusCode::OK, text.into_bytes(), None, incoming.look)
}
