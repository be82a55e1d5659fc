//! What the server holds, as far as decisions read it: one watch per resource. Which ones controllers share is `feeds`.
//!
//! A [`Feed`] streams or lists what is there, then watches, and projects each object straight from the bytes of its line; no
//! typed or generic object is ever kept. Subscribers get every change in order; a late one first gets all that is there.
//!
//! Invariants:
//! * after a gap in the watch the feed gets a fresh view and tells subscribers what vanished meanwhile;
//! * the first view is a consistent read, so after a restart no decision is made on a view from before it;
//! * a feed follows as long as somebody holds it.

mod follow;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Node, Pod, Revision, Version};
use tokio::sync::{mpsc, watch};

use crate::api::Api;

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

/// What a feed says.
#[derive(Clone, Debug)]
pub enum Told<T> {
    /// A change.
    Change(Delta<T>),
    /// All changes up to this version have been told.
    UpTo(Version),
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
    subscribers: Vec<mpsc::UnboundedSender<Told<T>>>,
    version: Version,
    is_synced: bool,
}

/// A resource as last seen, and its changes. Cheap to clone; the last clone takes the watch with it.
pub struct Feed<T> {
    held: Arc<Held<T>>,
    follower: Arc<Follower>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held), follower: Arc::clone(&self.follower) }
    }
}

/// The task behind a feed.
struct Follower(tokio::task::AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a feed knows: written by its follower alone.
struct Held<T> {
    state: Mutex<State<T>>,
    synced: watch::Sender<bool>,
}

/// The receiving end of a feed's changes.
pub struct Subscription<T> {
    told: mpsc::UnboundedReceiver<Told<T>>,
}

impl<T> Subscription<T> {
    /// The next change; `None` when the feed has ended.
    pub async fn next(&mut self) -> Option<Delta<T>> {
        loop {
            if let Told::Change(delta) = self.told.recv().await? {
                return Some(delta);
            }
        }
    }

    /// The next change, or how far the feed has come.
    pub async fn next_told(&mut self) -> Option<Told<T>> {
        self.told.recv().await
    }
}

impl<T: Cached> Feed<T> {
    /// Follows `source` until the last clone is dropped.
    #[must_use]
    pub fn start(api: Api, source: Source<T>) -> Self {
        Self::start_with(api, source, follow::MARK_SILENCE)
    }

    fn start_with(api: Api, source: Source<T>, mark_silence: Duration) -> Self {
        let held = Arc::new(Held {
            state: Mutex::new(State {
                objects: BTreeMap::new(),
                subscribers: Vec::new(),
                version: Version(0),
                is_synced: false,
            }),
            synced: watch::Sender::new(false),
        });
        let task = tokio::spawn(follow::follow(api, source, Arc::clone(&held), mark_silence));
        Self { held, follower: Arc::new(Follower(task.abort_handle())) }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.held.lock()
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

    /// Resolves once the first view is whole.
    pub async fn synced(&self) {
        let mut synced = self.held.synced.subscribe();
        // An error means that the feed is gone, and with it whoever waits.
        let _ = synced.wait_for(|is_synced| *is_synced).await;
    }

    /// All that is there, then every change.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        let (sender, told) = mpsc::unbounded_channel();
        let mut state = self.lock();
        for object in state.objects.values() {
            let _ = sender.send(Told::Change(Delta::Put { old: None, new: Arc::clone(object) }));
        }
        if state.is_synced {
            let _ = sender.send(Told::UpTo(state.version));
            let _ = sender.send(Told::Change(Delta::Synced));
        }
        state.subscribers.push(sender);
        Subscription { told }
    }
}

impl<T: Cached> Held<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `is_live`: from the watch, which tells changes in order, and not from what was there before.
    fn put(&self, object: T, is_live: bool) {
        let mut state = self.lock();
        let version = object.version();
        let new = Arc::new(object);
        let old = state.objects.insert(new.key(), Arc::clone(&new));
        if is_live || old.as_ref().is_none_or(|old| old.version() != version) {
            state.tell(&Told::Change(Delta::Put { old, new }));
        }
        if is_live {
            state.advance(version);
        }
    }

    fn remove(&self, key: &Key) {
        let mut state = self.lock();
        if let Some(old) = state.objects.remove(key) {
            state.tell(&Told::Change(Delta::Gone(old)));
        }
    }

    fn advance(&self, version: Version) {
        self.lock().advance(version);
    }

    /// The whole view is in: what is not in `keys` is gone.
    fn settle(&self, keys: &BTreeSet<Key>, version: Version) {
        let gone: Vec<Key> = self.lock().objects.keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
        let mut state = self.lock();
        state.advance(version);
        if !state.is_synced {
            state.is_synced = true;
            state.tell(&Told::Change(Delta::Synced));
        }
        drop(state);
        self.synced.send_replace(true);
    }
}

impl<T> State<T> {
    fn advance(&mut self, version: Version) {
        if version > self.version {
            self.version = version;
            self.tell(&Told::UpTo(version));
        }
    }

    fn tell(&mut self, told: &Told<T>) {
        self.subscribers.retain(|subscriber| {
            let told = match told {
                Told::Change(Delta::Put { old, new }) => {
                    Told::Change(Delta::Put { old: old.clone(), new: Arc::clone(new) })
                }
                Told::Change(Delta::Gone(old)) => Told::Change(Delta::Gone(Arc::clone(old))),
                Told::Change(Delta::Synced) => Told::Change(Delta::Synced),
                Told::UpTo(version) => Told::UpTo(*version),
            };
            subscriber.send(told).is_ok()
        });
    }
}
