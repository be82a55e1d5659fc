//! Finds things by a long text without comparing texts on the way: a table of hashes.
//!
//! A tree over names costs a miss of the processor's caches for most names that are compared on the way down; here the first
//! place looked at is nearly always the right one. Two texts may share a hash, so whoever asks says which of the things that were
//! found is meant.
//!
//! Invariant: nothing here is ever listed, so that the order of hashes decides nothing.

use std::hash::Hasher as _;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use hashbrown::HashTable;

/// The hash of a text, with the index's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

/// Things by hash. A thing is put in once.
pub(super) struct Index<T> {
    /// Names are chosen by users, who must not be able to choose hashes.
    seed: SharedSeed,
    /// Each with its hash, so that the table can grow without asking for texts.
    places: HashTable<(u64, T)>,
}

impl<T: Copy + PartialEq> Index<T> {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: SharedSeed::from_u64(seed), places: HashTable::new() }
    }

    /// The hash of a text in parts, none of which holds a slash.
    pub(super) fn hash(&self, parts: &[&str]) -> Hash {
        let mut hasher = FoldHasher::with_seed(0, &self.seed);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(b'/');
        }
        Hash(hasher.finish())
    }

    /// The thing with this hash that is meant.
    pub(super) fn find(&self, hash: Hash, is_meant: impl Fn(T) -> bool) -> Option<T> {
        self.places.find(hash.0, |(other, thing)| *other == hash.0 && is_meant(*thing)).map(|(_, thing)| *thing)
    }

    pub(super) fn insert(&mut self, hash: Hash, thing: T) {
        self.places.insert_unique(hash.0, (hash.0, thing), |(hash, _)| *hash);
    }

    /// Takes a thing out, if it is there.
    pub(super) fn remove(&mut self, hash: Hash, thing: T) {
        if let Ok(place) = self.places.find_entry(hash.0, |one| *one == (hash.0, thing)) {
            place.remove();
        }
    }

    /// How many things there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// As a set of pairs does, with hashes that clash, run over the end and share places.
        #[test]
        fn an_index_is_a_set(ops in proptest::collection::vec((any::<bool>(), 1..24_u64, 0..3_u32), 1..200)) {
            let (mut index, mut model) = (Index::new(1), BTreeSet::new());
            for (puts, hash, thing) in ops {
                if !puts {
                    index.remove(Hash(hash), thing);
                    model.remove(&(hash, thing));
                } else if model.insert((hash, thing)) {
                    index.insert(Hash(hash), thing);
                }
                assert_eq!(index.len(), model.len());
                for hash in 1..24 {
                    for thing in 0..3 {
                        let found = index.find(Hash(hash), |other| other == thing);
                        assert_eq!(found.is_some(), model.contains(&(hash, thing)), "{hash} {thing}");
                    }
                }
            }
        }
    }

    /// Another seed gives other hashes, and parts are told apart.
    #[test]
    fn hashes_cannot_be_foreseen() {
        let hash = |seed, parts: &[&str]| Index::<u32>::new(seed).hash(parts);
        assert_eq!(hash(1, &["ns", "web"]), hash(1, &["ns", "web"]));
        assert_ne!(hash(1, &["ns", "web"]), hash(2, &["ns", "web"]));
        assert_ne!(hash(1, &["ns", "web"]), hash(1, &["nsw", "eb"]));
    }
}
