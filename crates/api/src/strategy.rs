//! What a kind does with its objects on the write path: defaults, preparation, validation, warnings, deletion, selectable fields.
//!
//! Not here: when each is asked ([`crate::write`]), and names, labels, owners, finalizers ([`crate::meta`]), which all kinds share.
//!
//! Invariants: strategies are pure and see objects of the *stored* version in canonical form (only `default` sees the request's version);
//! `prepare_*` never fail; `validate_*` never change; `validate_update` runs the create rules too where upstream does.

use jiff::Timestamp;

use crate::Object;
use crate::field::Error;

/// How soon a write must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the client hears of it.
    Now,
    /// With the next write that must: heartbeats.
    Lazy,
}

/// Who asks, for the few kinds that record it (certificate requests).
#[derive(Clone, Debug, Default)]
pub struct Requester {
    /// User name.
    pub user: String,
    /// User's uid.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra attributes, by key.
    pub extra: Vec<(String, Vec<String>)>,
}

/// What a write needs to know beside the objects. Times and random parts are given, never taken.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Empty for the main resource.
    pub subresource: &'a str,
    /// Namespace of the request, empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// Now, to be cut to seconds.
    pub now: Timestamp,
    /// The uid of a new object.
    pub uid: &'a str,
    /// Five characters of [`crate::meta::NAME_ALPHABET`] for generated names.
    pub suffix: &'a str,
    /// Who asks.
    pub requester: Option<&'a Requester>,
}

/// The behaviour of a kind. Every method has the behaviour of a plain stored object as its default.
pub trait Strategy: Send + Sync {
    /// Whether the texts of an object that stand for something else can be read; the error is upstream's.
    fn readable(&self, _object: &Object) -> Result<(), String> {
        Ok(())
    }

    /// Fills what a client may leave out. Also run when a stored object is read for comparison, so it must be idempotent.
    fn default(&self, _object: &mut Object) {}

    /// Resets what clients may not set on create. The generic part (status, generation) has been done.
    fn prepare_for_create(&self, _object: &mut Object, _context: &Context<'_>) {}

    /// The rules of a new object, metadata excluded.
    fn validate(&self, _object: &Object) -> Vec<Error> {
        Vec::new()
    }

    /// Restores what an update may not touch. The generic part (status or everything else kept, generation) has been done.
    fn prepare_for_update(&self, _new: &mut Object, _old: &Object, _context: &Context<'_>) {}

    /// The rules of a change, metadata excluded. `subresource` is empty for the main resource.
    fn validate_update(&self, new: &Object, _old: &Object, subresource: &str) -> Vec<Error> {
        if subresource.is_empty() { self.validate(new) } else { Vec::new() }
    }

    /// Warnings for the client. `old` is absent on create.
    fn warnings(&self, _new: &Object, _old: Option<&Object>, _subresource: &str) -> Vec<String> {
        Vec::new()
    }

    /// Seconds until the object may go, or nothing if the kind has no graceful deletion. `asked` is `gracePeriodSeconds`.
    fn grace(&self, _object: &Object, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// The value of a selectable field of a stored object; `None` for a label the kind does not have.
    fn select(&self, _object: &Object, _field: &str) -> Option<String> {
        None
    }

    /// Index topics of watches, such as `spec.nodeName=node-1`: a watch with that field selector is woken by these only.
    fn topics(&self, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    /// How soon this write must be durable.
    fn durability(&self, _new: &Object, _old: Option<&Object>, _subresource: &str) -> Durability {
        Durability::Now
    }

    /// How many times upstream checks the metadata of an update of the main resource: so many times a cause stands (A57).
    fn metadata_checks(&self) -> usize {
        3
    }

    /// The name itself, beyond the syntax of the row's [`crate::resource::NameRule`].
    fn validate_name(&self, _name: &str) -> Vec<String> {
        Vec::new()
    }
}

/// A kind that is only stored.
#[derive(Debug)]
pub struct Plain;

impl Strategy for Plain {}

/// The one [`Plain`].
pub static PLAIN: Plain = Plain;
