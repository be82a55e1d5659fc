//! A numbered template of a set: `ControllerRevision`.

use std::sync::Arc;

use super::{Key, Labels, Millis, Owner, Uid, Version};

/// A `ControllerRevision` as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Namespace and name.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// Version of the object read.
    pub version: Version,
    /// `creationTimestamp`.
    pub created: Millis,
    /// Being deleted.
    pub terminating: bool,
    /// Its labels.
    pub labels: Labels,
    /// Its controller.
    pub owner: Option<Owner>,
    /// `revision`.
    pub number: i64,
    /// `data` as it stands, byte for byte (R81).
    pub data: Arc<[u8]>,
    /// The same template as it would be written today, where that differs: another release may have had other defaults, or
    /// another way to write them (R192).
    pub rewritten: Option<Arc<[u8]>>,
}

/// The label with the hash of a template, on pods and revisions.
pub const HASH_LABEL: &str = "controller-revision-hash";
/// The label with the template's generation, on pods.
pub const GENERATION_LABEL: &str = "pod-template-generation";

impl Revision {
    /// The hash label, when it is there and not empty.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.labels.get(HASH_LABEL).map(String::as_str).filter(|hash| !hash.is_empty())
    }
}
