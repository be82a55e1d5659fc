//! The nouns of the store: revisions, entries, events, and what a watch may be restricted to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A position in the total order of commits. The first commit of an empty store has revision 2, as in etcd: 1 is the
/// empty store itself, and 0 means "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a store that has never been written to.
    pub const EMPTY: Self = Self(1);

    /// The revision of the next commit.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One key with its value as of some commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// The value, shared with everybody who has read or is being sent it.
    pub value: Bytes,
    /// The commit that created the key.
    pub created: Revision,
    /// The commit that wrote this value.
    pub modified: Revision,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was removed; the event's entry holds the final state.
    Delete,
}

/// One commit as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The new state; for a deletion the final one.
    pub entry: Entry,
    /// The state before; none for a creation.
    pub previous: Option<Entry>,
}

impl Event {
    /// The commit that made this event.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.entry.modified
    }
}

/// The keys that a watch covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All keys below a prefix, which must end with `/`.
    Prefix(Arc<str>),
    /// Exactly one key.
    Key(Arc<str>),
}

impl Scope {
    /// True when `key` lies in this scope.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        match self {
            Self::Prefix(prefix) => key.starts_with(&**prefix),
            Self::Key(own) => key == &**own,
        }
    }
}

/// An index term that values carry and watches may ask for, such as `spec.nodeName=node-1`. Opaque to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(pub Arc<str>);

impl Topic {
    /// Makes a topic of a term.
    #[must_use]
    pub fn new(term: &str) -> Self {
        Self(Arc::from(term))
    }
}
