//! Deletes what nobody owns any more (R142–R149, A512, A513).
//!
//! One watch per resource, of which only metadata is kept, feeds one [`Graph`]; its acts run beside the loop. What is learnt
//! of the server's kinds is renewed every half minute.
//!
//! Not here: the judgement (`everynode_core::lifecycle::garbage`).

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_core::lifecycle::garbage::{Act, Answer, FOREGROUND, Graph, Identity, Kind, ORPHAN, Reference, Seen};
use everynode_core::model::{Millis, Uid};

use crate::api::{Api, Failure};
use crate::cache::{Delta, Feed, Source};
use crate::chain::Chain;
use crate::discovery::{self, Discovered, DiscoveryError, ResourceType};
use crate::inbox::Inbox;
use crate::meta::{self, Meta};
use crate::{Context, ControllerError, clock};

/// How often discovery is asked for new kinds.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// How long the first lists may take before the others go on without the missing ones (T154).
const SYNC_MAX: Millis = Millis::from_secs(10);
/// Delays between tries of an act that failed.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(30);

enum Message {
    Object(Arc<ResourceType>, Delta<Meta>),
    Kinds(Result<Discovered, DiscoveryError>),
    Answered(Identity, Result<Answer, Failure>),
    Acted(Identity, Result<(), Failure>),
    Again(Uid),
    AskAgain(Identity),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("generic-garbage-collector");
    let mut collector = Collector {
        api,
        inbox: Inbox::new(),
        graph: Graph::default(),
        types: BTreeMap::new(),
        feeds: BTreeMap::new(),
        failures: BTreeMap::new(),
        unsynced: None,
        sync_until: clock::now().plus(SYNC_MAX),
    };
    collector.discover(Duration::ZERO);
    loop {
        let wake_at = (!collector.is_synced()).then_some(collector.sync_until);
        if let Some(message) = collector.inbox.next(wake_at).await {
            collector.take(message);
        }
        while let Some(message) = collector.inbox.try_next() {
            collector.take(message);
        }
        if collector.is_synced() {
            for act in collector.graph.acts() {
                collector.act(act);
            }
        }
    }
}

struct Collector {
    api: Api,
    inbox: Inbox<Message>,
    graph: Graph,
    types: BTreeMap<Kind, Arc<ResourceType>>,
    feeds: BTreeMap<ResourceType, Feed<Meta>>,
    /// How often acts on an object have failed in a row.
    failures: BTreeMap<Uid, u32>,
    /// Lists that are not in yet; none before the first discovery.
    unsynced: Option<BTreeSet<ResourceType>>,
    sync_until: Millis,
}

impl Collector {
    /// An owner may only be let go when its dependents are known.
    fn is_synced(&self) -> bool {
        self.unsynced.as_ref().is_some_and(|missing| missing.is_empty() || clock::now() >= self.sync_until)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Object(of, Delta::Put { old, new }) => {
                // The same name, another object: the first one's end was not seen by itself.
                if let Some(old) = old.filter(|old| old.uid != new.uid) {
                    self.graph.forget(&identity(&of, &old));
                }
                self.failures.remove(&new.uid);
                self.graph.observe(seen(&of, &new));
            }
            Message::Object(of, Delta::Gone(meta)) => {
                self.failures.remove(&meta.uid);
                self.graph.forget(&identity(&of, &meta));
            }
            Message::Object(of, Delta::Synced) => {
                if let Some(unsynced) = &mut self.unsynced {
                    unsynced.remove(&*of);
                }
            }
            Message::Kinds(result) => self.learn(result),
            Message::Answered(owner, Ok(answer)) => self.graph.answer(&owner, answer),
            Message::Answered(owner, Err(failure)) => {
                tracing::debug!(owner = %owner.name, error = %Chain(&failure), "cannot look for an owner; trying again");
                self.later(AGAIN_FIRST * 5, Message::AskAgain(owner));
            }
            Message::AskAgain(owner) => self.graph.unanswered(&owner),
            Message::Acted(object, result) => self.acted(&object, result),
            Message::Again(uid) => self.graph.failed(uid.as_str()),
        }
    }

    fn learn(&mut self, result: Result<Discovered, DiscoveryError>) {
        self.discover(DISCOVERY_PERIOD);
        let discovered = match result {
            Ok(discovered) => discovered,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "cannot learn the server's kinds; trying again");
                return;
            }
        };
        let resources = discovered.resources;
        self.graph.learn(resources.iter().map(|of| (of.group_kind(), of.scope())).collect());
        let mut missing = BTreeSet::new();
        for of in resources {
            // R149: events own nothing and are owned by nobody.
            let is_watched = of.allows(&["list", "watch", "delete"]) && of.plural != "events";
            let of = Arc::new(of);
            if is_watched && !self.feeds.contains_key(&*of) {
                missing.insert((*of).clone());
                self.follow(&of);
            }
            self.types.insert(of.group_kind(), of);
        }
        self.unsynced.get_or_insert(missing);
    }

    fn follow(&mut self, of: &Arc<ResourceType>) {
        let source = Source {
            what: "objects for garbage collection",
            path: of.collection(""),
            query: String::new(),
            project: meta::project,
        };
        let feed = Feed::start(self.api.clone(), source);
        let shared = Arc::clone(of);
        self.inbox.follow(&feed, move |delta| Message::Object(Arc::clone(&shared), delta));
        self.feeds.insert((**of).clone(), feed);
    }

    fn discover(&mut self, delay: Duration) {
        let api = self.api.clone();
        self.inbox.act(async move {
            tokio::time::sleep(delay).await;
            Message::Kinds(discovery::discover(&api).await)
        });
    }

    fn act(&mut self, act: Act) {
        let target = match &act {
            Act::Verify(object)
            | Act::Delete { object, .. }
            | Act::DropOwners { object, .. }
            | Act::Unblock { object, .. }
            | Act::RemoveFinalizer { object, .. }
            | Act::Warn { object, .. } => object.clone(),
        };
        let Some(of) = self.types.get(&target.kind).cloned() else { return };
        let api = self.api.clone();
        match act {
            Act::Warn { object, message } => {
                self.inbox.spare(async move { act::warn(&api, &of, &object, &message).await });
            }
            Act::Verify(owner) => self.inbox.act(async move {
                let answer = act::verify(&api, &of, &owner).await;
                Message::Answered(owner, answer)
            }),
            act => self.inbox.act(async move {
                tracing::debug!(?act, "collecting garbage");
                let result = act::perform(&api, &of, act).await;
                Message::Acted(target, result)
            }),
        }
    }

    fn acted(&mut self, object: &Identity, result: Result<(), Failure>) {
        let Err(failure) = result else {
            self.failures.remove(&object.uid);
            return;
        };
        if failure.is_not_found() {
            // Gone, and its event is on the way: nothing is left to do.
            self.graph.forget(object);
            return;
        }
        tracing::debug!(object = %object.name, error = %Chain(&failure), "garbage is still there; trying again");
        let failures = self.failures.entry(object.uid.clone()).or_default();
        let delay = AGAIN_FIRST.saturating_mul(2u32.saturating_pow(*failures)).min(AGAIN_MAX);
        *failures = failures.saturating_add(1);
        self.later(delay, Message::Again(object.uid.clone()));
    }

    fn later(&mut self, delay: Duration, message: Message) {
        self.inbox.act(async move {
            tokio::time::sleep(delay).await;
            message
        });
    }
}

fn identity(of: &ResourceType, meta: &Meta) -> Identity {
    Identity {
        uid: meta.uid.clone(),
        kind: of.group_kind(),
        namespace: meta.key.namespace.clone(),
        name: meta.key.name.clone(),
    }
}

fn seen(of: &ResourceType, meta: &Meta) -> Seen {
    let has = |wanted: &str| meta.finalizers.iter().any(|finalizer| finalizer == wanted);
    let owners = meta.owners.iter().map(|owner| Reference {
        uid: owner.uid.as_str().into(),
        kind: Kind {
            group: owner.api_version.split_once('/').map_or("", |(group, _)| group).into(),
            kind: owner.kind.as_str().into(),
        },
        api_version: owner.api_version.as_str().into(),
        name: owner.name.as_str().into(),
        blocks: owner.block_owner_deletion,
    });
    Seen {
        identity: identity(of, meta),
        version: meta.version.0.to_string().into(),
        owners: owners.collect(),
        terminating: meta.deletion.is_some(),
        foreground: has(FOREGROUND),
        orphan: has(ORPHAN),
    }
}
