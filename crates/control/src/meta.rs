//! Objects of any kind as far as their metadata goes, and namespaces.

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Millis, Uid, Version};
use serde::{Deserialize, Deserializer};

use crate::cache::Cached;

/// What an object's metadata says about its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) key: Key,
    pub(crate) uid: Uid,
    pub(crate) version: Version,
    pub(crate) generation: i64,
    /// `deletionTimestamp`.
    pub(crate) deletion: Option<Millis>,
    /// `deletionGracePeriodSeconds`.
    pub(crate) grace_seconds: i64,
    pub(crate) finalizers: Vec<String>,
    pub(crate) owners: Vec<OwnerReference>,
}

/// `metadata.ownerReferences[]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OwnerReference {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) block_owner_deletion: bool,
}

/// An object that keeps its metadata, and so can be held by a feed.
pub(crate) trait HasMeta {
    /// Its metadata.
    fn meta(&self) -> &Meta;
}

impl HasMeta for Meta {
    fn meta(&self) -> &Meta {
        self
    }
}

impl<T: HasMeta + Send + Sync + 'static> Cached for T {
    fn key(&self) -> Key {
        self.meta().key.clone()
    }
    fn version(&self) -> Version {
        self.meta().version
    }
}

#[derive(Deserialize)]
struct WireObject {
    metadata: Wire,
}

/// Metadata on the wire.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Wire {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    finalizers: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    owner_references: Vec<OwnerReference>,
}

fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

fn time(text: &str) -> Millis {
    text.parse().map_or(Millis(0), |at: jiff::Timestamp| Millis(at.as_millisecond()))
}

impl Wire {
    /// As decisions read it.
    pub(crate) fn project(self) -> Meta {
        Meta {
            key: Key::new(&self.namespace, &self.name),
            uid: Uid::from(self.uid),
            version: Version::parse(&self.resource_version),
            generation: self.generation,
            deletion: self.deletion_timestamp.as_deref().map(time),
            grace_seconds: self.deletion_grace_period_seconds.unwrap_or(0),
            finalizers: self.finalizers,
            owners: self.owner_references,
        }
    }
}

/// Reads the metadata of any object.
pub(crate) fn project(bytes: &[u8]) -> Result<Meta, ProjectError> {
    let wire: WireObject =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "object", source })?;
    Ok(wire.metadata.project())
}

/// A list of any kind of object.
#[derive(Deserialize)]
pub(crate) struct MetaList {
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<WireObject>,
}

impl MetaList {
    /// Its items.
    pub(crate) fn items(self) -> impl Iterator<Item = Meta> {
        self.items.into_iter().map(|item| item.metadata.project())
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub(crate) meta: Meta,
    /// `status.phase` is not `Terminating`.
    pub(crate) active: bool,
    /// `spec.finalizers`.
    pub(crate) finalizers: Vec<String>,
}

impl Namespace {
    pub(crate) fn name(&self) -> &str {
        &self.meta.key.name
    }

    /// It takes new objects.
    pub(crate) fn is_active(&self) -> bool {
        self.active && self.meta.deletion.is_none()
    }
}

impl HasMeta for Namespace {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Deserialize)]
struct WireNamespace {
    metadata: Wire,
    #[serde(default)]
    spec: WireNamespaceSpec,
    #[serde(default)]
    status: WireNamespaceStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireNamespaceSpec {
    #[serde(deserialize_with = "nullable")]
    finalizers: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireNamespaceStatus {
    phase: String,
}

/// Reads a namespace.
pub(crate) fn namespace(bytes: &[u8]) -> Result<Namespace, ProjectError> {
    let wire: WireNamespace =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "Namespace", source })?;
    Ok(Namespace {
        active: wire.status.phase != "Terminating",
        finalizers: wire.spec.finalizers,
        meta: wire.metadata.project(),
    })
}
