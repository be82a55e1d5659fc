//! Service accounts: tokens that this server signed, and that still have an account and what they are bound to (A196,
//! A203, A365).

use everynode_store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{CREDENTIAL_ID, Identity};
use crate::tokens::Tokens;

/// How long something that is being deleted still counts.
const DELETION_LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Who a token stands for and which of `audiences` it is meant for.
pub(super) fn authenticate(
    store: &Store,
    tokens: &Tokens,
    token: &str,
    audiences: &[String],
    now: Timestamp,
) -> Option<(Identity, Vec<String>)> {
    let claims = tokens.verify(token, now)?;
    let meant: Vec<String> = claims
        .get("aud")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .filter(|audience| audiences.iter().any(|wanted| wanted == audience))
        .map(str::to_owned)
        .collect();
    if meant.is_empty() {
        return None;
    }
    let bound = claims.get("kubernetes.io")?;
    let namespace = bound.get("namespace")?.as_str()?;
    let account = reference(bound, "serviceaccount")?;
    if claims.get("sub")?.as_str()? != user_name(namespace, account.name) {
        return None;
    }
    lives(store, &format!("/registry/serviceaccounts/{namespace}/{}", account.name), account.uid, now)?;
    let mut identity = Identity::known(user_name(namespace, account.name), account.uid.to_owned(), groups(namespace));
    let mut extra = |key: &str, value: &str| {
        identity.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    if let Some(secret) = reference(bound, "secret") {
        lives(store, &format!("/registry/secrets/{namespace}/{}", secret.name), secret.uid, now)?;
    }
    if let Some(pod) = reference(bound, "pod") {
        lives(store, &format!("/registry/pods/{namespace}/{}", pod.name), pod.uid, now)?;
        extra("pod-name", pod.name);
        extra("pod-uid", pod.uid);
    }
    if let Some(node) = reference(bound, "node") {
        // A pod's token tells its node, but only a token that is bound to the node itself ends with it.
        if bound.get("pod").is_none() {
            lives(store, &format!("/registry/minions/{}", node.name), node.uid, now)?;
        }
        extra("node-name", node.name);
        extra("node-uid", node.uid);
    }
    let id = claims.get("jti")?.as_str()?;
    identity.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
    Some((identity, meant))
}

/// The user name of a service account.
pub(crate) fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The groups of the service accounts of a namespace.
pub(crate) fn groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

struct Reference<'a> {
    name: &'a str,
    uid: &'a str,
}

fn reference<'a>(claims: &'a Value, kind: &str) -> Option<Reference<'a>> {
    let object = claims.get(kind)?;
    Some(Reference { name: object.get("name")?.as_str()?, uid: object.get("uid")?.as_str()? })
}

/// Whether the object is there, is the same one, and is not long gone.
fn lives(store: &Store, key: &str, uid: &str, now: Timestamp) -> Option<()> {
    let entry = store.get(key)?;
    let object: Value = serde_json::from_slice(&entry.value).ok()?;
    let metadata = object.get("metadata")?;
    if metadata.get("uid")?.as_str()? != uid {
        return None;
    }
    match metadata.get("deletionTimestamp").and_then(Value::as_str) {
        Some(since) => {
            let since: Timestamp = since.parse().ok()?;
            (now.duration_since(since) <= DELETION_LEEWAY).then_some(())
        }
        None => Some(()),
    }
}
