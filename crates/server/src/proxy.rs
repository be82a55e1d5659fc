//! Streams from the agent of a node: logs, exec, attach, port-forward (A250–A261).

use everynode_api::registry::Subresource;
use everynode_api::status::Status;
use http::Response;
use http::request::Parts;

use crate::body::{Body, RequestBody};
use crate::rest::call::Call;

/// Answers a connect subresource.
pub(crate) async fn answer(
    _call: &mut Call,
    sub: &Subresource,
    _parts: Parts,
    _body: RequestBody,
) -> Result<Response<Body>, Status> {
    Err(Status::service_unavailable(format!("{} is not served yet", sub.name)))
}
