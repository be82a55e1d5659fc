//! What is seen: nodes and sets, one change at a time, and how far the views of the others have come. Pods are in `homes`,
//! revisions in `revisions`.

use std::sync::Arc;

use super::Engine;
use super::nodes::{NodeId, Seated};
use super::row::Row;
use super::rows::RowId;
use crate::daemonset::cell::{Cell, Fit, FlightState};
use crate::daemonset::eligibility::Rules;
use crate::daemonset::policy::Policy;
use crate::model::{Key, Node, NodeName, Set, Version};

impl Engine {
    /// A node is there, or has changed.
    pub fn node(&mut self, node: &Node) {
        let id = self.seat_of(&node.name);
        if !self.nodes.is_as_kept(id, node) {
            self.node_changed(id, Some(node));
        }
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &NodeName) {
        if let Some(id) = self.nodes.find(name) {
            self.node_changed(id, None);
        }
    }

    fn node_changed(&mut self, id: NodeId, node: Option<&Node>) {
        let before = self.nodes.turn(id);
        self.nodes.put(id, node);
        let after = self.nodes.turn(id);
        // All are judged before the first cell is looked at: in a large fleet each cell is far away in memory, and so they are
        // waited for together.
        let mut fits = std::mem::take(&mut self.fits);
        for (row_id, row) in self.rows.iter_mut() {
            self.work.judged += 1;
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                row.queues.rerank(before, after);
            }
            fits.push((row_id, Fit::of(&row.rules, node)));
        }
        for (row_id, fit) in fits.drain(..) {
            if let Some(row) = self.rows.get_mut(row_id)
                && row.put_fit(id, fit, &mut self.nodes)
            {
                self.changed.insert(row_id);
            }
        }
        self.fits = fits;
    }

    /// The number of a node's name, which needs a node or a cell from now on.
    pub(super) fn seat_of(&mut self, name: &NodeName) -> NodeId {
        let (id, seated) = self.nodes.seat_of(name);
        if seated == Seated::Anew {
            for (_, row) in self.rows.iter_mut() {
                row.queues.reseat(&self.nodes);
            }
        }
        id
    }

    /// A set is there, or has changed.
    pub fn set(&mut self, set: Set) {
        let before = self.rows.id(&set.key);
        let is_same = |id: &RowId| self.rows.get(*id).is_some_and(|row| row.set.uid == set.uid);
        if let Some(id) = before.filter(is_same) {
            self.set_changed(id, set);
            return;
        }
        if let Some(before) = before {
            self.drop_row(before);
        }
        self.set_added(set);
    }

    fn set_added(&mut self, set: Set) {
        let uid = set.uid.clone();
        let mut row = Row::new(set);
        self.judge_all(&mut row);
        let namespace = &row.set.key.namespace;
        let from = Key { namespace: Arc::clone(namespace), name: "".into() };
        let near = self.orphans.range(from..).take_while(|(key, _)| key.namespace == *namespace);
        let matching = near.filter(|(_, pod)| row.selects(&pod.labels) && !pod.is_terminating());
        row.orphans = matching.map(|(key, _)| key.clone()).collect();
        let id = self.rows.insert(row);
        self.changed.insert(id);
        for pod in self.waiting.take(&uid) {
            self.pod(pod);
        }
    }

    fn judge_all(&mut self, row: &mut Row) {
        let ids: Vec<NodeId> = self.nodes.ids().collect();
        for id in ids {
            let Some(node) = self.nodes.node(id) else { continue };
            self.work.judged += 1;
            let fit = Fit::of(&row.rules, Some(node));
            row.put_fit(id, fit, &mut self.nodes);
        }
    }

    fn set_changed(&mut self, id: RowId, set: Set) {
        let Some(mut row) = self.rows.take(id) else { return };
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
                self.judge_all(&mut row);
            }
        }
        let policy = Policy::of(&set, row.policy.hash.clone());
        // The API forbids another selector; if it changes all the same, it holds for pods as they change.
        row.set = set;
        row.set_policy(policy);
        self.rows.put_back(id, row);
        self.changed.insert(id);
    }

    /// A set is gone; its pods are the collector's.
    pub fn set_gone(&mut self, key: &Key) {
        if let Some(id) = self.rows.id(key) {
            self.drop_row(id);
        }
        self.gone.insert(key.clone());
    }

    fn drop_row(&mut self, id: RowId) {
        let Some(row) = self.rows.remove(id) else { return };
        self.forget_homes(id, &row);
        for (node, _) in row.cells.iter() {
            self.nodes.release(node);
        }
    }

    /// All changes of pods up to this version have been told.
    pub fn pods_seen(&mut self, version: Version) {
        self.pods_seen = self.pods_seen.max(version);
        while let Some((at, _, _)) = self.made.first()
            && *at <= self.pods_seen
        {
            let Some((at, id, node)) = self.made.pop_first() else { break };
            let Some(row) = self.rows.get_mut(id) else { continue };
            let is_made = |cell: &Cell| cell.flight().is_some_and(|flight| flight.state == FlightState::Made(at));
            // It was made and is gone again, or is known under this name already.
            if row.cells.get(node).is_some_and(is_made)
                && let Some(cell) = row.cells.touch(node)
            {
                cell.rare().flight = None;
                self.changed.insert(id);
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
        for id in std::mem::take(&mut self.gated) {
            let Some(row) = self.rows.get_mut(id) else { continue };
            let is_past = row.gate.is_some_and(|gate| {
                gate.unanswered == 0 && gate.pods <= self.pods_seen && gate.revisions <= self.revisions_seen
            });
            if is_past {
                row.gate = None;
                self.changed.insert(id);
            } else if row.gate.is_some() {
                self.gated.insert(id);
            }
        }
    }
}
