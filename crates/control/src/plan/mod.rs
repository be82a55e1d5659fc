//! Says before anything is applied what manifests would change: which DaemonSets, which nodes, in which order, for how long.
//!
//! ```text
//! files ──manifest──> documents ──apply──> the object as the server would have it (dry run) ──changes──> what differs
//!                                                      │
//!                                    core: the engine played forward over nodes, pods, revisions ──> outlook
//! ```
//! Defaults, validation and admission are the server's own; nothing is written.
//!
//! Not here: words (`everynode-core`), files and columns (`everynode-cli`).

mod apply;
mod changes;
pub mod manifest;
pub mod shape;

use std::collections::BTreeSet;

use everynode_api::project;
use everynode_core::daemonset::forecast::Starts;
pub use everynode_core::daemonset::forecast::{Change, Wave};
pub use everynode_core::explain::outlook::{Basis, Outlook, wave_in_words};
pub use everynode_core::explain::words::{Count, Span};
pub use everynode_core::model::{Key, Millis};
use everynode_core::model::{Pod, Set};
use serde_json::Value;

use self::apply::Would;
pub use self::changes::{Class, FieldChange};
pub use self::manifest::{Document, ManifestError};
use crate::api::Api;
use crate::chain::Chain;
use crate::clock;
use crate::explain::{Around, ExplainError, daemon_set, read};

/// How long pods may take to stop when the template does not say (`terminationGracePeriodSeconds`).
const GRACE_DEFAULT: i64 = 30;

/// How to plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where objects without a namespace belong.
    pub namespace: String,
    /// The namespace was asked for, so no object may name another one.
    pub is_namespace_fixed: bool,
    /// As `kubectl apply --server-side`.
    pub server_side: bool,
    /// How long pods take to start, instead of what history says.
    pub pod_start: Option<Millis>,
    /// How long pods take to stop, instead of their grace period.
    pub pod_stop: Option<Millis>,
}

/// What becomes of one object of the manifests.
#[derive(Debug)]
pub struct Planned {
    /// `DaemonSet`, …
    pub kind: String,
    /// Namespace and name.
    pub key: Key,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of an object.
#[derive(Debug)]
pub enum Fate {
    /// A DaemonSet, as it would be.
    Set(Box<SetPlan>),
    /// No DaemonSet.
    Skipped,
    /// It cannot be applied.
    Refused {
        /// In the words of who refuses.
        message: String,
        /// What to do about it, when that is known.
        mend: Option<String>,
    },
}

/// What becomes of a DaemonSet.
#[derive(Debug)]
pub struct SetPlan {
    /// What kind of change it is.
    pub class: Class,
    /// The fields that change.
    pub changes: Vec<FieldChange>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// What will happen.
    pub outlook: Outlook,
}

/// Plans all objects of some manifests. A refused object does not keep the others from being planned.
pub async fn plan(
    client: kube::Client,
    documents: &[Document],
    options: &Options,
) -> Result<Vec<Planned>, ExplainError> {
    let planner = Planner {
        api: Api::new(client),
        options,
        namespaces: documents.iter().filter(|document| document.kind() == "Namespace").map(Document::name).collect(),
    };
    let mut planned = Vec::with_capacity(documents.len());
    for document in documents {
        let kind = document.kind().to_owned();
        let key = Key::new(document.namespace(&options.namespace), document.name());
        let fate = match document.is_daemon_set() {
            true => planner.set(document, &key).await?,
            false => Fate::Skipped,
        };
        planned.push(Planned { kind, key, fate });
    }
    Ok(planned)
}

struct Planner<'a> {
    api: Api,
    options: &'a Options,
    /// Namespaces that the manifests make.
    namespaces: BTreeSet<&'a str>,
}

fn refused(message: impl Into<String>, mend: impl Into<String>) -> Fate {
    let mend = mend.into();
    Fate::Refused { message: message.into(), mend: (!mend.is_empty()).then_some(mend) }
}

impl Planner<'_> {
    async fn set(&self, document: &Document, key: &Key) -> Result<Fate, ExplainError> {
        if key.name.is_empty() {
            let message = "it has generateName and no name, so there is nothing yet that it could be compared with";
            return Ok(refused(message, "give it a name, as `kubectl apply` demands"));
        }
        if self.options.is_namespace_fixed && *key.namespace != *self.options.namespace {
            let message =
                format!("it names the namespace {}, but {} is asked for", key.namespace, self.options.namespace);
            return Ok(refused(message, format!("leave -n out, or use -n {}", key.namespace)));
        }
        let live = daemon_set(&self.api, key).await?;
        let mut object = document.object.clone();
        object["metadata"]["namespace"] = Value::from(&*key.namespace);
        let present = live.as_ref().map(|(object, _)| object);
        let may_come = self.namespaces.contains(&*key.namespace);
        let answer = apply::would_be(&self.api, key, &object, present, self.options.server_side, may_come).await;
        let Would { object, notes } = match answer {
            Ok(would) => would,
            Err(error) => {
                let mend = apply::mend(&error, &object, present, key);
                return Ok(refused(Chain(&error).to_string(), mend.unwrap_or_default()));
            }
        };
        let path = format!("the dry run of {key}");
        let set = project::daemon_set(&object).map_err(|source| ExplainError::Project { path, source })?;
        self.forecast(&object, set, live, notes).await
    }

    async fn forecast(
        &self,
        object: &Value,
        mut set: Set,
        live: Option<(Value, Set)>,
        notes: Vec<String>,
    ) -> Result<Fate, ExplainError> {
        if live.is_none() {
            // It has not been seen by anybody; a uid of a dry run is as good as any.
            set.uid = format!("planned {}", set.uid).into();
        }
        let around = Around::read(&self.api, &set).await?;
        let (present, old) = live.as_ref().map(|(object, set)| (object, set)).unzip();
        let grace = present.unwrap_or(object).pointer("/spec/template/spec/terminationGracePeriodSeconds");
        let grace = Millis::from_secs(grace.and_then(Value::as_i64).unwrap_or(GRACE_DEFAULT));
        let basis = self.basis(&around.pods, &set).await;
        let stop = self.options.pod_stop.unwrap_or(grace);
        Ok(Fate::Set(Box::new(SetPlan {
            class: Class::of(old, &set, present, object),
            changes: present.map(|present| changes::fields(present, object)).unwrap_or_default(),
            notes,
            outlook: Outlook::of(&around.scene(&set), basis, stop, clock::now()),
        })))
    }

    /// How long pods take: the set's own, else those of other sets on this fleet (a page of them).
    async fn basis(&self, pods: &[Pod], set: &Set) -> Basis {
        if let Some(start) = self.options.pod_start {
            return Basis::Given(start);
        }
        let is_own = |pod: &&Pod| pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid);
        if let Some(starts) = Starts::of(pods.iter().filter(is_own)) {
            return Basis::Own(starts);
        }
        // Who may not read them has no history.
        let some = read::pages(&self.api, "/api/v1/pods", 1, project::pod).await.unwrap_or_default();
        let is_daemon = |pod: &&Pod| pod.owner.as_ref().is_some_and(|owner| &*owner.kind == "DaemonSet");
        Starts::of(some.iter().filter(is_daemon)).map_or(Basis::Nothing, Basis::Fleet)
    }
}
