//! Empties namespaces that are to go, and lets them go (A510, A356).
//!
//! Pods first, everything else when the last of them is gone. What remains is looked at again when a pod of the namespace
//! vanishes, and otherwise ever more slowly. Conditions are written only about a namespace that does not go quickly, so that
//! the usual end costs no writes for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_core::lifecycle::namespace::{FINALIZER, Survey};
use everynode_core::model::{Key, Millis, Pod};
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch};
use crate::cache::Delta;
use crate::chain::Chain;
use crate::discovery::{self, ResourceType};
use crate::inbox::Inbox;
use crate::meta::{MetaList, Namespace};
use crate::{Context, ControllerError, clock};

/// A namespace that is terminating for this long says in its status what holds it.
const QUIET: Millis = Millis::from_secs(5);
/// Delays between looks at what remains.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);

enum Message {
    Namespace(Delta<Namespace>),
    Pod(Delta<Pod>),
    Done(Arc<str>, Result<bool, NamespaceError>),
    Again(Arc<str>),
}

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
enum NamespaceError {
    #[error("cannot find out what there is")]
    Discover(#[source] discovery::DiscoveryError),
    #[error("cannot read the namespace")]
    Read(#[source] Failure),
    #[error("the namespace cannot be understood")]
    Understand(#[source] serde_json::Error),
    #[error("cannot write the namespace's status")]
    Status(#[source] Failure),
    #[error("cannot finalize the namespace")]
    Finalize(#[source] Failure),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("namespace-controller");
    let namespaces = context.feeds.namespaces();
    let mut inbox = Inbox::new();
    inbox.follow(&namespaces, Message::Namespace);
    inbox.follow(&context.feeds.pods(), Message::Pod);
    let mut busy: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    let mut rounds: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    loop {
        let Some(message) = inbox.next(None).await else { continue };
        let name = match message {
            Message::Namespace(Delta::Put { new, .. }) if new.meta.deletion.is_some() => new.meta.key.name.clone(),
            Message::Namespace(Delta::Gone(gone)) => {
                rounds.remove(&gone.meta.key.name);
                continue;
            }
            Message::Pod(Delta::Gone(pod)) if rounds.contains_key(&pod.key.namespace) => pod.key.namespace.clone(),
            Message::Again(name) => name,
            Message::Done(name, result) => {
                let wanted_again = busy.remove(&name).unwrap_or(false);
                let is_done = result.as_ref().is_ok_and(|is_done| *is_done);
                if let Err(error) = &result {
                    tracing::debug!(namespace = %name, error = %Chain(error), "trying again");
                }
                if is_done {
                    continue;
                }
                if !wanted_again {
                    let round = rounds.entry(name.clone()).or_default();
                    let delay = AGAIN_FIRST.saturating_mul(2u32.saturating_pow(*round)).min(AGAIN_MAX);
                    *round = round.saturating_add(1);
                    inbox.act(async move {
                        tokio::time::sleep(delay).await;
                        Message::Again(name)
                    });
                    continue;
                }
                name
            }
            Message::Namespace(_) | Message::Pod(_) => continue,
        };
        let Some(namespace) = namespaces.get(&Key::cluster(&name)).filter(|n| n.meta.deletion.is_some()) else {
            rounds.remove(&name);
            continue;
        };
        if let Some(again) = busy.get_mut(&name) {
            *again = true;
            continue;
        }
        if !namespace.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            continue;
        }
        busy.insert(name.clone(), false);
        rounds.entry(name.clone()).or_default();
        let api = api.clone();
        inbox.act(async move {
            let result = round(&api, &namespace).await;
            Message::Done(name, result)
        });
    }
}

/// Deletes what can be deleted. True when the namespace was let go.
async fn round(api: &Api, namespace: &Namespace) -> Result<bool, NamespaceError> {
    let name = namespace.name();
    let discovered = discovery::discover(api).await.map_err(NamespaceError::Discover)?;
    let mut survey = Survey { undiscovered: discovered.failures, ..Survey::default() };
    let resources = discovered.resources.iter().filter(|r| r.namespaced && r.allows(&["delete", "list"]));
    let (pods, others): (Vec<_>, Vec<_>) = resources.partition(|r| r.group.is_empty() && r.plural == "pods");
    for resource in &pods {
        empty(api, resource, name, &mut survey).await;
    }
    if survey.remaining.is_empty() && survey.failures.is_empty() {
        for resource in &others {
            empty(api, resource, name, &mut survey).await;
        }
    }
    if survey.is_empty() {
        return finalize(api, name).await.map(|()| true);
    }
    let since = namespace.meta.deletion.unwrap_or(Millis(0));
    if clock::now().since(since) >= QUIET {
        write_conditions(api, name, &survey).await?;
    }
    Ok(false)
}

/// Deletes all objects of one resource in the namespace, and counts what stays.
async fn empty(api: &Api, resource: &ResourceType, namespace: &str, survey: &mut Survey) {
    match empty_resource(api, resource, namespace).await {
        Ok(None) => {}
        Ok(Some((count, finalizers))) => {
            survey.remaining.insert(resource.qualified(), count);
            for finalizer in finalizers {
                *survey.finalizers.entry(finalizer).or_default() += 1;
            }
        }
        // The kind itself is gone, or may not be listed: nothing of it can be there.
        Err(failure) if failure.is_not_found() => {}
        Err(failure) => survey.failures.push(format!("{}: {failure}", resource.qualified())),
    }
}

type Left = Option<(usize, Vec<String>)>;

async fn empty_resource(api: &Api, resource: &ResourceType, namespace: &str) -> Result<Left, Failure> {
    let collection = resource.collection(namespace);
    // Most kinds have nothing here; a list is cheaper than a deletion that finds nothing.
    let before = list(api, &collection).await?;
    if before.is_empty() {
        return Ok(None);
    }
    if before.iter().any(|(_, terminating, _)| !terminating) {
        if resource.allows(&["deletecollection"]) {
            api.delete(&collection, &json!({"kind": "DeleteOptions", "apiVersion": "v1"})).await?;
        } else {
            for (name, _, _) in before.iter().filter(|(_, terminating, _)| !terminating) {
                match api.delete(&resource.object(namespace, name), &json!({})).await {
                    Err(failure) if !failure.is_not_found() => return Err(failure),
                    _ => {}
                }
            }
        }
    }
    let after = list(api, &collection).await?;
    if after.is_empty() {
        return Ok(None);
    }
    let finalizers = after.iter().flat_map(|(_, _, finalizers)| finalizers.iter().cloned());
    Ok(Some((after.len(), finalizers.collect())))
}

/// Name, whether it is terminating, and finalizers.
type Item = (Arc<str>, bool, Vec<String>);

async fn list(api: &Api, collection: &str) -> Result<Vec<Item>, Failure> {
    let body = api.get(collection).await?;
    // What cannot be read is not empty: the next round looks again.
    let Ok(list) = serde_json::from_slice::<MetaList>(&body) else {
        return Ok(vec![("".into(), true, Vec::new())]);
    };
    let item = |meta: crate::meta::Meta| (meta.key.name, meta.deletion.is_some(), meta.finalizers);
    Ok(list.items().map(item).collect())
}

async fn read(api: &Api, name: &str) -> Result<Option<Value>, NamespaceError> {
    match api.get(&format!("/api/v1/namespaces/{name}")).await {
        Ok(body) => serde_json::from_slice(&body).map(Some).map_err(NamespaceError::Understand),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(NamespaceError::Read(failure)),
    }
}

/// Takes our finalizer away; the server removes the namespace when it was the last.
async fn finalize(api: &Api, name: &str) -> Result<(), NamespaceError> {
    let Some(mut object) = read(api, name).await? else { return Ok(()) };
    let finalizers = object.pointer("/spec/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    let kept: Vec<Value> = finalizers.into_iter().filter(|finalizer| finalizer.as_str() != Some(FINALIZER)).collect();
    object["spec"]["finalizers"] = Value::Array(kept);
    match api.replace(&format!("/api/v1/namespaces/{name}/finalize"), &object).await {
        Err(failure) if !failure.is_not_found() => Err(NamespaceError::Finalize(failure)),
        _ => Ok(()),
    }
}

/// A356. Written only when something changed, so that looking does not cause events.
async fn write_conditions(api: &Api, name: &str, survey: &Survey) -> Result<(), NamespaceError> {
    let Some(object) = read(api, name).await? else { return Ok(()) };
    let before = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let now = clock::rfc3339(clock::now());
    let mut ours = BTreeSet::new();
    let mut conditions = Vec::new();
    for condition in survey.conditions() {
        ours.insert(condition.kind);
        let status = if condition.bad { "True" } else { "False" };
        let old = before.iter().find(|old| old["type"] == condition.kind);
        let since = old.filter(|old| old["status"] == status).map(|old| old["lastTransitionTime"].clone());
        conditions.push(json!({
            "type": condition.kind,
            "status": status,
            "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
            "reason": condition.reason,
            "message": condition.message,
        }));
    }
    conditions
        .extend(before.iter().filter(|old| old["type"].as_str().is_none_or(|kind| !ours.contains(kind))).cloned());
    if conditions == before {
        return Ok(());
    }
    let patch = json!({"status": {"conditions": conditions}});
    match api.patch(&format!("/api/v1/namespaces/{name}/status"), Patch::Merge, &patch).await {
        Err(failure) if !failure.is_not_found() => Err(NamespaceError::Status(failure)),
        _ => Ok(()),
    }
}
