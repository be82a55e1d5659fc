//! Claims, and the history of a set (R74–R79, R83–R87, R94).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::row::Row;
use crate::daemonset::history::{self, Claim, Relabel};
use crate::daemonset::plan::{Ref, Step};
use crate::daemonset::policy::Policy;
use crate::model::{Key, Millis, Revision};

impl Engine {
    /// A revision is there, or has changed.
    pub fn revision(&mut self, revision: Arc<Revision>) {
        let key = revision.key.clone();
        let old = self.revisions.insert(key, Arc::clone(&revision));
        self.tell_owners(&revision);
        if let Some(old) = old {
            self.tell_owners(&old);
        }
    }

    /// A revision is gone.
    pub fn revision_gone(&mut self, key: &Key) {
        if let Some(old) = self.revisions.remove(key) {
            self.tell_owners(&old);
        }
    }

    fn tell_owners(&mut self, revision: &Revision) {
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| row.set.key.namespace == revision.key.namespace) {
            if history::claim(&row.set, revision) != Claim::Ignore {
                row.going_revisions.remove(&revision.uid);
                row.old_revisions = None;
                self.changed.insert(id);
            }
        }
    }

    /// All revisions in the set's namespace, with what they are to the set.
    fn claims(&self, row: &Row) -> Vec<(Claim, Arc<Revision>)> {
        let from = Key { namespace: Arc::clone(&row.set.key.namespace), name: "".into() };
        self.revisions
            .range(from..)
            .take_while(|(key, _)| key.namespace == row.set.key.namespace)
            .map(|(_, revision)| (history::claim(&row.set, revision), Arc::clone(revision)))
            .filter(|(claim, _)| *claim != Claim::Ignore)
            .collect()
    }

    /// R74, R79: what is to be adopted or released before anything else.
    pub(super) fn claim_steps(&self, row: &Row) -> Vec<Step> {
        let has_pods = !(row.doubted.is_empty() && row.orphans.is_empty() && row.strays.is_empty());
        if !has_pods && row.old_revisions.is_some() {
            // As it is at nearly every event.
            return Vec::new();
        }
        let doubted = row.doubted.iter().map(|(key, (pod, _))| (key, pod.clone()));
        let mut adopted: BTreeMap<&Key, Ref> = doubted.collect();
        for key in &row.orphans {
            if let Some(pod) = self.orphans.get(key) {
                adopted.insert(key, Ref { name: Arc::clone(&key.name), uid: pod.uid.clone() });
            }
        }
        let mut steps: Vec<Step> = adopted.into_values().map(Step::Adopt).collect();
        steps.extend(row.strays.values().cloned().map(Step::Release));
        if row.old_revisions.is_some() {
            return steps;
        }
        for (claim, revision) in self.claims(row) {
            let reference = history::reference(&revision);
            match claim {
                Claim::Adopt => steps.push(Step::AdoptRevision(reference)),
                Claim::Release => steps.push(Step::ReleaseRevision(reference)),
                Claim::Own | Claim::Ignore => {}
            }
        }
        steps
    }

    /// R83: what the history needs, or the revisions that are not the current one; then the policy knows the current hash.
    /// It is looked at again only when the set or one of its revisions has changed.
    pub(super) fn history_steps(&self, row: &mut Row, now: Millis) -> Result<Arc<[Arc<Revision>]>, Vec<Step>> {
        if let Some(old) = &row.old_revisions {
            return Ok(Arc::clone(old));
        }
        let owned = self.claims(row).into_iter().filter(|(claim, _)| *claim == Claim::Own).map(|(_, r)| r).collect();
        let built = history::build(&row.set, owned);
        let mut steps = built.steps;
        if let Some(Relabel { to, from }) = &built.relabel {
            let is_from = |hash: &Option<Arc<str>>| hash.as_ref().is_some_and(|hash| hash != to && from.contains(hash));
            let mut cells: Vec<_> = row.cells.iter().collect();
            cells.sort_by_key(|(id, _)| self.nodes.turn(*id).map(|(_, seat)| seat));
            for (_, cell) in cells {
                for pod in cell.pods.iter().filter(|pod| is_from(&pod.hash)) {
                    steps.push(Step::Relabel { pod: pod.reference(), hash: Arc::clone(to) });
                }
            }
            // The duplicates go once all pods are relabelled.
            if steps.is_empty() {
                steps = built.duplicates;
            }
        }
        let Some(hash) = built.hash.filter(|_| steps.is_empty()) else {
            return Err(steps);
        };
        if row.policy.hash.as_ref() != Some(&hash) {
            row.rollout =
                row.policy.hash.is_some().then(|| super::Rollout { hash: Arc::clone(&hash), since: now, replaced: 0 });
            row.set_policy(Policy::of(&row.set, Some(hash)));
        }
        let old: Arc<[Arc<Revision>]> = built.old.into();
        row.old_revisions = Some(Arc::clone(&old));
        Ok(old)
    }
}

/// R94: old revisions beyond the limit that no pod carries.
pub(super) fn cleanup_steps(row: &Row, old: &[Arc<Revision>]) -> Vec<Step> {
    history::surplus(&row.set, old, |hash| row.hashes.contains_key(hash))
        .into_iter()
        .filter(|revision| !row.going_revisions.contains(&revision.uid))
        .map(|revision| Step::DeleteRevision(history::reference(&revision)))
        .collect()
}
