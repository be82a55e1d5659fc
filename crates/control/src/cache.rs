//! What the server holds, as far as decisions read it: one watch per resource, shared by all controllers.
//!
//! A [`Feed`] lists, then watches, and projects each object straight from the bytes of its line; no typed or generic object is
//! ever kept. Subscribers get every change in order; a late one first gets all that is there.
//!
//! Invariants:
//! * after a gap in the watch the feed lists again and tells subscribers what vanished meanwhile;
//! * the first list is a consistent read, so after a restart no decision is made on a view from before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use everynode_api::project::{self, ProjectError};
use everynode_core::model::{Key, Node, Pod, Revision, Version};
use futures::TryStreamExt as _;
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use crate::api::{Api, Failure};
use crate::meta::{self, Namespace};

/// What a feed holds.
pub trait Cached: Send + Sync + 'static {
    /// Where it is.
    fn key(&self) -> Key;
    /// Version of the object read.
    fn version(&self) -> Version;
}

impl Cached for Pod {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

impl Cached for Node {
    fn key(&self) -> Key {
        Key::cluster(self.name.as_str())
    }
    fn version(&self) -> Version {
        self.version
    }
}

impl Cached for Revision {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

/// A change, in the order in which the server made it.
#[derive(Clone, Debug)]
pub enum Delta<T> {
    /// There is a new or newer object.
    Put {
        /// What was there before.
        old: Option<Arc<T>>,
        /// What is there now.
        new: Arc<T>,
    },
    /// The object is gone; this is what was last known of it.
    Gone(Arc<T>),
    /// All that was there when the feed began has been told; comes once per subscriber.
    Synced,
}

/// Reads an object from its bytes.
pub type Project<T> = fn(&[u8]) -> Result<T, ProjectError>;

/// What to follow.
pub struct Source<T> {
    /// For messages.
    pub what: &'static str,
    /// The collection's path: `/api/v1/pods`.
    pub path: String,
    /// Further query parameters, without a leading `&`: `fieldSelector=…`.
    pub query: String,
    /// How to read an object.
    pub project: Project<T>,
}

struct State<T> {
    objects: BTreeMap<Key, Arc<T>>,
    subscribers: Vec<mpsc::UnboundedSender<Delta<T>>>,
    version: Version,
    is_synced: bool,
}

/// A resource as last seen, and its changes. Cheap to clone.
pub struct Feed<T> {
    state: Arc<Mutex<State<T>>>,
    synced: Arc<watch::Sender<bool>>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), synced: Arc::clone(&self.synced) }
    }
}

/// The receiving end of a feed's changes.
pub struct Subscription<T> {
    deltas: mpsc::UnboundedReceiver<Delta<T>>,
}

impl<T> Subscription<T> {
    /// The next change; `None` when the feed has ended.
    pub async fn next(&mut self) -> Option<Delta<T>> {
        self.deltas.recv().await
    }

    /// A change that is already there.
    pub fn try_next(&mut self) -> Option<Delta<T>> {
        self.deltas.try_recv().ok()
    }
}

impl<T: Cached> Feed<T> {
    /// Follows `source` until the runtime ends.
    #[must_use]
    pub fn start(api: Api, source: Source<T>) -> Self {
        let feed = Self {
            state: Arc::new(Mutex::new(State {
                objects: BTreeMap::new(),
                subscribers: Vec::new(),
                version: Version(0),
                is_synced: false,
            })),
            synced: Arc::new(watch::Sender::new(false)),
        };
        tokio::spawn(follow(api, source, feed.clone()));
        feed
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object as last seen.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects as last seen; costs a clone of as many pointers.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<T>> {
        self.lock().objects.values().cloned().collect()
    }

    /// The objects of one namespace.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let state = self.lock();
        let from = Key::new(namespace, "");
        state
            .objects
            .range(from..)
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(_, o)| Arc::clone(o))
            .collect()
    }

    /// How far the cache has come.
    #[must_use]
    pub fn version(&self) -> Version {
        self.lock().version
    }

    /// Resolves once the first list is in.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // An error means that the feed is gone, and with it whoever waits.
        let _ = synced.wait_for(|is_synced| *is_synced).await;
    }

    /// All that is there, then every change.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        let (sender, deltas) = mpsc::unbounded_channel();
        let mut state = self.lock();
        for object in state.objects.values() {
            let _ = sender.send(Delta::Put { old: None, new: Arc::clone(object) });
        }
        if state.is_synced {
            let _ = sender.send(Delta::Synced);
        }
        state.subscribers.push(sender);
        Subscription { deltas }
    }

    fn put(&self, object: T) {
        let mut state = self.lock();
        state.version = state.version.max(object.version());
        let new = Arc::new(object);
        let old = state.objects.insert(new.key(), Arc::clone(&new));
        state.tell(&Delta::Put { old, new });
    }

    fn remove(&self, key: &Key, version: Version) {
        let mut state = self.lock();
        state.version = state.version.max(version);
        if let Some(old) = state.objects.remove(key) {
            state.tell(&Delta::Gone(old));
        }
    }

    fn advance(&self, version: Version) {
        let mut state = self.lock();
        state.version = state.version.max(version);
    }

    /// The whole list is in: what is not in `keys` is gone.
    fn settle(&self, keys: &BTreeSet<Key>, version: Version) {
        let gone: Vec<Key> = self.lock().objects.keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in gone {
            self.remove(&key, version);
        }
        let mut state = self.lock();
        state.version = state.version.max(version);
        if !state.is_synced {
            state.is_synced = true;
            state.tell(&Delta::Synced);
        }
        drop(state);
        self.synced.send_replace(true);
    }
}

impl<T> State<T> {
    fn tell(&mut self, delta: &Delta<T>) {
        self.subscribers.retain(|subscriber| {
            let delta = match delta {
                Delta::Put { old, new } => Delta::Put { old: old.clone(), new: Arc::clone(new) },
                Delta::Gone(old) => Delta::Gone(Arc::clone(old)),
                Delta::Synced => Delta::Synced,
            };
            subscriber.send(delta).is_ok()
        });
    }
}

/// Why a feed had to begin again.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("cannot list")]
    List(#[source] Failure),
    #[error("cannot watch")]
    Watch(#[source] Failure),
    #[error("cannot read the list")]
    ReadList(#[source] serde_json::Error),
    #[error("cannot read a line of the watch")]
    ReadLine(#[source] serde_json::Error),
    #[error("the watch broke off")]
    Broken(#[source] kube::Error),
    #[error("the watch has fallen behind the server's history")]
    Expired,
}

/// Objects per page of a list.
const PAGE: usize = 500;
/// How long a watch lasts before the server ends it.
const WATCH_SECONDS: u32 = 300;
/// Delays between tries to list or watch again.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);

async fn follow<T: Cached>(api: Api, source: Source<T>, feed: Feed<T>) {
    let mut delay = AGAIN_FIRST;
    let mut from: Option<String> = None;
    loop {
        let result = match from.take() {
            None => list(&api, &source, &feed).await,
            Some(version) => watch_from(&api, &source, &feed, version).await,
        };
        match result {
            Ok(version) => {
                from = Some(version);
                delay = AGAIN_FIRST;
                continue;
            }
            Err((version, error)) => {
                if !matches!(error, FollowError::Expired) {
                    tracing::debug!(what = source.what, error = %Chain(&error), "following again");
                }
                from = version;
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(AGAIN_MAX);
    }
}

/// An error and its causes on one line.
pub(crate) struct Chain<'e>(pub(crate) &'e (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct ListPage<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// What follows a step: the version to watch from, or none when only a list helps.
type Step = Result<String, (Option<String>, FollowError)>;

async fn list<T: Cached>(api: &Api, source: &Source<T>, feed: &Feed<T>) -> Step {
    let mut keys = BTreeSet::new();
    let mut next = String::new();
    loop {
        let path = format!("{}?limit={PAGE}&continue={next}&{}", source.path, source.query);
        let body = api.get(&path).await.map_err(|error| (None, FollowError::List(error)))?;
        let page: ListPage<'_> = serde_json::from_slice(&body).map_err(|error| (None, FollowError::ReadList(error)))?;
        for item in page.items.unwrap_or_default() {
            match (source.project)(item.get().as_bytes()) {
                Ok(object) => {
                    keys.insert(object.key());
                    feed.put(object);
                }
                Err(error) => {
                    tracing::warn!(what = source.what, error = %Chain(&error), "cannot read an object; left out")
                }
            }
        }
        next = page.metadata.next;
        if next.is_empty() {
            feed.settle(&keys, Version::parse(&page.metadata.resource_version));
            return Ok(page.metadata.resource_version);
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: ListMeta,
}

async fn watch_from<T: Cached>(api: &Api, source: &Source<T>, feed: &Feed<T>, mut version: String) -> Step {
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}&{}",
        source.path, source.query
    );
    let response = match api.open(Method::GET, &path, "application/json", Vec::new()).await {
        Ok(response) => response,
        Err(error) if error.is_expired() => return Err((None, FollowError::Expired)),
        Err(error) => return Err((Some(version), FollowError::Watch(error))),
    };
    let mut chunks = response.into_body().into_data_stream();
    let mut rest = BytesMut::new();
    loop {
        let chunk: Bytes = match chunks.try_next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(version),
            Err(error) => return Err((Some(version), FollowError::Broken(error))),
        };
        let mut searched = rest.len();
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest[searched..].iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(searched + end + 1);
            searched = 0;
            take_line(source, feed, &line, &mut version)?;
        }
    }
}

fn take_line<T: Cached>(
    source: &Source<T>,
    feed: &Feed<T>,
    line: &[u8],
    version: &mut String,
) -> Result<(), (Option<String>, FollowError)> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let read = |error| (None, FollowError::ReadLine(error));
    let line: Line<'_> = serde_json::from_slice(line).map_err(read)?;
    let object = line.object.get().as_bytes();
    match line.kind {
        "BOOKMARK" => {
            *version = serde_json::from_slice::<Versioned>(object).map_err(read)?.metadata.resource_version;
            feed.advance(Version::parse(version));
        }
        "ADDED" | "MODIFIED" | "DELETED" => match (source.project)(object) {
            Ok(object) => {
                *version = object.version().0.to_string();
                if line.kind == "DELETED" { feed.remove(&object.key(), object.version()) } else { feed.put(object) }
            }
            Err(error) => {
                tracing::warn!(what = source.what, error = %Chain(&error), "cannot read an object; left out");
            }
        },
        // ERROR carries a Status; whatever it says, a fresh list is the mend.
        _ => return Err((None, FollowError::Expired)),
    }
    Ok(())
}

/// The feeds that several controllers share; each starts when first asked for.
pub struct Feeds {
    api: Api,
    pods: OnceLock<Feed<Pod>>,
    nodes: OnceLock<Feed<Node>>,
    namespaces: OnceLock<Feed<Namespace>>,
}

impl Feeds {
    /// No feed yet.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api, pods: OnceLock::new(), nodes: OnceLock::new(), namespaces: OnceLock::new() }
    }

    /// All pods.
    #[must_use]
    pub fn pods(&self) -> Feed<Pod> {
        self.pods.get_or_init(|| self.open("pods", "/api/v1/pods", project::pod)).clone()
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> Feed<Node> {
        self.nodes.get_or_init(|| self.open("nodes", "/api/v1/nodes", project::node)).clone()
    }

    /// All namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Feed<Namespace> {
        self.namespaces.get_or_init(|| self.open("namespaces", "/api/v1/namespaces", meta::namespace)).clone()
    }

    /// A feed of its own, read with the shared caches' identity.
    #[must_use]
    pub fn open<T: Cached>(&self, what: &'static str, path: &str, project: Project<T>) -> Feed<T> {
        Feed::start(self.api.clone(), Source { what, path: path.to_owned(), query: String::new(), project })
    }
}
