//! What is seen: nodes, sets, pods and revisions, one change at a time.

use std::sync::Arc;

use super::row::{self, Row};
use super::{Engine, Home, Place};
use crate::daemonset::cell::{FlightState, PodCell};
use crate::daemonset::eligibility::Rules;
use crate::daemonset::plan::Ref;
use crate::model::{HASH_LABEL, Key, Node, NodeName, Pod, Set, Uid, Version};

impl Engine {
    /// A node is there, or has changed.
    pub fn node(&mut self, node: Arc<Node>) {
        let name = node.name.clone();
        let old = self.nodes.insert(name.clone(), Arc::clone(&node));
        if let Some(old) = old
            && (&old.labels, &old.taints, old.ready()) == (&node.labels, &node.taints, node.ready())
        {
            return;
        }
        for row in self.rows.values_mut() {
            self.work.judged += 1;
            if row.judge(&name, Some(&node)) {
                self.changed.insert(row.set.key.clone());
            }
        }
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &NodeName) {
        self.nodes.remove(name);
        for row in self.rows.values_mut() {
            if row.judge(name, None) {
                self.changed.insert(row.set.key.clone());
            }
        }
    }

    /// A set is there, or has changed.
    pub fn set(&mut self, set: Set) {
        let (key, uid) = (set.key.clone(), set.uid.clone());
        self.changed.insert(key.clone());
        match self.uids.insert(key.clone(), uid.clone()) {
            Some(before) if before == uid => self.set_changed(&uid, set),
            before => {
                if let Some(before) = before {
                    self.drop_row(&before);
                }
                self.set_added(uid, set);
            }
        }
    }

    fn set_added(&mut self, uid: Uid, set: Set) {
        let namespace = Arc::clone(&set.key.namespace);
        let mut row = Row::new(set);
        for (name, node) in &self.nodes {
            self.work.judged += 1;
            row.judge(name, Some(node));
        }
        let from = Key { namespace: Arc::clone(&namespace), name: "".into() };
        for (key, pod) in self.orphans.range(from..).take_while(|(key, _)| key.namespace == namespace) {
            if row.selects(&pod.labels) && !pod.is_terminating() {
                row.orphans.insert(key.clone());
            }
        }
        self.rows.insert(uid.clone(), row);
        for pod in self.waiting.remove(&uid).unwrap_or_default().into_values() {
            self.pod(pod);
        }
    }

    fn set_changed(&mut self, uid: &Uid, set: Set) {
        let Some(row) = self.rows.get_mut(uid) else { return };
        if row.written.is_some_and(|(_, version)| set.version >= version) {
            row.written = None;
        }
        let of = |set: &Set| (set.collision_count, set.terminating, set.selector.clone());
        if row.set.template != set.template || of(&row.set) != of(&set) {
            row.old_revisions = None;
        }
        if row.set.template != set.template {
            let rules = Rules::new(&set.template);
            if row.rules != rules {
                row.rules = rules;
                for (name, node) in &self.nodes {
                    self.work.judged += 1;
                    row.judge(name, Some(node));
                }
            }
        }
        let policy = row::policy(&set, row.policy.hash.clone());
        // The API forbids another selector; if it changes all the same, it holds for pods as they change.
        row.set = set;
        row.set_policy(policy);
    }

    /// A set is gone; its pods are the collector's.
    pub fn set_gone(&mut self, key: &Key) {
        if let Some(uid) = self.uids.remove(key) {
            self.drop_row(&uid);
        }
        self.changed.insert(key.clone());
    }

    fn drop_row(&mut self, uid: &Uid) {
        self.rows.remove(uid);
    }

    /// A pod is there, or has changed.
    pub fn pod(&mut self, pod: Arc<Pod>) {
        let key = pod.key.clone();
        let place = match &pod.owner {
            None => Place::Orphans,
            Some(owner) if &*owner.kind == "DaemonSet" => Place::Set(owner.uid.clone(), pod.target().cloned()),
            Some(_) => Place::Elsewhere,
        };
        let home = Home { uid: pod.uid.clone(), place };
        if let Some(before) = self.homes.get(&key)
            && *before != home
        {
            let before = before.clone();
            self.take_out(&key, &before);
        }
        match &home.place {
            Place::Elsewhere => {
                self.homes.remove(&key);
                return;
            }
            Place::Orphans => self.put_orphan(&key, &pod),
            Place::Set(uid, node) => self.put_owned(uid, node.as_ref(), &pod),
        }
        self.homes.insert(key, home);
    }

    /// A pod is gone.
    pub fn pod_gone(&mut self, key: &Key) {
        if let Some(home) = self.homes.remove(key) {
            self.take_out(key, &home);
        }
    }

    fn put_orphan(&mut self, key: &Key, pod: &Arc<Pod>) {
        self.orphans.insert(key.clone(), Arc::clone(pod));
        for row in self.rows.values_mut().filter(|row| row.set.key.namespace == key.namespace) {
            if row.selects(&pod.labels) && !pod.is_terminating() {
                row.orphans.insert(key.clone());
                self.changed.insert(row.set.key.clone());
            } else {
                row.orphans.remove(key);
            }
        }
    }

    fn put_owned(&mut self, uid: &Uid, node: Option<&NodeName>, pod: &Arc<Pod>) {
        let Some(row) = self.rows.get_mut(uid) else {
            self.waiting.entry(uid.clone()).or_default().insert(pod.key.clone(), Arc::clone(pod));
            return;
        };
        self.changed.insert(row.set.key.clone());
        if !row.selects(&pod.labels) {
            row.strays.insert(pod.key.clone(), Ref { name: Arc::clone(&pod.key.name), uid: pod.uid.clone() });
            if let Some(node) = node {
                take_from_cell(row, node, &pod.key.name);
            }
            return;
        }
        row.strays.remove(&pod.key);
        // R54: a pod whose node cannot be told is left alone.
        let Some(node) = node else { return };
        let hash = row.count_hash(pod.labels.get(HASH_LABEL).map(String::as_str));
        let mut new = PodCell::new(pod, hash);
        let cell = row.cell(node, self.nodes.get(node).map(AsRef::as_ref));
        let mut old_hash = None;
        if let Some(at) = cell.pods.iter().position(|old| old.name == new.name) {
            let old = cell.pods.remove(at);
            if old.uid == new.uid && !new.is_terminating {
                new.asked = old.asked;
            }
            old_hash = old.hash;
        }
        let at = cell.pods.partition_point(|other| other.precedes(&new).is_lt());
        // While an answer is still to come the request may be on its way once more; only then is it over.
        if cell.flight().is_some_and(|flight| flight.name == new.name && flight.state != FlightState::Asked) {
            cell.rare().flight = None;
        }
        cell.pods.insert(at, new);
        row.forget_hash(old_hash.as_ref());
    }

    fn take_out(&mut self, key: &Key, home: &Home) {
        match &home.place {
            Place::Elsewhere => {}
            Place::Orphans => {
                self.orphans.remove(key);
                for row in self.rows.values_mut() {
                    if row.orphans.remove(key) {
                        self.changed.insert(row.set.key.clone());
                    }
                }
            }
            Place::Set(uid, node) => {
                if let Some(waiting) = self.waiting.get_mut(uid) {
                    waiting.remove(key);
                    if waiting.is_empty() {
                        self.waiting.remove(uid);
                    }
                }
                let Some(row) = self.rows.get_mut(uid) else { return };
                row.strays.remove(key);
                if let Some(node) = node {
                    take_from_cell(row, node, &key.name);
                }
                self.changed.insert(row.set.key.clone());
            }
        }
    }

    /// All changes of pods up to this version have been told.
    pub fn pods_seen(&mut self, version: Version) {
        self.pods_seen = self.pods_seen.max(version);
        while let Some((at, _, _)) = self.made.first()
            && *at <= self.pods_seen
        {
            let Some((at, uid, node)) = self.made.pop_first() else { break };
            let Some(row) = self.rows.get_mut(&uid) else { continue };
            let Some(cell) = row.cells.get_mut(&node) else { continue };
            // It was made and is gone again, or is known under this name already.
            if cell.flight().is_some_and(|flight| flight.state == FlightState::Made(at)) {
                cell.rare().flight = None;
                row.dirty.insert(node);
                self.changed.insert(row.set.key.clone());
            }
        }
        self.open_gates();
    }

    /// All changes of revisions up to this version have been told.
    pub fn revisions_seen(&mut self, version: Version) {
        self.revisions_seen = self.revisions_seen.max(version);
        self.open_gates();
    }

    pub(super) fn open_gates(&mut self) {
        for uid in std::mem::take(&mut self.gated) {
            let Some(row) = self.rows.get_mut(&uid) else { continue };
            let is_past = row.gate.is_some_and(|gate| {
                gate.unanswered == 0 && gate.pods <= self.pods_seen && gate.revisions <= self.revisions_seen
            });
            if is_past {
                row.gate = None;
                self.changed.insert(row.set.key.clone());
            } else if row.gate.is_some() {
                self.gated.insert(uid);
            }
        }
    }
}

fn take_from_cell(row: &mut Row, node: &NodeName, name: &Arc<str>) {
    let Some(cell) = row.cells.get_mut(node) else { return };
    let Some(at) = cell.pods.iter().position(|pod| pod.name == *name) else { return };
    let gone = cell.pods.remove(at);
    row.dirty.insert(node.clone());
    row.forget_hash(gone.hash.as_ref());
}
