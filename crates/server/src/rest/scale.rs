//! The `scale` subresource: `autoscaling/v1` Scale as a small view of an object with replicas (A268).

use everynode_api::Object;
use everynode_api::codec::json;
use everynode_api::patch;
use everynode_api::status::Status;
use everynode_api::value::{Read, set};
use everynode_store::Entry;
use serde_json::json;

use crate::answer::Answer;
use crate::failure;
use crate::forms::{normal, shape_named};
use crate::request::call::Call;
use crate::request::options::WriteOptions;
use crate::rest::intake;
use crate::rest::ownership::Ownership;
use crate::rest::update::Plan;
use crate::stored;

/// The Scale of a stored object.
fn view(object: &Object) -> Object {
    let replicas = object.int("spec.replicas").unwrap_or(0);
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {}, "spec": {"replicas": replicas},
        "status": {"replicas": object.int("status.replicas").unwrap_or(0)},
    });
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get("metadata").and_then(|m| m.get(member)) {
            set(&mut scale, &format!("metadata.{member}"), value.clone());
        }
    }
    let selector = match object.at("spec.selector") {
        Some(selector) if selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some() => {
            selector_text(selector)
        }
        Some(serde_json::Value::Object(labels)) => {
            let pairs = labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
            pairs.collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    };
    if !selector.is_empty() {
        set(&mut scale, "status.selector", selector);
    }
    scale
}

pub(super) fn answer(call: &Call, code: u16, object: &Object) -> Result<Answer, Status> {
    let kind = call.body_kind();
    let bytes = json::encode(&view(object), shape_named(kind.shape)?);
    Ok(Answer::Other(code, bytes.into(), kind))
}

/// GET.
pub(crate) fn get(call: &Call) -> Result<Answer, Status> {
    answer(call, 200, &normal(call.row, &current(call)?)?)
}

fn current(call: &Call) -> Result<Entry, Status> {
    let key = call.row.stored().key(&call.place.namespace, &call.place.name);
    call.shared.store.get(&key).ok_or_else(|| failure::not_found(call.row, &call.place.name))
}

/// PUT of a whole Scale.
pub(crate) async fn put(call: &mut Call, scale: Object, options: &WriteOptions) -> Result<Answer, Status> {
    resize(call, options.dry_run, true, &mut |_| Ok(scale.clone())).await
}

/// PATCH of the Scale.
pub(crate) async fn patch(
    call: &mut Call,
    kind: patch::Kind,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<Answer, Status> {
    let expected = intake::expected(call.body_kind());
    let strictness = options.strictness;
    resize(call, options.dry_run, false, &mut |object| {
        let scale = view(object);
        Ok(patch::apply(kind, &scale, bytes, &expected, strictness)?.object)
    })
    .await
}

type Rescale<'r> = dyn FnMut(&Object) -> Result<Object, Status> + Send + 'r;

async fn resize(call: &mut Call, dry_run: bool, replaces: bool, scale: &mut Rescale<'_>) -> Result<Answer, Status> {
    let plan = Plan { subresource: "", dry_run, replaces, own_act: false, ownership: Ownership::Tracked("scale") };
    let bytes = call
        .change(&plan, &mut |current| {
            let wanted = scale(current.object)?;
            let mut new = current.object.clone();
            let replicas = wanted.int("spec.replicas").unwrap_or(0);
            if replicas < 0 {
                return Err(negative(&wanted, replicas));
            }
            set(&mut new, "spec.replicas", replicas);
            // The Scale's own preconditions count for the object.
            set(&mut new, "metadata.resourceVersion", wanted.text_or_empty("metadata.resourceVersion"));
            Ok(new)
        })
        .await?;
    answer(call, 200, &stored::parse(&bytes))
}

fn negative(scale: &Object, replicas: i64) -> Status {
    use everynode_api::field::{Error, Path};
    let error = Error::invalid(&Path::new("spec.replicas"), replicas, "must be greater than or equal to 0");
    Status::invalid("autoscaling", "Scale", scale.text_or_empty("metadata.name"), vec![error])
}

/// A label selector as the text of a query parameter.
fn selector_text(selector: &Object) -> String {
    let labels = selector.map("matchLabels").into_iter().flatten();
    let mut terms: Vec<String> = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for requirement in selector.list("matchExpressions") {
        let key = requirement.text_or_empty("key");
        let values: Vec<&str> = requirement.list("values").iter().filter_map(|v| v.as_str()).collect();
        let values = values.join(",");
        terms.push(match requirement.text_or_empty("operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}
