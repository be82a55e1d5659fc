//! Pods as they are seen: where each belongs, and where it was put before.
//!
//! A pod is in the cell of its node or, if it is ours and no longer matches, among the strays of its set; without a controller it
//! is an orphan, and one whose set has not been seen waits for it. [`Home`] remembers the first two, so that a pod that has moved,
//! or of which nothing but the name is known any more, is found.
//!
//! Invariant: a pod is in one of these places at most, and the index of homes knows just those in cells and among strays.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::index::Hash;
use super::nodes::NodeId;
use super::row::Row;
use super::rows::RowId;
use crate::daemonset::plan::Ref;
use crate::model::{Key, Pod, Uid};

/// In the cell of a node, or among the strays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home {
    row: RowId,
    node: Option<NodeId>,
}

/// Pods whose set has not been seen.
#[derive(Default)]
pub(super) struct Waiting {
    pods: BTreeMap<Uid, BTreeMap<Key, Arc<Pod>>>,
    sets: BTreeMap<Key, Uid>,
}

impl Waiting {
    fn insert(&mut self, set: &Uid, pod: Arc<Pod>) {
        self.sets.insert(pod.key.clone(), set.clone());
        self.pods.entry(set.clone()).or_default().insert(pod.key.clone(), pod);
    }

    fn remove(&mut self, key: &Key) {
        let Some(set) = self.sets.remove(key) else { return };
        let Some(pods) = self.pods.get_mut(&set) else { return };
        pods.remove(key);
        if pods.is_empty() {
            self.pods.remove(&set);
        }
    }

    /// The pods that have waited for this set.
    pub(super) fn take(&mut self, set: &Uid) -> Vec<Arc<Pod>> {
        let pods = self.pods.remove(set).unwrap_or_default();
        for key in pods.keys() {
            self.sets.remove(key);
        }
        pods.into_values().collect()
    }
}

impl Engine {
    /// A pod is there, or has changed.
    pub fn pod(&mut self, pod: Arc<Pod>) {
        let owner = pod.owner.as_ref().filter(|owner| &*owner.kind == "DaemonSet");
        let row = owner.and_then(|owner| self.row_of(&owner.uid, &pod.key));
        let is_selected = row.and_then(|id| self.rows.get(id)).is_some_and(|row| row.selects(&pod.labels));
        // Nearly every pod is where it was. Then no other place knows it, and its home need not be looked up, which in a large
        // fleet is far away in memory.
        if let Some(row) = row.filter(|_| is_selected)
            && let Some(node) = pod.target().and_then(|name| self.nodes.find(name))
            && self.holds(row, node, &pod.key.name)
        {
            self.put(row, node, &pod);
            return;
        }
        self.waiting.remove(&pod.key);
        if pod.owner.is_some() {
            self.take_orphan(&pod.key);
        }
        let hash = self.hash_of(&pod.key);
        let before = self.home(&pod.key, hash);
        if let Some(row) = row {
            self.put_owned((row, is_selected), before, hash, &pod);
            return;
        }
        if let Some(before) = before {
            self.take_out(before, hash, &pod.key);
        }
        if let Some(owner) = owner {
            self.waiting.insert(&owner.uid, Arc::clone(&pod));
        } else if pod.owner.is_none() {
            self.put_orphan(pod);
        }
    }

    /// A pod is gone.
    pub fn pod_gone(&mut self, key: &Key) {
        let hash = self.hash_of(key);
        if let Some(home) = self.home(key, hash) {
            self.take_out(home, hash, key);
        } else {
            self.waiting.remove(key);
            self.take_orphan(key);
        }
    }

    /// The pod of this name is in the cell of a node.
    fn holds(&self, row: RowId, node: NodeId, name: &str) -> bool {
        let cell = self.rows.get(row).and_then(|row| row.cells.get(node));
        cell.is_some_and(|cell| cell.pods.iter().any(|pod| pod.name.is(name)))
    }

    fn hash_of(&self, key: &Key) -> Hash {
        self.homes.hash(&[&key.namespace, &key.name])
    }

    fn home(&self, key: &Key, hash: Hash) -> Option<Home> {
        self.homes.find(hash, |home| {
            let Some(row) = self.rows.get(home.row).filter(|row| row.set.key.namespace == key.namespace) else {
                return false;
            };
            match home.node {
                Some(node) => self.holds(home.row, node, &key.name),
                None => row.strays.contains_key(key),
            }
        })
    }

    /// The pod of this name is seen to be this set's.
    pub(super) fn is_of(&self, row: RowId, pod: &Key) -> bool {
        self.home(pod, self.hash_of(pod)).is_some_and(|home| home.row == row)
    }

    /// The set of this uid, if it can own a pod with this key.
    fn row_of(&self, uid: &Uid, pod: &Key) -> Option<RowId> {
        let id = self.rows.id_of_uid(uid)?;
        self.rows.get(id).filter(|row| row.set.key.namespace == pod.namespace).map(|_| id)
    }

    fn put_owned(&mut self, (id, is_selected): (RowId, bool), before: Option<Home>, hash: Hash, pod: &Pod) {
        let home = if is_selected {
            // R54: a pod whose node cannot be told is left alone.
            pod.target().map(|name| Home { row: id, node: Some(self.seat_of(name)) })
        } else {
            Some(Home { row: id, node: None })
        };
        if home != before {
            if let Some(before) = before {
                self.take_out(before, hash, &pod.key);
            }
            if let Some(home) = home {
                self.homes.insert(hash, home);
            }
        }
        let Some(home) = home else { return };
        if let Some(node) = home.node {
            self.put(id, node, pod);
        } else if let Some(row) = self.rows.get_mut(id) {
            row.doubted.remove(&pod.key);
            row.strays.insert(pod.key.clone(), Ref { name: Arc::clone(&pod.key.name), uid: pod.uid.clone() });
            self.changed.insert(id);
        }
    }

    /// Puts a pod into the cell that is its home.
    fn put(&mut self, id: RowId, node: NodeId, pod: &Pod) {
        let Some(row) = self.rows.get_mut(id) else { return };
        row.doubted.remove(&pod.key);
        if row.put_pod(node, pod, &mut self.nodes) {
            self.changed.insert(id);
        }
    }

    fn take_out(&mut self, home: Home, hash: Hash, key: &Key) {
        self.homes.remove(hash, home);
        let Some(row) = self.rows.get_mut(home.row) else { return };
        match home.node {
            Some(node) => row.take_pod(node, &key.name),
            None => drop(row.strays.remove(key)),
        }
        self.changed.insert(home.row);
    }

    fn put_orphan(&mut self, pod: Arc<Pod>) {
        let key = pod.key.clone();
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| row.set.key.namespace == key.namespace) {
            if row.selects(&pod.labels) && !pod.is_terminating() {
                row.orphans.insert(key.clone());
                self.changed.insert(id);
            } else {
                row.orphans.remove(&key);
            }
        }
        self.orphans.insert(key, pod);
    }

    fn take_orphan(&mut self, key: &Key) {
        if self.orphans.remove(key).is_none() {
            return;
        }
        for (id, row) in self.rows.iter_mut() {
            if row.orphans.remove(key) {
                self.changed.insert(id);
            }
        }
    }

    /// Forgets where the pods of a set were.
    pub(super) fn forget_homes(&mut self, id: RowId, row: &Row) {
        for (node, cell) in row.cells.iter() {
            for pod in &cell.pods {
                let hash = self.homes.hash(&[&row.set.key.namespace, pod.name.as_str()]);
                self.homes.remove(hash, Home { row: id, node: Some(node) });
            }
        }
        for key in row.strays.keys() {
            self.homes.remove(self.hash_of(key), Home { row: id, node: None });
        }
    }
}
