//! One pod, one task: what happens goes into the machine of `everynode_core::pod`, what it asks for is done, and what it
//! says of the pod is written to the API (N76).
//!
//! Acts run in tasks of their own and report back through the worker's mailbox, so the worker itself never waits.

mod act;
mod container;
mod found;
mod outcome;
mod project;
mod start;
mod write;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everynode_core::pod::{Input, Machine, Phase, Verdict};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ResourceExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::kit::Kit;
use crate::runtime::{ContainerId, SandboxId};

pub(crate) use act::release;
pub(crate) use found::{Found, find_all};
use write::Writer;

/// Time between looks at volumes whose content may change (N8), and its spread.
const RESYNC: Duration = Duration::from_secs(60);
const RESYNC_SPREAD: Duration = Duration::from_secs(30);

/// What a worker is told.
#[expect(clippy::large_enum_variant, reason = "mailboxes are short, and most messages are inputs")]
pub(crate) enum Message {
    /// The API has a new version of the pod.
    Pod(Arc<Pod>),
    /// The pod is gone from the API.
    Gone,
    /// Something happened to a container.
    Container(ContainerId),
    /// Something happened to a sandbox.
    Sandbox(SandboxId),
    /// Events were lost.
    LookAgain,
    /// An act is over.
    Did(Did),
}

/// How an act ended.
#[expect(clippy::large_enum_variant, reason = "most acts end with an input")]
pub(crate) enum Did {
    /// Nothing but an input for the machine.
    Input(Input),
    /// A sandbox runs.
    Sandbox(Sandbox),
    /// A status was written, or not.
    Wrote(write::Outcome),
}

/// The sandbox of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sandbox {
    pub(crate) id: Option<SandboxId>,
    pub(crate) ips: Vec<IpAddr>,
}

/// A worker's mailbox.
pub(crate) struct Handle {
    mailbox: mpsc::UnboundedSender<Message>,
    has_released: Arc<AtomicBool>,
}

impl Handle {
    pub(crate) fn send(&self, message: Message) {
        // A worker that is over has nothing to hear.
        let _ = self.mailbox.send(message);
    }

    /// Nothing of the pod is left on the node: its ports and resources are free, whether or not its object is still there.
    pub(crate) fn has_released(&self) -> bool {
        self.has_released.load(Ordering::Acquire)
    }

    /// The worker has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.mailbox.is_closed()
    }
}

/// One pod on this node.
pub(crate) struct Worker {
    kit: Arc<Kit>,
    pod: Arc<Pod>,
    machine: Machine,
    post: mpsc::UnboundedSender<Message>,
    sandbox: Sandbox,
    /// Sandboxes made so far and not removed yet.
    sandboxes: Vec<SandboxId>,
    starts: BTreeMap<String, CancellationToken>,
    stops: BTreeMap<String, tokio::task::AbortHandle>,
    writer: Writer,
    gone: bool,
    delete_asked: bool,
    resync_at: tokio::time::Instant,
    /// Shared with the handle; set before the object's deletion is asked for, so that a successor finds it.
    has_released: Arc<AtomicBool>,
}

impl Worker {
    /// Starts the worker of a pod; `found` is what of it runs already, `refusal` what admission says against it.
    pub(crate) fn start(kit: Arc<Kit>, pod: Arc<Pod>, found: Found, refusal: Option<Verdict>) -> Handle {
        let (post, inbox) = mpsc::unbounded_channel();
        let has_released = Arc::new(AtomicBool::new(false));
        let handle = Handle { mailbox: post.clone(), has_released: Arc::clone(&has_released) };
        tokio::spawn(Box::pin(async move {
            let worker = Self { has_released, ..Self::new(kit, pod, found, refusal, post) };
            worker.run(inbox).await;
        }));
        handle
    }

    fn new(
        kit: Arc<Kit>,
        pod: Arc<Pod>,
        found: Found,
        refusal: Option<Verdict>,
        post: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let now = Timestamp::now();
        let status = pod.status.as_ref();
        let started_at = status.and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0);
        let spec = project::spec(&pod);
        let ended = match status.and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") => Some(Phase::Succeeded),
            Some("Failed") => Some(Phase::Failed),
            _ => None,
        };
        let sandboxes = found.sandbox_ids();
        let sandbox = found.sandbox();
        let (started, at) = (millis(started_at), millis(now));
        let mut machine = match (ended, refusal) {
            (Some(phase), _) => Machine::ended(spec, phase, started),
            (None, Some(verdict)) => Machine::rejected(spec, verdict, started),
            (None, None) => Machine::recovered(spec, found.recovered(&pod), started, at),
        };
        if kit.is_machine() {
            for (container, attempt) in crate::logs::attempts(&kit.config, &pod) {
                machine.set_first_attempt(&container, attempt);
            }
        }
        Self {
            writer: Writer::new(&pod, ended.is_some()),
            kit,
            pod,
            machine,
            post,
            sandbox,
            sandboxes,
            starts: BTreeMap::new(),
            stops: BTreeMap::new(),
            gone: false,
            delete_asked: false,
            resync_at: next_resync(),
            has_released: Arc::default(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        self.hear_pod(Arc::clone(&self.pod));
        self.input(Input::Tick);
        loop {
            self.write();
            if self.is_over() {
                break;
            }
            let wake = self.wake_at();
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.hear(message),
                    None => break,
                },
                () = tokio::time::sleep_until(wake) => self.wake(),
            }
            // Whatever else is waiting is taken in before the next status is written.
            while let Ok(message) = inbox.try_recv() {
                self.hear(message);
            }
        }
        if self.gone && self.kit.is_machine() {
            crate::logs::remove_pod(&self.kit.config, &self.pod);
        }
        tracing::debug!(pod = self.pod.name_any(), "worker over");
    }

    /// Nothing is left on the node, and the API knows the last word or has forgotten the pod.
    fn is_over(&self) -> bool {
        self.machine.is_finished() && self.gone && self.writer.is_idle()
    }

    fn wake_at(&self) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        let machine = self.machine.wake_at().map(|at| {
            let wait = at.0.saturating_sub(millis(Timestamp::now()).0).max(0);
            now + Duration::from_millis(wait.unsigned_abs())
        });
        let times = [machine, self.writer.retry_at(), Some(self.resync_at)];
        times.into_iter().flatten().min().unwrap_or(self.resync_at)
    }

    fn wake(&mut self) {
        if tokio::time::Instant::now() >= self.resync_at {
            self.resync_at = next_resync();
            self.refresh_volumes();
        }
        self.input(Input::Tick);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Pod(pod) => self.hear_pod(pod),
            Message::Gone => {
                self.gone = true;
                let grace_seconds = self.grace();
                self.input(Input::Delete { grace_seconds, object_gone: true });
            }
            Message::Container(id) => self.look_at(id),
            Message::Sandbox(id) if self.sandbox.id.as_ref() == Some(&id) => self.input(Input::SandboxLost),
            Message::Sandbox(_) => {}
            Message::LookAgain => self.look_at_all(),
            Message::Did(Did::Input(input)) => self.input(input),
            Message::Did(Did::Sandbox(sandbox)) => {
                self.sandboxes.extend(sandbox.id.clone());
                self.sandbox = sandbox;
                self.input(Input::SandboxReady);
            }
            Message::Did(Did::Wrote(outcome)) => {
                if self.writer.wrote(outcome) {
                    self.hear(Message::Gone);
                }
            }
        }
    }

    fn hear_pod(&mut self, pod: Arc<Pod>) {
        let changed = pod.spec != self.pod.spec;
        let labels_changed = pod.metadata.labels != self.pod.metadata.labels
            || pod.metadata.annotations != self.pod.metadata.annotations;
        self.pod = pod;
        self.writer.hear(&self.pod);
        if changed {
            self.input(Input::Spec(project::spec(&self.pod)));
        }
        if labels_changed {
            self.refresh_volumes();
        }
        let gates = project::open_gates(&self.pod);
        if !gates.is_empty() {
            self.input(Input::Gates(gates));
        }
        if self.pod.metadata.deletion_timestamp.is_some() {
            let grace_seconds = self.grace();
            self.input(Input::Delete { grace_seconds, object_gone: false });
        }
    }

    /// Seconds that a deleted pod still has for its containers (N79, N264).
    fn grace(&self) -> u32 {
        let asked = self.pod.metadata.deletion_grace_period_seconds;
        let own = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        asked.or(own).map_or(30, |seconds| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    fn input(&mut self, input: Input) {
        tracing::trace!(pod = self.pod.name_any(), ?input, "input");
        let effects = self.machine.step(input, millis(Timestamp::now()));
        if self.machine.is_finished() {
            self.has_released.store(true, Ordering::Release);
        }
        for effect in effects {
            tracing::trace!(pod = self.pod.name_any(), ?effect, "effect");
            self.act(effect);
        }
    }
}

fn next_resync() -> tokio::time::Instant {
    tokio::time::Instant::now() + RESYNC + RESYNC_SPREAD.mul_f64(rand::random::<f64>())
}

/// A moment as the machine counts it.
pub(crate) fn millis(time: Timestamp) -> everynode_core::model::Millis {
    everynode_core::model::Millis(time.as_millisecond())
}
