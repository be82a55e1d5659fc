//! The rolling update (R96–R105).

use std::collections::BTreeMap;

use super::Work;
use crate::daemonset::budget;
use crate::daemonset::plan::{CreateWhy, DeleteWhy};
use crate::model::{NodeName, Pod, Strategy, Tri};

impl<'a> Work<'a> {
    /// R96–R105, as things will be once the presence steps are taken.
    pub(super) fn roll(&mut self) {
        let set = self.snapshot.set;
        if matches!(set.strategy, Strategy::OnDelete) {
            return;
        }
        let desired = self.snapshot.nodes.values().filter(|node| self.rules.judge(node).runs()).count();
        let desired = i32::try_from(desired).unwrap_or(i32::MAX);
        match budget::of(&set.strategy, desired) {
            Err(problem) => self.plan.problem = Some(problem),
            Ok(budget) if budget::surges(&set.strategy) => self.roll_with_surge(budget.surge, desired),
            Ok(budget) => self.roll_within(budget.unavailable),
        }
    }

    /// R97: every node with an entry, and every node that should have one.
    fn participants(&self) -> BTreeMap<NodeName, Vec<&'a Pod>> {
        let mut entries = self.entries();
        for (name, node) in self.snapshot.nodes {
            if self.rules.judge(node).runs() {
                entries.entry(name.clone()).or_default();
            }
        }
        entries
    }

    /// R101: (new, old), or nothing where it is messy.
    fn classify(&self, pods: &[&'a Pod]) -> Option<(Option<&'a Pod>, Option<&'a Pod>)> {
        let staying = || pods.iter().copied().filter(|pod| self.stays(pod));
        let new: Vec<&Pod> = staying().filter(|pod| self.updated(pod)).collect();
        let old: Vec<&Pod> = staying().filter(|pod| !self.updated(pod)).collect();
        (new.len() <= 1 && old.len() <= 1).then(|| (new.first().copied(), old.first().copied()))
    }

    /// The node may keep its pod, but nobody there may hear of anything.
    fn is_lost(&self, node: &NodeName) -> bool {
        let is_ready = self.snapshot.nodes.get(node).is_some_and(|node| node.ready() == Tri::True);
        self.judge(node) == (false, true) && !is_ready
    }

    /// R102
    fn roll_within(&mut self, max_unavailable: i32) {
        let (mut unavailable, mut unready) = (0, 0);
        let (mut broken, mut young, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
        for (name, pods) in self.participants() {
            let is_lost = self.is_lost(&name);
            match self.classify(&pods) {
                Some((None, None)) if is_lost => {}
                Some((None, Some(old))) if is_lost && old.ready.is => {}
                Some((None, Some(old))) if is_lost => broken.push((name, old)),
                Some((Some(new), None)) if self.available(new) => {}
                // It can not get there, and was not made for this.
                Some((Some(new), None)) if new.node.is_none() && self.judge(&name) == (false, true) => {}
                Some((Some(new), None)) if new.ready.is => unavailable += 1,
                Some((None, Some(old))) if self.available(old) => candidates.push((name, old)),
                Some((None, Some(old))) if old.ready.is => {
                    unavailable += 1;
                    young.push((name, old));
                }
                other => {
                    unavailable += 1;
                    unready += 1;
                    if let Some((None, Some(old))) = other {
                        broken.push((name, old));
                    }
                }
            }
        }
        for (name, pod) in broken {
            self.delete(&name, pod, DeleteWhy::OutdatedBroken);
        }
        for (chosen, lacking) in [(young, unready), (candidates, unavailable)] {
            let allowed = usize::try_from(max_unavailable - lacking).unwrap_or(0);
            for (name, pod) in chosen.into_iter().take(allowed) {
                self.delete(&name, pod, DeleteWhy::Outdated);
            }
        }
    }

    /// A second pod is there and the new one is not available, or one may come beside what is there. What was asked to go is
    /// there until it is seen going.
    fn holds_two(&self, name: &NodeName, pods: &[&Pod], is_replaced: bool) -> bool {
        let there = pods.iter().filter(|pod| !pod.is_terminating() && !pod.is_terminal()).count();
        let may_come = self.memory.creates.contains_key(name) && !self.memory.stale.contains(name);
        if may_come { there > 0 } else { there > 1 && !is_replaced }
    }

    /// R104, R105; what needs no budget is taken first, and counts.
    fn roll_with_surge(&mut self, max_surge: i32, desired: i32) {
        let (mut surge, mut serving) = (0, 0);
        let (mut creates, mut again, mut sunsets) = (Vec::new(), Vec::new(), Vec::new());
        for (name, pods) in self.participants() {
            if !self.snapshot.nodes.contains_key(&name) {
                continue;
            }
            let Some((new, old)) = self.classify(&pods) else {
                surge += 1;
                continue;
            };
            // Where the new pod is available the old one goes just now, and the new one counts.
            let serves = |pod: &Pod| self.available(pod);
            serving += i32::from(new.filter(|new| serves(new)).is_some() || old.or(new).is_some_and(serves));
            let mut is_second = self.holds_two(&name, &pods, new.is_some_and(serves));
            let (run, _) = self.judge(&name);
            match (new, old) {
                (_, None) => {}
                (Some(new), Some(old)) if self.available(new) => self.delete(&name, old, DeleteWhy::Replaced),
                (Some(_), Some(_)) => is_second = true,
                (None, Some(old)) if run && self.may_have_come(&name) => {
                    is_second = true;
                    let is_doubtful = !self.is_coming(&name) && !self.is_barred(&name) && !self.is_leaving(&pods);
                    if is_doubtful && old.ready.is {
                        again.push(name);
                    } else if is_doubtful {
                        self.create(&name, CreateWhy::Rescue);
                    }
                }
                (None, Some(_)) if run && self.is_leaving(&pods) => is_second = true,
                (None, Some(old)) if run && (self.is_barred(&name) || old.is_terminal()) => {}
                (None, Some(old)) if run && !old.ready.is => {
                    self.create(&name, CreateWhy::Rescue);
                    is_second = true;
                }
                (None, Some(_)) if run => creates.push(name),
                (None, Some(old)) if !old.ready.is => self.delete(&name, old, DeleteWhy::OutdatedBroken),
                (None, Some(_)) if self.is_lost(&name) => {}
                (None, Some(old)) => sunsets.push((name, old)),
            }
            surge += i32::from(is_second);
        }
        let allowed = usize::try_from(max_surge - surge).unwrap_or(0);
        again.truncate(if surge > max_surge { 0 } else { usize::MAX });
        for name in again.into_iter().chain(creates.into_iter().take(allowed)) {
            self.create(&name, CreateWhy::Surge);
        }
        let allowed = usize::try_from(serving - desired).unwrap_or(0);
        for (name, pod) in sunsets.into_iter().take(allowed) {
            self.delete(&name, pod, DeleteWhy::Sunset);
        }
    }
}
