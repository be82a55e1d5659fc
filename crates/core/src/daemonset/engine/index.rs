//! Finds things by a long text without comparing texts on the way: a table of hashes.
//!
//! A tree over names costs a miss of the processor's caches for most names that are compared on the way down; here the first
//! place looked at is nearly always the right one. Two texts may share a hash, so whoever asks says which of the things that were
//! found is meant.
//!
//! Invariants:
//! * a thing lies at the place that its hash names, or behind it with no free place between;
//! * nothing here is ever listed, so that the order of hashes decides nothing.

use std::hash::{DefaultHasher, Hasher as _};

/// The hash of a text, with the index's seed; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

/// Things by hash. A thing is put in once.
pub(super) struct Index<T> {
    /// Names are chosen by users, who must not be able to choose hashes.
    seed: u64,
    /// A power of two, with hash 0 where nothing lies.
    places: Vec<(u64, T)>,
    len: usize,
}

impl<T: Copy + Default + PartialEq> Index<T> {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, places: vec![(0, T::default()); 8], len: 0 }
    }

    /// The hash of a text in parts, none of which holds a slash.
    pub(super) fn hash(&self, parts: &[&str]) -> Hash {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(b'/');
        }
        Hash(hasher.finish().max(1))
    }

    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.mask()
    }

    /// The thing with this hash that is meant, and its place.
    fn place(&self, hash: Hash, is_meant: impl Fn(T) -> bool) -> Option<usize> {
        let mut at = self.first(hash.0);
        loop {
            match self.places[at] {
                (0, _) => return None,
                (other, thing) if other == hash.0 && is_meant(thing) => return Some(at),
                _ => at = (at + 1) & self.mask(),
            }
        }
    }

    /// The thing with this hash that is meant.
    pub(super) fn find(&self, hash: Hash, is_meant: impl Fn(T) -> bool) -> Option<T> {
        self.place(hash, is_meant).map(|at| self.places[at].1)
    }

    pub(super) fn insert(&mut self, hash: Hash, thing: T) {
        // A quarter stays free, so that searches end soon.
        if (self.len + 1) * 4 > self.places.len() * 3 {
            let twice = vec![(0, T::default()); self.places.len() * 2];
            for (hash, thing) in std::mem::replace(&mut self.places, twice) {
                if hash != 0 {
                    self.put(hash, thing);
                }
            }
        }
        self.put(hash.0, thing);
        self.len += 1;
    }

    fn put(&mut self, hash: u64, thing: T) {
        let mut at = self.first(hash);
        while self.places[at].0 != 0 {
            at = (at + 1) & self.mask();
        }
        self.places[at] = (hash, thing);
    }

    pub(super) fn remove(&mut self, hash: Hash, thing: T) {
        let Some(mut hole) = self.place(hash, |other| other == thing) else { return };
        self.len -= 1;
        // What lies behind moves up, but not before the place that its hash names.
        let mut at = hole;
        loop {
            self.places[hole] = (0, T::default());
            loop {
                at = (at + 1) & self.mask();
                let (hash, _) = self.places[at];
                if hash == 0 {
                    return;
                }
                let (way, gap) = (at.wrapping_sub(self.first(hash)), at.wrapping_sub(hole));
                if way & self.mask() >= gap & self.mask() {
                    break;
                }
            }
            self.places[hole] = self.places[at];
            hole = at;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
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
