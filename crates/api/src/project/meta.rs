//! Identity, labels and ownership: the same for every kind.

use std::collections::BTreeMap;

use everynode_core::model::{Deletion, Key, Labels, Millis, Owner, Uid, Version};
use serde::{Deserialize, Deserializer};

use super::ProjectError;

/// `null` and absent are the same.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) generation: i64,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    annotations: Annotations,
    #[serde(deserialize_with = "nullable")]
    owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "nullable")]
    pub(super) finalizers: Vec<serde::de::IgnoredAny>,
}

/// The annotations that mean something here; all others are passed over.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Annotations {
    /// [`everynode_core::model::FAILURES_ANNOTATION`]
    #[serde(rename = "everynode.io/failed-attempts")]
    failures: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OwnerReference {
    kind: String,
    name: String,
    uid: String,
    controller: Option<bool>,
}

/// A time on the wire; `None` when absent or unreadable.
pub(super) fn time(text: Option<&str>) -> Option<Millis> {
    let at: jiff::Timestamp = text?.parse().ok()?;
    Some(Millis(at.as_millisecond()))
}

impl Meta {
    pub(super) fn key(&self, kind: &'static str) -> Result<Key, ProjectError> {
        if self.name.is_empty() {
            return Err(ProjectError::Nameless { kind });
        }
        Ok(Key::new(&self.namespace, &self.name))
    }

    pub(super) fn uid(&self) -> Uid {
        Uid::from(self.uid.as_str())
    }

    pub(super) fn version(&self) -> Version {
        Version::parse(&self.resource_version)
    }

    pub(super) fn created(&self) -> Millis {
        time(self.creation_timestamp.as_deref()).unwrap_or_default()
    }

    pub(super) fn deletion(&self) -> Option<Deletion> {
        let at = time(Some(self.deletion_timestamp.as_deref()?)).unwrap_or_default();
        Some(Deletion { at, grace: Millis::from_secs(self.deletion_grace_period_seconds.unwrap_or(0)) })
    }

    /// How many pods had ended before this one; 0 when it does not say, or not in a number.
    pub(super) fn failures(&self) -> u32 {
        self.annotations.failures.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(super) fn owner(&self) -> Option<Owner> {
        let owner = self.owner_references.iter().find(|owner| owner.controller == Some(true))?;
        Some(Owner {
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
            uid: Uid::from(owner.uid.as_str()),
        })
    }

    pub(super) fn take_labels(&mut self) -> Labels {
        std::mem::take(&mut self.labels)
    }
}
