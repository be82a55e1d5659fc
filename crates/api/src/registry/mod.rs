//! One row per resource: the data from which the server routes, decodes, checks, stores, prints and describes every kind.
//!
//! Not here: what a row holds ([`crate::resource`]), what a kind does with its objects ([`crate::strategy`], [`crate::kinds`]) and custom
//! resources, whose rows come from their definitions. Invariants: a (group, version, plural) stands once; `store_key` is unique among
//! rows that store; a `view` row names a stored row of the same store key.

mod rows;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::resource::{Resource, Storage};

/// A group with its versions in order of preference, and its discovery priority (A300, A302).
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Name, empty for the core group.
    pub name: &'static str,
    /// Versions, preferred first.
    pub versions: &'static [&'static str],
    /// `groupPriorityMinimum` of its APIService.
    pub priority: i32,
    /// `versionPriority` of each version.
    pub version_priorities: &'static [i32],
}

/// All groups in discovery order, the core one first.
pub fn groups() -> &'static [Group] {
    rows::GROUPS
}

/// All rows, by group in discovery order, then by plural name.
pub fn all() -> &'static [Resource] {
    &rows::ROWS
}

type Index = BTreeMap<(&'static str, &'static str, &'static str), &'static Resource>;

/// The row of a path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    static INDEX: LazyLock<Index> =
        LazyLock::new(|| all().iter().map(|r| ((r.group, r.version, r.plural), r)).collect());
    INDEX.get(&(group, version, plural)).copied()
}

/// The row of a kind.
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    static INDEX: LazyLock<Index> = LazyLock::new(|| all().iter().map(|r| ((r.group, r.version, r.kind), r)).collect());
    INDEX.get(&(group, version, kind)).copied()
}

impl Resource {
    /// The row whose version is stored: itself unless it is a view.
    pub fn stored(&'static self) -> &'static Resource {
        match self.storage {
            Storage::View(view) => find(view.of.0, view.of.1, view.of.2).unwrap_or(self),
            Storage::Own | Storage::Virtual => self,
        }
    }
}

#[cfg(test)]
mod tests;
