//! Finds things by a long text without comparing texts on the way: an ordered set of hashes.
//!
//! A tree over names costs a miss of the processor's cache for each name that is compared; one over numbers holds many of them
//! in a cache line. Two texts may share a hash, so whoever asks says which of the things that were found is meant.
//!
//! Invariant: nothing here is ever listed, so that the order of hashes decides nothing.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};

/// The hash of a text, with the index's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

/// Things by hash. The default `T` must be the least one.
pub(super) struct Index<T> {
    /// Names are chosen by users, who must not be able to choose hashes.
    seed: u64,
    found: BTreeSet<(u64, T)>,
}

impl<T: Copy + Default + Ord> Index<T> {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, found: BTreeSet::new() }
    }

    /// The hash of a text in parts, none of which holds a slash.
    pub(super) fn hash(&self, parts: &[&str]) -> Hash {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(b'/');
        }
        Hash(hasher.finish())
    }

    /// The thing with this hash that is meant.
    pub(super) fn find(&self, hash: Hash, is_meant: impl Fn(T) -> bool) -> Option<T> {
        let same = self.found.range((hash.0, T::default())..).take_while(|(other, _)| *other == hash.0);
        same.map(|(_, thing)| *thing).find(|thing| is_meant(*thing))
    }

    pub(super) fn insert(&mut self, hash: Hash, thing: T) {
        self.found.insert((hash.0, thing));
    }

    pub(super) fn remove(&mut self, hash: Hash, thing: T) {
        self.found.remove(&(hash.0, thing));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_of_one_hash_are_told_apart() {
        let mut index = Index::new(1);
        let (one, other) = (index.hash(&["ns", "web"]), index.hash(&["ns", "db"]));
        assert_ne!(one, other);
        index.insert(one, 7_u32);
        index.insert(one, 0);
        index.insert(other, 9);
        assert_eq!(index.find(one, |thing| thing == 0), Some(0));
        assert_eq!(index.find(one, |thing| thing == 7), Some(7));
        assert_eq!(index.find(one, |thing| thing == 9), None);
        index.remove(one, 0);
        assert_eq!(index.find(one, |thing| thing == 0), None);
        assert_eq!(index.len(), 2);
    }

    /// Another seed gives other hashes.
    #[test]
    fn hashes_cannot_be_foreseen() {
        let hash = |seed| Index::<u32>::new(seed).hash(&["ns", "web"]);
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
