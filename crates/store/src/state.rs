//! What readers see: the live entries and the window of history behind them.
//!
//! A list at an older revision is the live range with the newer events of the window undone, newest first; its cost is
//! the page plus what has happened since.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::backend::{Backend, BackendError};
use crate::entry::{Entry, Event, EventKind, Revision, Topic};
use crate::window::Window;

/// Why a read at a revision is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The history below `compacted` is forgotten.
    #[error("revision {asked} is compacted, the oldest known is {compacted}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The newest forgotten revision.
        compacted: Revision,
    },
    /// No such revision has been committed yet.
    #[error("revision {asked} has not come yet, the newest is {current}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// The newest revision.
        current: Revision,
    },
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries, in key order.
    pub entries: Vec<Entry>,
    /// The revision that the page shows.
    pub revision: Revision,
    /// How many entries follow after this page.
    pub remaining: usize,
}

/// Live entries and history. One writer (the writer thread), many readers.
pub(crate) struct State {
    live: BTreeMap<Arc<str>, Entry>,
    revision: Revision,
    pub(crate) window: Window,
}

impl State {
    pub(crate) fn load(backend: &mut dyn Backend, events_max: usize, bytes_max: usize) -> Result<Self, BackendError> {
        let mut live = BTreeMap::new();
        let revision = backend.load(&mut |entry: Entry| {
            live.insert(Arc::clone(&entry.key), entry);
        })?;
        Ok(Self { live, revision, window: Window::new(revision, events_max, bytes_max) })
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.window.compacted()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.live.get(key).cloned()
    }

    pub(crate) fn check(&self, asked: Revision) -> Result<(), ReadError> {
        if asked > self.revision {
            return Err(ReadError::Future { asked, current: self.revision });
        }
        let compacted = self.window.compacted();
        if asked < compacted {
            return Err(ReadError::Compacted { asked, compacted });
        }
        Ok(())
    }

    pub(crate) fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Page, ReadError> {
        let at = at.unwrap_or(self.revision);
        self.check(at)?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let start = match start_after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(prefix),
        };
        let range = self.live.range::<str, _>((start, Bound::Unbounded));
        let mut live = range.map(|(_, entry)| entry).take_while(|entry| entry.key.starts_with(prefix));
        if at == self.revision {
            let entries = live.by_ref().take(limit).cloned().collect();
            return Ok(Page { entries, revision: at, remaining: live.count() });
        }
        let mut past: BTreeMap<&str, &Entry> = live.map(|entry| (&*entry.key, entry)).collect();
        for event in self.window.newest_first(at) {
            let key = &*event.entry.key;
            if !key.starts_with(prefix) || start_after.is_some_and(|after| key <= after) {
                continue;
            }
            match &event.previous {
                Some(previous) => past.insert(key, previous),
                None => past.remove(key),
            };
        }
        let remaining = past.len().saturating_sub(limit);
        let entries = past.into_values().take(limit).cloned().collect();
        Ok(Page { entries, revision: at, remaining })
    }

    /// Makes one commit visible. `topics` are those of the old and the new value.
    pub(crate) fn publish(&mut self, event: Event, topics: &[Topic]) {
        let revision = event.revision();
        debug_assert!(revision > self.revision, "revisions grow");
        match event.kind {
            EventKind::Put => self.live.insert(Arc::clone(&event.entry.key), event.entry.clone()),
            EventKind::Delete => self.live.remove(&event.entry.key),
        };
        self.revision = revision;
        self.window.push(event, topics);
    }

    pub(crate) fn compact(&mut self, revision: Revision) {
        let revision = revision.min(self.revision);
        self.window.compact(revision);
    }
}
