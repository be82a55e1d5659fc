//! A watch: a cursor on the window. It holds no events of its own; a slow reader costs nothing until what it has not
//! read yet is forgotten, and then it is told so.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::Shared;
use crate::entry::{Event, Revision, Scope, Topic};
use crate::state::ReadError;
use crate::window::{Interest, Position};

/// How many events one batch holds at most; bounds what a reader keeps alive while it writes to a slow peer.
const BATCH_EVENTS_MAX: usize = 256;

/// The watch has been too slow: events it had not read are forgotten. Its reader must list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history after revision {after} is compacted")]
pub struct Compacted {
    /// The last revision that the watch had delivered.
    pub after: Revision,
}

/// Some events in order, and how far they reach.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The events; never empty when returned by [`Watch::next`].
    pub events: Vec<Event>,
    /// Everything of this watch up to here has been delivered.
    pub up_to: Revision,
}

/// A cursor over the events of a scope. Dropping it ends the watch.
pub struct Watch {
    shared: Arc<Shared>,
    interest: Interest,
    bell: Arc<Notify>,
    next: Position,
    after: Revision,
}

impl Watch {
    pub(crate) fn start(
        shared: Arc<Shared>,
        scope: Scope,
        topic: Option<Topic>,
        after: Revision,
    ) -> Result<Self, ReadError> {
        let interest = (scope, topic);
        let (bell, next) = {
            let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
            state.check(after)?;
            (state.window.join(&interest), state.window.position_after(after))
        };
        Ok(Self { shared, interest, bell, next, after })
    }

    /// Waits for events and returns them.
    ///
    /// Safe to cancel: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Compacted`] when events were forgotten before they were read; the watch is over then.
    pub async fn next(&mut self) -> Result<Batch, Compacted> {
        let bell = Arc::clone(&self.bell);
        loop {
            // Registered before the look, so that an event between look and wait still wakes us.
            let mut rung = pin!(bell.notified());
            rung.as_mut().enable();
            let batch = self.poll()?;
            if !batch.events.is_empty() {
                return Ok(batch);
            }
            rung.await;
        }
    }

    /// What there is now, without waiting; the batch may be empty, and then `up_to` is the store's newest revision.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn poll(&mut self) -> Result<Batch, Compacted> {
        let state = self.shared.read();
        let read = state.window.read(&self.interest, self.next, BATCH_EVENTS_MAX);
        let read = read.ok_or(Compacted { after: self.after })?;
        if let Some((last, event)) = read.last() {
            self.next = last + 1;
            self.after = event.revision();
        } else {
            // Nothing of ours up to now.
            self.after = state.revision();
            self.next = state.window.position_after(self.after);
        }
        Ok(Batch { events: read.into_iter().map(|(_, event)| event).collect(), up_to: self.after })
    }

    /// The revision up to which everything has been delivered, for bookmarks: the newest one when nothing is pending.
    #[must_use]
    pub fn progress(&self) -> Revision {
        let state = self.shared.read();
        match state.window.read(&self.interest, self.next, 1) {
            Some(pending) if pending.is_empty() => state.revision(),
            _ => self.after,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        state.window.leave(&self.interest);
    }
}

/// `next` must be usable in `select!` from any task.
#[expect(dead_code, reason = "compile-time check only")]
fn next_is_send(watch: &mut Watch) -> impl Future<Output = Result<Batch, Compacted>> + Send + '_ {
    watch.next()
}
