//! The DaemonSet controller's shell: feeds the engine with what it sees, carries out what it decides.
//!
//! One loop owns the engine. Plans are carried out beside it, one at a time per set; the answers come back as messages. There
//! is no decision here: when to look again is the queue's and the plan's, what to do is the plan's.

mod execute;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everynode_api::daemonset::Report;
use everynode_api::project::{self, ProjectError};
use everynode_core::daemonset::{Engine, Plan, budget};
use everynode_core::explain::events::{self, Said};
use everynode_core::model::{Key, Millis, Node, Pod, Revision, Set, Strategy, Version};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::execute::Executor;
use crate::cache::{Cached, Delta, Feed, Told};
use crate::events::{About, Kind, Note, Recorder};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::{Context, ControllerError, clock};

/// A DaemonSet: what decisions read, and the object itself, from which pods and revisions are made.
pub(crate) struct SetItem {
    pub(crate) set: Set,
    pub(crate) object: Value,
}

impl Cached for SetItem {
    fn key(&self) -> Key {
        self.set.key.clone()
    }
    fn version(&self) -> Version {
        self.set.version
    }
}

fn set_item(bytes: &[u8]) -> Result<SetItem, ProjectError> {
    let object: Value =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "DaemonSet", source })?;
    Ok(SetItem { set: project::daemon_set(&object)?, object })
}

/// What the loop is told.
enum Message {
    Node(Delta<Node>),
    Set(Delta<SetItem>),
    Pod(Told<Pod>),
    Revision(Told<Revision>),
    Done(Key, Box<Report>),
}

/// Runs the controller.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("daemon-set-controller");
    let recorder = Recorder::start(api.clone(), "daemonset-controller");
    let (sender, mut messages) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let sets = context.feeds.open("daemonsets", "/apis/apps/v1/daemonsets", set_item);
    let revisions = context.feeds.open("controllerrevisions", "/apis/apps/v1/controllerrevisions", project::revision);
    follow(&mut tasks, &context.feeds.nodes(), &sender, |told| change(told).map(Message::Node));
    follow(&mut tasks, &sets, &sender, |told| change(told).map(Message::Set));
    follow(&mut tasks, &context.feeds.pods(), &sender, |told| Some(Message::Pod(told)));
    follow(&mut tasks, &revisions, &sender, |told| Some(Message::Revision(told)));
    let mut shell = Shell {
        engine: Engine::new(context.config.seed),
        objects: BTreeMap::new(),
        unsynced: 4,
        queue: Queue::new(context.config.metrics.queue("daemonset")),
        metrics: context.config.metrics.clone(),
        health: context.config.health.clone(),
        executor: Executor::new(api, recorder.clone()),
        recorder,
    };
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return Err(ControllerError::CacheEnded { what: "daemonsets" }) };
                shell.take(message);
                // All that is there already belongs to the same moment.
                while let Ok(message) = messages.try_recv() {
                    shell.take(message);
                }
                for key in shell.engine.take_changed() {
                    shell.queue.add(key);
                }
            }
            key = shell.queue.next(), if shell.unsynced == 0 => shell.decide(key, &mut tasks, &sender),
        }
        while tasks.try_join_next().is_some() {}
    }
}

fn change<T>(told: Told<T>) -> Option<Delta<T>> {
    match told {
        Told::Change(delta) => Some(delta),
        Told::UpTo(_) => None,
    }
}

fn follow<T: Cached>(
    tasks: &mut JoinSet<()>,
    feed: &Feed<T>,
    sender: &mpsc::UnboundedSender<Message>,
    wrap: fn(Told<T>) -> Option<Message>,
) {
    let mut subscription = feed.subscribe();
    let sender = sender.clone();
    tasks.spawn(async move {
        while let Some(told) = subscription.next_told().await {
            if let Some(message) = wrap(told)
                && sender.send(message).is_err()
            {
                return;
            }
        }
    });
}

struct Shell {
    engine: Engine,
    objects: BTreeMap<Key, Arc<SetItem>>,
    /// Caches whose first list is not in: nothing is decided before that (R33).
    unsynced: u8,
    queue: Queue<Key>,
    executor: Executor,
    recorder: Recorder,
    metrics: Metrics,
    health: Health,
}

impl Shell {
    fn take(&mut self, message: Message) {
        match message {
            Message::Node(Delta::Put { new, .. }) => self.engine.node(&new),
            Message::Node(Delta::Gone(node)) => self.engine.node_gone(&node.name),
            Message::Set(Delta::Put { new, .. }) => {
                self.objects.insert(new.set.key.clone(), Arc::clone(&new));
                self.engine.set(new.set.clone());
            }
            Message::Set(Delta::Gone(gone)) => {
                self.objects.remove(&gone.set.key);
                self.engine.set_gone(&gone.set.key);
                self.queue.forget(&gone.set.key);
                self.metrics.budget_left(&gone.set.key.namespace, &gone.set.key.name, None);
            }
            Message::Pod(Told::Change(Delta::Put { new, .. })) => self.engine.pod(new),
            Message::Pod(Told::Change(Delta::Gone(gone))) => self.engine.pod_gone(&gone.key),
            Message::Pod(Told::UpTo(version)) => self.engine.pods_seen(version),
            Message::Revision(Told::Change(Delta::Put { new, .. })) => self.engine.revision(new),
            Message::Revision(Told::Change(Delta::Gone(gone))) => self.engine.revision_gone(&gone.key),
            Message::Revision(Told::UpTo(version)) => self.engine.revisions_seen(version),
            Message::Node(Delta::Synced)
            | Message::Set(Delta::Synced)
            | Message::Pod(Told::Change(Delta::Synced))
            | Message::Revision(Told::Change(Delta::Synced)) => {
                self.unsynced = self.unsynced.saturating_sub(1);
                if self.unsynced == 0 {
                    self.health.synced();
                }
            }
            Message::Done(key, report) => self.settle(key, *report),
        }
    }

    fn settle(&mut self, key: Key, report: Report) {
        let now = clock::now();
        for (step, outcome) in &report.outcomes {
            self.metrics.stepped(step, *outcome);
            self.engine.settle(&key, step, *outcome, now);
        }
        if let Some((status, version)) = report.status {
            self.engine.settle_status(&key, status, version);
        }
        self.finish(key, report.is_retried);
    }

    /// Gives a key back to the queue.
    fn finish(&mut self, key: Key, is_retried: bool) {
        if is_retried {
            self.queue.retry(key.clone());
        } else {
            self.queue.forget(&key);
        }
        self.queue.done(&key);
    }

    fn decide(&mut self, key: Key, tasks: &mut JoinSet<()>, sender: &mpsc::UnboundedSender<Message>) {
        let now = clock::now();
        let began = Instant::now();
        let plan = self.engine.decide(&key, now);
        self.metrics.planned(began.elapsed());
        if let Some(at) = plan.wake_at {
            self.queue.add_at(key.clone(), instant(at, now));
        }
        if plan.more {
            self.queue.add(key.clone());
        }
        let Some(item) = self.objects.get(&key).cloned() else {
            self.queue.done(&key);
            return;
        };
        self.remark(&item.set, &plan);
        self.measure(&item.set);
        if plan.steps.is_empty() && plan.status.is_none() {
            self.finish(key, plan.problem.is_some());
            return;
        }
        tracing::debug!(set = %key, steps = plan.steps.len(), status = plan.status.is_some(), "carrying out a plan");
        let executor = self.executor.clone();
        let sender = sender.clone();
        tasks.spawn(async move {
            let report = executor.carry_out(&item, plan).await;
            // The loop has ended: the next one will see for itself.
            let _ = sender.send(Message::Done(key, Box::new(report)));
        });
    }

    fn measure(&self, set: &Set) {
        let rolls = matches!(set.strategy, Strategy::RollingUpdate { .. });
        let counted = self.engine.counted(&set.key).zip(self.engine.spent(&set.key)).filter(|_| rolls);
        let left = counted.and_then(|(status, spent)| {
            let budget = budget::of(&set.strategy, status.desired).ok()?;
            Some(if budget.surge > 0 {
                budget.surge.saturating_sub(spent.surging)
            } else {
                budget.unavailable.saturating_sub(spent.unavailable)
            })
        });
        self.metrics.budget_left(&set.key.namespace, &set.key.name, left.map(|left| left.max(0)));
    }

    fn remark(&self, set: &Set, plan: &Plan) {
        for remark in &plan.remarks {
            self.recorder.note(note(set, events::remark(remark, &set.key.namespace)));
        }
    }
}

/// What is said about a set, as an event.
fn note(set: &Set, said: Said) -> Note {
    let kind = if said.is_warning { Kind::Warning } else { Kind::Normal };
    Note { about: about(set), kind, reason: said.reason, message: said.message }
}

/// A set as the object of an event.
pub(crate) fn about(set: &Set) -> About {
    About {
        api_version: "apps/v1",
        kind: "DaemonSet",
        namespace: Arc::clone(&set.key.namespace),
        name: Arc::clone(&set.key.name),
        uid: set.uid.as_str().into(),
        version: set.version.0,
    }
}

fn instant(at: Millis, now: Millis) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(at.since(now).0).unwrap_or(0))
}
