//! A set as a whole in words.

use std::sync::Arc;

use super::row::Row;
use super::words::{Count, Number, Span, brief, written};
use super::{Facts, Refusal};
use crate::daemonset::budget;
use crate::daemonset::eligibility::Reason;
use crate::daemonset::engine::CellView;
use crate::daemonset::forecast::{Scene, World};
use crate::daemonset::plan::{Plan, Step};
use crate::model::{Key, Millis, Status, Strategy};

/// How many of those that hold a rollout up are named in a sentence.
const NAMED: usize = 3;

/// A set as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The set.
    pub key: Key,
    /// Nodes that there are.
    pub nodes: usize,
    /// The counters, as they follow from what is there.
    pub counts: Status,
    /// The number of the current revision.
    pub revision: Option<i64>,
    /// Its hash.
    pub hash: Option<Arc<str>>,
    /// Pods that are not of it.
    pub outdated: usize,
    /// Outdated pods are being replaced; since when, where that can be told.
    pub rolling: Option<Option<Millis>>,
    /// What a rolling update may spend; nothing with OnDelete.
    pub budget: Option<Allowance>,
    /// Who uses a budget up that others wait for.
    pub holds: Vec<Hold>,
    /// Pods to be made and to be taken away now.
    pub due: (usize, usize),
    /// The last refusal to make a pod.
    pub refusal: Option<Refusal>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budgeted {
    /// Nodes without an available pod.
    Unavailable,
    /// Nodes with a second pod.
    Surge,
}

/// The budget of a rolling update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Of what.
    pub of: Budgeted,
    /// As the manifest writes it.
    pub written: String,
    /// How many nodes.
    pub allowed: i32,
    /// How many there are.
    pub used: i32,
}

/// Who holds a rollout up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The node.
    pub node: crate::model::NodeName,
    /// Why.
    pub words: String,
}

impl Allowance {
    /// The budget of a strategy over so many desired pods.
    #[must_use]
    pub fn of(strategy: &Strategy, desired: i32, spent: crate::daemonset::engine::Spent) -> Option<Self> {
        let Strategy::RollingUpdate { max_unavailable, max_surge } = strategy else { return None };
        let budget = budget::of(strategy, desired).ok()?;
        Some(if budget.surge > 0 {
            Self { of: Budgeted::Surge, written: written(*max_surge), allowed: budget.surge, used: spent.surging }
        } else {
            let (written, used) = (written(*max_unavailable), spent.unavailable);
            Self { of: Budgeted::Unavailable, written, allowed: budget.unavailable, used }
        })
    }

    /// How many nodes may be so, and how many are.
    #[must_use]
    pub fn in_words(&self) -> String {
        let what = match self.of {
            Budgeted::Unavailable => "lack an available pod",
            Budgeted::Surge => "hold a second pod",
        };
        let nodes = Count(usize::try_from(self.allowed).unwrap_or(0), "node");
        format!("budget: {nodes} may {what} at a time ({} {}), {} in use", self.field(), self.written, self.used)
    }

    /// The field that sets it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self.of {
            Budgeted::Unavailable => "maxUnavailable",
            Budgeted::Surge => "maxSurge",
        }
    }
}

/// Since when outdated pods are being replaced, if they are.
pub(super) fn rolling(scene: &Scene<'_>, plan: &Plan, views: &[CellView]) -> Option<Option<Millis>> {
    let rolls = matches!(scene.set.strategy, Strategy::RollingUpdate { .. });
    let is_outdated = |view: &CellView| view.pods.iter().any(|pod| !pod.is_updated);
    if !rolls || scene.set.terminating || !views.iter().any(is_outdated) {
        return None;
    }
    let hash = plan.hash.as_deref()?;
    let (current, others): (Vec<_>, Vec<_>) =
        scene.revisions.iter().filter(|r| is_ours(scene, r)).partition(|revision| revision.hash() == Some(hash));
    let newest = others.iter().map(|revision| revision.created).max();
    let recorded = current.iter().map(|revision| revision.created).max();
    Some(match (recorded, newest) {
        (Some(recorded), newest) if newest.is_none_or(|newest| recorded >= newest) => Some(recorded),
        // An old revision has come back: its first pod since then tells.
        (_, newest) => {
            let pods = views.iter().flat_map(|view| &view.pods).filter(|pod| pod.is_updated).map(|pod| pod.created);
            pods.filter(|created| newest.is_none_or(|newest| *created >= newest)).min()
        }
    })
}

fn is_ours(scene: &Scene<'_>, revision: &crate::model::Revision) -> bool {
    revision.owner.as_ref().is_some_and(|owner| owner.uid == scene.set.uid)
}

pub(super) fn summary(
    scene: &Scene<'_>,
    facts: &Facts,
    (done, plan): (&[Step], &Plan),
    world: &World,
    rows: &[Row],
    rolling: Option<Option<Millis>>,
) -> Summary {
    let (set, counts, now) = (scene.set, world.counted(), world.now());
    let allowance = Allowance::of(&set.strategy, counts.desired, world.spent());
    let creates = plan.steps.iter().filter(|step| matches!(step, Step::Create { .. })).count();
    let deletes = plan.steps.iter().filter(|step| matches!(step, Step::Delete { .. })).count();
    let is_spent = allowance.as_ref().is_some_and(|budget| budget.used >= budget.allowed);
    let is_held = rolling.is_some() && is_spent && creates + deletes == 0;
    let lacks_a_pod = rows.iter().any(|row| row.verdict.runs() && row.pods.is_empty());
    Summary {
        key: set.key.clone(),
        nodes: rows.iter().filter(|row| row.verdict.reason() != Some(&Reason::NoSuchNode)).count(),
        counts,
        revision: world.revision().map(|revision| revision.number),
        hash: plan.hash.clone(),
        outdated: rows.iter().flat_map(|row| &row.pods).filter(|pod| !pod.is_current).count(),
        rolling,
        budget: allowance,
        holds: if is_held { rows.iter().filter_map(|row| hold(row, now)).collect() } else { Vec::new() },
        due: (creates, deletes),
        refusal: facts.refusal.clone().filter(|_| lacks_a_pod),
        notes: notes(scene, done, plan).into_iter().chain(facts.notes.iter().cloned()).collect(),
    }
}

/// A node that uses the budget up.
fn hold(row: &Row, now: Millis) -> Option<Hold> {
    let answers = row.answers.filter(|_| row.verdict.runs())?;
    let pod = row.pod().map(|pod| format!("its pod is {}", pod.in_words(now)));
    let pod = pod.unwrap_or_else(|| "it has no pod".to_owned());
    let who = if answers.is_node_down { answers.in_words(now) } else { answers.who.to_string() };
    Some(Hold { node: row.node.clone(), words: format!("{pod}; {who}") })
}

fn notes(scene: &Scene<'_>, done: &[Step], plan: &Plan) -> Vec<String> {
    let set = scene.set;
    let mut notes = Vec::new();
    if set.terminating {
        notes.push("it is being deleted: no pod is made, and its pods go with it".to_owned());
    }
    if set.selector.as_ref().is_none_or(crate::selector::LabelSelector::is_empty) {
        notes.push("its selector selects nothing, so nothing is done".to_owned());
    }
    if set.status.observed_generation < set.generation {
        notes.push(format!(
            "the controller has not seen the last change yet (it saw generation {} of {}); is it running?",
            set.status.observed_generation, set.generation
        ));
    }
    notes.extend(plan.problem.map(|problem| problem.to_string()));
    let (shown, rest) = done.split_at(done.len().min(NAMED));
    notes.extend(shown.iter().map(|step| format!("to be done first: {step}")));
    if !rest.is_empty() {
        notes.push(format!("to be done first: {} like these", Count(rest.len(), "more step")));
    }
    if matches!(set.strategy, Strategy::OnDelete) {
        notes.push("outdated pods stay until somebody deletes them (OnDelete)".to_owned());
    }
    notes
}

impl Refusal {
    /// When, how often, and why.
    #[must_use]
    pub fn in_words(&self, now: Millis) -> String {
        let times = if self.times > 1 { format!(", {} times so far", self.times) } else { String::new() };
        format!("a pod, {} ago{times}: {}", Span(now.since(self.at)), brief(&self.message))
    }
}

impl Summary {
    /// In sentences, one a line.
    #[must_use]
    pub fn lines(&self, now: Millis) -> Vec<String> {
        let counts = &self.counts;
        let mut lines = vec![
            format!(
                "DaemonSet {}: {} of {} to have a pod, {} with an available one",
                self.key,
                Number(counts.desired.into()),
                Count(self.nodes, "node"),
                Number(counts.available.into()),
            ),
            format!(
                "  desired {}, current {}, ready {}, up to date {}, available {}{}",
                counts.desired,
                counts.current,
                counts.ready,
                counts.updated,
                counts.available,
                match counts.misscheduled {
                    0 => String::new(),
                    n => format!("; {} where none is to be", Count(usize::try_from(n).unwrap_or(0), "pod")),
                }
            ),
        ];
        lines.extend(self.revision_line(now));
        lines.extend(self.budget.as_ref().map(|budget| format!("  {}", budget.in_words())));
        if let (creates, deletes) = self.due
            && creates + deletes > 0
        {
            let made = (creates > 0).then(|| format!("{} to be made", Count(creates, "pod")));
            let gone = (deletes > 0).then(|| format!("{} to go", Count(deletes, "pod")));
            let both: Vec<String> = made.into_iter().chain(gone).collect();
            lines.push(format!("  now: {}", both.join(", ")));
        }
        lines.extend(self.holds.iter().take(NAMED).map(|hold| format!("  held up by {}: {}", hold.node, hold.words)));
        if let Some(more) = self.holds.len().checked_sub(NAMED).filter(|more| *more > 0) {
            lines.push(format!("  held up by {} too", Count(more, "more node")));
        }
        if let Some(refusal) = &self.refusal {
            lines.push(format!("  refused: {}", refusal.in_words(now)));
        }
        lines.extend(self.notes.iter().map(|note| format!("  note: {note}")));
        lines
    }

    fn revision_line(&self, now: Millis) -> Option<String> {
        let hash = self.hash.as_deref()?;
        let number = self.revision.map(|number| format!(" {number}")).unwrap_or_default();
        let revision = format!("  revision{number} ({}-{hash})", self.key.name);
        let outdated = Count(self.outdated, "outdated pod");
        Some(match self.rolling {
            Some(Some(since)) => {
                format!("{revision}, rolling out for {}: {outdated} to be replaced", Span(now.since(since)))
            }
            Some(None) => format!("{revision}, rolling out: {outdated} to be replaced"),
            None if self.outdated == 0 => format!("{revision}: no pod is outdated"),
            None => format!("{revision}: {outdated}"),
        })
    }
}
