//! `POST …/serviceaccounts/NAME/token` (A223, A361–A363, A372).

use everynode_api::Object;
use everynode_api::field;
use everynode_api::status::Status;
use everynode_store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ISSUER, Tokens};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
/// Lifetimes of the API, in seconds.
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;
/// What a pod's own token asks for; such a token lives longer than it says, for clients that never read it again (A372).
const SECONDS_OF_POD_TOKENS: i64 = 3607;
const EXTENDED: SignedDuration = SignedDuration::from_hours(24 * 365);
const AUDIENCES_MAX: usize = 32;

/// Signs a token for an account; `object` is the TokenRequest as decoded. The answer is not stored.
pub fn request(
    tokens: &Tokens,
    store: &Store,
    namespace: &str,
    name: &str,
    mut object: Object,
    now: Timestamp,
) -> Result<Object, Status> {
    let account = read(store, &format!("/registry/serviceaccounts/{namespace}/{name}"))
        .ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
    agree(&object, namespace, name, &account)?;
    let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
    let seconds = spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(SECONDS_DEFAULT);
    check_lifetime(seconds)?;
    let mut audiences: Vec<String> = texts(spec.get("audiences"));
    if audiences.is_empty() {
        audiences = tokens.audiences().to_vec();
    }
    if audiences.len() > AUDIENCES_MAX {
        return Err(Status::bad_request(format!("a token has at most {AUDIENCES_MAX} audiences")));
    }
    let mut own = json!({
        "namespace": namespace,
        "serviceaccount": { "name": name, "uid": uid(&account) },
    });
    let bound = spec.get("boundObjectRef").filter(|reference| !reference.is_null());
    let to_pod = match bound {
        Some(reference) => bind(store, namespace, name, reference, &mut own)?,
        None => false,
    };
    let for_us = audiences.iter().all(|audience| tokens.audiences().contains(audience));
    let said = SignedDuration::from_secs(seconds);
    let until =
        |life: SignedDuration| now.checked_add(life).map_err(|_| Status::internal("the token's end is out of range"));
    let says = until(said)?;
    let ends = if seconds == SECONDS_OF_POD_TOKENS && to_pod && for_us {
        own["warnafter"] = json!(says.as_second());
        until(EXTENDED)?
    } else {
        says
    };
    let claims = json!({
        "aud": audiences, "exp": ends.as_second(), "iat": now.as_second(), "nbf": now.as_second(), "iss": ISSUER,
        "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": own,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    let token = tokens.sign(&claims).ok_or_else(|| Status::internal("cannot sign the token"))?;
    let whole = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    object["metadata"] = json!({
        "name": name, "namespace": namespace, "uid": uid(&account), "creationTimestamp": whole(now),
    });
    object["spec"] = spec;
    object["spec"]["audiences"] = json!(audiences);
    object["spec"]["expirationSeconds"] = json!(seconds);
    object["status"] = json!({ "token": token, "expirationTimestamp": whole(says) });
    Ok(object)
}

/// What the body says about the account must be true (A361).
fn agree(object: &Value, namespace: &str, name: &str, account: &Value) -> Result<(), Status> {
    let said = |member: &str| {
        object.get("metadata").and_then(|m| m.get(member)).and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    if said("name").is_some_and(|other| other != name) {
        let other = said("name").unwrap_or_default();
        let text = format!("the name of the object ({other}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(text));
    }
    if said("namespace").is_some_and(|other| other != namespace) {
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(text));
    }
    match said("uid") {
        Some(other) if other != uid(account) => {
            let why = format!(
                "the UID in the token request ({other}) does not match the UID of the service account ({})",
                uid(account)
            );
            Err(Status::conflict("", "serviceaccounts", name, why))
        }
        _ => Ok(()),
    }
}

fn check_lifetime(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        ..SECONDS_MIN => "may not specify a duration less than 10 minutes",
        SECONDS_MIN..=SECONDS_MAX => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let path = field::Path::new("spec").child("expirationSeconds");
    Err(Status::invalid(GROUP, KIND, "", vec![field::Error::invalid(&path, seconds, why)]))
}

/// Enters the bound object into the claims; whether it is a pod.
fn bind(store: &Store, namespace: &str, account: &str, bound: &Value, own: &mut Value) -> Result<bool, Status> {
    let text = |member: &str| bound.get(member).and_then(Value::as_str).unwrap_or_default();
    let (kind, version, name, wanted) = (text("kind"), text("apiVersion"), text("name"), text("uid"));
    let (plural, key, entry) = match (version, kind) {
        ("v1", "Pod") => ("pods", format!("/registry/pods/{namespace}/{name}"), "pod"),
        ("v1", "Secret") => ("secrets", format!("/registry/secrets/{namespace}/{name}"), "secret"),
        ("v1", "Node") => ("nodes", format!("/registry/minions/{name}"), "node"),
        _ => {
            let kind = match version.split_once('/') {
                Some((group, version)) => format!("{group}/{version}, Kind={kind}"),
                None => format!("/{version}, Kind={kind}"),
            };
            return Err(Status::bad_request(format!("cannot bind token to object of type {kind}")));
        }
    };
    let object = read(store, &key).ok_or_else(|| Status::not_found("", plural, name))?;
    if !wanted.is_empty() && wanted != uid(&object) {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", plural, name, why));
    }
    own[entry] = json!({ "name": name, "uid": uid(&object) });
    if kind != "Pod" {
        return Ok(false);
    }
    if object.pointer("/spec/serviceAccountName").and_then(Value::as_str) != Some(account) {
        let why = format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        );
        return Err(Status::bad_request(why));
    }
    if let Some(node) = object.pointer("/spec/nodeName").and_then(Value::as_str) {
        let found = read(store, &format!("/registry/minions/{node}"));
        own["node"] = match &found {
            Some(object) => json!({ "name": node, "uid": uid(object) }),
            None => json!({ "name": node }),
        };
    }
    Ok(true)
}

fn read(store: &Store, key: &str) -> Option<Value> {
    serde_json::from_slice(&store.get(key)?.value).ok()
}

fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
