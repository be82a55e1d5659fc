//! The owner graph: which objects are garbage, and what to do about each (spec/daemonset.md §22, spec/api-kinds.md A512–A513).
//!
//! The graph holds only what matters for garbage: objects that name owners, and terminating objects that wait for their
//! dependents. Everything else is known by absence: whether an owner that nobody has shown us exists is a question
//! ([`Act::Verify`]) that the shell answers with one live read.
//!
//! Not here: reading the API, retry timing, discovery. The shell feeds [`Graph::observe`], [`Graph::forget`] and
//! [`Graph::answer`], takes acts from [`Graph::acts`], and reports each with [`Graph::failed`] when it must be tried again.
//!
//! Invariants
//! - An object is deleted only if each of its owner references was found absent (or waits for its dependents) and none is
//!   unknown, so a missing watch event can delay a deletion but never cause one (R146).
//! - An owner reference is its coordinates and its uid; the same uid under other coordinates is another reference (T148).
//! - No act is repeated for the same observed version of an object unless the shell reports that it failed.

mod graph;

use std::sync::Arc;

use crate::model::Uid;
pub use graph::Graph;

/// A name that many entries share.
pub type Name = Arc<str>;

/// The finalizer that keeps an owner until the dependents that block it are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until no dependent refers to it.
pub const ORPHAN: &str = "orphan";

/// Group and kind; the version does not take part in identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: Name,
    /// Kind as objects spell it.
    pub kind: Name,
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// An object by its coordinates and uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// First, so that all references to one uid are neighbours in a map.
    pub uid: Uid,
    /// Group and kind.
    pub kind: Kind,
    /// Empty for a cluster-scoped object.
    pub namespace: Name,
    /// Name.
    pub name: Name,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Uid of the owner.
    pub uid: Uid,
    /// Group and kind of the owner.
    pub kind: Kind,
    /// `apiVersion` as written; for words only.
    pub api_version: Name,
    /// Name of the owner.
    pub name: Name,
    /// `blockOwnerDeletion: true`.
    pub blocks: bool,
}

/// What garbage collection reads of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who it is.
    pub identity: Identity,
    /// `metadata.resourceVersion`.
    pub version: Name,
    /// Its owners.
    pub owners: Vec<Reference>,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// It has the finalizer [`FOREGROUND`].
    pub foreground: bool,
    /// It has the finalizer [`ORPHAN`].
    pub orphan: bool,
}

impl Seen {
    /// It stays until its dependents are gone.
    fn waits_for_deletion(&self) -> bool {
        self.terminating && self.foreground
    }

    /// Nothing that matters here has changed.
    fn differs_by_version_only(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.owners == other.owners
            && (self.terminating, self.foreground, self.orphan) == (other.terminating, other.foreground, other.orphan)
    }

    /// It stays until its dependents have let go.
    fn waits_for_release(&self) -> bool {
        self.terminating && self.orphan
    }
}

/// How the dependents of a deleted object are treated in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// After it.
    Background,
    /// Before it.
    Foreground,
    /// Not at all.
    Orphan,
}

/// One thing for the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read this owner live and tell [`Graph::answer`].
    Verify(Identity),
    /// Delete this object, with its uid and version as preconditions.
    Delete {
        /// Whom.
        object: Identity,
        /// The version that was judged.
        version: Name,
        /// How.
        propagation: Propagation,
    },
    /// Remove the owner references with these uids, and no others.
    DropOwners {
        /// From whom.
        object: Identity,
        /// The uids to remove.
        owners: Vec<Uid>,
    },
    /// Set `blockOwnerDeletion: false` on these references: they form a circle.
    Unblock {
        /// On whom.
        object: Identity,
        /// The uids concerned.
        owners: Vec<Uid>,
    },
    /// Remove this finalizer.
    RemoveFinalizer {
        /// From whom.
        object: Identity,
        /// [`FOREGROUND`] or [`ORPHAN`].
        finalizer: &'static str,
    },
    /// Tell the user that a reference points into another namespace (Warning `OwnerRefInvalidNamespace`).
    Warn {
        /// The dependent.
        object: Identity,
        /// The words.
        message: String,
    },
}

impl Act {
    /// It asks for a change of the object with this uid.
    fn changes(&self, uid: &Uid) -> bool {
        match self {
            Self::Delete { object, .. }
            | Self::DropOwners { object, .. }
            | Self::Unblock { object, .. }
            | Self::RemoveFinalizer { object, .. } => object.uid == *uid,
            Self::Verify(_) | Self::Warn { .. } => false,
        }
    }
}

/// What a live read of an owner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An object with these coordinates and this uid exists.
    Present {
        /// It is terminating with the finalizer [`FOREGROUND`].
        waits_for_deletion: bool,
    },
    /// None does.
    Absent,
}

#[cfg(test)]
mod tests;
