//! A backend that forgets: for tests and the simulator. What one instance was told, a clone can load again, so a
//! "crash" in a test is to drop the store and to open the clone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Backend, BackendError};
use crate::entry::{Entry, Event, EventKind, Revision};

/// Keeps entries in memory, shared by all clones.
#[derive(Clone, Default)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    entries: BTreeMap<Arc<str>, Entry>,
    revision: Revision,
}

impl Backend for Memory {
    fn load(&mut self, visit: &mut dyn FnMut(Entry)) -> Result<Revision, BackendError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.values().cloned().for_each(visit);
        Ok(kept.revision.max(Revision::EMPTY))
    }

    fn append(&mut self, batch: &[Event]) -> Result<(), BackendError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in batch {
            match event.kind {
                EventKind::Put => kept.entries.insert(Arc::clone(&event.entry.key), event.entry.clone()),
                EventKind::Delete => kept.entries.remove(&event.entry.key),
            };
            kept.revision = event.revision();
        }
        Ok(())
    }

    fn close(&mut self, revision: Revision) -> Result<(), BackendError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.revision = kept.revision.max(revision);
        Ok(())
    }
}
