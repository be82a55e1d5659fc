//! Keeps one object of a given name in every active namespace: made when it is missing, mended when its data is wrong.
//!
//! Not here: what the object is (`service_account`, `root_ca`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Version};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch, collection};
use crate::cache::{Cached, Delta};
use crate::chain::Chain;
use crate::inbox::Inbox;
use crate::meta::Namespace;
use crate::{Context, ControllerError};

/// Strings by name.
pub(crate) type Data = BTreeMap<String, String>;

/// What must be there.
pub(crate) struct Wanted {
    /// The service account that does it.
    pub(crate) account: &'static str,
    /// For messages.
    pub(crate) what: &'static str,
    /// Resource in the core group.
    pub(crate) plural: &'static str,
    /// Name of the object.
    pub(crate) name: &'static str,
    /// What its `data` must be, if that matters.
    pub(crate) data: Option<Data>,
    /// The whole object for this namespace.
    pub(crate) make: fn(&str, &Data) -> Value,
}

/// The object as far as it matters here.
struct Present {
    key: Key,
    version: Version,
    data: Data,
}

impl Cached for Present {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMeta,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: String,
    namespace: String,
    resource_version: String,
}

fn project(bytes: &[u8]) -> Result<Present, ProjectError> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "object", source })?;
    Ok(Present {
        key: Key::new(&wire.metadata.namespace, &wire.metadata.name),
        version: Version::parse(&wire.metadata.resource_version),
        data: wire.data.unwrap_or_default(),
    })
}

enum Message {
    Namespace(Delta<Namespace>),
    Object(Delta<Present>),
    Done(Arc<str>, Result<(), Failure>),
    Again(Arc<str>),
}

/// How long to wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub(crate) async fn keep(context: Arc<Context>, wanted: Wanted) -> Result<(), ControllerError> {
    let api = context.clients.api(wanted.account);
    let namespaces = context.feeds.namespaces();
    let only_ours = format!("fieldSelector=metadata.name%3D{}", wanted.name);
    let objects = context.feeds.select(wanted.what, &collection("", "v1", "", wanted.plural), only_ours, project);
    // Without the whole list everything would look missing.
    objects.synced().await;
    let mut inbox = Inbox::new();
    inbox.follow(&namespaces, Message::Namespace);
    inbox.follow(&objects, Message::Object);
    let wanted = Arc::new(wanted);
    let mut busy = BTreeSet::new();
    loop {
        let Some(message) = inbox.next(None).await else { continue };
        let namespace = match message {
            Message::Namespace(Delta::Put { new, .. }) => new.meta.key.name.clone(),
            Message::Object(Delta::Put { new: object, .. } | Delta::Gone(object)) => object.key.namespace.clone(),
            Message::Again(namespace) => namespace,
            Message::Done(namespace, result) => {
                busy.remove(&namespace);
                if let Err(failure) = result {
                    if failure.is_namespace_terminating() || failure.is_not_found() {
                        continue;
                    }
                    tracing::debug!(what = wanted.what, %namespace, error = %Chain(&failure), "trying again");
                    inbox.act(async move {
                        tokio::time::sleep(AGAIN).await;
                        Message::Again(namespace)
                    });
                    continue;
                }
                namespace
            }
            Message::Namespace(Delta::Gone(_) | Delta::Synced) | Message::Object(Delta::Synced) => continue,
        };
        let is_active = namespaces.get(&Key::cluster(&namespace)).is_some_and(|found| found.is_active());
        if !is_active || busy.contains(&namespace) {
            continue;
        }
        let present = objects.get(&Key::new(&namespace, wanted.name));
        let is_right = present.as_ref().is_some_and(|p| wanted.data.as_ref().is_none_or(|data| *data == p.data));
        if is_right {
            continue;
        }
        busy.insert(namespace.clone());
        let (api, wanted) = (api.clone(), Arc::clone(&wanted));
        inbox.act(async move {
            let result = mend(&api, &wanted, &namespace, present.as_deref()).await;
            Message::Done(namespace, result)
        });
    }
}

async fn mend(api: &Api, wanted: &Wanted, namespace: &str, present: Option<&Present>) -> Result<(), Failure> {
    let path = collection("", "v1", namespace, wanted.plural);
    let empty = Data::new();
    let data = wanted.data.as_ref().unwrap_or(&empty);
    let mut object = (wanted.make)(namespace, data);
    let Some(present) = present else {
        return match api.create(&path, &object).await {
            Err(failure) if failure.is_already_exists() => Ok(()),
            result => result.map(drop),
        };
    };
    for name in present.data.keys().filter(|name| !data.contains_key(*name)) {
        object["data"][name] = Value::Null;
    }
    object["metadata"]["resourceVersion"] = json!(present.version.0.to_string());
    match api.patch(&format!("{path}/{}", wanted.name), Patch::Merge, &object).await {
        // Its event brings us here again.
        Err(failure) if failure.is_conflict() => Ok(()),
        result => result.map(drop),
    }
}
