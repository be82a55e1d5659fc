//! How a Job goes on: how many pods it needs, and when it is over.
//!
//! Not here: indexed completion, pod failure policies, success policies (COMPATIBILITY.md).

use std::collections::BTreeMap;

use crate::model::{Millis, Phase, Pod, Uid};

/// First delay after a failed pod; it doubles with each.
const BACKOFF_FIRST: Millis = Millis::from_secs(10);
/// Longest delay after a failed pod.
const BACKOFF_MAX: Millis = Millis::from_secs(600);

/// A Job as this decision sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `spec.parallelism`
    pub parallelism: i32,
    /// `spec.completions`; absent means that one success ends it.
    pub completions: Option<i32>,
    /// `spec.backoffLimit`
    pub backoff_limit: i32,
    /// `spec.activeDeadlineSeconds`
    pub deadline: Option<Millis>,
    /// `spec.suspend`
    pub suspended: bool,
    /// `status.startTime`
    pub started: Option<Millis>,
}

/// How many of a Job's pods ended, also of those that are no longer there.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What the status said of pods that were gone when we came.
    before: (i32, i32),
    /// Pods that we saw end, and whether well.
    ended: BTreeMap<Uid, bool>,
    /// When the last pod failed.
    failed_at: Option<Millis>,
}

impl Tally {
    /// Starts from the status' counts; the pods that are there are taken to be counted in it.
    #[must_use]
    pub fn new(succeeded: i32, failed: i32, pods: &[&Pod]) -> Self {
        let mut tally = Self::default();
        tally.count(pods, Millis(0));
        tally.failed_at = None;
        let (seen_well, seen_badly) = (tally.succeeded(), tally.failed());
        tally.before = ((succeeded - seen_well).max(0), (failed - seen_badly).max(0));
        tally
    }

    /// Counts the pods that have ended.
    pub fn count(&mut self, pods: &[&Pod], now: Millis) {
        for pod in pods {
            let well = match pod.phase {
                Phase::Succeeded => true,
                Phase::Failed => false,
                _ => continue,
            };
            if self.ended.insert(pod.uid.clone(), well).is_none() && !well {
                self.failed_at = Some(now);
            }
        }
    }

    /// `status.succeeded`
    #[must_use]
    pub fn succeeded(&self) -> i32 {
        self.before.0.saturating_add(number(self.ended.values().filter(|well| **well).count()))
    }

    /// `status.failed`
    #[must_use]
    pub fn failed(&self) -> i32 {
        self.before.1.saturating_add(number(self.ended.values().filter(|well| !**well).count()))
    }

    /// The time before which no pod replaces a failed one.
    fn backoff_until(&self) -> Option<Millis> {
        let doublings = u32::try_from(self.failed().saturating_sub(1)).unwrap_or(0).min(16);
        let delay = Millis((BACKOFF_FIRST.0 << doublings).min(BACKOFF_MAX.0));
        self.failed_at.map(|at| at.plus(delay))
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Enough pods succeeded.
    Complete,
    /// Too many failed.
    BackoffLimitExceeded,
    /// It took too long.
    DeadlineExceeded,
}

impl End {
    /// The condition's reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Complete => "CompletionsReached",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
        }
    }

    /// The condition's message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Complete => "Reached expected number of succeeded pods",
            Self::BackoffLimitExceeded => "Job has reached the specified backoff limit",
            Self::DeadlineExceeded => "Job was active longer than specified deadline",
        }
    }
}

/// What is to be done for a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Pods to create.
    pub create: usize,
    /// Pods to delete.
    pub delete: Vec<Uid>,
    /// It is over.
    pub end: Option<End>,
    /// `status.active`, before this plan is carried out.
    pub active: i32,
    /// `status.ready`
    pub ready: i32,
    /// `status.terminating`
    pub terminating: i32,
    /// When to look again, if nothing happens.
    pub wake_at: Option<Millis>,
}

/// Decides. `pods` are the Job's own.
#[must_use]
pub fn plan(job: &Job, tally: &Tally, pods: &[&Pod], now: Millis) -> Plan {
    let active: Vec<&&Pod> = pods.iter().filter(|pod| !pod.is_terminal() && !pod.is_terminating()).collect();
    let mut plan = Plan {
        active: number(active.len()),
        ready: number(active.iter().filter(|pod| pod.ready.is).count()),
        terminating: number(pods.iter().filter(|pod| !pod.is_terminal() && pod.is_terminating()).count()),
        ..Plan::default()
    };
    let deadline = job.started.zip(job.deadline).map(|(started, span)| started.plus(span)).filter(|_| !job.suspended);
    let succeeded = tally.succeeded();
    let is_complete = match job.completions {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && active.is_empty(),
    };
    plan.end = if tally.failed() > job.backoff_limit {
        Some(End::BackoffLimitExceeded)
    } else if deadline.is_some_and(|deadline| deadline <= now) {
        Some(End::DeadlineExceeded)
    } else if is_complete && !job.suspended {
        Some(End::Complete)
    } else {
        None
    };
    let wanted = match (plan.end, job.completions) {
        (Some(_), _) => 0,
        (None, _) if job.suspended => 0,
        (None, Some(completions)) => job.parallelism.min(completions.saturating_sub(succeeded)),
        (None, None) if succeeded > 0 => plan.active.min(job.parallelism),
        (None, None) => job.parallelism,
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if active.len() > wanted {
        // The youngest have done the least.
        let mut by_age = active;
        by_age.sort_by_key(|pod| (pod.created, pod.uid.clone()));
        plan.delete = by_age[wanted..].iter().map(|pod| pod.uid.clone()).collect();
    } else {
        plan.create = wanted - active.len();
    }
    plan.wake_at = deadline.filter(|_| plan.end.is_none());
    if plan.create > 0
        && let Some(until) = tally.backoff_until().filter(|until| *until > now)
    {
        plan.create = 0;
        plan.wake_at = Some(plan.wake_at.map_or(until, |at| at.min(until)));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scheduling;

    fn pods(text: &str) -> Vec<Pod> {
        text.split_whitespace()
            .map(|word| {
                let (name, phase) = word.split_once('=').unwrap_or((word, ""));
                let phase = match phase {
                    "ok" => Phase::Succeeded,
                    "bad" => Phase::Failed,
                    _ => Phase::Running,
                };
                Pod { phase, ..crate::scheduling::tests::pod(name, Scheduling::default()) }
            })
            .collect()
    }

    fn job(parallelism: i32, completions: Option<i32>) -> Job {
        Job { parallelism, completions, backoff_limit: 1, deadline: None, suspended: false, started: None }
    }

    #[test]
    fn a_job_runs_until_enough_pods_succeeded() {
        for (job, text, create, delete, end) in [
            (job(1, Some(1)), "", 1, 0, None),
            (job(1, Some(1)), "a", 0, 0, None),
            (job(1, Some(1)), "a=ok", 0, 0, Some(End::Complete)),
            (job(2, Some(3)), "a=ok b", 1, 0, None),
            (job(2, Some(3)), "a=ok b=ok c", 0, 0, None),
            (job(3, None), "a b", 1, 0, None),
            (job(3, None), "a=ok b", 0, 0, None),
            (job(3, None), "a=ok b=ok", 0, 0, Some(End::Complete)),
            (job(1, Some(2)), "a b", 0, 1, None),
            (job(2, Some(2)), "a=bad b=bad c", 0, 1, Some(End::BackoffLimitExceeded)),
            (Job { suspended: true, ..job(2, Some(2)) }, "a", 0, 1, None),
            (job(1, Some(0)), "", 0, 0, Some(End::Complete)),
        ] {
            let pods = pods(text);
            let pods: Vec<&Pod> = pods.iter().collect();
            let tally = Tally::new(0, 0, &pods);
            let plan = plan(&job, &tally, &pods, Millis(0));
            assert_eq!((plan.create, plan.delete.len(), plan.end), (create, delete, end), "{text}");
        }
    }

    #[test]
    fn failures_are_replaced_ever_more_slowly_and_deadlines_end_a_job() {
        let job = Job { backoff_limit: 6, deadline: Some(Millis(60_000)), started: Some(Millis(0)), ..job(1, Some(1)) };
        let all = pods("a=bad b=bad");
        let all: Vec<&Pod> = all.iter().collect();
        let mut tally = Tally::default();
        tally.count(&all[..1], Millis(1_000));
        assert_eq!(plan(&job, &tally, &all[..1], Millis(1_000)).wake_at, Some(Millis(11_000)));
        tally.count(&all, Millis(11_000));
        assert_eq!(plan(&job, &tally, &all, Millis(11_000)).wake_at, Some(Millis(31_000)));
        assert_eq!(plan(&job, &tally, &all, Millis(31_000)).create, 1);
        assert_eq!(plan(&job, &tally, &[], Millis(60_000)).end, Some(End::DeadlineExceeded));
        assert_eq!((tally.failed(), Tally::new(3, 4, &all).failed(), Tally::new(3, 1, &all).succeeded()), (2, 4, 3));
    }
}
