//! The one writer: a thread that takes writes in the order of their arrival, checks, numbers and seals them, makes a
//! whole batch durable with one call of the backend, and only then shows it to readers (group commit).
//!
//! ```text
//!  queue ──> stage (expectation against staged + live) ──┬─ Now in the batch ──> append ──> publish ──> answer
//!                                                        └─ Lazy only ──> publish ──> answer ──> append within a second
//! ```
//!
//! A full disk refuses the batch and leaves everything as it was; writes go on when there is space again. Any other
//! failure of `append` is final: the store could no longer promise what it says, and takes no more writes.
//! After a crash the revisions of lost lazy commits are not reused: the backend reserves revisions ahead (S1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::Shared;
use crate::backend::{Backend, BackendError};
use crate::entry::{Entry, Event, EventKind, Revision, Topic};

/// Writes that may wait for the writer; more make their callers wait.
const QUEUE_WRITES_MAX: usize = 4096;
/// Writes that share one durable commit at most.
const BATCH_WRITES_MAX: usize = 1024;

/// Makes the final bytes of a value once its revision is known. Runs on the writer thread: must be quick.
pub type Seal = Box<dyn FnOnce(Revision) -> Bytes + Send>;

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key was last modified at this revision.
    At(Revision),
    /// Nothing.
    Any,
}

/// What a write does.
pub enum Change {
    /// Stores a value.
    Put(Seal),
    /// Removes the key; the bytes are the final state that watchers are shown.
    Delete(Seal),
}

/// When a commit may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Only once it would survive a crash.
    Now,
    /// At once; a crash within [`crate::Config::lazy_delay_max`] may undo it. For heartbeats.
    Lazy,
}

/// One write to one key.
pub struct Write {
    /// The key.
    pub key: String,
    /// The condition.
    pub expect: Expect,
    /// The change.
    pub change: Change,
    /// When to answer.
    pub durability: Durability,
}

/// A write that has happened.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The new entry; for a deletion the final state.
    pub entry: Entry,
    /// What was there before.
    pub previous: Option<Entry>,
}

/// Why a write has not happened.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The expectation does not hold.
    #[error("{key} is not as expected")]
    Conflict {
        /// The key.
        key: String,
        /// What is there instead.
        current: Option<Entry>,
    },
    /// The backend failed. Unless the disk was full, the store takes no further writes.
    #[error("cannot make the write of {key} durable")]
    Backend {
        /// The key.
        key: String,
        /// The failure, shared by all writes of the batch.
        #[source]
        source: Arc<BackendError>,
    },
    /// The store is closed, or its backend failed before.
    #[error("the store takes no more writes")]
    Closed,
}

pub(crate) enum Order {
    Write(Write, oneshot::Sender<Result<Committed, CommitError>>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) enum Handle {
    /// A thread of its own.
    Thread(mpsc::Sender<Order>),
    /// Whoever commits does the work there and then: one batch of one write, in the order of the calls.
    Here(Arc<Mutex<Option<Writer>>>),
}

impl Handle {
    pub(crate) async fn commit(&self, write: Write) -> Result<Committed, CommitError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Write(write, answer)).await?;
        answered.await.map_err(|_| CommitError::Closed)?
    }

    pub(crate) async fn close(&self) -> Result<(), CommitError> {
        let (answer, answered) = oneshot::channel();
        if self.order(Order::Close(answer)).await.is_err() {
            return Ok(());
        }
        answered.await.map_err(|_| CommitError::Closed)
    }

    async fn order(&self, order: Order) -> Result<(), CommitError> {
        match self {
            Self::Thread(queue) => queue.send(order).await.map_err(|_| CommitError::Closed),
            Self::Here(slot) => {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                let mut writer = slot.take().ok_or(CommitError::Closed)?;
                // An error means that the backend is lost, and the writer with it.
                let closers = writer.process(vec![order]).map_err(|_| CommitError::Closed)?;
                if closers.is_empty() {
                    *slot = Some(writer);
                } else {
                    writer.end(closers);
                }
                Ok(())
            }
        }
    }
}

/// A writer without a thread, for one who must not have any: what it does depends on the calls alone.
pub(crate) fn here(shared: Arc<Shared>, backend: Box<dyn Backend>, lazy_delay_max: Duration) -> Handle {
    Handle::Here(Arc::new(Mutex::new(Some(Writer::new(shared, backend, lazy_delay_max)))))
}

pub(crate) fn spawn(
    shared: Arc<Shared>,
    backend: Box<dyn Backend>,
    lazy_delay_max: Duration,
) -> std::io::Result<Handle> {
    let (queue, orders) = mpsc::channel(QUEUE_WRITES_MAX);
    let writer = Writer::new(shared, backend, lazy_delay_max);
    thread::Builder::new().name("store-writer".into()).spawn(move || writer.run(orders))?;
    Ok(Handle::Thread(queue))
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    backend: Box<dyn Backend>,
    lazy_delay_max: Duration,
    /// The revision given last.
    revision: Revision,
    /// Published but not yet appended.
    undurable: Vec<Event>,
    undurable_since: Option<Instant>,
}

/// A write that passed its check and awaits publication.
struct Staged {
    event: Event,
    topics: Vec<Topic>,
    answer: oneshot::Sender<Result<Committed, CommitError>>,
}

impl Writer {
    fn new(shared: Arc<Shared>, backend: Box<dyn Backend>, lazy_delay_max: Duration) -> Self {
        let revision = shared.read().revision();
        Self { shared, backend, lazy_delay_max, revision, undurable: Vec::new(), undurable_since: None }
    }

    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let Ok(timer) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        loop {
            let mut batch = Vec::new();
            let received = timer.block_on(async {
                let receive = orders.recv_many(&mut batch, BATCH_WRITES_MAX);
                match self.undurable_since {
                    None => receive.await,
                    Some(since) => {
                        let rest = self.lazy_delay_max.saturating_sub(since.elapsed());
                        tokio::time::timeout(rest, receive).await.unwrap_or(usize::MAX)
                    }
                }
            });
            let hang_up = received == 0;
            let closers = match self.process(batch) {
                Ok(closers) => closers,
                Err(_) => return,
            };
            if hang_up || !closers.is_empty() {
                orders.close();
                self.end(closers);
                return;
            }
        }
    }

    fn end(mut self, closers: Vec<oneshot::Sender<()>>) {
        if self.append(&[]).is_ok() {
            let _ = self.backend.close(self.revision);
            drop(self.backend); // before the answer: the caller may open the same data again
            for closer in closers {
                let _ = closer.send(());
            }
        }
    }

    /// Stages, makes durable, publishes and answers one batch. An error means that the backend is lost.
    fn process(&mut self, batch: Vec<Order>) -> Result<Vec<oneshot::Sender<()>>, Arc<BackendError>> {
        let mut closers = Vec::new();
        let mut staged: Vec<Staged> = Vec::new();
        let mut newest: HashMap<Arc<str>, usize> = HashMap::new();
        let mut urgent = false;
        for order in batch {
            match order {
                Order::Close(closer) => closers.push(closer),
                Order::Write(write, answer) => {
                    let now = write.durability == Durability::Now;
                    if self.stage(write, answer, &mut staged, &mut newest) {
                        urgent |= now;
                    }
                }
            }
        }
        let overdue = self.undurable_since.is_some_and(|since| since.elapsed() >= self.lazy_delay_max);
        if urgent || overdue || self.undurable.len() >= BATCH_WRITES_MAX {
            if let Err(source) = self.append(&staged) {
                let fatal = !source.is_full();
                refuse(staged, &source);
                return if fatal { Err(source) } else { Ok(closers) };
            }
        } else if !staged.is_empty() {
            self.undurable.extend(staged.iter().map(|one| one.event.clone()));
            self.undurable_since.get_or_insert_with(Instant::now);
        }
        self.publish(staged);
        Ok(closers)
    }

    /// Checks one write against what is live and staged; true when it was staged.
    fn stage(
        &mut self,
        write: Write,
        answer: oneshot::Sender<Result<Committed, CommitError>>,
        staged: &mut Vec<Staged>,
        newest: &mut HashMap<Arc<str>, usize>,
    ) -> bool {
        let previous = match newest.get(write.key.as_str()) {
            Some(at) => {
                let event = &staged[*at].event;
                (event.kind == EventKind::Put).then(|| event.entry.clone())
            }
            None => self.shared.read().get(&write.key),
        };
        let holds = match write.expect {
            Expect::Absent => previous.is_none(),
            Expect::At(revision) => previous.as_ref().is_some_and(|entry| entry.modified == revision),
            Expect::Any => previous.is_some() || matches!(write.change, Change::Put(_)),
        };
        if !holds {
            let _ = answer.send(Err(CommitError::Conflict { key: write.key, current: previous }));
            return false;
        }
        self.revision = self.revision.next();
        let event = self.seal(write, previous);
        let topics = self.topics(&event);
        newest.insert(Arc::clone(&event.entry.key), staged.len());
        staged.push(Staged { event, topics, answer });
        true
    }

    fn seal(&self, write: Write, previous: Option<Entry>) -> Event {
        let revision = self.revision;
        let (kind, seal) = match write.change {
            Change::Put(seal) => (EventKind::Put, seal),
            Change::Delete(seal) => (EventKind::Delete, seal),
        };
        let key = previous.as_ref().map_or_else(|| Arc::from(write.key), |entry| Arc::clone(&entry.key));
        let created = previous.as_ref().map_or(revision, |entry| entry.created);
        Event { kind, entry: Entry { key, value: seal(revision), created, modified: revision }, previous }
    }

    /// The topics of the old and the new value: a watch on either must hear of the change.
    fn topics(&self, event: &Event) -> Vec<Topic> {
        let mut topics = (self.shared.topics)(&event.entry.key, &event.entry.value);
        if let Some(previous) = &event.previous {
            for topic in (self.shared.topics)(&previous.key, &previous.value) {
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        topics
    }

    /// Makes what is waiting and what is staged durable; on an error neither is.
    fn append(&mut self, staged: &[Staged]) -> Result<(), Arc<BackendError>> {
        let waiting = self.undurable.len();
        self.undurable.extend(staged.iter().map(|one| one.event.clone()));
        if !self.undurable.is_empty()
            && let Err(source) = self.backend.append(&self.undurable)
        {
            self.undurable.truncate(waiting);
            self.undurable_since = (waiting > 0).then(Instant::now);
            return Err(Arc::new(source));
        }
        self.undurable.clear();
        self.undurable_since = None;
        Ok(())
    }

    fn publish(&self, staged: Vec<Staged>) {
        if staged.is_empty() {
            return;
        }
        let bells = {
            let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            for one in &staged {
                state.publish(one.event.clone(), &one.topics);
            }
            state.window.take_bells()
        };
        bells.iter().for_each(|bell| bell.notify_waiters());
        for one in staged {
            let Event { entry, previous, .. } = one.event;
            let _ = one.answer.send(Ok(Committed { entry, previous }));
        }
    }
}

fn refuse(staged: Vec<Staged>, source: &Arc<BackendError>) {
    for one in staged {
        let key = one.event.entry.key.to_string();
        let _ = one.answer.send(Err(CommitError::Backend { key, source: Arc::clone(source) }));
    }
}
