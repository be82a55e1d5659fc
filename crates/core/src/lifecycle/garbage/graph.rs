//! The graph itself: who names whom, what is known of each owner, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, Answer, FOREGROUND, Identity, Kind, Name, ORPHAN, Propagation, Reference, Scope, Seen};
use crate::model::Uid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Nobody has asked yet, or its kind is not known.
    Unknown,
    /// An [`Act::Verify`] is under way.
    Asked,
    Present {
        waits_for_deletion: bool,
    },
    Absent,
}

#[derive(Debug)]
struct Owner {
    presence: Presence,
    dependents: BTreeSet<Uid>,
}

#[derive(Debug)]
struct Item {
    seen: Seen,
    /// An act for this version is under way.
    asked: bool,
}

/// The graph of owners and dependents.
#[derive(Debug, Default)]
pub struct Graph {
    scopes: BTreeMap<Kind, Scope>,
    items: BTreeMap<Uid, Item>,
    owners: BTreeMap<Identity, Owner>,
    dirty: BTreeSet<Uid>,
}

impl Graph {
    /// Takes the kinds that discovery lists. References to kinds that it does not list keep their dependents.
    pub fn learn(&mut self, scopes: BTreeMap<Kind, Scope>) {
        if self.scopes == scopes {
            return;
        }
        self.scopes = scopes;
        // Coordinates depend on the scope of the owner's kind: file the references again.
        let uids: Vec<Uid> = self.items.keys().cloned().collect();
        for uid in uids {
            if let Some(item) = self.items.get(&uid) {
                let seen = item.seen.clone();
                self.unfile(&seen, &[]);
                self.file(&seen);
                self.dirty.insert(uid);
            }
        }
    }

    /// Takes the present state of an object: added or changed.
    pub fn observe(&mut self, seen: Seen) {
        let uid = seen.identity.uid.clone();
        self.owner_is(&seen.identity, Presence::Present { waits_for_deletion: seen.waits_for_deletion() });
        if let Some(item) = self.items.get_mut(&uid)
            && item.seen.differs_by_version_only(&seen)
        {
            item.seen.version = seen.version;
            // An act under way names the old version: it may fail for that alone.
            if std::mem::take(&mut item.asked) {
                self.dirty.insert(uid);
            }
            return;
        }
        let before = self.items.remove(&uid);
        let changed = before.as_ref().is_none_or(|before| before.seen.owners != seen.owners);
        if changed {
            // The new ones first: an entry that stays keeps what is known of its owner.
            self.file(&seen);
            if let Some(before) = &before {
                self.unfile(&before.seen, &seen.owners);
                self.wake_owners(&before.seen);
            }
        }
        if seen.owners.is_empty() && !seen.waits_for_deletion() && !seen.waits_for_release() {
            return;
        }
        self.dirty.insert(uid.clone());
        self.items.insert(uid, Item { seen, asked: false });
    }

    /// Takes the news that an object is gone.
    pub fn forget(&mut self, identity: &Identity) {
        self.owner_is(identity, Presence::Absent);
        if let Some(item) = self.items.remove(&identity.uid) {
            self.unfile(&item.seen, &[]);
            self.wake_owners(&item.seen);
        }
        self.dirty.remove(&identity.uid);
    }

    /// Takes the answer to an [`Act::Verify`].
    pub fn answer(&mut self, owner: &Identity, answer: Answer) {
        // A watch event that came meanwhile is newer than the read.
        if let Some(entry) = self.owners.get_mut(owner)
            && entry.presence == Presence::Asked
        {
            entry.presence = match answer {
                Answer::Present { waits_for_deletion } => Presence::Present { waits_for_deletion },
                Answer::Absent => Presence::Absent,
            };
            self.wake_dependents(&owner.uid);
        }
    }

    /// The read of an owner failed: it will be asked again.
    pub fn unanswered(&mut self, owner: &Identity) {
        if let Some(entry) = self.owners.get_mut(owner)
            && entry.presence == Presence::Asked
        {
            entry.presence = Presence::Unknown;
            self.wake_dependents(&owner.uid);
        }
    }

    /// An act on this object did not succeed: judge it again.
    pub fn failed(&mut self, uid: &str) {
        if let Some(item) = self.items.get_mut(uid) {
            item.asked = false;
            self.dirty.insert(item.seen.identity.uid.clone());
        }
    }

    /// How many objects the graph holds.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Judges all that changed since the last call, and says what to do.
    pub fn acts(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some(uid) = self.dirty.pop_first() {
            self.judge(&uid, &mut acts);
        }
        acts
    }

    fn judge(&mut self, uid: &Uid, acts: &mut Vec<Act>) {
        let Some(item) = self.items.get(uid) else {
            return;
        };
        if item.asked {
            return;
        }
        let before = acts.len();
        if item.seen.waits_for_deletion() {
            self.judge_foreground(uid, acts);
        } else if item.seen.waits_for_release() {
            self.judge_orphan(uid, acts);
        } else if !item.seen.terminating {
            self.judge_dependent(uid, acts);
        }
        let acted = acts[before..].iter().any(|act| act.changes(uid));
        if acted && let Some(item) = self.items.get_mut(uid) {
            item.asked = true;
        }
    }

    /// A terminating owner goes when nothing that blocks it is left (R142, R147).
    fn judge_foreground(&self, uid: &Uid, acts: &mut Vec<Act>) {
        let blocked =
            self.dependents(uid).any(|item| item.seen.owners.iter().any(|owner| owner.uid == *uid && owner.blocks));
        if !blocked && let Some(item) = self.items.get(uid) {
            acts.push(Act::RemoveFinalizer { object: item.seen.identity.clone(), finalizer: FOREGROUND });
        }
    }

    /// A terminating owner lets its dependents go, and then goes itself (R142).
    fn judge_orphan(&mut self, uid: &Uid, acts: &mut Vec<Act>) {
        let dependents: Vec<Uid> = self.dependents(uid).map(|item| item.seen.identity.uid.clone()).collect();
        if dependents.is_empty() {
            if let Some(item) = self.items.get(uid) {
                acts.push(Act::RemoveFinalizer { object: item.seen.identity.clone(), finalizer: ORPHAN });
            }
            return;
        }
        for dependent in dependents {
            if let Some(item) = self.items.get_mut(&dependent)
                && !item.asked
            {
                item.asked = true;
                acts.push(Act::DropOwners { object: item.seen.identity.clone(), owners: vec![uid.clone()] });
            }
        }
    }

    /// Solid owners keep an object; without any it is garbage (R146, T152).
    fn judge_dependent(&mut self, uid: &Uid, acts: &mut Vec<Act>) {
        let Some(item) = self.items.get(uid) else {
            return;
        };
        let seen = &item.seen;
        let (mut solid, mut dangling, mut waiting, mut ask) = (false, Vec::new(), Vec::new(), Vec::new());
        let (mut pending, mut warnings) = (false, Vec::new());
        for reference in &seen.owners {
            let Some(owner) = self.coordinates(&seen.identity, reference) else {
                solid = true;
                continue;
            };
            match self.owners.get(&owner).map_or(Presence::Unknown, |entry| entry.presence) {
                Presence::Unknown => ask.push(owner),
                Presence::Asked => pending = true,
                Presence::Present { waits_for_deletion: false } => solid = true,
                Presence::Present { waits_for_deletion: true } => waiting.push(reference.uid.clone()),
                Presence::Absent => {
                    match self.elsewhere(&owner) {
                        // Its answer decides whether there is something to warn of, and comes soon.
                        Presence::Asked => pending = true,
                        Presence::Present { .. } => {
                            let object = seen.identity.clone();
                            warnings.push(Act::Warn { object, message: words(reference, &owner) });
                        }
                        Presence::Unknown | Presence::Absent => {}
                    }
                    dangling.push(reference.uid.clone());
                }
            }
        }
        let object = seen.identity.clone();
        let version = seen.version.clone();
        let kept = if seen.orphan {
            Propagation::Orphan
        } else if seen.foreground {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        if pending || !ask.is_empty() {
            for owner in ask {
                if let Some(entry) = self.owners.get_mut(&owner) {
                    entry.presence = Presence::Asked;
                }
                acts.push(Act::Verify(owner));
            }
            return;
        }
        acts.append(&mut warnings);
        if solid {
            dangling.extend(waiting);
            if !dangling.is_empty() {
                acts.push(Act::DropOwners { object, owners: dangling });
            }
        } else if !waiting.is_empty() && self.dependents(uid).next().is_some() {
            if self.dependents(uid).any(|dependent| dependent.seen.waits_for_deletion()) {
                acts.push(Act::Unblock { object: object.clone(), owners: waiting });
            }
            acts.push(Act::Delete { object, version, propagation: Propagation::Foreground });
        } else if !(waiting.is_empty() && dangling.is_empty()) {
            acts.push(Act::Delete { object, version, propagation: kept });
        }
    }

    /// Present objects that name `uid` under its right coordinates.
    fn dependents<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a Item> {
        self.references(uid)
            .filter(|(_, owner)| !matches!(owner.presence, Presence::Absent))
            .flat_map(|(_, owner)| owner.dependents.iter())
            .filter_map(|dependent| self.items.get(dependent))
    }

    fn references<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = (&'a Identity, &'a Owner)> {
        let empty: Name = Name::from("");
        let first = Identity {
            uid: uid.clone(),
            kind: Kind { group: empty.clone(), kind: empty.clone() },
            namespace: empty.clone(),
            name: empty,
        };
        self.owners.range(first..).take_while(move |(identity, _)| identity.uid == *uid)
    }

    /// The coordinates under which an owner must be found: in the dependent's own namespace (R146). None when the kind is
    /// unknown, or when an object of the cluster names an owner in a namespace: such references are left alone (A512).
    fn coordinates(&self, dependent: &Identity, reference: &Reference) -> Option<Identity> {
        let namespace = match self.scopes.get(&reference.kind)? {
            Scope::Cluster => Name::from(""),
            Scope::Namespaced if dependent.namespace.is_empty() => return None,
            Scope::Namespaced => dependent.namespace.clone(),
        };
        Some(Identity {
            uid: reference.uid.clone(),
            kind: reference.kind.clone(),
            namespace,
            name: reference.name.clone(),
        })
    }

    /// What is known of an owner with this uid at other coordinates than these.
    fn elsewhere(&self, owner: &Identity) -> Presence {
        let others =
            self.references(&owner.uid).filter(|(identity, _)| *identity != owner).map(|(_, entry)| entry.presence);
        others.fold(Presence::Absent, |known, presence| match (known, presence) {
            (Presence::Present { .. }, _) => known,
            (_, Presence::Present { .. } | Presence::Asked) => presence,
            _ => known,
        })
    }

    fn file(&mut self, seen: &Seen) {
        for reference in &seen.owners {
            if let Some(owner) = self.coordinates(&seen.identity, reference) {
                let known = self.items.get(&owner.uid).filter(|item| item.seen.identity == owner);
                let presence = known.map_or(Presence::Unknown, |item| Presence::Present {
                    waits_for_deletion: item.seen.waits_for_deletion(),
                });
                let entry = self.owners.entry(owner).or_insert(Owner { presence, dependents: BTreeSet::new() });
                entry.dependents.insert(seen.identity.uid.clone());
            }
        }
    }

    /// Removes an object from the entries of its owners. Entries are found by uid, since scopes may have changed.
    fn unfile(&mut self, seen: &Seen, kept: &[Reference]) {
        let is_kept = |gone: &Reference| {
            kept.iter().any(|kept| (&kept.uid, &kept.kind, &kept.name) == (&gone.uid, &gone.kind, &gone.name))
        };
        for reference in seen.owners.iter().filter(|reference| !is_kept(reference)) {
            let entries: Vec<Identity> = self
                .references(&reference.uid)
                .filter(|(_, owner)| owner.dependents.contains(&seen.identity.uid))
                .map(|(identity, _)| identity.clone())
                .collect();
            for identity in entries {
                if let Some(owner) = self.owners.get_mut(&identity) {
                    owner.dependents.remove(&seen.identity.uid);
                    if owner.dependents.is_empty() {
                        self.owners.remove(&identity);
                        self.wake_dependents(&identity.uid);
                    }
                }
            }
        }
    }

    /// Judges all again that name this uid, under whatever coordinates: each may wait for what is known of the others.
    fn wake_dependents(&mut self, uid: &Uid) {
        let dependents: Vec<Uid> =
            self.references(uid).flat_map(|(_, owner)| owner.dependents.iter().cloned()).collect();
        self.dirty.extend(dependents);
    }

    /// Owners that wait for this object must be judged again.
    fn wake_owners(&mut self, seen: &Seen) {
        for reference in &seen.owners {
            if let Some((uid, item)) = self.items.get_key_value(&reference.uid)
                && (item.seen.waits_for_deletion() || item.seen.waits_for_release())
            {
                self.dirty.insert(uid.clone());
            }
        }
    }

    fn owner_is(&mut self, identity: &Identity, presence: Presence) {
        let entries: Vec<Identity> = self.references(&identity.uid).map(|(identity, _)| identity.clone()).collect();
        for entry in entries {
            let Some(owner) = self.owners.get_mut(&entry) else {
                continue;
            };
            let now = if entry == *identity { presence } else { Presence::Absent };
            if owner.presence != now {
                owner.presence = now;
                self.dirty.extend(owner.dependents.iter().cloned());
            }
        }
    }
}

fn words(reference: &Reference, owner: &Identity) -> String {
    format!(
        "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
        reference.api_version, owner.kind.kind, owner.namespace, owner.name, owner.uid, owner.namespace
    )
}
