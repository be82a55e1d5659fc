//! Revisions of a set: their hash and names, whose they are, which is current, which may go (R79–R95).
//!
//! Two revisions are the same template when their bytes are equal (R81). Only where none has the bytes of the present template,
//! one that would have them if it were written today is the current one (mends R192).

use std::sync::Arc;

use super::plan::{Ref, Step};
use crate::model::{Revision, Set};

/// State of a 32-bit FNV-1a hash before the first byte.
const BASIS: u32 = 2_166_136_261;
const PRIME: u32 = 16_777_619;

/// The alphabet of hashes and generated names (R89).
pub const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

fn feed(mut state: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        state = (state ^ u32::from(*byte)).wrapping_mul(PRIME);
    }
    state
}

/// The hash state after the dump of a template; kept by [`crate::model::Template`].
#[must_use]
pub fn sum(dump: &[u8]) -> u32 {
    feed(BASIS, dump)
}

/// R88: the hash of a template whose dump has this [`sum`].
#[must_use]
pub fn hash(sum: u32, collision_count: Option<i32>) -> String {
    let state = match collision_count {
        None => sum,
        // Eight bytes: the count as a little-endian 32-bit number, then zeros.
        Some(count) => feed(feed(sum, &count.to_le_bytes()), &[0; 4]),
    };
    state.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// What a revision is to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Controlled by the set, and matching.
    Own,
    /// An orphan that matches.
    Adopt,
    /// Controlled by the set, but no longer matching.
    Release,
    /// No business of the set's.
    Ignore,
}

/// R79: as pods are claimed (R74).
#[must_use]
pub fn claim(set: &Set, revision: &Revision) -> Claim {
    let selector = set.selector.as_ref().filter(|selector| !selector.is_empty());
    let matches = selector.is_some_and(|selector| selector.matches(&revision.labels));
    match &revision.owner {
        Some(owner) if owner.uid != set.uid => Claim::Ignore,
        Some(_) if matches => Claim::Own,
        Some(_) if !set.terminating => Claim::Release,
        None if matches && !set.terminating && !revision.terminating && set.key.namespace == revision.key.namespace => {
            Claim::Adopt
        }
        _ => Claim::Ignore,
    }
}

/// A revision as a write refers to it.
#[must_use]
pub fn reference(revision: &Revision) -> Ref {
    Ref { name: Arc::clone(&revision.key.name), uid: revision.uid.clone() }
}

/// The history of a set as R83 builds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Writes that are needed before anything else.
    pub steps: Vec<Step>,
    /// The hash of the current revision, once there is one.
    pub hash: Option<Arc<str>>,
    /// R84: there are duplicates, so pods that carry the hash of one are to carry this one (pods of other templates are
    /// not: R191) …
    pub relabel: Option<Relabel>,
    /// … and then these go.
    pub duplicates: Vec<Step>,
    /// The revisions that are not current.
    pub old: Vec<Arc<Revision>>,
}

/// Which hashes give way to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabel {
    /// The hash of the revision that stays.
    pub to: Arc<str>,
    /// The hashes of those that go.
    pub from: Vec<Arc<str>>,
}

/// The revisions that are the present template, and the others.
fn part(set: &Set, owned: Vec<Arc<Revision>>) -> (Vec<Arc<Revision>>, Vec<Arc<Revision>>) {
    let (current, old): (Vec<_>, Vec<_>) = owned.into_iter().partition(|revision| revision.data == set.template.data);
    if !current.is_empty() {
        return (current, old);
    }
    let means = |revision: &Arc<Revision>| revision.rewritten.as_ref() == Some(&set.template.data);
    // Of several the newest alone: their pods are all of one meaning, but only one hash can be the current one.
    let newest = old.iter().filter(|revision| means(revision)).max_by_key(|revision| revision.number).cloned();
    match newest {
        Some(newest) => old.into_iter().partition(|revision| revision.uid == newest.uid),
        None => (current, old),
    }
}

/// R83's second step: the label of a revision without one, its name, cut to what a label may hold (mends R205).
#[must_use]
pub fn missing_label(name: &str) -> &str {
    // The end tells revisions apart; names are ASCII.
    let from = name.len().saturating_sub(63);
    name.get(from..).unwrap_or(name).trim_start_matches(['-', '.'])
}

/// R83, R84, over the revisions that the set owns.
#[must_use]
pub fn build(set: &Set, owned: Vec<Arc<Revision>>) -> Built {
    let mut built = Built::default();
    built.steps.extend(
        owned
            .iter()
            .filter(|revision| revision.hash().is_none())
            .map(|revision| Step::LabelRevision(reference(revision))),
    );
    if !built.steps.is_empty() {
        return built;
    }
    let (current, old) = part(set, owned);
    let wanted = old.iter().map(|revision| revision.number).max().unwrap_or(0).max(0).saturating_add(1);
    built.old = old;
    // Of equal numbers the later one wins, as `max_by_key` has it.
    let Some(kept) = current.iter().max_by_key(|revision| revision.number).cloned() else {
        let hash = hash(set.template.sum, set.collision_count).into();
        built.steps.push(Step::CreateRevision { hash, number: wanted });
        return built;
    };
    built.hash = kept.hash().map(Arc::from);
    if current.len() > 1 {
        let others: Vec<_> = current.iter().filter(|revision| revision.uid != kept.uid).collect();
        let from = others.iter().filter_map(|revision| revision.hash().map(Arc::from)).collect();
        built.relabel = built.hash.clone().map(|to| Relabel { to, from });
        built.duplicates = others.into_iter().map(|revision| Step::DeleteRevision(reference(revision))).collect();
        return built;
    }
    if kept.number < wanted {
        let (revision, version) = (reference(&kept), kept.version);
        built.steps.push(Step::RenumberRevision { revision, version, number: wanted });
    }
    built
}

/// R94: the oldest revisions beyond the limit, but none that a pod carries.
#[must_use]
pub fn surplus(set: &Set, old: &[Arc<Revision>], is_live: impl Fn(&str) -> bool) -> Vec<Arc<Revision>> {
    let limit = usize::try_from(set.history_limit).unwrap_or(0);
    if old.len() <= limit {
        return Vec::new();
    }
    let mut by_age: Vec<_> = old.to_vec();
    by_age.sort_by_key(|revision| revision.number);
    by_age
        .into_iter()
        .filter(|revision| !revision.hash().is_some_and(&is_live))
        .take(old.len().saturating_sub(limit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R88, R89, appendix B.3: decimal digits become letters.
    #[test]
    fn a_sum_is_spelled_in_the_alphabet() {
        assert_eq!(hash(387_739_939, None), "7dcc7ff7f");
        assert_eq!(hash(352_373_592, None), "7967c79f6");
        assert_eq!(hash(387_739_939, Some(0)), "945d8bb9f");
        assert_eq!(hash(387_739_939, Some(1)), "7674595966");
    }

    /// T142.
    #[test]
    fn collision_counts_differ() {
        let of = |count| hash(sum(b""), count);
        assert_ne!(of(Some(1)), of(Some(2)));
        assert_ne!(of(None), of(Some(i32::MAX)));
        assert_ne!(of(None), of(Some(0)));
    }
}
