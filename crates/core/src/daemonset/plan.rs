//! What is to be done, as data: the answer of a decision.
//!
//! Not here: how a step is carried out (`everynode-control`), and the words for it (`explain`).

use std::sync::Arc;

use crate::model::{Key, Millis, NodeName, Status, Uid, Version};

/// Which template a pod is made from: a set may have one per class of nodes; the plain one is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateId(pub u32);

/// One object in one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    /// Its name; the namespace is the set's.
    pub name: Arc<str>,
    /// Which incarnation: always a precondition of a write.
    pub uid: Uid,
}

/// Why a pod is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CreateWhy {
    /// The node has none.
    Missing,
    /// A second one, before the outdated one goes (surge).
    Surge,
    /// A second one beside an outdated one that is of no use: costs no surge budget.
    Rescue,
}

/// Why a pod has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeleteWhy {
    /// It failed.
    Failed,
    /// It ended, which a daemon must not.
    Succeeded,
    /// Another one on the node is kept.
    Duplicate,
    /// The node may have none.
    Forbidden,
    /// It was meant for a node that is not there.
    NoSuchNode,
    /// Its template is outdated, and it is not available anyway: costs no budget.
    OutdatedBroken,
    /// Its template is outdated; taken from the budget.
    Outdated,
    /// Its template is outdated and its successor is available.
    Replaced,
    /// Its template is outdated, its node may get no new one, and enough others are available.
    Sunset,
}

/// One intended write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// R75: make an orphan ours.
    Adopt(Ref),
    /// R76: let go of a pod that no longer matches.
    Release(Ref),
    /// R79: the same for revisions.
    AdoptRevision(Ref),
    /// R79.
    ReleaseRevision(Ref),
    /// R83: a revision without a hash label gets its own name as one.
    LabelRevision(Ref),
    /// R85: record the present template.
    CreateRevision {
        /// Hash, hence name.
        hash: Arc<str>,
        /// Its number.
        number: i64,
    },
    /// R83: an old template is the present one again.
    RenumberRevision {
        /// Which.
        revision: Ref,
        /// The version that was judged.
        version: Version,
        /// Its new number.
        number: i64,
    },
    /// R84: a pod takes the hash of the revision that survives.
    Relabel {
        /// Which.
        pod: Ref,
        /// The hash.
        hash: Arc<str>,
    },
    /// R84, R94.
    DeleteRevision(Ref),
    /// R57: make a pod for a node.
    Create {
        /// For which node.
        node: NodeName,
        /// Its name: the same for every try of one intention, so that a try too many cannot make a second pod.
        name: Arc<str>,
        /// From which template.
        template: TemplateId,
        /// Why.
        why: CreateWhy,
        /// How many pods have ended there one after another: the pod is to say so, and the back-off outlives the controller.
        failures: u32,
    },
    /// Take a pod away.
    Delete {
        /// Which.
        pod: Ref,
        /// Its target node.
        node: NodeName,
        /// Set when the decision holds for this version only.
        version: Option<Version>,
        /// Why.
        why: DeleteWhy,
    },
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the object has this version now (0: not told).
    Done {
        /// `resourceVersion` of the answer.
        version: Version,
    },
    /// The object was gone already, or is of no concern any more.
    Gone,
    /// The precondition did not hold: the view was too old.
    Conflict,
    /// The server said no.
    Refused,
    /// The name is taken by another object.
    NameTaken,
    /// Not tried, because others of its batch failed.
    NotTried,
    /// R69: the namespace goes away; there is nothing to wait for.
    NamespaceGoing,
    /// It is not known whether it was done.
    Unknown,
}

/// Something users should hear of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// R116 `SelectingAll`
    SelectingAll,
    /// R116 `FailedDaemonPod`
    FailedPod {
        /// The pod's name.
        pod: Arc<str>,
        /// Its node.
        node: NodeName,
    },
    /// R116 `SucceededDaemonPod`
    SucceededPod {
        /// The pod's name.
        pod: Arc<str>,
        /// Its node.
        node: NodeName,
    },
}

/// What keeps a set from being what it should, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// R98: the rolling update's numbers cannot be read.
    BadBudget,
}

/// What to do for one set, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Writes, in order: claims and revisions alone, or pods.
    pub steps: Vec<Step>,
    /// The status to write, if it is not what is there.
    pub status: Option<Status>,
    /// What to say.
    pub remarks: Vec<Remark>,
    /// What is wrong with the set as a whole.
    pub problem: Option<Problem>,
    /// When to decide again, if nothing happens before.
    pub wake_at: Option<Millis>,
    /// There was more to do than one plan may hold; decide again at once.
    pub more: bool,
    /// The hash of the current revision: what new pods are labelled with.
    pub hash: Option<Arc<str>>,
}

/// Creates, and separately deletes, in one plan (R67).
pub const BURST: usize = 250;
/// How long an unanswered or unseen write is waited for (R31).
pub const PATIENCE: Millis = Millis::from_secs(300);

/// The least time between two statuses of one generation: a rollout changes the numbers faster than anyone reads them.
pub const STATUS_PAUSE: Millis = Millis(100);

/// The key of a step's object in the set's namespace.
#[must_use]
pub fn key_in(set: &Key, name: &str) -> Key {
    Key { namespace: Arc::clone(&set.namespace), name: name.into() }
}
