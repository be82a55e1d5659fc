//! What will be, in words.

use super::summary::Allowance;
use super::words::{Count, Span};
use crate::daemonset::engine::{Blocker, CellView};
use crate::daemonset::forecast::{self, Change, Forecast, Pace, Scene, Starts, Wave};
use crate::model::{Millis, Set};

/// How many nodes that hold something up are named in a sentence.
const NAMED: usize = 3;

/// From what it is known how long pods take to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The set's own pods.
    Own(Starts),
    /// Pods of other DaemonSets on these nodes.
    Fleet(Starts),
    /// Somebody said so.
    Given(Millis),
    /// Nothing is known.
    Nothing,
}

/// What is assumed where nothing is known.
pub const ASSUMED_START: Millis = Millis::from_secs(10);

impl Basis {
    /// A name that does not change.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "own-pods",
            Self::Fleet(_) => "other-daemonsets",
            Self::Given(_) => "given",
            Self::Nothing => "assumed",
        }
    }

    /// How long a pod takes: usually, and when it is slow.
    #[must_use]
    pub fn starts(&self) -> (Millis, Millis) {
        match self {
            Self::Own(starts) | Self::Fleet(starts) => (starts.median, starts.p90),
            Self::Given(start) => (*start, *start),
            Self::Nothing => (ASSUMED_START, ASSUMED_START),
        }
    }

    fn in_words(&self) -> String {
        let told = |starts: &Starts, whose: &str| {
            format!(
                "pods start in {} (half of {whose} {}; nine of ten within {})",
                Span(starts.median),
                Count(starts.pods, "pod"),
                Span(starts.p90)
            )
        };
        match self {
            Self::Own(starts) => told(starts, "its"),
            Self::Fleet(starts) => told(starts, "other DaemonSets'"),
            Self::Given(start) => format!("pods start in {}, as you say", Span(*start)),
            Self::Nothing => format!("no history: assuming that pods start in {}", Span(ASSUMED_START)),
        }
    }
}

/// A forecast with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// At the usual pace.
    pub forecast: Forecast,
    /// How long it takes when every pod is slow.
    pub slow: Millis,
    /// How long it takes when pods stop at once instead of taking all the time they may.
    pub quick: Millis,
    /// The usual pace.
    pub pace: Pace,
    /// Where it is from.
    pub basis: Basis,
    /// The budget.
    pub budget: Option<Allowance>,
    /// `minReadySeconds`.
    pub min_ready: Millis,
}

impl Outlook {
    /// Plays a scene forward at the usual and at the slow pace.
    #[must_use]
    pub fn of(scene: &Scene<'_>, basis: Basis, stop: Millis, now: Millis) -> Self {
        let play = |start, stop| forecast::play(scene, Pace { start, stop }, now);
        let (usual, slow) = basis.starts();
        let forecast = play(usual, stop);
        let takes = |is_same, start, stop| if is_same { forecast.takes } else { play(start, stop).takes };
        let is_still = forecast.is_still();
        let stops = forecast.count(Change::Replaced) + forecast.count(Change::Loses) > 0;
        let slow = takes(is_still || slow == usual, slow, stop);
        let quick = takes(!stops, usual, Millis(0));
        let set: &Set = scene.set;
        Self {
            budget: Allowance::of(&set.strategy, forecast.before.desired, forecast.spent),
            slow,
            quick,
            pace: Pace { start: usual, stop },
            basis,
            min_ready: Millis::from_secs(i64::from(set.min_ready_seconds.max(0))),
            forecast,
        }
    }

    /// In sentences, one a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let forecast = &self.forecast;
        let mut lines = vec![self.touched()];
        if forecast.count(Change::Replaced) > 0
            && let Some(budget) = &self.budget
        {
            lines.push(budget.in_words());
        }
        if !forecast.is_still() {
            lines.extend(self.time());
        }
        lines.extend(left(&forecast.left));
        lines.extend(forecast.problem.map(|problem| problem.to_string()));
        lines
    }

    fn touched(&self) -> String {
        let desired = Count(usize::try_from(self.forecast.before.desired).unwrap_or(0), "node");
        let count = |change, what: &str| match self.forecast.count(change) {
            0 => None,
            n => Some(format!("{} {what}", Count(n, "node"))),
        };
        let parts = [
            count(Change::Gets, "to get a pod"),
            count(Change::Loses, "to lose the pod"),
            count(Change::Replaced, "to have the pod replaced"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.as_slice() {
            [] => format!("no pod is touched; {desired} to have one"),
            parts => format!("{}; {desired} to have one", parts.join(", ")),
        }
    }

    fn time(&self) -> Vec<String> {
        let usual = self.forecast.takes;
        let waves = Count(self.forecast.waves.len(), "wave");
        let mut time = format!("time: about {} in {waves}", Span(usual));
        if self.quick < usual {
            time = format!("time: {} to {} in {waves}, by how long pods take to stop", Span(self.quick), Span(usual));
        }
        if self.slow > usual {
            time.push_str(&format!("; {} if they start slowly too", Span(self.slow)));
        }
        let mut basis = self.basis.in_words();
        if self.forecast.count(Change::Replaced) + self.forecast.count(Change::Loses) > 0 {
            basis.push_str(&format!(", stop within {}", Span(self.pace.stop)));
        }
        if self.min_ready > Millis(0) {
            basis.push_str(&format!(", and count {} after they are ready", Span(self.min_ready)));
        }
        vec![time, basis]
    }
}

impl Change {
    /// `gets`, `loses` or `replaced`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gets => "gets",
            Self::Loses => "loses",
            Self::Replaced => "replaced",
        }
    }
}

/// The nodes of a wave by what becomes of them, so many of each by name.
#[must_use]
pub fn wave_in_words(wave: &Wave, most: usize) -> String {
    let part = |change: Change| {
        let nodes: Vec<&str> =
            wave.nodes.iter().filter(|(_, is)| *is == change).map(|(node, _)| node.as_str()).collect();
        // One more name takes no more room than to say that there is one.
        let named = if nodes.len() <= most.saturating_add(1) { nodes.len() } else { most };
        let (shown, rest) = nodes.split_at(named);
        let more = (!rest.is_empty()).then(|| Count(rest.len(), "more node").to_string());
        let names: Vec<String> = shown.iter().map(|name| (*name).to_owned()).chain(more).collect();
        (!nodes.is_empty()).then(|| format!("{}: {}", change.word(), names.join(", ")))
    };
    [Change::Loses, Change::Gets, Change::Replaced].into_iter().filter_map(part).collect::<Vec<_>>().join("; ")
}

/// Nodes that will not be as they should.
fn left(views: &[CellView]) -> Vec<String> {
    let is = |view: &&CellView, blocker: &Blocker| view.blocker.as_ref() == Some(blocker);
    let mut lines = Vec::new();
    let on_delete = views.iter().filter(|view| is(view, &Blocker::OnDelete)).count();
    if on_delete > 0 {
        lines.push(format!(
            "{} to keep the outdated pod until somebody deletes it (OnDelete)",
            Count(on_delete, "node")
        ));
    }
    let is_stuck = |view: &&CellView| !is(view, &Blocker::OnDelete) && !is(view, &Blocker::Budget);
    let stuck: Vec<&CellView> = views.iter().filter(is_stuck).collect();
    let names: Vec<String> =
        stuck.iter().take(NAMED).map(|view| format!("{} ({})", view.node, left_in_words(view))).collect();
    let more = stuck.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {}", Count(more, "more node")) } else { String::new() };
    let waiting = views.iter().filter(|view| is(view, &Blocker::Budget)).count();
    if waiting > 0 {
        lines.push(format!(
            "it stops before {}: the budget is used up by {}{more}",
            Count(waiting, "node"),
            names.join(", ")
        ));
    } else if !stuck.is_empty() {
        lines.push(format!("not right at the end: {}{more}", names.join(", ")));
    }
    lines
}

/// Why a node is not as it should be when nothing happens any more.
#[must_use]
pub fn left_in_words(view: &CellView) -> &'static str {
    match (&view.blocker, view.pods.first()) {
        (Some(Blocker::OnDelete), _) => "the outdated pod stays until somebody deletes it (OnDelete)",
        (Some(Blocker::Budget), _) => "its turn does not come: the budget is used up",
        (Some(Blocker::Terminating | Blocker::Delete), _) => "its old pod does not go: the node is not ready",
        (Some(Blocker::NotReady), _) => "its pod does not get ready",
        (_, None) => "it gets no pod",
        _ => "its pod is not available",
    }
}
