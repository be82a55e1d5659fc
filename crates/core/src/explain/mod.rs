//! A decision in words: for each node why a set's pod is there or not, and what happens next.
//!
//! It asks the same engine that decides, on a snapshot; so it can be asked anywhere: by the command line, a page, a test.
//! The words for verdicts, reasons, steps, waits and events are here and nowhere else.
//!
//! [`row`] is one node, [`summary`] the set as a whole, [`fold`] many like nodes in one line, [`outlook`] what will be,
//! [`events`] what is told to users as things happen, [`warning`] what others have told of a pod, [`words`] the parts of speech.
//!
//! Not here: columns, colours and clocks; times come in as points and go out as spans from a given `now`.

pub mod events;
pub mod fold;
pub mod outlook;
mod row;
mod summary;
pub mod warning;
pub mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use row::{Answers, Health, Next, PodRow, Row};
pub use summary::{Allowance, Budgeted, Hold, Summary};

use crate::daemonset::forecast::{Scene, World};
use crate::model::{Key, Millis};

/// What keeps a pod from being ready, as its status tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// `ImagePullBackOff`, `CrashLoopBackOff`, `Unschedulable`, …
    pub reason: String,
    /// In the words of whoever found it.
    pub message: String,
    /// How often its containers were started again.
    pub restarts: u32,
}

/// The server's last refusal to make a pod of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Millis,
    /// How often.
    pub times: u32,
    /// The server's words.
    pub message: String,
}

/// What a snapshot of decisions' inputs does not hold, and people ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// By name of the pod.
    pub troubles: BTreeMap<Arc<str>, Trouble>,
    /// The last refusal, if there was one lately.
    pub refusal: Option<Refusal>,
    /// What else is to be known of the set.
    pub notes: Vec<String>,
}

/// A set on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The set as a whole.
    pub summary: Summary,
    /// Every node, and every node that a pod is meant for, by name.
    pub rows: Vec<Row>,
    /// As of when.
    pub now: Millis,
}

/// Everything that is known, explained as of `now`. Objects of other namespaces and sets do no harm.
#[must_use]
pub fn explain(scene: &Scene<'_>, facts: &Facts, now: Millis) -> Explanation {
    let mut world = World::new(scene, None, now);
    let (done, plan) = world.open();
    let views = world.view();
    let rolling = summary::rolling(scene, &plan, &views);
    let rows = row::rows(scene, facts, &plan, &views, rolling.is_some(), now);
    let summary = summary::summary(scene, facts, (&done, &plan), &world, &rows, rolling);
    Explanation { summary, rows, now }
}

/// Why a text does not name a DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Another kind.
    #[error("{kind}/{name} is no DaemonSet; only DaemonSets can be explained: name one as ds/NAME")]
    Kind {
        /// What is before the slash.
        kind: String,
        /// What is behind it.
        name: String,
    },
    /// No name, or more than one slash.
    #[error("{text:?} names no DaemonSet; name one as ds/NAME")]
    Form {
        /// What was given.
        text: String,
    },
}

/// The key of a set as users name it: `ds/NAME`, `daemonset/NAME`, `NAME`.
pub fn parse_name(text: &str, namespace: &str) -> Result<Key, NameError> {
    let (kind, name) = text.split_once('/').unwrap_or(("ds", text));
    if name.is_empty() || name.contains(['/', ' ']) || kind.is_empty() {
        return Err(NameError::Form { text: text.to_owned() });
    }
    match kind.to_ascii_lowercase().as_str() {
        "ds" | "daemonset" | "daemonsets" | "daemonset.apps" | "daemonsets.apps" | "daemonsets.v1.apps" => {
            Ok(Key::new(namespace, name))
        }
        _ => Err(NameError::Kind { kind: kind.to_owned(), name: name.to_owned() }),
    }
}
