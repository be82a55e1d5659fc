//! What decisions look at: small structs with only the fields that some decision reads.
//!
//! Not here: the wire's shapes (`everynode-api`), and any rule. Identities are newtypes over shared text, so that a
//! hundred thousand pods of one fleet share the names of their nodes and owners.
//!
//! Invariants: an object here is never changed in place; a newer version replaces it whole.

mod node;
mod pod;
mod revision;
mod set;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use node::{Node, NodeCondition, Tri};
pub use pod::{FAILURES_ANNOTATION, HostPort, Phase, Pin, Pod, Ready, Scheduling};
pub use revision::{GENERATION_LABEL, HASH_LABEL, Revision};
pub use set::{IntOrPercent, Set, Status, Strategy, Template};

/// Labels or a selector's equalities, ordered by key.
pub type Labels = BTreeMap<String, String>;

/// A point in time or a span, in milliseconds; points count from 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// The farthest point in time: what never comes.
    pub const NEVER: Self = Self(i64::MAX);

    /// A span or point given in whole seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// This point, `span` later; saturates.
    #[must_use]
    pub const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to this point; saturates.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

macro_rules! shared_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same, to be kept.
            #[must_use]
            pub fn shared(&self) -> &Arc<str> {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

shared_text! {
    /// `metadata.uid`: one incarnation of an object.
    Uid
}
shared_text! {
    /// The name of a Node object.
    NodeName
}

/// Namespace and name; the namespace is empty for cluster-wide objects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace, or nothing.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-wide object.
    #[must_use]
    pub fn cluster(name: &str) -> Self {
        Self::new("", name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A resource version as a number; 0 when absent or not a number, which never blocks anything (R119).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// Reads the wire's text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.parse().unwrap_or(0))
    }
}

/// The controlling owner of an object: the one owner reference with `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Kind of the owner; the group is not compared (R37).
    pub kind: Arc<str>,
    /// Name of the owner, in the object's own namespace.
    pub name: Arc<str>,
    /// Which incarnation.
    pub uid: Uid,
}

/// A graceful deletion that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// `deletionTimestamp`: when the grace ends.
    pub at: Millis,
    /// `deletionGracePeriodSeconds`.
    pub grace: Millis,
}
