//! Claims and revisions: adopt, release, record, renumber, relabel (R75, R76, R79, R83–R86).

use everynode_api::codec;
use everynode_api::daemonset::{new_revision, owner_reference};
use everynode_api::project;
use everynode_core::daemonset::Step;
use everynode_core::daemonset::history::missing_label;
use everynode_core::daemonset::plan::{Outcome, Ref};
use everynode_core::model::HASH_LABEL;
use http::Method;
use serde_json::{Value, json};

use super::execute::{Executor, for_uid, outcome_of, pod_path, version_of};
use super::{Report, SetItem};
use crate::api::{Failure, Patch, collection};
use crate::cache::Chain;

impl Executor {
    pub(super) async fn claims_and_revisions(&self, item: &SetItem, steps: Vec<Step>, report: &mut Report) {
        // R75: once per round, and only if something is to be adopted.
        let adopts = |step: &Step| matches!(step, Step::Adopt(_) | Step::AdoptRevision(_));
        let may_adopt = if steps.iter().any(adopts) { self.still_there(item).await } else { true };
        let mut is_well = true;
        for step in steps {
            let outcome = if !is_well || (adopts(&step) && !may_adopt) {
                Outcome::NotTried
            } else {
                self.do_one(item, &step).await
            };
            is_well &= matches!(outcome, Outcome::Done { .. } | Outcome::Gone);
            report.outcomes.push((step, outcome));
        }
        report.is_retried |= !is_well;
    }

    /// R75: the set is what the cache says, and is to stay.
    async fn still_there(&self, item: &SetItem) -> bool {
        match self.api.get(&set_path(item)).await.map(|body| serde_json::from_slice::<Value>(&body)) {
            Ok(Ok(live)) => {
                let meta = &live["metadata"];
                meta["uid"].as_str() == Some(item.set.uid.as_str()) && meta["deletionTimestamp"].is_null()
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    async fn do_one(&self, item: &SetItem, step: &Step) -> Outcome {
        let result = match step {
            Step::Adopt(pod) => self.adopt(item, &pod_path(&item.set.key, pod), pod).await,
            Step::AdoptRevision(revision) => self.adopt(item, &revision_path(item, revision), revision).await,
            Step::Release(pod) => self.release(item, &pod_path(&item.set.key, pod), pod).await,
            Step::ReleaseRevision(revision) => self.release(item, &revision_path(item, revision), revision).await,
            Step::Relabel { pod, hash } => {
                let patch = json!({"metadata": {"labels": {HASH_LABEL: &**hash}}});
                let path = pod_path(&item.set.key, pod);
                self.api.patch(&path, Patch::Merge, &for_uid(pod, patch)).await
            }
            Step::LabelRevision(revision) => {
                let patch = json!({"metadata": {"labels": {HASH_LABEL: missing_label(&revision.name)}}});
                self.api.patch(&revision_path(item, revision), Patch::Merge, &for_uid(revision, patch)).await
            }
            Step::RenumberRevision { revision, version, number } => {
                let patch = json!({"metadata": {"resourceVersion": version.0.to_string()}, "revision": number});
                self.api.patch(&revision_path(item, revision), Patch::Merge, &for_uid(revision, patch)).await
            }
            Step::DeleteRevision(revision) => {
                let options = json!({
                    "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": revision.uid.as_str()},
                });
                self.api.delete(&revision_path(item, revision), &options).await
            }
            Step::CreateRevision { hash, number } => return self.create_revision(item, hash, *number).await,
            Step::Create { .. } | Step::Delete { .. } => return Outcome::NotTried,
        };
        match result {
            Ok(body) => Outcome::Done { version: version_of(&body) },
            Err(failure) => {
                let outcome = outcome_of(&failure);
                if outcome != Outcome::Gone {
                    tracing::info!(set = %item.set.key, ?step, error = %Chain(&failure), "a step failed; trying again");
                }
                outcome
            }
        }
    }

    async fn adopt(&self, item: &SetItem, path: &str, what: &Ref) -> Result<bytes::Bytes, Failure> {
        let patch = json!({"metadata": {"ownerReferences": [owner_reference(&item.object)]}});
        self.api.patch(path, Patch::Strategic, &for_uid(what, patch)).await
    }

    /// R76: gone, or no longer ours to change, is as good as released.
    async fn release(&self, item: &SetItem, path: &str, what: &Ref) -> Result<bytes::Bytes, Failure> {
        let reference = json!({"$patch": "delete", "uid": item.set.uid.as_str()});
        let patch = json!({"metadata": {"ownerReferences": [reference]}});
        match self.api.patch(path, Patch::Strategic, &for_uid(what, patch)).await {
            Err(failure) if failure.is_invalid() => Ok(bytes::Bytes::new()),
            result => result,
        }
    }

    /// R85, R86
    async fn create_revision(&self, item: &SetItem, hash: &str, number: i64) -> Outcome {
        let revision = new_revision(&item.object, hash, number);
        let path = collection("apps", "v1", &item.set.key.namespace, "controllerrevisions");
        // Servers keep the data as it is sent, and it is compared byte by byte: so it is sent as Go would write it (R81).
        match self.api.send(Method::POST, &path, "application/json", codec::json::encode_any(&revision)).await {
            Ok(body) => Outcome::Done { version: version_of(&body) },
            Err(failure) if failure.is_already_exists() => {
                let name = revision["metadata"]["name"].as_str().unwrap_or_default();
                self.taken_revision(item, &format!("{path}/{name}")).await
            }
            Err(failure) if failure.is_namespace_terminating() => Outcome::NamespaceGoing,
            Err(failure) => {
                tracing::info!(set = %item.set.key, error = %Chain(&failure), "cannot record a revision; trying again");
                outcome_of(&failure)
            }
        }
    }

    /// The name is taken: an answer was lost, or two templates have one hash.
    async fn taken_revision(&self, item: &SetItem, path: &str) -> Outcome {
        let Ok(body) = self.api.get(path).await else { return Outcome::Unknown };
        let Ok(there) = project::revision(&body) else { return Outcome::Refused };
        if there.data == item.set.template.data {
            return Outcome::Done { version: there.version };
        }
        let Ok(Ok(mut live)) = self.api.get(&set_path(item)).await.map(|body| serde_json::from_slice::<Value>(&body))
        else {
            return Outcome::Refused;
        };
        let count = live["status"]["collisionCount"].as_i64();
        if count != item.set.collision_count.map(i64::from) {
            tracing::debug!(set = %item.set.key, "found a stale collision count; trying again when it is seen");
            return Outcome::Refused;
        }
        live["status"]["collisionCount"] = json!(count.unwrap_or(0) + 1);
        if let Err(failure) = self.api.replace(&format!("{}/status", set_path(item)), &live).await {
            tracing::info!(set = %item.set.key, error = %Chain(&failure), "cannot count a hash collision; trying again");
        }
        Outcome::Refused
    }
}

pub(super) fn set_path(item: &SetItem) -> String {
    format!("{}/{}", collection("apps", "v1", &item.set.key.namespace, "daemonsets"), item.set.key.name)
}

fn revision_path(item: &SetItem, revision: &Ref) -> String {
    format!("{}/{}", collection("apps", "v1", &item.set.key.namespace, "controllerrevisions"), revision.name)
}
