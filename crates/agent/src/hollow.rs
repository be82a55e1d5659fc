//! The runtime `hollow`: containers that only pretend, for fleets without machines.
//!
//! A container runs as soon as it is started, and for ever; an init container has done its work at once. Unless the pod or the image plays
//! something else:
//!
//! | what | does |
//! |---|---|
//! | annotation `everynode.io/hollow-exit-after: 5s` | each container exits by itself after that time |
//! | annotation `everynode.io/hollow-exit-code: "1"` | … with this code (default 0) |
//! | annotation `everynode.io/hollow-start-delay: 2s` | each container takes that long to start |
//! | image whose last part begins with `hollow-missing` | cannot be pulled |
//! | image whose last part begins with `hollow-crash` | exits with code 1 at once |
//!
//! Nothing is kept on disk: a hollow node that restarts starts its pods again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use crate::runtime::{
    Answer, ContainerId, ContainerSpec, ContainerState, ContainerStatus, Event, Exec, ExecOutput, ExecRequest,
    ImageFsUsage, ImageInfo, PullFailure, PullRequest, Runtime, RuntimeError, RuntimeStatus, SandboxId, SandboxSpec,
    SandboxState, SandboxStatus, Stats, Version,
};

/// Annotation: time to an exit.
pub const EXIT_AFTER: &str = "everynode.io/hollow-exit-after";
/// Annotation: code of that exit.
pub const EXIT_CODE: &str = "everynode.io/hollow-exit-code";
/// Annotation: time from start to running.
pub const START_DELAY: &str = "everynode.io/hollow-start-delay";

/// Events kept for a slow listener; one that lags looks at everything again.
const EVENTS_MAX: usize = 256;

/// A runtime of pretend containers.
#[derive(Debug)]
pub struct HollowRuntime {
    shared: Arc<Shared>,
    start_delay: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    sandboxes: BTreeMap<String, SandboxStatus>,
    containers: BTreeMap<String, Pretend>,
}

#[derive(Debug)]
struct Pretend {
    status: ContainerStatus,
    crashes: bool,
    /// Wakes whoever waits for the end.
    ended: watch::Sender<bool>,
}

impl HollowRuntime {
    /// A runtime in which each container takes `start_delay` to start.
    pub fn new(start_delay: Duration) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { state, events }), start_delay }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, status: &ContainerStatus) {
        // Nobody listening is fine.
        let _ = self.events.send(Event::Container { id: status.id.clone(), pod_uid: status.pod_uid.clone() });
    }

    fn end(&self, id: &str, exit_code: i32) {
        let mut state = self.state();
        let Some(pretend) = state.containers.get_mut(id) else { return };
        let started_at = match pretend.status.state {
            ContainerState::Exited { .. } => return,
            ContainerState::Running { started_at, .. } => Some(started_at),
            ContainerState::Created => None,
        };
        pretend.status.state = ContainerState::Exited {
            exit_code,
            started_at,
            finished_at: Timestamp::now(),
            reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
            message: String::new(),
        };
        pretend.ended.send_replace(true);
        let status = pretend.status.clone();
        drop(state);
        self.tell(&status);
    }

    fn end_sandbox(&self, id: &SandboxId) {
        let mut state = self.state();
        if let Some(sandbox) = state.sandboxes.get_mut(&id.0) {
            sandbox.state = SandboxState::NotReady;
        }
        let inside: Vec<_> =
            state.containers.values().filter(|c| c.status.sandbox == *id).map(|c| c.status.id.0.clone()).collect();
        drop(state);
        for container in inside {
            self.end(&container, 137);
        }
    }
}

fn last_part(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}

fn info(reference: &str) -> ImageInfo {
    // A digest that is stable for the name and costs nothing.
    let sum = reference
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ImageInfo {
        id: format!("sha256:{sum:064x}"),
        repo_tags: vec![reference.to_owned()],
        size_bytes: 1 << 20,
        ..ImageInfo::default()
    }
}

/// Reads `5s`, `250ms`, `2m` or plain seconds.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => match text.strip_suffix('m') {
            Some(number) => (number, 60_000.0),
            None => (text.strip_suffix('s').unwrap_or(text), 1_000.0),
        },
    };
    let ms = number.parse::<f64>().ok()? * unit_ms;
    Duration::try_from_secs_f64(ms / 1_000.0).ok()
}

fn ready<'a, T: Send + 'a>(result: Result<T, RuntimeError>) -> Answer<'a, T> {
    futures::future::ready(result).boxed()
}

fn missing<T>(kind: &'static str, id: &str) -> Result<T, RuntimeError> {
    Err(RuntimeError::NotFound { kind, id: id.to_owned() })
}

impl Runtime for HollowRuntime {
    fn version(&self) -> Version {
        Version { name: "hollow".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    fn status(&self) -> Answer<'_, RuntimeStatus> {
        ready(Ok(RuntimeStatus::default()))
    }

    fn run_sandbox(&self, spec: SandboxSpec) -> Answer<'_, SandboxId> {
        let mut state = self.shared.state();
        state.made += 1;
        let id = SandboxId(format!("{:064x}", state.made));
        // One address per sandbox, in a range that nobody routes.
        let ips = if spec.host.network { Vec::new() } else { vec![pretend_ip(state.made)] };
        let status = SandboxStatus {
            id: id.clone(),
            name: spec.name,
            namespace: spec.namespace,
            uid: spec.uid,
            attempt: spec.attempt,
            state: SandboxState::Ready,
            created_at: Timestamp::now(),
            ips,
            labels: spec.labels,
            annotations: spec.annotations,
        };
        state.sandboxes.insert(id.0.clone(), status);
        ready(Ok(id))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()> {
        self.shared.end_sandbox(id);
        ready(Ok(()))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()> {
        self.shared.end_sandbox(id);
        let mut state = self.shared.state();
        state.sandboxes.remove(&id.0);
        state.containers.retain(|_, container| container.status.sandbox != *id);
        ready(Ok(()))
    }

    fn list_sandboxes(&self) -> Answer<'_, Vec<SandboxStatus>> {
        let state = self.shared.state();
        ready(Ok(state.sandboxes.values().rev().cloned().collect()))
    }

    fn sandbox_status<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, SandboxStatus> {
        let found = self.shared.state().sandboxes.get(&id.0).cloned();
        ready(found.map_or_else(|| missing("sandbox", &id.0), Ok))
    }

    fn create_container<'a>(&'a self, sandbox: &'a SandboxId, spec: ContainerSpec) -> Answer<'a, ContainerId> {
        let mut state = self.shared.state();
        let Some(pod) = state.sandboxes.get(&sandbox.0).map(|pod| (pod.uid.clone(), pod.annotations.clone())) else {
            return ready(missing("sandbox", &sandbox.0));
        };
        state.made += 1;
        let id = ContainerId(format!("{:064x}", state.made));
        let image_info = info(&spec.image);
        let crashes = last_part(&spec.image).starts_with("hollow-crash");
        let mut annotations = pod.1;
        annotations.extend(spec.annotations);
        let status = ContainerStatus {
            id: id.clone(),
            sandbox: sandbox.clone(),
            pod_uid: pod.0,
            name: spec.name,
            attempt: spec.attempt,
            image_id: image_info.id.clone(),
            image_ref: image_info.id,
            image: spec.image,
            state: ContainerState::Created,
            created_at: Timestamp::now(),
            log_path: None,
            user: None,
            labels: spec.labels,
            annotations,
        };
        state.containers.insert(id.0.clone(), Pretend { status, crashes, ended: watch::channel(false).0 });
        ready(Ok(id))
    }

    fn start_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()> {
        async move {
            let (delay, exit) = {
                let state = self.shared.state();
                let Some(pretend) = state.containers.get(&id.0) else { return missing("container", &id.0) };
                let of = |key| pretend.status.annotations.get(key);
                let delay = of(START_DELAY).and_then(|text| duration(text)).unwrap_or(self.start_delay);
                let code = of(EXIT_CODE).and_then(|text| text.parse().ok()).unwrap_or(0);
                let planned = of(EXIT_AFTER).and_then(|text| duration(text)).map(|after| (after, code));
                (delay, if pretend.crashes { Some((Duration::ZERO, 1)) } else { planned })
            };
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if let Some(pretend) = self.shared.state().containers.get_mut(&id.0) {
                pretend.status.state = ContainerState::Running { started_at: Timestamp::now(), pid: 0 };
                self.shared.tell(&pretend.status);
            }
            if let Some((after, code)) = exit {
                let (shared, id) = (Arc::clone(&self.shared), id.0.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    shared.end(&id, code);
                });
            }
            Ok(())
        }
        .boxed()
    }

    fn stop_container<'a>(&'a self, id: &'a ContainerId, _: Duration, _: Option<i32>) -> Answer<'a, ()> {
        self.shared.end(&id.0, 0);
        ready(Ok(()))
    }

    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()> {
        self.shared.end(&id.0, 137);
        self.shared.state().containers.remove(&id.0);
        ready(Ok(()))
    }

    fn list_containers(&self) -> Answer<'_, Vec<ContainerStatus>> {
        let state = self.shared.state();
        ready(Ok(state.containers.values().rev().map(|container| container.status.clone()).collect()))
    }

    fn container_status<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ContainerStatus> {
        let found = self.shared.state().containers.get(&id.0).map(|container| container.status.clone());
        ready(found.map_or_else(|| missing("container", &id.0), Ok))
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, _: ExecRequest) -> Answer<'a, Exec> {
        let message = "a hollow container has no process to join".to_owned();
        ready(Err(RuntimeError::Exec { id: id.clone(), message }))
    }

    fn exec_sync<'a>(&'a self, _: &'a ContainerId, _: Vec<String>, _: Option<Duration>) -> Answer<'a, ExecOutput> {
        ready(Ok(ExecOutput::default()))
    }

    fn image_status<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>> {
        let there = !last_part(reference).starts_with("hollow-missing");
        ready(Ok(there.then(|| info(reference))))
    }

    fn pull_image(&self, request: PullRequest) -> Answer<'_, ImageInfo> {
        if last_part(&request.image).starts_with("hollow-missing") {
            return ready(Err(RuntimeError::PullImage {
                reference: request.image,
                failure: PullFailure::NotFound,
                message: "not found".to_owned(),
            }));
        }
        ready(Ok(info(&request.image)))
    }

    fn list_images(&self) -> Answer<'_, Vec<ImageInfo>> {
        ready(Ok(Vec::new()))
    }

    fn remove_image<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
        ready(Ok(()))
    }

    fn image_fs_usage(&self) -> Answer<'_, ImageFsUsage> {
        ready(Ok(ImageFsUsage::default()))
    }

    fn stats<'a>(&'a self, _: &'a ContainerId) -> Answer<'a, Stats> {
        ready(Ok(Stats::default()))
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let receiver = self.shared.events.subscribe();
        futures::stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some((Event::Lagged, receiver)),
            Err(broadcast::error::RecvError::Closed) => None,
        })
        .boxed()
    }
}

/// An address of the benchmarking range 198.18.0.0/15.
fn pretend_ip(made: u64) -> std::net::IpAddr {
    let [.., b, c, d] = made.to_be_bytes();
    std::net::IpAddr::from([198, 18 + (b & 1), c, d])
}
