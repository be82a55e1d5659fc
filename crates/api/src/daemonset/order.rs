//! The order in which the steps of a plan are sent, and whether the plan is to be tried again (R67–R70, R75): claims and revisions
//! one after another until one fails; then creates of pods, 1, 2, 4 … at once, until one fails; then deletions, all at once.
//!
//! Not here: what is asked for a step, and sending ([`super::errand`]).

use std::vec::IntoIter;

use everynode_core::daemonset::Step;
use everynode_core::daemonset::plan::Outcome;

/// The steps of a plan on their way: take a batch, send it, tell what became of it, until there is none.
#[derive(Debug)]
pub(super) struct Order {
    claims: IntoIter<Step>,
    creates: IntoIter<Step>,
    deletes: Vec<Step>,
    /// R68: how many creates go at once.
    size: usize,
    may_adopt: bool,
    outcomes: Vec<(Step, Outcome)>,
    is_retried: bool,
}

/// R75: these are only done while the set is still there.
fn adopts(step: &Step) -> bool {
    matches!(step, Step::Adopt(_) | Step::AdoptRevision(_))
}

impl Order {
    /// Nothing is sent yet.
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let outcomes = Vec::with_capacity(steps.len());
        let (mut claims, mut creates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Create { .. } => creates.push(step),
                Step::Delete { .. } => deletes.push(step),
                _ => claims.push(step),
            }
        }
        let (claims, creates) = (claims.into_iter(), creates.into_iter());
        Self { claims, creates, deletes, size: 1, may_adopt: true, outcomes, is_retried: false }
    }

    /// Something is to be adopted: it has to be seen first that the set is to stay (R75).
    pub(super) fn adopts(&self) -> bool {
        self.claims.as_slice().iter().any(adopts)
    }

    /// The set is not what it was, or goes away.
    pub(super) fn adopt_nothing(&mut self) {
        self.may_adopt = false;
    }

    /// There are pods to be made.
    pub(super) fn creates(&self) -> bool {
        !self.creates.as_slice().is_empty()
    }

    /// No pods can be made from this set.
    pub(super) fn create_nothing(&mut self) {
        self.is_retried |= self.creates();
        self.outcomes.extend(self.creates.by_ref().map(|step| (step, Outcome::Refused)));
    }

    /// What is sent at once, as soon as all before it is answered; nothing when all is done.
    pub(super) fn batch(&mut self) -> Vec<Step> {
        if let Some(step) = self.claims.next() {
            if self.may_adopt || !adopts(&step) {
                return vec![step];
            }
            self.is_retried = true;
            let untried = std::iter::once(step).chain(self.claims.by_ref());
            self.outcomes.extend(untried.map(|step| (step, Outcome::NotTried)));
        }
        let creates: Vec<Step> = self.creates.by_ref().take(self.size).collect();
        if creates.is_empty() {
            return std::mem::take(&mut self.deletes);
        }
        self.size *= 2;
        creates
    }

    /// What became of a batch, step by step. Where one has failed, the rest of its kind waits for the next plan.
    pub(super) fn told(&mut self, batch: Vec<Step>, outcomes: Vec<Outcome>) {
        let mut cut_short = [false, false];
        for (step, outcome) in batch.into_iter().zip(outcomes) {
            let is_create = matches!(step, Step::Create { .. });
            let is_done = matches!(outcome, Outcome::Done { .. }) || (outcome == Outcome::Gone && !is_create);
            if !is_done {
                // R69: a namespace on its way out is nobody's error.
                self.is_retried |= !(is_create && outcome == Outcome::NamespaceGoing);
                cut_short[usize::from(is_create)] |= !matches!(step, Step::Delete { .. });
            }
            self.outcomes.push((step, outcome));
        }
        for (rest, _) in [&mut self.claims, &mut self.creates].into_iter().zip(cut_short).filter(|(_, is_cut)| *is_cut)
        {
            self.outcomes.extend(rest.map(|step| (step, Outcome::NotTried)));
        }
    }

    /// What became of each step, and whether something did not work that may work later.
    pub(super) fn end(self) -> (Vec<(Step, Outcome)>, bool) {
        (self.outcomes, self.is_retried)
    }
}

#[cfg(test)]
mod tests {
    use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Ref, TemplateId};
    use everynode_core::model::Version;

    use super::*;

    const DONE: Outcome = Outcome::Done { version: Version(1) };

    fn pod() -> Ref {
        Ref { name: "p".into(), uid: "u".into() }
    }

    fn create() -> Step {
        let (node, name, template) = ("n".into(), "p".into(), TemplateId(0));
        Step::Create { node, name, template, why: CreateWhy::Missing, failures: 0 }
    }

    fn delete() -> Step {
        Step::Delete { pod: pod(), node: "n".into(), version: None, why: DeleteWhy::Failed }
    }

    /// The sizes of the batches and how often each outcome was noted, when the step at a place of the order ends so.
    fn play(steps: Vec<Step>, may_adopt: bool, fails: Option<(usize, Outcome)>) -> (Vec<usize>, Vec<Outcome>, bool) {
        let mut order = Order::new(steps);
        if order.adopts() && !may_adopt {
            order.adopt_nothing();
        }
        let (mut sizes, mut sent) = (Vec::new(), 0);
        loop {
            let batch = order.batch();
            if batch.is_empty() {
                let (outcomes, is_retried) = order.end();
                return (sizes, outcomes.into_iter().map(|(_, outcome)| outcome).collect(), is_retried);
            }
            sizes.push(batch.len());
            let outcome = |at: usize| fails.filter(|(place, _)| *place == at).map_or(DONE, |(_, outcome)| outcome);
            let outcomes = (sent..sent + batch.len()).map(outcome).collect();
            sent += batch.len();
            order.told(batch, outcomes);
        }
    }

    /// R67, R68: claims, creates, deletions, whatever the order of the plan.
    #[test]
    fn steps_go_in_their_order() {
        let mut steps = vec![delete(), create(), Step::Release(pod()), delete(), Step::Adopt(pod())];
        let mut order = Order::new(steps.clone());
        assert_eq!(order.batch(), [Step::Release(pod())]);
        assert_eq!(order.batch(), [Step::Adopt(pod())]);
        assert_eq!((order.creates(), order.batch()), (true, vec![create()]));
        assert_eq!((order.creates(), order.batch()), (false, vec![delete(), delete()]));
        assert_eq!(order.batch(), []);
        steps.extend(std::iter::repeat_n(create(), 8));
        assert_eq!(play(steps, true, None), (vec![1, 1, 1, 2, 4, 2, 2], vec![DONE; 13], false), "1, 2, 4, the rest");
    }

    /// R68–R70, R75: what fails stops its own kind; deletions stop for nobody.
    #[test]
    fn what_fails_cuts_its_kind_short() {
        let (refused, untried) = (Outcome::Refused, Outcome::NotTried);
        let claims = || vec![Step::Release(pod()), Step::Release(pod()), create()];
        assert_eq!(play(claims(), true, Some((0, refused))), (vec![1, 1], vec![refused, untried, DONE], true));
        let gone = Outcome::Gone;
        assert_eq!(play(claims(), true, Some((0, gone))), (vec![1, 1, 1], vec![gone, DONE, DONE], false));
        let adopt = vec![Step::Release(pod()), Step::Adopt(pod()), Step::Release(pod())];
        assert_eq!(play(adopt, false, None), (vec![1], vec![DONE, untried, untried], true));
        let creates = || vec![create(), create(), create(), create(), delete(), delete()];
        let cut = vec![DONE, refused, DONE, untried, DONE, DONE];
        assert_eq!(play(creates(), true, Some((1, refused))), (vec![1, 2, 2], cut, true));
        let going = Outcome::NamespaceGoing;
        let (_, outcomes, is_retried) = play(creates(), true, Some((0, going)));
        assert_eq!((outcomes[1], is_retried), (untried, false), "R69: it is not tried again for that");
        let (sizes, outcomes, is_retried) = play(creates(), true, Some((4, refused)));
        assert_eq!((sizes, outcomes[5], is_retried), (vec![1, 2, 1, 2], DONE, true));
    }

    #[test]
    fn a_set_that_makes_no_pods_still_deletes() {
        let mut order = Order::new(vec![create(), create(), delete()]);
        order.create_nothing();
        assert_eq!(order.batch(), [delete()]);
        assert_eq!(order.end(), (vec![(create(), Outcome::Refused), (create(), Outcome::Refused)], true));
    }
}
