//! Many like nodes in one line.

use std::collections::BTreeMap;

use super::row::Row;
use super::words::Count;
use crate::daemonset::Charged;
use crate::daemonset::eligibility::Reason;
use crate::model::{Millis, NodeName};

/// One line of an explanation: a node, or nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The node, or how many there are.
    pub who: String,
    /// The nodes, by name.
    pub nodes: Vec<NodeName>,
    /// `run`, `keep` or `no`.
    pub verdict: &'static str,
    /// Its pods.
    pub pod: String,
    /// Of which revision they are.
    pub revision: String,
    /// How they are, and who answers for it.
    pub health: String,
    /// The first rule that fails.
    pub because: String,
    /// What happens next.
    pub next: String,
}

/// What two nodes must share to be told in one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Likeness {
    verdict: &'static str,
    because: String,
    pods: Vec<(bool, &'static str, String)>,
    who: &'static str,
    next: String,
}

impl Likeness {
    fn of(row: &Row) -> Self {
        let reason = |pod: &super::PodRow| pod.trouble.as_ref().map(|trouble| trouble.reason.clone());
        let pods = row.pods.iter().map(|pod| (pod.is_current, pod.health.words(), reason(pod).unwrap_or_default()));
        Self {
            verdict: row.verdict.word(),
            because: row.verdict.reason().map(Reason::in_general).unwrap_or_default(),
            pods: pods.collect(),
            who: row.answers.map(|answers| answers.who.word()).unwrap_or_default(),
            next: row.next.words.clone(),
        }
    }
}

/// The lines of these rows: more than `most` nodes that are alike share one. The biggest share comes first, single nodes after.
#[must_use]
pub fn fold(rows: &[Row], most: usize, now: Millis) -> Vec<Line> {
    let mut groups: BTreeMap<Likeness, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(Likeness::of(row)).or_default().push(row);
    }
    let (many, few): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(_, rows)| rows.len() > most);
    let mut lines: Vec<Line> = many.into_iter().map(|(likeness, rows)| many_in_one(likeness, &rows)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.nodes.len()));
    let mut single: Vec<&Row> = few.into_iter().flat_map(|(_, rows)| rows).collect();
    single.sort_by(|a, b| a.node.cmp(&b.node));
    lines.extend(single.into_iter().map(|row| one(row, now)));
    lines
}

/// A node's own line.
#[must_use]
pub fn one(row: &Row, now: Millis) -> Line {
    let each = |text: &dyn Fn(&super::PodRow) -> String| row.pods.iter().map(text).collect::<Vec<_>>().join(", ");
    let who = row.answers.and_then(|answers| match answers.is_node_down {
        true => Some(answers.in_words(now)),
        false => known(answers.who),
    });
    Line {
        who: row.node.to_string(),
        nodes: vec![row.node.clone()],
        verdict: row.verdict.word(),
        pod: each(&|pod| pod.name.to_string()),
        revision: each(&|pod| match &pod.hash {
            Some(hash) => format!("{} ({hash})", pod.revision()),
            None => pod.revision().to_owned(),
        }),
        health: health(each(&|pod| pod.in_brief(now)), row, who),
        because: row.because(),
        next: row.next.in_words(now),
    }
}

/// How the pods are, or that there is none; and who answers for it.
fn health(pods: String, row: &Row, who: Option<String>) -> String {
    let missing = row.pods.is_empty() && row.verdict.runs();
    let pods = if missing { "no pod".to_owned() } else { pods };
    [pods].into_iter().filter(|text| !text.is_empty()).chain(who).collect::<Vec<_>>().join("; ")
}

/// Who answers for it, in words, if that is anybody.
fn known(who: Charged) -> Option<String> {
    (who != Charged::Unknown).then(|| who.to_string())
}

fn many_in_one(likeness: Likeness, rows: &[&Row]) -> Line {
    let each = |text: &dyn Fn(&(bool, &'static str, String)) -> String| {
        likeness.pods.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let brief = each(&|(_, health, reason)| match reason.as_str() {
        "" => (*health).to_owned(),
        reason => format!("{health}: {reason}"),
    });
    let who = rows.first().and_then(|row| row.answers).and_then(|answers| known(answers.who));
    Line {
        who: Count(rows.len(), "node").to_string(),
        nodes: rows.iter().map(|row| row.node.clone()).collect(),
        verdict: likeness.verdict,
        pod: likeness
            .pods
            .first()
            .map_or(String::new(), |_| Count(rows.len() * likeness.pods.len(), "pod").to_string()),
        revision: each(&|(is_current, ..)| if *is_current { "current" } else { "outdated" }.to_owned()),
        health: rows.first().map_or(String::new(), |row| health(brief, row, who)),
        because: likeness.because,
        next: likeness.next,
    }
}
