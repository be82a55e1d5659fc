//! The stream of one watch: initial state, then events, bookmarks in between, an end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use everynode_store::{Batch, Compacted, Entry, Event, EventKind, Revision, Watch};
use futures::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::encode::Encoder;
use crate::body::BoxError;
use crate::request::call::Call;
use crate::request::selection::Selection;
use crate::stop::stopped;
use crate::{Shared, failure, stored};

/// Time between bookmarks (A102).
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The last bookmark comes this long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Initial events are sent in pieces of about this size.
const PIECE_BYTES: usize = 32 << 10;

/// Why a watch went on.
enum Woken {
    Events(Result<Batch, Compacted>),
    Time,
    End,
}

/// One watch.
pub(super) struct Feed {
    shared: Arc<Shared>,
    cursor: Watch,
    /// `None`: everything in the cursor's scope.
    selection: Option<Selection>,
    encoder: Encoder,
    /// Events up to here are not sent.
    after: Revision,
    initial: VecDeque<Entry>,
    marker: bool,
    pending: VecDeque<Bytes>,
    end: Instant,
    bookmark: Option<Instant>,
    stop: watch::Receiver<bool>,
    over: bool,
}

impl Feed {
    pub(super) fn new(call: &Call, cursor: Watch, selection: Selection, encoder: Encoder, after: Revision) -> Self {
        Self {
            shared: Arc::clone(&call.shared),
            cursor,
            selection: (!selection.is_everything()).then_some(selection),
            encoder,
            after,
            initial: VecDeque::new(),
            marker: false,
            pending: VecDeque::new(),
            end: Instant::now(),
            bookmark: None,
            stop: call.shared.stop.subscribe(),
            over: false,
        }
    }

    pub(super) fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.end = Instant::now() + lifetime;
        self
    }

    pub(super) fn with_bookmarks(mut self, wanted: bool) -> Self {
        if wanted {
            self.bookmark = Some(self.next_bookmark());
        }
        self
    }

    pub(super) fn with_initial(mut self, entries: Option<Vec<Entry>>, marker: bool) -> Self {
        self.initial = entries.unwrap_or_default().into();
        self.marker = marker;
        self
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
        futures::stream::unfold(self, |mut feed| async move {
            let piece = feed.next().await?;
            Some((Ok(piece), feed))
        })
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready() {
                return Some(piece);
            }
            if self.over {
                return None;
            }
            self.wait().await;
        }
    }

    /// Bytes that can go without waiting.
    fn ready(&mut self) -> Option<Bytes> {
        if !self.initial.is_empty() {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            while piece.len() < PIECE_BYTES
                && let Some(entry) = self.initial.pop_front()
            {
                self.encoder.write(&mut piece, "ADDED", &entry.value);
            }
            self.initial.shrink_to(0);
            return Some(piece.freeze());
        }
        if std::mem::take(&mut self.marker) {
            return Some(self.encoder.bookmark(self.after, true));
        }
        self.pending.pop_front()
    }

    /// Waits for something to send, or for the end.
    async fn wait(&mut self) {
        let until = self.bookmark.map_or(self.end, |at| at.min(self.end));
        let woken = tokio::select! {
            biased;
            batch = self.cursor.next() => Woken::Events(batch),
            () = stopped(&mut self.stop) => Woken::End,
            () = tokio::time::sleep_until(until) => Woken::Time,
        };
        match woken {
            Woken::Events(Ok(batch)) => {
                for event in &batch.events {
                    self.take(event);
                }
            }
            Woken::Events(Err(compacted)) => {
                let oldest = self.shared.store.compacted().next();
                let status = failure::watch_expired(compacted.after, oldest);
                self.pending.push_back(self.encoder.error(&status));
                self.over = true;
            }
            // Also when it is late: what ends with a bookmark is cheap to go on from.
            Woken::Time if self.bookmark.is_some_and(|at| at <= Instant::now()) => {
                let revision = self.cursor.progress().max(self.after);
                let bookmark = self.encoder.bookmark(revision, false);
                self.pending.push_back(bookmark);
                self.bookmark = Some(self.next_bookmark());
            }
            Woken::Time | Woken::End => self.over = true,
        }
    }

    fn next_bookmark(&self) -> Instant {
        let now = Instant::now();
        let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(now);
        let regular = now + BOOKMARK_EVERY;
        if last > now && last < regular { last } else { regular }
    }

    /// Turns an event of the store into one of this watch, if it is one (A103).
    fn take(&mut self, event: &Event) {
        let revision = event.revision();
        if revision <= self.after {
            return;
        }
        self.after = revision;
        let Some((kind, object)) = self.judge(event) else { return };
        let line = if self.encoder.is_plain() {
            self.shared.frames.line(revision, kind, &object)
        } else {
            let mut out = BytesMut::with_capacity(object.len() + 64);
            self.encoder.write(&mut out, kind, &object);
            out.freeze()
        };
        self.pending.push_back(line);
    }

    fn judge(&self, event: &Event) -> Option<(&'static str, Bytes)> {
        let value = &event.entry.value;
        let before = event.previous.as_ref().is_some_and(|previous| self.selects(previous));
        match event.kind {
            EventKind::Delete => before.then(|| ("DELETED", value.clone())),
            EventKind::Put => match (before, self.selects(&event.entry)) {
                (false, true) => Some(("ADDED", value.clone())),
                (true, true) => Some(("MODIFIED", value.clone())),
                // It leaves the selection: the last state that matched, at the new revision.
                (true, false) => {
                    let last =
                        event.previous.as_ref().map(|previous| stored::reseal(&previous.value, event.revision()));
                    last.map(|last| ("DELETED", last))
                }
                (false, false) => None,
            },
        }
    }

    fn selects(&self, entry: &Entry) -> bool {
        self.selection.as_ref().is_none_or(|selection| selection.matches(entry))
    }
}
