//! Streams from the agent of a pod's node: logs, exec, attach, port-forward (A250–A260).
//!
//! The server finds the agent, checks what can be checked without it, and then passes bytes on; WebSocket and SPDY are
//! spoken by client and agent. Not here: proxies to services, which have no datapath yet.

mod agent;
mod log;
mod upgrade;

use everynode_api::Object;
use everynode_api::registry;
use everynode_api::resource::Subresource;
use everynode_api::status::Status;
use everynode_api::value::Read;
use http::request::Parts;
use http::{Method, Response};

use crate::admission::Operation;
use crate::body::{Body, RequestBody};
use crate::failure;
use crate::forms::normal;
use crate::request::call::Call;

/// Answers a connect subresource.
pub(crate) async fn answer(
    call: &mut Call,
    sub: &Subresource,
    parts: Parts,
    _body: RequestBody,
) -> Result<Response<Body>, Status> {
    match (call.row.plural, sub.name) {
        ("pods", "log") => log::answer(call).await,
        ("pods", "exec" | "attach" | "portforward") => stream(call, sub.name, parts).await,
        _ => Err(Status::service_unavailable(format!(
            "proxies to {} are not served: there is no datapath to them yet",
            call.row.plural
        ))),
    }
}

/// exec, attach, port-forward: upgraded connections, passed through.
async fn stream(call: &mut Call, name: &str, parts: Parts) -> Result<Response<Body>, Status> {
    authorize_upgrade(call)?;
    let pod = pod(call)?;
    let shared = call.shared.clone();
    let context = call.admission(name, false);
    let mut admitted = pod.clone();
    let mut warnings = shared.security.admission.admit(&context, Operation::Connect, Some(&pod), &mut admitted).await?;
    warnings.extend(shared.security.admission.validate(&context, Operation::Connect, Some(&pod), &pod).await?);
    call.warn(warnings);
    let (namespace, pod_name) = (call.place.namespace.clone(), call.place.name.clone());
    let mut path = format!("/{}/{namespace}/{pod_name}", if name == "portforward" { "portForward" } else { name });
    if name != "portforward" {
        path = format!("{path}/{}", container(&pod, call.query.text("container"))?);
    }
    let node = pod.text_or_empty("spec.nodeName");
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {pod_name} does not have a host assigned")));
    }
    let query = upgrade::query(call);
    let target = agent::find(call, node)?;
    upgrade::pass(call, &target, &format!("{path}?{query}"), parts).await
}

/// A GET that opens a stream does what a POST would: it needs the right to create too (A206, A252).
fn authorize_upgrade(call: &Call) -> Result<(), Status> {
    if call.method != Method::GET {
        return Ok(());
    }
    call.authorize("create")
}

/// The pod of the call.
fn pod(call: &Call) -> Result<Object, Status> {
    let row = registry::find("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
    let entry = call.shared.store.get(&row.key(&call.place.namespace, &call.place.name));
    normal(row, &entry.ok_or_else(|| failure::not_found(row, &call.place.name))?)
}

/// The container that is meant: the named one, or the only one (A251).
fn container<'p>(pod: &'p Object, asked: &'p str) -> Result<&'p str, Status> {
    let name = pod.text_or_empty("metadata.name");
    let of = |list: &'static str| pod.list(list).iter().map(|c| c.text_or_empty("name"));
    let mut all = of("spec.initContainers").chain(of("spec.containers")).chain(of("spec.ephemeralContainers"));
    if asked.is_empty() {
        let own: Vec<&str> = of("spec.containers").collect();
        return match own.as_slice() {
            [only] => Ok(only),
            _ => {
                let names = all.collect::<Vec<_>>().join(" ");
                Err(Status::bad_request(format!(
                    "a container name must be specified for pod {name}, choose one of: [{names}]"
                )))
            }
        };
    }
    if all.any(|known| known == asked) {
        return Ok(asked);
    }
    Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A251: the only container needs no name, of several one must be named, init and ephemeral ones count.
    #[test]
    fn a251_containers() {
        let one = json!({"metadata": {"name": "p1"}, "spec": {"containers": [{"name": "c"}]}});
        let several = json!({"metadata": {"name": "p3"}, "spec": {
            "initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(container(&one, "").ok(), Some("c"));
        assert_eq!(container(&several, "i").ok(), Some("i"));
        let message = |pod, name| container(pod, name).map_err(|status: Status| status.message().to_owned()).err();
        let choose = "a container name must be specified for pod p3, choose one of: [i a b]";
        assert_eq!(message(&several, "").as_deref(), Some(choose));
        assert_eq!(message(&one, "zzz").as_deref(), Some("container zzz is not valid for pod p1"));
    }
}
