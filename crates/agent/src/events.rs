//! Events about pods and the node, in the words of upstream (section 29), told by one task that never blocks a worker.
//!
//! Equal events become one with a count; an object that tells too much is cut off (N348).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams, Resource};
use tokio::sync::mpsc;

/// Events of one object that may be told at once, and the time after which one more may.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);
/// Remembered events and objects; beyond it the memory starts anew.
const REMEMBERED_MAX: usize = 1024;
/// Events waiting to be written; a server that is away loses the newest.
const QUEUE_MAX: usize = 512;

/// What an event says.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) about: ObjectReference,
    pub(crate) warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Hands events to the task that writes them.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    queue: Option<mpsc::Sender<Said>>,
}

impl Recorder {
    /// A recorder for the node of this name.
    pub(crate) fn new(client: kube::Client, node: String) -> Self {
        let (queue, said) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write_all(client, node, said));
        Self { queue: Some(queue) }
    }

    /// A recorder that tells nobody.
    pub(crate) fn silent() -> Self {
        Self { queue: None }
    }

    pub(crate) fn tell(&self, said: Said) {
        if let Some(queue) = &self.queue
            && queue.try_send(said).is_err()
        {
            tracing::debug!("too many events at once; one is lost");
        }
    }

    /// An event about a pod or one of its containers.
    pub(crate) fn pod(&self, pod: &Pod, container: Option<&str>, warning: bool, reason: &str, message: String) {
        tracing::info!(
            pod = pod.metadata.name,
            namespace = pod.metadata.namespace,
            container,
            reason,
            message,
            "event"
        );
        self.tell(Said { about: about(pod, container), warning, reason: reason.to_owned(), message });
    }
}

/// The reference of N347, with the field path of a container.
fn about(pod: &Pod, container: Option<&str>) -> ObjectReference {
    let mut about = pod.object_ref(&());
    about.field_path = container.map(|name| {
        let spec = pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_ref());
        let list = match init.is_some_and(|init| init.iter().any(|c| c.name == name)) {
            true => "initContainers",
            false => "containers",
        };
        format!("spec.{list}{{{name}}}")
    });
    about
}

#[derive(Hash, PartialEq, Eq)]
struct Same {
    uid: String,
    field_path: String,
    warning: bool,
    reason: String,
    message: String,
}

struct Told {
    name: String,
    count: i32,
}

struct Budget {
    left: u32,
    since: Instant,
}

async fn write_all(client: kube::Client, node: String, mut said: mpsc::Receiver<Said>) {
    let mut told: HashMap<Same, Told> = HashMap::new();
    let mut budgets: HashMap<String, Budget> = HashMap::new();
    while let Some(said) = said.recv().await {
        if told.len() >= REMEMBERED_MAX {
            told.clear();
        }
        if budgets.len() >= REMEMBERED_MAX {
            budgets.clear();
        }
        let uid = said.about.uid.clone().unwrap_or_default();
        if !spend(budgets.entry(uid.clone()).or_insert(Budget { left: BURST, since: Instant::now() })) {
            continue;
        }
        let same = Same {
            uid,
            field_path: said.about.field_path.clone().unwrap_or_default(),
            warning: said.warning,
            reason: said.reason.clone(),
            message: said.message.clone(),
        };
        let namespace = said.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        if let Some(told) = told.get_mut(&same)
            && repeat(&api, told).await
        {
            continue;
        }
        if let Some(name) = first(&api, &node, said, namespace).await {
            told.insert(same, Told { name, count: 1 });
        }
    }
}

fn spend(budget: &mut Budget) -> bool {
    let refills = u32::try_from(budget.since.elapsed().as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
    if refills > 0 {
        budget.left = budget.left.saturating_add(refills).min(BURST);
        budget.since = Instant::now();
    }
    let may = budget.left > 0;
    budget.left = budget.left.saturating_sub(1);
    may
}

async fn repeat(api: &Api<Event>, told: &mut Told) -> bool {
    told.count += 1;
    let change = serde_json::json!({ "count": told.count, "lastTimestamp": Time(Timestamp::now()) });
    api.patch(&told.name, &PatchParams::default(), &Patch::Strategic(change)).await.is_ok()
}

async fn first(api: &Api<Event>, node: &str, said: Said, namespace: String) -> Option<String> {
    let now = Timestamp::now();
    let object = said.about.name.clone().unwrap_or_default();
    let name = format!("{object}.{:016x}", now.as_nanosecond());
    let event = Event {
        metadata: ObjectMeta { name: Some(name.clone()), namespace: Some(namespace), ..ObjectMeta::default() },
        involved_object: said.about,
        reason: Some(said.reason),
        message: Some(said.message),
        type_: Some(if said.warning { "Warning" } else { "Normal" }.to_owned()),
        source: Some(EventSource { component: Some("kubelet".to_owned()), host: Some(node.to_owned()) }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        reporting_component: Some("kubelet".to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Event::default()
    };
    match api.create(&PostParams::default(), &event).await {
        Ok(_) => Some(name),
        Err(error) => {
            // A namespace that is going away takes no events; nothing is lost by that.
            tracing::debug!(name, error = &error as &dyn std::error::Error, "event not written");
            None
        }
    }
}
