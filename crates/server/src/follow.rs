//! A picture of some stored objects, brought up to date at the moment it is looked at.
//!
//! Decisions (authorization, admission) need what was committed before the request arrived: a binding that was answered
//! with 201 counts for the very next request. So nothing is pushed in the background: each look first applies the
//! events since the last one, which costs a cursor read per range when there are none.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use everynode_store::{EventKind, Revision, Scope, Store, Watch};

/// Something that is kept from stored values.
pub(crate) trait Picture: Default {
    /// The key ranges it is made of; each ends with `/`.
    const RANGES: &'static [&'static str];

    /// Takes in the new value of a key, or that it is gone.
    fn apply(&mut self, key: &str, value: Option<&[u8]>);
}

/// A [`Picture`] and how far it has followed the store.
pub(crate) struct Followed<P> {
    store: Store,
    state: RwLock<State<P>>,
}

struct State<P> {
    picture: P,
    seen: Option<Revision>,
    watches: Vec<Watch>,
}

impl<P: Picture> Followed<P> {
    /// Nothing is read before the first look.
    pub(crate) fn new(store: Store) -> Self {
        let state = State { picture: P::default(), seen: None, watches: Vec::new() };
        Self { store, state: RwLock::new(state) }
    }

    /// Shows the picture as of now, or later.
    pub(crate) fn look<R>(&self, with: impl FnOnce(&P) -> R) -> R {
        let now = self.store.revision();
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.seen >= Some(now) {
                return with(&state.picture);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut state, now);
        with(&state.picture)
    }

    fn catch_up(&self, state: &mut RwLockWriteGuard<'_, State<P>>, now: Revision) {
        let whole = state.seen.is_some() && advance(state) || self.rebuild(state);
        state.seen = whole.then_some(now);
    }

    /// Starts over from a full read; each range is listed at its own revision and followed from there. `false` if the
    /// store forgot too much meanwhile (the whole window between two lines): the next look tries again.
    fn rebuild(&self, state: &mut State<P>) -> bool {
        state.picture = P::default();
        state.watches.clear();
        for range in P::RANGES {
            let Ok(page) = self.store.list(range, None, 0, None) else { return false };
            for entry in &page.entries {
                state.picture.apply(&entry.key, Some(&entry.value));
            }
            let Ok(watch) = self.store.watch(Scope::Prefix((*range).into()), None, page.revision) else { return false };
            state.watches.push(watch);
        }
        true
    }
}

/// Applies all that is new; `false` if something was forgotten before we read it.
fn advance<P: Picture>(state: &mut State<P>) -> bool {
    let State { picture, watches, .. } = state;
    for watch in watches {
        loop {
            let Ok(batch) = watch.poll() else { return false };
            if batch.events.is_empty() {
                break;
            }
            for event in &batch.events {
                let value = (event.kind == EventKind::Put).then_some(&event.entry.value[..]);
                picture.apply(&event.entry.key, value);
            }
        }
    }
    true
}
