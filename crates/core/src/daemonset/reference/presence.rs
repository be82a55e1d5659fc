//! A pod where one is to be, and none where none may be (R57–R65).

use std::collections::BTreeSet;

use super::Work;
use crate::daemonset::backoff::Backoff;
use crate::daemonset::budget;
use crate::daemonset::plan::{CreateWhy, DeleteWhy};
use crate::model::{NodeName, Phase, Pod, Uid};

impl<'a> Work<'a> {
    /// R57–R65
    pub(super) fn manage(&mut self) {
        let entries = self.entries();
        let mut names: BTreeSet<NodeName> = self.snapshot.nodes.keys().cloned().collect();
        names.extend(entries.keys().cloned());
        for name in names {
            let pods = entries.get(&name).cloned().unwrap_or_default();
            let (run, keep) = self.judge(&name);
            if !self.snapshot.nodes.contains_key(&name) {
                for pod in pods.into_iter().filter(|pod| self.stays(pod) && pod.node.is_none()).collect::<Vec<_>>() {
                    self.delete(&name, pod, DeleteWhy::NoSuchNode);
                }
            } else if run && pods.is_empty() {
                if !self.is_coming(&name) && !self.is_barred(&name) {
                    self.create(&name, CreateWhy::Missing);
                }
            } else if keep {
                self.keep_one(&name, run, &pods);
            } else {
                for pod in pods.into_iter().filter(|pod| self.stays(pod)).collect::<Vec<_>>() {
                    self.delete(&name, pod, DeleteWhy::Forbidden);
                }
            }
        }
    }

    /// R58–R64
    fn keep_one(&mut self, name: &NodeName, run: bool, pods: &[&'a Pod]) {
        let set = self.snapshot.set;
        let surges = budget::surges(&set.strategy);
        let staying: Vec<&Pod> = pods.iter().copied().filter(|pod| self.stays(pod)).collect();
        let ended = self.ended(pods);
        let running: Vec<&Pod> = staying.iter().copied().filter(|pod| !pod.is_terminal()).collect();
        let record = self.record(name, pods);
        let waits = Backoff::until(record.as_ref(), set.status.observed_generation, self.snapshot.now).is_some();
        // What may still run has to go first; with surge it need only be seen going.
        let is_harmless = |pod: &&Pod| pod.is_terminal() || self.stays(pod) || (surges && pod.is_terminating());
        let is_blocked = !pods.iter().all(is_harmless);
        let replaces = if ended.is_some() { !waits } else { surges };
        let is_left = |pod: &&Pod| pod.is_terminal() && self.is_superseded(pod, pods);
        for pod in staying.iter().copied().filter(is_left).collect::<Vec<_>>() {
            self.delete(name, pod, DeleteWhy::Duplicate);
        }
        if replaces && run && running.is_empty() && !is_blocked && !self.is_coming(name) && !self.is_barred(name) {
            self.create(name, CreateWhy::Missing);
        }
        if let Some(pod) = ended.filter(|_| !waits) {
            let is_failed = pod.phase == Phase::Failed;
            self.delete(name, pod, if is_failed { DeleteWhy::Failed } else { DeleteWhy::Succeeded });
        }
        if surges {
            let new = running.iter().copied().find(|pod| self.updated(pod));
            let old = running.iter().copied().find(|pod| !self.updated(pod));
            let kept: Vec<&Uid> = new.iter().chain(old.iter()).map(|pod| &pod.uid).collect();
            for pod in running.iter().filter(|pod| !kept.contains(&&pod.uid)) {
                self.delete(name, pod, DeleteWhy::Duplicate);
            }
            match (new, old) {
                (Some(new), Some(old)) if !run && new.node.is_none() && old.node.is_some() => {
                    self.delete(name, new, DeleteWhy::Duplicate);
                }
                (Some(_), Some(old)) if !old.ready.is => self.delete(name, old, DeleteWhy::OutdatedBroken),
                (Some(new), Some(old)) if self.available(new) => self.delete(name, old, DeleteWhy::Replaced),
                _ => {}
            }
        } else {
            let kept = running.iter().find(|pod| self.available(pod)).or(running.first()).map(|pod| &pod.uid);
            for pod in running.iter().filter(|pod| Some(&pod.uid) != kept) {
                self.delete(name, pod, DeleteWhy::Duplicate);
            }
        }
    }
}
