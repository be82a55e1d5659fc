//! Claims and revisions: adopt, release, record, renumber, relabel (R75, R76, R79, R83–R86).

use everynode_api::daemonset::wire;
use everynode_core::daemonset::Step;
use everynode_core::daemonset::plan::Outcome;

use super::SetItem;
use super::execute::{Executor, outcome_of};
use crate::chain::Chain;

impl Executor {
    /// R75: the set is what the cache says, and is to stay.
    pub(super) async fn still_there(&self, item: &SetItem) -> bool {
        let live = self.api.get(&wire::set_path(&item.set)).await;
        live.is_ok_and(|live| wire::may_adopt(&item.set, &live))
    }

    /// Everything but pods that are made and taken away.
    pub(super) async fn claim_or_record(&self, item: &SetItem, step: &Step) -> Outcome {
        let Some(request) = wire::request(&item.set, &item.object, step) else { return Outcome::NotTried };
        let path = request.path.clone();
        match (self.ask(request).await, step) {
            (Ok(body), _) => Outcome::Done { version: wire::version_of(&body) },
            // R76: gone, or no longer ours to change, is as good as released.
            (Err(failure), Step::Release(_) | Step::ReleaseRevision(_)) if failure.is_invalid() => {
                Outcome::Done { version: wire::version_of(&[]) }
            }
            (Err(failure), Step::CreateRevision { hash, .. }) if failure.is_already_exists() => {
                self.taken_revision(item, &format!("{path}/{}-{hash}", item.set.key.name)).await
            }
            (Err(failure), Step::CreateRevision { .. }) if failure.is_namespace_terminating() => {
                Outcome::NamespaceGoing
            }
            (Err(failure), _) => {
                let outcome = outcome_of(&failure);
                if outcome != Outcome::Gone {
                    tracing::info!(set = %item.set.key, ?step, error = %Chain(&failure), "a step failed; trying again");
                }
                outcome
            }
        }
    }

    /// R86: the name is taken: an answer was lost, or two templates have one hash.
    async fn taken_revision(&self, item: &SetItem, path: &str) -> Outcome {
        let Ok(there) = self.api.get(path).await else { return Outcome::Unknown };
        if let Some(outcome) = wire::whose_revision(&item.set, &there) {
            return outcome;
        }
        let Ok(live) = self.api.get(&wire::set_path(&item.set)).await else { return Outcome::Refused };
        let Some(count) = wire::count_collision(&item.set, &live) else {
            tracing::debug!(set = %item.set.key, "found a stale collision count; trying again when it is seen");
            return Outcome::Refused;
        };
        if let Err(failure) = self.ask(count).await {
            tracing::info!(set = %item.set.key, error = %Chain(&failure), "cannot count a hash collision; trying again");
        }
        Outcome::Refused
    }
}
