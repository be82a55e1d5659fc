//! Where pods come from: one watch of the pods bound to this node, one worker for each (sections 5 and 6 of the rules).
//!
//! A pod is let in when the watch has shown all pods once, oldest first (N89); what the runtime still runs for pods that are
//! gone is ended then (N84, N323).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everynode_core::model;
use everynode_core::pod::admission;
use everynode_core::selector::Quantity;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};

use crate::kit::Kit;
use crate::runtime::Event;
use crate::worker::{self, Found, Message, Worker};

/// Grace of a container whose pod does not exist any more (N84).
const ORPHAN_GRACE: Duration = Duration::from_secs(1);

/// The pods that run here by namespace and name, for whoever serves requests about them.
#[derive(Clone, Default)]
pub(crate) struct Here(Arc<Mutex<ByName>>);

/// Pods by namespace and name.
type ByName = BTreeMap<(String, String), Arc<Pod>>;

impl Here {
    fn map(&self) -> std::sync::MutexGuard<'_, ByName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of this name.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.map().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All pods.
    pub(crate) fn all(&self) -> Vec<Arc<Pod>> {
        self.map().values().cloned().collect()
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// All workers of the node.
struct Pods {
    kit: Arc<Kit>,
    here: Here,
    workers: BTreeMap<String, worker::Handle>,
    /// Pods let in, as admission sees them.
    admitted: BTreeMap<String, model::Pod>,
    /// Containers and sandboxes that ran before the agent, by pod uid.
    found: BTreeMap<String, Found>,
    /// Pods of a list under way.
    listed: Option<Vec<Pod>>,
    synced: bool,
}

/// Runs the pods of this node until dropped; they go on running.
pub(crate) async fn run(kit: Arc<Kit>, here: Here) {
    // Listened to first, so that nothing falls between the list and the events.
    let mut runtime_events = kit.runtime.events();
    let found = worker::find_all(&kit).await;
    let mut pods = Pods {
        here,
        workers: BTreeMap::new(),
        admitted: BTreeMap::new(),
        found,
        listed: None,
        synced: false,
        kit: Arc::clone(&kit),
    };
    let api: Api<Pod> = Api::all(kit.client.clone());
    let selector = format!("spec.nodeName={}", kit.config.node_name);
    let watch = watcher(api, watcher::Config::default().fields(&selector)).default_backoff();
    let mut watch = std::pin::pin!(watch);
    loop {
        tokio::select! {
            event = watch.next() => match event {
                Some(Ok(event)) => pods.take(event).await,
                Some(Err(error)) => {
                    tracing::warn!(node = kit.config.node_name, error = &error as &dyn std::error::Error, "pods not watched");
                }
                None => return,
            },
            Some(event) = runtime_events.next() => pods.pass_on(&event),
        }
    }
}

impl Pods {
    async fn take(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed = Some(Vec::new()),
            watcher::Event::InitApply(pod) => self.listed.get_or_insert_default().push(pod),
            watcher::Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.take_all(listed).await;
            }
            watcher::Event::Apply(pod) => self.apply(pod),
            watcher::Event::Delete(pod) => self.gone(&pod.uid().unwrap_or_default()),
        }
    }

    async fn take_all(&mut self, mut listed: Vec<Pod>) {
        let present: Vec<_> = listed.iter().filter_map(ResourceExt::uid).collect();
        let gone: Vec<_> = self.workers.keys().filter(|uid| !present.contains(uid)).cloned().collect();
        for uid in gone {
            self.gone(&uid);
        }
        listed.sort_by_cached_key(|pod| (pod.creation_timestamp().map(|time| time.0), pod.uid()));
        for pod in listed {
            self.apply(pod);
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.pass_on(&Event::Lagged);
            self.end_orphans().await;
        }
    }

    fn apply(&mut self, pod: Pod) {
        self.workers.retain(|_, worker| !worker.is_over());
        let Some(uid) = pod.uid() else { return };
        let pod = Arc::new(pod);
        self.here.map().insert(key(&pod), Arc::clone(&pod));
        if let Some(worker) = self.workers.get(&uid) {
            worker.send(Message::Pod(pod));
            return;
        }
        let found = self.found.remove(&uid).unwrap_or_default();
        let refusal = self.admit(&uid, &pod);
        let handle = Worker::start(Arc::clone(&self.kit), pod, found, refusal);
        self.workers.insert(uid, handle);
    }

    /// Asks the node's own admission (N89–N92); a pod that ended already is not asked (N82).
    fn admit(&mut self, uid: &str, pod: &Pod) -> Option<everynode_core::pod::Verdict> {
        let mine = project_pod(pod)?;
        if mine.is_terminating() || mine.is_terminal() {
            return None;
        }
        let mut node = project_node(&self.kit.node.borrow())?;
        // What the node has is known here first; its object may not say so yet.
        for (name, amount) in &self.kit.facts.allocatable {
            if let Some(amount) = Quantity::parse(amount) {
                node.allocatable.set(name, amount);
            }
        }
        // A pod that has left nothing here takes nothing, even while its object or its worker is still around.
        self.admitted.retain(|other, _| self.workers.get(other).is_some_and(|worker| !worker.has_released()));
        let refusal = admission::refusal(&node, &mine, self.admitted.values());
        if let Some(verdict) = &refusal {
            self.kit.events.pod(pod, None, true, &verdict.reason, verdict.message.clone());
        } else {
            self.admitted.insert(uid.to_owned(), mine);
        }
        refusal
    }

    fn gone(&mut self, uid: &str) {
        self.here.map().retain(|_, pod| pod.uid().as_deref() != Some(uid));
        if let Some(worker) = self.workers.get(uid) {
            worker.send(Message::Gone);
        }
        self.workers.retain(|_, worker| !worker.is_over());
    }

    fn pass_on(&self, event: &Event) {
        match event {
            Event::Container { id, pod_uid } => {
                if let Some(worker) = self.workers.get(pod_uid) {
                    worker.send(Message::Container(id.clone()));
                }
            }
            Event::Sandbox { id, pod_uid } => {
                if let Some(worker) = self.workers.get(pod_uid) {
                    worker.send(Message::Sandbox(id.clone()));
                }
            }
            Event::Lagged => self.workers.values().for_each(|worker| worker.send(Message::LookAgain)),
        }
    }

    /// Ends what runs for pods that were deleted while the agent was away (N84, N323).
    async fn end_orphans(&mut self) {
        for (uid, found) in std::mem::take(&mut self.found) {
            tracing::info!(uid, "a pod that is gone from the API still ran here; it is ended");
            for container in &found.containers {
                if let Err(error) = self.kit.runtime.stop_container(&container.id, ORPHAN_GRACE, None).await {
                    tracing::warn!(uid, error = &error as &dyn std::error::Error, "orphan not stopped");
                }
            }
            worker::release(&self.kit, &uid, &found.sandbox_ids()).await;
        }
        crate::gc::sweep(&self.kit, &self.workers.keys().cloned().collect::<Vec<_>>());
    }
}

fn project_pod(pod: &Pod) -> Option<model::Pod> {
    everynode_api::project::pod(&serde_json::to_vec(pod).ok()?).ok()
}

fn project_node(node: &Node) -> Option<model::Node> {
    everynode_api::project::node(&serde_json::to_vec(node).ok()?).ok()
}
