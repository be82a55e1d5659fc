//! Every request's way: who asks, may they, what is it about, then one handler for all kinds (A62).
//!
//! Not here: the forms of answers ([`crate::render`]), discovery, health, what an object means (`api`).

mod addresses;
mod apply;
mod create;
pub(crate) mod delete;
mod dispatch;
pub(crate) mod intake;
pub(crate) mod ownership;
mod pods;
mod read;
mod reviews;
mod scale;
pub(crate) mod update;
mod write;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use everynode_api::status::Status;
use futures::FutureExt;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;

use crate::authz::{self, Attributes};
use crate::body::{Body, RequestBody};
use crate::negotiate::{self, Accepted, Refusal};
use crate::render;
use crate::request::Incoming;
use crate::request::look::Look;
use crate::router::{self, Place, Query, Target};
use crate::{Identity, Shared, identity, respond};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Characters of an audit id that a client may choose.
const AUDIT_ID_MAX: usize = 64;
/// The longest that a request may take which is neither a watch nor a stream (A85).
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Answers one request. Never fails, never panics.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request<RequestBody>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let audit_id = audit_id(&parts);
    let work = AssertUnwindSafe(Box::pin(serve(shared, parts, body))).catch_unwind();
    let mut response = work.await.unwrap_or_else(|_| {
        // The panic hook has written the reason to the log.
        respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This request caused apiserver to panic. Look in the logs for details.\n",
        )
    });
    let headers = response.headers_mut();
    headers.insert(AUDIT_ID, audit_id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

fn audit_id(parts: &Parts) -> HeaderValue {
    let sent = parts.headers.get(AUDIT_ID).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let id = if sent.is_empty() { uuid::Uuid::new_v4().to_string() } else { sent.chars().take(AUDIT_ID_MAX).collect() };
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""))
}

async fn serve(shared: Arc<Shared>, parts: Parts, body: RequestBody) -> Response<Body> {
    let started = std::time::Instant::now();
    let query = Query::parse(parts.uri.query());
    let accepted = negotiate::accept(&parts.headers);
    let look = Look::of(&parts.headers, &query, accepted.ok());
    let target = router::target(parts.uri.path());
    let now = Timestamp::now();
    let identity = match identify(&shared, &parts, &query, &target, now) {
        Ok(identity) => identity,
        Err(status) => return refused(&status, look),
    };
    let watch = query.flag("watch");
    let labels = crate::metrics::Labels::of(&parts.method, &target, watch);
    let incoming = Incoming { shared: Arc::clone(&shared), parts, query, look, identity, now };
    let response = match target {
        Target::Nonsense(_) => respond::not_found(),
        Target::Path(path) => crate::paths::answer(&incoming, &path, body).await,
        Target::Resource(place) => {
            if is_long(&incoming, &place) {
                dispatch::answer(incoming, place, accepted, body).await
            } else {
                bounded(incoming, place, accepted, body).await
            }
        }
    };
    shared.metrics.count(labels, response.status().as_u16(), started.elapsed());
    response
}

/// Watches and streams may last.
fn is_long(incoming: &Incoming, place: &Place) -> bool {
    let watch = place.watch || (place.name.is_empty() && incoming.query.flag("watch"));
    watch || matches!(place.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

/// A request that must end in time, and that needs a place (A85, A275).
async fn bounded(
    incoming: Incoming,
    place: Place,
    accepted: Result<Accepted, Refusal>,
    body: RequestBody,
) -> Response<Body> {
    let look = incoming.look;
    let limit = match time_limit(&incoming.query) {
        Ok(limit) => limit,
        Err(status) => return render::status(&status, look),
    };
    let shared = Arc::clone(&incoming.shared);
    let place_taken = shared.flow.enter(&incoming.identity, &incoming.parts.method).await;
    let _place = match place_taken {
        Ok(taken) => taken,
        Err(refused) => return refused,
    };
    let work = dispatch::answer(incoming, place, accepted, body);
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let text = "request did not complete within requested timeout - context deadline exceeded";
        render::status(&Status::timeout(text), look)
    })
}

/// `?timeout=` may lower the limit.
fn time_limit(query: &Query) -> Result<Duration, Status> {
    let Some(text) = query.get("timeout").filter(|text| !text.is_empty()) else { return Ok(REQUEST_TIME_MAX) };
    let nanos = everynode_api::time::parse_duration(text)
        .map_err(|why| Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))?;
    let asked = u64::try_from(nanos).map_or(Duration::ZERO, Duration::from_nanos);
    Ok(if asked.is_zero() { REQUEST_TIME_MAX } else { asked.min(REQUEST_TIME_MAX) })
}

/// Authentication, impersonation, authorization. In-process callers bring their identity with them.
fn identify(
    shared: &Shared,
    parts: &Parts,
    query: &Query,
    target: &Target,
    now: Timestamp,
) -> Result<Identity, Status> {
    let identity = match parts.extensions.get::<Identity>() {
        Some(identity) => identity.clone(),
        None => shared.security.authenticator.authenticate(parts, now)?,
    };
    let place;
    let attributes = match target {
        Target::Resource(found) => {
            place = found;
            Attributes {
                verb: router::verb(&parts.method, place, query.flag("watch")),
                group: &place.group,
                version: &place.version,
                resource: &place.resource,
                subresource: &place.subresource,
                name: &place.name,
                namespace: &place.namespace,
                path: None,
                field_selector: query.get("fieldSelector"),
                label_selector: query.get("labelSelector"),
            }
        }
        Target::Path(path) | Target::Nonsense(path) => {
            let verb = path_verb(&parts.method);
            Attributes { verb, path: Some(path), ..Attributes::default() }
        }
    };
    let identity = identity::impersonate(&shared.security.authorizer, identity, parts, &attributes)?;
    let decision = shared.security.authorizer.decide(&identity, &attributes);
    if decision.allowed { Ok(identity) } else { Err(authz::forbidden(&identity, &attributes, &decision)) }
}

fn path_verb(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "get",
        http::Method::HEAD => "head",
        http::Method::POST => "post",
        http::Method::PUT => "put",
        http::Method::PATCH => "patch",
        http::Method::DELETE => "delete",
        http::Method::OPTIONS => "options",
        _ => "trace",
    }
}

/// A refusal by a filter, before anything was routed.
fn refused(status: &Status, look: Look) -> Response<Body> {
    let mut response = render::status(status, look);
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
