//! MEMORY: every live object once, in RAM, as one shared and already serialised buffer; a bounded window of history;
//! and a small backend below that makes commits durable.
//!
//! ```text
//!  commit ──> writer thread: check expectation, number, seal ──> backend.append (durable) ──> publish
//!                                                                                            │
//!  get/list <── State (read lock) <──────────────────────────────────────────────────────────┤
//!  watch    <── Window: shared log + one index per watched scope; wakes only what matches <──┘
//! ```
//!
//! Invariants:
//! * S1: revisions grow by one per commit, and no revision is ever given twice, across crashes too.
//! * S2: a reader never sees a commit before it is as durable as its writer asked for.
//! * S3: a watch delivers every matching event once, in order, or says [`Compacted`].
//! * S4: values are opaque; nothing here knows Kubernetes.
//!
//! Not here: object encoding, resource versions inside values (the `seal` of a [`Change`] writes them), and
//! selectors (a [`Topic`] is only an index for wake-ups).

pub mod backend;
mod entry;
mod state;
mod watch;
mod window;
mod writer;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

pub use backend::{Backend, BackendError};
pub use entry::{Entry, Event, EventKind, Revision, Scope, Topic};
pub use state::{Page, ReadError};
pub use watch::{Batch, Compacted, Watch};
pub use writer::{Change, CommitError, Committed, Durability, Expect, Seal, Write};

use state::State;

/// Derives the topics of a stored value, so that a watch on one topic is woken only by events that touch it.
///
/// Called with key and value for the old and the new state of every commit; must be cheap and deterministic.
pub type TopicsOf = Box<dyn Fn(&str, &[u8]) -> Vec<Topic> + Send + Sync>;

/// What a [`Store`] must be told; there are no defaults that a test could rely on by accident.
pub struct Config {
    /// How many events the window keeps at most.
    pub window_events_max: usize,
    /// How many bytes of values the window keeps alive at most.
    pub window_bytes_max: usize,
    /// How long a lazily durable commit may stay in memory only.
    pub lazy_delay_max: Duration,
    /// The topics of a value.
    pub topics: TopicsOf,
}

impl Config {
    /// The figures that `everynode` runs with: 200,000 events or 32 MiB of history, lazy commits within one second.
    #[must_use]
    pub fn standard(topics: TopicsOf) -> Self {
        Self { window_events_max: 200_000, window_bytes_max: 32 << 20, lazy_delay_max: Duration::from_secs(1), topics }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The backend could not be read.
    #[error("cannot read the store back")]
    Load(#[source] BackendError),
    /// The operating system refused the writer thread.
    #[error("cannot start the store's writer thread")]
    Thread(#[source] std::io::Error),
}

/// A revisioned key-value store with compare-and-swap and watches. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: writer::Handle,
}

/// What readers, watches and the writer thread share.
struct Shared {
    state: RwLock<State>,
    topics: TopicsOf,
}

impl Shared {
    /// A panic while the lock was held leaves consistent data behind: the writer publishes in one step.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Reads everything back from `backend` and starts the writer thread.
    ///
    /// # Errors
    /// When the backend cannot be read, or is from a newer version, or no thread can be started.
    pub fn open(backend: Box<dyn Backend>, config: Config) -> Result<Self, OpenError> {
        let lazy_delay_max = config.lazy_delay_max;
        let (shared, backend) = Self::load(backend, config)?;
        let writer = writer::spawn(Arc::clone(&shared), backend, lazy_delay_max).map_err(OpenError::Thread)?;
        Ok(Self { shared, writer })
    }

    /// The same without a thread: every commit is done by its caller before the future is first pending, so that what the
    /// store does depends on the calls alone. Nothing makes a lazy commit durable but the next other one, or the close.
    ///
    /// # Errors
    /// When the backend cannot be read, or is from a newer version.
    pub fn open_unthreaded(backend: Box<dyn Backend>, config: Config) -> Result<Self, OpenError> {
        let lazy_delay_max = config.lazy_delay_max;
        let (shared, backend) = Self::load(backend, config)?;
        let writer = writer::here(Arc::clone(&shared), backend, lazy_delay_max);
        Ok(Self { shared, writer })
    }

    fn load(mut backend: Box<dyn Backend>, config: Config) -> Result<(Arc<Shared>, Box<dyn Backend>), OpenError> {
        let state = State::load(backend.as_mut(), config.window_events_max, config.window_bytes_max)
            .map_err(OpenError::Load)?;
        Ok((Arc::new(Shared { state: RwLock::new(state), topics: config.topics }), backend))
    }

    /// The revision of the newest published commit.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.shared.read().revision()
    }

    /// The newest revision whose history is forgotten; watches and lists must be above or at it.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.shared.read().compacted()
    }

    /// The live entry at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.shared.read().get(key)
    }

    /// A page of the live entries whose keys start with `prefix`, in key order, at revision `at` (default: now).
    ///
    /// `start_after` continues a listing; `limit` 0 means all.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] when `at` is forgotten, [`ReadError::Future`] when it has not come yet.
    pub fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Page, ReadError> {
        self.shared.read().list(prefix, start_after, limit, at)
    }

    /// Commits one write and returns when it is as durable as asked.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] with the current entry when the expectation does not hold; backend failures otherwise.
    pub async fn commit(&self, write: Write) -> Result<Committed, CommitError> {
        self.writer.commit(write).await
    }

    /// A cursor over the events of `scope` (and, when given, of `topic` only) after revision `after`.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] when `after` is forgotten, [`ReadError::Future`] when it has not come yet.
    pub fn watch(&self, scope: Scope, topic: Option<Topic>, after: Revision) -> Result<Watch, ReadError> {
        Watch::start(Arc::clone(&self.shared), scope, topic, after)
    }

    /// Forgets the history up to and including `revision` (at most the current one).
    pub fn compact(&self, revision: Revision) {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner).compact(revision);
    }

    /// Makes all pending commits durable and stops accepting new ones.
    ///
    /// # Errors
    /// When the backend refuses the last commits.
    pub async fn close(&self) -> Result<(), CommitError> {
        self.writer.close().await
    }
}
