//! One node in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::words::{MESSAGE_MAX, Span, cut};
use super::{Facts, Trouble};
use crate::daemonset::eligibility::{Reason, Verdict};
use crate::daemonset::engine::{Blocker, CellView, PodView};
use crate::daemonset::forecast::Scene;
use crate::daemonset::plan::CreateWhy;
use crate::daemonset::{Charged, Plan, Step};
use crate::model::{Millis, Node, NodeName, Phase, Pod, Tri};

/// How much of somebody's message has room in a column.
const COLUMN_MAX: usize = 50;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The node.
    pub node: NodeName,
    /// Is it to have a pod? With the first rule that fails.
    pub verdict: Verdict,
    /// The pods there; the first one speaks for the node.
    pub pods: Vec<PodRow>,
    /// Who answers for it, when it lacks an available pod.
    pub answers: Option<Answers>,
    /// What happens next, or is waited for.
    pub next: Next,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRow {
    /// Its name.
    pub name: Arc<str>,
    /// It has the current template.
    pub is_current: bool,
    /// The hash on it.
    pub hash: Option<Arc<str>>,
    /// How it is.
    pub health: Health,
    /// What keeps it from being ready.
    pub trouble: Option<Trouble>,
}

/// How a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Ready for long enough.
    Available,
    /// Ready, and available from then on.
    Young {
        /// When.
        until: Millis,
    },
    /// It runs and is not ready.
    NotReady {
        /// Since when, if it says so.
        since: Option<Millis>,
    },
    /// On its node, and not running yet.
    Starting {
        /// Since when.
        since: Millis,
    },
    /// Not on its node yet.
    Unscheduled {
        /// Since when.
        since: Millis,
    },
    /// It failed.
    Failed,
    /// It ended, which a daemon must not.
    Ended,
    /// On its way out.
    Terminating,
}

/// Who answers for a node that lacks an available pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Who.
    pub who: Charged,
    /// Since when the node lacks one, where that can be told.
    pub since: Option<Millis>,
    /// The node itself is not ready.
    pub is_node_down: bool,
}

/// What happens next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// In words, without the time; empty when nothing does.
    pub words: String,
    /// When, if that is known.
    pub at: Option<Millis>,
}

impl Next {
    fn of(words: impl Into<String>) -> Self {
        Self { words: words.into(), at: None }
    }

    fn at(words: impl Into<String>, at: Millis) -> Self {
        Self { words: words.into(), at: Some(at) }
    }

    /// In words, with the time: `… in 42 s`.
    #[must_use]
    pub fn in_words(&self, now: Millis) -> String {
        match self.at {
            None => self.words.clone(),
            Some(at) if at <= now => format!("{}, now", self.words),
            Some(at) => format!("{} in {}", self.words, Span(at.since(now))),
        }
    }
}

impl Health {
    /// A name that does not change.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::Young { .. } => "Young",
            Self::NotReady { .. } => "NotReady",
            Self::Starting { .. } => "Starting",
            Self::Unscheduled { .. } => "Unscheduled",
            Self::Failed => "Failed",
            Self::Ended => "Ended",
            Self::Terminating => "Terminating",
        }
    }

    /// In words, without times.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Young { .. } => "ready, not for long enough",
            Self::NotReady { .. } => "not ready",
            Self::Starting { .. } => "starting",
            Self::Unscheduled { .. } => "not scheduled",
            Self::Failed => "failed",
            Self::Ended => "ended",
            Self::Terminating => "terminating",
        }
    }

    /// In words, with times.
    #[must_use]
    pub fn in_words(&self, now: Millis) -> String {
        match self {
            Self::Young { until } => format!("ready, available in {}", Span(until.since(now))),
            Self::NotReady { since: Some(since) } | Self::Starting { since } | Self::Unscheduled { since } => {
                format!("{} for {}", self.words(), Span(now.since(*since)))
            }
            _ => self.words().to_owned(),
        }
    }

    fn of(pod: &PodView, known: Option<&Pod>, min_ready: Millis) -> Self {
        // A pod that was never ready says so since it was made.
        let since = pod.ready.since.or(known.map(|pod| pod.created));
        match pod.phase {
            _ if pod.is_terminating => Self::Terminating,
            Phase::Failed => Self::Failed,
            Phase::Succeeded => Self::Ended,
            _ if pod.is_available => Self::Available,
            _ if pod.ready.is => pod
                .ready
                .since
                .map_or(Self::NotReady { since: None }, |since| Self::Young { until: since.plus(min_ready) }),
            _ if !pod.is_bound => Self::Unscheduled { since: pod.created },
            Phase::Pending => Self::Starting { since: pod.created },
            _ => Self::NotReady { since },
        }
    }
}

impl PodRow {
    /// `current` or `outdated`.
    #[must_use]
    pub fn revision(&self) -> &'static str {
        if self.is_current { "current" } else { "outdated" }
    }

    /// Its health, and what keeps it from a better one.
    #[must_use]
    pub fn in_words(&self, now: Millis) -> String {
        self.words(now, MESSAGE_MAX)
    }

    /// The same, short enough for a column.
    #[must_use]
    pub fn in_brief(&self, now: Millis) -> String {
        self.words(now, COLUMN_MAX)
    }

    fn words(&self, now: Millis, most: usize) -> String {
        let health = self.health.in_words(now);
        match &self.trouble {
            Some(trouble) => format!("{health}: {}", trouble.in_words(most)),
            None => health,
        }
    }
}

impl Trouble {
    /// In one line, with so many characters of the message.
    #[must_use]
    pub fn in_words(&self, most: usize) -> String {
        let mut words = self.reason.clone();
        if !self.message.is_empty() {
            words.push_str(&format!(" ({})", cut(&self.message, most)));
        }
        if self.restarts > 0 {
            let times = if self.restarts == 1 { "once".to_owned() } else { format!("{} times", self.restarts) };
            words.push_str(&format!(", started again {times}"));
        }
        words
    }
}

impl Answers {
    /// Who, and for how long.
    #[must_use]
    pub fn in_words(&self, now: Millis) -> String {
        let since = self.since.map(|since| format!(" for {}", Span(now.since(since)))).unwrap_or_default();
        if self.is_node_down {
            return format!("{}: it is not ready{since}", self.who);
        }
        match (self.since, self.who) {
            (Some(_), Charged::Unknown) => format!("no available pod{since}"),
            (Some(_), who) => format!("no available pod{since}; {who}"),
            (None, who) => who.to_string(),
        }
    }
}

impl Row {
    /// The pod that speaks for the node.
    #[must_use]
    pub fn pod(&self) -> Option<&PodRow> {
        self.pods.first()
    }

    /// Why not, in words; empty when it is to have a pod.
    #[must_use]
    pub fn because(&self) -> String {
        self.verdict.reason().map(Reason::to_string).unwrap_or_default()
    }
}

/// What the rows are made from.
struct Rows<'a> {
    scene: &'a Scene<'a>,
    facts: &'a Facts,
    plan: &'a Plan,
    nodes: BTreeMap<&'a NodeName, &'a Node>,
    pods: BTreeMap<&'a str, &'a Pod>,
    steps: BTreeMap<&'a NodeName, Vec<&'a Step>>,
    is_rolling: bool,
    now: Millis,
}

pub(super) fn rows<'a>(
    scene: &'a Scene<'a>,
    facts: &'a Facts,
    plan: &'a Plan,
    views: &[CellView],
    is_rolling: bool,
    now: Millis,
) -> Vec<Row> {
    let mut steps: BTreeMap<&NodeName, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        if let Step::Create { node, .. } | Step::Delete { node, .. } = step {
            steps.entry(node).or_default().push(step);
        }
    }
    let nodes = scene.nodes.iter().map(|node| (&node.name, node)).collect();
    let in_namespace = |pod: &&Pod| pod.key.namespace == scene.set.key.namespace;
    let pods = scene.pods.iter().filter(in_namespace).map(|pod| (&*pod.key.name, pod)).collect();
    let rows = Rows { scene, facts, plan, nodes, pods, steps, is_rolling, now };
    views.iter().map(|view| rows.row(view)).collect()
}

impl Rows<'_> {
    fn row(&self, view: &CellView) -> Row {
        let min_ready = Millis::from_secs(i64::from(self.scene.set.min_ready_seconds));
        let pod = |pod: &PodView| {
            let health = Health::of(pod, self.pods.get(&*pod.name).copied(), min_ready);
            let is_well = matches!(health, Health::Available | Health::Young { .. } | Health::Terminating);
            let trouble = self.facts.troubles.get(&pod.name).filter(|_| !is_well).cloned();
            PodRow { name: Arc::clone(&pod.name), is_current: pod.is_updated, hash: pod.hash.clone(), health, trouble }
        };
        let mut pods: Vec<PodRow> = view.pods.iter().map(pod).collect();
        // What stays speaks for the node; what goes stands behind it.
        pods.sort_by_key(|pod| pod.health == Health::Terminating);
        Row {
            node: view.node.clone(),
            verdict: view.verdict.clone(),
            pods,
            answers: self.answers(view),
            next: self.next(view),
        }
    }

    /// The engine says who; since when follows from what the objects say, for the engine has only just begun to look.
    fn answers(&self, view: &CellView) -> Option<Answers> {
        let charge = view.charge?;
        let down = self.nodes.get(&view.node).filter(|node| node.ready() != Tri::True);
        let pod = view.pods.iter().find(|pod| !pod.is_terminating).and_then(|pod| self.pods.get(&*pod.name));
        let since = match (down, pod) {
            (Some(node), _) => node.condition("Ready").and_then(|ready| ready.since),
            (None, Some(pod)) => Some(pod.ready.since.unwrap_or(pod.created)),
            (None, None) => None,
        };
        let is_refused = self.facts.refusal.is_some() && view.pods.is_empty();
        let who = match charge.who {
            // As the engine has it of a rollout that it has seen begin.
            Charged::Unknown if self.is_rolling && !is_refused => Charged::Revision,
            who => who,
        };
        Some(Answers { who, since, is_node_down: down.is_some() })
    }

    fn next(&self, view: &CellView) -> Next {
        if self.scene.set.terminating {
            return Next::of("nothing: the DaemonSet is being deleted");
        }
        if let Some(steps) = self.steps.get(&view.node) {
            return self.steps_in_words(steps);
        }
        if self.plan.hash.is_none() && view.verdict.runs() {
            return Next::of("nothing: the DaemonSet has no selector that selects anything");
        }
        match &view.blocker {
            Some(Blocker::Create) => Next::of("the new pod is awaited"),
            Some(Blocker::Delete | Blocker::Terminating) => self.leaving(view),
            Some(Blocker::Refused { until }) => Next::at("the server refused the pod; it is asked again", *until),
            Some(Blocker::BackOff { until }) => Next::at("the failed pod is replaced", *until),
            Some(Blocker::Budget) if !view.verdict.runs() => Next::of("the pod goes when the budget allows"),
            Some(Blocker::Budget) => Next::of("the pod is replaced when the budget allows"),
            Some(Blocker::NotReady) => Next::of("waits for the pod to get ready"),
            Some(Blocker::TooYoung { until }) => Next::at("the pod counts as available", *until),
            Some(Blocker::OnDelete) => Next::of("stays until somebody deletes the pod (OnDelete)"),
            None => Next::default(),
        }
    }

    fn steps_in_words(&self, steps: &[&Step]) -> Next {
        let mut words = steps.iter().map(|step| step.to_string()).collect::<Vec<_>>().join("; ");
        let is_missing = |step: &&&Step| matches!(step, Step::Create { why: CreateWhy::Missing, .. });
        if self.facts.refusal.is_some() && steps.iter().any(|step| is_missing(&step)) {
            words.push_str("; the server refused the last try");
        }
        Next::of(words)
    }

    /// A pod on its way out: until when, or why it is still there.
    fn leaving(&self, view: &CellView) -> Next {
        let leaving = view.pods.iter().find(|pod| pod.is_terminating).and_then(|pod| self.pods.get(&*pod.name));
        let Some((pod, deletion)) = leaving.and_then(|pod| Some((pod, pod.deletion?))) else {
            return Next::of("the old pod is on its way out");
        };
        if self.now <= deletion.at {
            return Next::at("the old pod is gone at the latest", deletion.at);
        }
        let overdue = Span(self.now.since(deletion.at));
        if self.nodes.get(&view.node).is_none_or(|node| node.ready() != Tri::True) {
            return Next::of(format!("the old pod should be gone since {overdue}; its node does not answer"));
        }
        let why = if pod.finalized { "; it has finalizers" } else { "" };
        Next::of(format!("the old pod should be gone since {overdue}{why}"))
    }
}
