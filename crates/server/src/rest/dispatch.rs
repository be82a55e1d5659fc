//! From a place and a method to a handler, by the registry's rows (A1–A3, A122).

use everynode_api::registry;
use everynode_api::resource::{Resource, Subresource, Verb};
use everynode_api::status::Status;
use http::{Method, Response};

use crate::answer::Answer;
use crate::body::{Body, RequestBody};
use crate::negotiate::{Accepted, Refusal};
use crate::request::Incoming;
use crate::request::call::Call;
use crate::rest::scale;
use crate::router::{Place, verb};
use crate::{proxy, render, respond};

/// Answers a request to a resource.
pub(super) async fn answer(
    incoming: Incoming,
    place: Place,
    accepted: Result<Accepted, Refusal>,
    body: RequestBody,
) -> Response<Body> {
    let look = incoming.look;
    let found = match find(&place) {
        Ok(Some(found)) => found,
        Ok(None) => return respond::not_found(),
        Err(status) => return render::status(&status, look),
    };
    let (mut call, parts) = match call(incoming, place, found) {
        Ok(made) => made,
        Err(status) => return render::status(&status, look),
    };
    let handled = handle(&mut call, accepted, parts, body).await;
    let rendered = handled.and_then(|found| render::answer(&call, found, look));
    let mut response = rendered.unwrap_or_else(|status| render::status(&status, look));
    if !call.warnings.is_empty() {
        render::add_warnings(response.headers_mut(), &call.warnings);
    }
    response
}

type Found = (&'static Resource, Option<&'static Subresource>);

/// The row of a place. `Ok(None)`: a group that nobody serves (A3).
fn find(place: &Place) -> Result<Option<Found>, Status> {
    if !place.group.is_empty() && !registry::groups().iter().any(|group| group.name == place.group) {
        return Ok(None);
    }
    let row = registry::find(&place.group, &place.version, &place.resource).ok_or_else(Status::no_such_resource)?;
    let scoped = place.is_namespaced();
    // Cluster-scoped kinds have no namespaced paths, and objects in namespaces no path without one.
    if scoped != row.namespaced && (scoped || !place.name.is_empty()) && !place.watch {
        return Err(Status::no_such_resource());
    }
    if place.subresource.is_empty() {
        return Ok(Some((row, None)));
    }
    let sub = row.subresource(&place.subresource).ok_or_else(Status::no_such_resource)?;
    let proxied = sub.connects && sub.name == "proxy";
    if !place.rest.is_empty() && !proxied {
        return Err(Status::no_such_resource());
    }
    Ok(Some((row, Some(sub))))
}

/// Checks the method and makes the call.
fn call(incoming: Incoming, place: Place, (row, sub): Found) -> Result<(Call, http::request::Parts), Status> {
    let Incoming { shared, parts, query, identity, now, .. } = incoming;
    let collection = place.name.is_empty();
    let verb = match verb(&parts.method, &place, query.flag("watch")) {
        _ if parts.method == Method::HEAD => None,
        "create" if !collection && sub.is_none() => None,
        "create" => Some(Verb::Create),
        "get" => Some(Verb::Get),
        "list" => Some(Verb::List),
        "watch" => Some(Verb::Watch),
        "update" if !collection => Some(Verb::Update),
        "patch" if !collection => Some(Verb::Patch),
        "delete" => Some(Verb::Delete),
        "deletecollection" => Some(Verb::DeleteCollection),
        _ => None,
    };
    let verbs = sub.map_or(row.verbs, |sub| sub.verbs);
    // Collections over all namespaces are read-only.
    let across = row.namespaced && place.namespace.is_empty();
    let fits = verb.is_some_and(|v| verbs.contains(&v) && (!across || matches!(v, Verb::List | Verb::Watch)));
    if !fits {
        return Err(Status::method_not_allowed());
    }
    let call = Call {
        shared,
        identity,
        method: parts.method.clone(),
        place,
        row,
        sub,
        query,
        headers: parts.headers.clone(),
        now,
        sent: None,
        warnings: Vec::new(),
    };
    Ok((call, parts))
}

/// What upstream says about kinds that have a successor (A20).
fn deprecation(row: &Resource) -> Option<&'static str> {
    match (row.group, row.plural) {
        ("", "endpoints") => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        ("", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

async fn handle(
    call: &mut Call,
    accepted: Result<Accepted, Refusal>,
    parts: http::request::Parts,
    body: RequestBody,
) -> Result<Answer, Status> {
    if let Some(sub) = call.sub
        && sub.connects
    {
        return proxy::answer(call, sub, parts, body).await.map(Answer::Raw);
    }
    call.warn(deprecation(call.row).map(str::to_owned).into_iter().collect());
    let collection = call.place.name.is_empty();
    let watched = collection && call.row.allows(Verb::Watch);
    let accepted = accepted.map_err(|refusal| render::refuse(refusal, watched))?;
    let subresource = call.place.subresource.clone();
    match (call.method.as_str(), subresource.as_str()) {
        ("GET", "") if collection || call.place.watch => call.list(accepted).await,
        ("GET", "scale") => scale::get(call),
        ("GET", _) => call.get().await,
        ("POST", "binding") => call.bind(body).await,
        ("POST", "eviction") => call.evict(body).await,
        ("POST", "token") => call.request_token(body).await,
        ("POST", "") if call.row.plural == "bindings" => call.bind(body).await,
        ("POST", "") => call.create(body).await,
        ("PUT", _) => call.put(body).await,
        ("PATCH", _) => call.patch(body).await,
        ("DELETE", "") if collection => call.delete_collection(body).await,
        ("DELETE", "") => call.delete(body).await,
        _ => Err(Status::method_not_allowed()),
    }
}
