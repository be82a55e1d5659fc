//! Runs Jobs: makes their pods, counts how they end, and says when the Job is over.
//!
//! One round per Job at a time; the next begins when all pods that it made have been seen, so none is made twice.
//!
//! Not here: the decision (`everynode_core::lifecycle::job`); CronJobs, which nothing runs.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_core::lifecycle::job::{self, Plan, Tally};
use everynode_core::model::{Key, Millis, Pod, Uid};
use serde_json::{Value, json};

use self::wire::Job;
use crate::api::{Api, Failure, Patch, collection};
use crate::cache::{Delta, Feed};
use crate::chain::Chain;
use crate::events::{About, Kind, Note, Recorder};
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock, meta, pods};

/// How long to wait after a round that failed.
const AGAIN: Duration = Duration::from_secs(1);

enum Message {
    Job(Delta<Job>),
    Pod(Delta<Pod>),
    /// A round has ended: the pods it made.
    Done(Key, Vec<Uid>, Result<(), Failure>),
    /// It is time to look at this Job.
    Look(Key),
    /// The wait after a failed round is over.
    Again(Key),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("job-controller");
    let jobs = context.feeds.open("jobs", "/apis/batch/v1/jobs", wire::project);
    let pods = context.feeds.pods();
    pods.synced().await;
    let mut shell = Shell {
        recorder: Recorder::start(api.clone(), "job-controller"),
        api,
        inbox: Inbox::new(),
        jobs: jobs.clone(),
        pods: BTreeMap::new(),
        tallies: BTreeMap::new(),
        unseen: BTreeMap::new(),
        busy: BTreeSet::new(),
        dirty: BTreeSet::new(),
    };
    shell.inbox.follow(&pods, Message::Pod);
    shell.inbox.follow(&jobs, Message::Job);
    loop {
        let mut next = shell.inbox.next(None).await;
        while let Some(message) = next {
            shell.take(message);
            next = shell.inbox.try_next();
        }
        for key in std::mem::take(&mut shell.dirty) {
            shell.round(key, clock::now());
        }
    }
}

struct Shell {
    api: Api,
    recorder: Recorder,
    inbox: Inbox<Message>,
    jobs: Feed<Job>,
    /// Pods by the Job that owns them.
    pods: BTreeMap<Uid, BTreeMap<Uid, Arc<Pod>>>,
    tallies: BTreeMap<Uid, Tally>,
    /// Pods that were made and not yet seen.
    unseen: BTreeMap<Key, BTreeSet<Uid>>,
    busy: BTreeSet<Key>,
    dirty: BTreeSet<Key>,
}

impl Shell {
    fn take(&mut self, message: Message) {
        match message {
            Message::Job(Delta::Put { new, .. }) => {
                self.dirty.insert(new.meta.key.clone());
            }
            Message::Job(Delta::Gone(job)) => {
                self.tallies.remove(&job.meta.uid);
                self.unseen.remove(&job.meta.key);
            }
            Message::Pod(Delta::Put { new, .. }) => {
                let Some((key, owner)) = job_of(&new) else { return };
                self.see(&key, &new.uid);
                self.pods.entry(owner).or_default().insert(new.uid.clone(), new);
                self.dirty.insert(key);
            }
            Message::Pod(Delta::Gone(pod)) => {
                let Some((key, owner)) = job_of(&pod) else { return };
                self.see(&key, &pod.uid);
                if let Some(pods) = self.pods.get_mut(&owner) {
                    pods.remove(&pod.uid);
                    if pods.is_empty() {
                        self.pods.remove(&owner);
                    }
                }
                self.dirty.insert(key);
            }
            Message::Done(key, made, result) => {
                let owner = self.jobs.get(&key).map(|job| job.meta.uid.clone());
                let known = owner.and_then(|owner| self.pods.get(&owner));
                let unseen: BTreeSet<Uid> =
                    made.into_iter().filter(|uid| known.is_none_or(|pods| !pods.contains_key(uid))).collect();
                if !unseen.is_empty() {
                    self.unseen.insert(key.clone(), unseen);
                }
                match result {
                    Err(failure) if !failure.is_conflict() && !failure.is_namespace_terminating() => {
                        tracing::debug!(job = %key, error = %Chain(&failure), "a round of a job failed; trying again");
                        self.inbox.act(async move {
                            tokio::time::sleep(AGAIN).await;
                            Message::Again(key)
                        });
                    }
                    _ => {
                        self.busy.remove(&key);
                        self.dirty.insert(key);
                    }
                }
            }
            Message::Look(key) => {
                self.dirty.insert(key);
            }
            Message::Again(key) => {
                self.busy.remove(&key);
                self.dirty.insert(key);
            }
            Message::Job(Delta::Synced) | Message::Pod(Delta::Synced) => {}
        }
    }

    fn see(&mut self, key: &Key, uid: &Uid) {
        if let Some(unseen) = self.unseen.get_mut(key) {
            unseen.remove(uid);
            if unseen.is_empty() {
                self.unseen.remove(key);
            }
        }
    }

    fn look_at(&mut self, key: Key, at: Millis, now: Millis) {
        let delay = Duration::from_millis(u64::try_from(at.since(now).0).unwrap_or(0));
        self.inbox.act(async move {
            tokio::time::sleep(delay).await;
            Message::Look(key)
        });
    }

    fn round(&mut self, key: Key, now: Millis) {
        let Some(job) = self.jobs.get(&key) else { return };
        if self.busy.contains(&key)
            || self.unseen.contains_key(&key)
            || job.meta.deletion.is_some()
            || job.foreign
            || job.indexed
        {
            return;
        }
        if job.finished {
            self.expire(&job, now);
            return;
        }
        let own: Vec<Arc<Pod>> =
            self.pods.get(&job.meta.uid).into_iter().flat_map(|pods| pods.values().cloned()).collect();
        let tally = self.tallies.entry(job.meta.uid.clone()).or_insert_with(|| wire::tally(&job, &own));
        let seen: Vec<&Pod> = own.iter().map(|pod| &**pod).collect();
        tally.count(&seen, now);
        let plan = job::plan(&job.decision, tally, &seen, now);
        let status = wire::status(&job, tally, &plan, now);
        if let Some(at) = plan.wake_at {
            self.look_at(key.clone(), at, now);
        }
        if status.is_none() && plan.create == 0 && plan.delete.is_empty() {
            return;
        }
        self.busy.insert(key.clone());
        let (api, recorder) = (self.api.clone(), self.recorder.clone());
        self.inbox.act(async move {
            let mut made = Vec::new();
            let result = carry_out(&api, &recorder, &job, &own, &plan, status, &mut made).await;
            Message::Done(key, made, result)
        });
    }

    /// A501.
    fn expire(&mut self, job: &Arc<Job>, now: Millis) {
        let Some(at) = job.expires else { return };
        if at > now {
            self.look_at(job.meta.key.clone(), at, now);
            return;
        }
        let (api, job) = (self.api.clone(), Arc::clone(job));
        self.busy.insert(job.meta.key.clone());
        self.inbox.act(async move {
            let options = json!({
                "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground",
                "preconditions": {"uid": job.meta.uid.as_str()},
            });
            let result = match api.delete(&path(&job), &options).await {
                Err(failure) if !failure.is_not_found() => Err(failure),
                _ => Ok(()),
            };
            Message::Done(job.meta.key.clone(), Vec::new(), result)
        });
    }
}

fn job_of(pod: &Pod) -> Option<(Key, Uid)> {
    let owner = pod.owner.as_ref().filter(|owner| &*owner.kind == "Job")?;
    Some((Key { namespace: pod.key.namespace.clone(), name: owner.name.clone() }, owner.uid.clone()))
}

fn path(job: &Job) -> String {
    format!("{}/{}", collection("batch", "v1", &job.meta.key.namespace, "jobs"), job.meta.key.name)
}

/// The status first: a Job that is over must never make another pod, not even after a crash in between.
async fn carry_out(
    api: &Api,
    recorder: &Recorder,
    job: &Job,
    own: &[Arc<Pod>],
    plan: &Plan,
    status: Option<Value>,
    made: &mut Vec<Uid>,
) -> Result<(), Failure> {
    if let Some(status) = status {
        let patch = json!({"metadata": {"uid": job.meta.uid.as_str(), "resourceVersion": job.meta.version.0.to_string()}, "status": status});
        api.patch(&format!("{}/status", path(job)), Patch::Merge, &patch).await?;
        match plan.end {
            Some(job::End::Complete) => {
                recorder.note(note(job, Kind::Normal, "Completed", "Job completed".to_owned()));
            }
            Some(end) => recorder.note(note(job, Kind::Warning, end.reason(), end.message().to_owned())),
            None => {}
        }
    }
    for pod in own.iter().filter(|pod| plan.delete.contains(&pod.uid)) {
        pods::delete(api, pod, None).await?;
        recorder.note(note(job, Kind::Normal, "SuccessfulDelete", format!("Deleted pod: {}", pod.key.name)));
    }
    let object = wire::pod(job);
    for _ in 0..plan.create {
        match api.create(&collection("", "v1", &job.meta.key.namespace, "pods"), &object).await {
            Ok(body) => {
                if let Ok(meta) = meta::project(&body) {
                    recorder.note(note(
                        job,
                        Kind::Normal,
                        "SuccessfulCreate",
                        format!("Created pod: {}", meta.key.name),
                    ));
                    made.push(meta.uid);
                }
            }
            Err(failure) => {
                if !failure.is_namespace_terminating() {
                    recorder.note(note(job, Kind::Warning, "FailedCreate", format!("Error creating: {failure}")));
                }
                return Err(failure);
            }
        }
    }
    Ok(())
}

fn note(job: &Job, kind: Kind, reason: &'static str, message: String) -> Note {
    Note { about: About::of("batch/v1", "Job", &job.meta), kind, reason, message }
}
