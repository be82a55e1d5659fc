//! Containers: create, start, watch, stop, remove; and taking over those of an earlier agent.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rustix::process::Signal;
use tokio::sync::watch;

use super::{Builtin, launch, new_id};
use crate::runtime::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, Event, RuntimeError, SandboxId,
    record::{self, ContainerRecord, Ended, ProcessId, Started},
    shim::{self, control::Reply},
};

/// A container as this agent knows it.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) record: Arc<ContainerRecord>,
    dir: PathBuf,
    /// Its shim, once started.
    shim: Option<ProcessId>,
    started: Option<Started>,
    ended: Option<Ended>,
    /// Turns true at the end.
    over: watch::Sender<bool>,
}

impl Container {
    fn new(record: ContainerRecord, dir: PathBuf) -> Self {
        Self { record: Arc::new(record), dir, shim: None, started: None, ended: None, over: watch::Sender::new(false) }
    }

    fn status(&self) -> ContainerStatus {
        let record = &self.record;
        // A start that an earlier agent began is only known from the file.
        let started = self.started.clone().or_else(|| record::read(&self.dir, record::STARTED));
        let state = match (&self.ended, &started) {
            (Some(ended), started) => ContainerState::Exited {
                exit_code: ended.exit_code,
                started_at: started.as_ref().map(|s| s.started_at),
                finished_at: ended.finished_at,
                reason: ended.reason.clone(),
                message: ended.message.clone(),
            },
            (None, Some(started)) => {
                ContainerState::Running { started_at: started.started_at, pid: started.process.pid }
            }
            (None, None) => ContainerState::Created,
        };
        ContainerStatus {
            id: record.id.clone(),
            sandbox: record.sandbox.clone(),
            pod_uid: record.pod.uid.clone(),
            name: record.spec.name.clone(),
            attempt: record.spec.attempt,
            image: record.spec.image.clone(),
            image_id: record.image_id.clone(),
            image_ref: record.image_ref.clone(),
            state,
            created_at: record.created_at,
            log_path: record.log_path.clone(),
            user: started.map(|s| s.user),
            labels: record.spec.labels.clone(),
            annotations: record.spec.annotations.clone(),
        }
    }

    /// The first process, if the container runs.
    fn process(&self) -> Option<ProcessId> {
        if self.ended.is_some() {
            return None;
        }
        self.started.clone().or_else(|| record::read(&self.dir, record::STARTED)).map(|s| s.process)
    }
}

impl Builtin {
    pub(super) fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.config.state_dir.join("containers").join(&id.0)
    }

    fn container(&self, id: &ContainerId) -> Option<Container> {
        self.state().containers.get(id).cloned()
    }

    fn change_container(&self, id: &ContainerId, change: impl FnOnce(&mut Container)) -> Option<Container> {
        let mut state = self.state();
        let container = state.containers.get_mut(id)?;
        change(container);
        Some(container.clone())
    }

    pub(super) fn container_statuses(&self) -> Vec<ContainerStatus> {
        let mut all: Vec<ContainerStatus> = self.state().containers.values().map(Container::status).collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.created_at));
        all
    }

    pub(super) fn one_container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        self.container(id).map(|c| c.status()).ok_or_else(|| not_found(id))
    }

    /// The first process of a container; `None` when it does not run.
    pub(super) fn running(&self, id: &ContainerId) -> Result<Option<ProcessId>, RuntimeError> {
        Ok(self.container(id).ok_or_else(|| not_found(id))?.process())
    }

    pub(super) async fn new_container(
        &self,
        sandbox: &SandboxId,
        spec: ContainerSpec,
    ) -> Result<ContainerId, RuntimeError> {
        let failed = |message: String| RuntimeError::CreateContainer { name: spec.name.clone(), message };
        let pod = self.ready_sandbox(sandbox)?;
        self.imported().await;
        let (store, wanted) = (self.store.clone(), spec.image.clone());
        let image = super::blocking(move || store.resolve(&wanted)).await?;
        let image = image.ok_or_else(|| RuntimeError::NotFound { kind: "image", id: spec.image.clone() })?;
        if image.config.command_line(&spec.command, &spec.args).is_empty() {
            return Err(failed("no command specified".into()));
        }
        let id = ContainerId(new_id());
        let log_path = (!spec.log_path.is_empty()).then(|| pod.spec.log_directory.join(&spec.log_path));
        let record = ContainerRecord {
            id: id.clone(),
            sandbox: sandbox.clone(),
            sandbox_dir: self.sandbox_dir(sandbox),
            cgroup: match pod.cgroup.as_str() {
                "" => format!("{}/everynode/{}", self.config.cgroup_root, id.0),
                above => format!("{above}/{}", id.0),
            },
            pod: pod.spec,
            created_at: Timestamp::now(),
            image_id: image.id,
            image_ref: image.image_ref,
            layers: image.layers,
            layers_dir: self.store.layers_dir(),
            config: image.config,
            log_path,
            shim: self.shim_words(),
            spec: spec.clone(),
        };
        let dir = self.container_dir(&id);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&dir)?;
            if let Some(parent) = record.log_path.as_deref().and_then(Path::parent) {
                fs::create_dir_all(parent)?;
            }
            record::write(&dir, record::RECORD, &record)
        };
        self.store.hold(&id.0, &record.image_id)?;
        if let Err(e) = write() {
            self.store.release(&id.0);
            let _ = fs::remove_dir_all(&dir);
            return Err(failed(format!("write {}: {e}", dir.display())));
        }
        self.state().containers.insert(id.clone(), Container::new(record, dir));
        Ok(id)
    }

    pub(super) async fn launch(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let failed = |message: String| RuntimeError::StartContainer { id: id.clone(), message };
        let container = self.container(id).ok_or_else(|| not_found(id))?;
        if container.shim.is_some() || container.ended.is_some() {
            return Err(failed("it has been started before".into()));
        }
        let dir = &container.dir;
        let stderr = fs::File::create(dir.join("shim.log")).map_or_else(|_| Stdio::null(), Stdio::from);
        let helper = launch::start(&self.config.shim, "container", dir, &[], stderr);
        let mut helper = helper.map_err(|e| failed(format!("cannot start the shim: {e}")))?;
        let shim = helper.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(ProcessId::of);
        if let Some(shim) = shim {
            let _ = record::write(dir, record::SHIM, &shim);
        }
        self.change_container(id, |c| c.shim = shim.or(Some(ProcessId { pid: 0, start: 0 })));
        // From here on the end is noticed whatever happens to this call.
        let watcher = Arc::clone(self);
        let watched = id.clone();
        tokio::spawn(async move { watcher.watch(watched, shim).await });
        match launch::reply(&mut helper.socket).await {
            Ok(Some(Reply::Started)) => {
                let started = record::read(dir, record::STARTED);
                self.change_container(id, |c| c.started = started);
                self.tell(&container.record);
                Ok(())
            }
            Ok(Some(Reply::Failed(message))) => {
                let mut over = container.over.subscribe();
                let _ = over.wait_for(|over| *over).await;
                Err(failed(message))
            }
            Ok(Some(Reply::Exited(_)) | None) | Err(_) => {
                let said = fs::read_to_string(dir.join("shim.log")).unwrap_or_default();
                let last = said.lines().last().unwrap_or("it said nothing").to_owned();
                Err(failed(format!("the shim ended without an answer: {last}")))
            }
        }
    }

    /// Waits for the end of a shim and makes known how its container ended.
    async fn watch(self: Arc<Self>, id: ContainerId, shim: Option<ProcessId>) {
        if let Some(handle) = shim.and_then(ProcessId::open)
            && let Ok(handle) = launch::watch(handle)
        {
            // An error is as good as an end: what follows looks for itself.
            let _ = handle.readable().await;
        }
        let Some(container) = self.container(&id) else { return };
        let this = Arc::clone(&self);
        let ended = super::blocking(move || Ok(this.find_end(&container))).await;
        let Ok(ended) = ended else { return };
        let started = record::read(&self.container_dir(&id), record::STARTED);
        let container = self.change_container(&id, |c| {
            c.started = c.started.take().or(started);
            c.ended = Some(ended);
        });
        if let Some(container) = container {
            container.over.send_replace(true);
            self.tell(&container.record);
        }
    }

    /// How a container ended whose shim is gone. A shim that was killed leaves that to us, and its container without logs.
    fn find_end(&self, container: &Container) -> Ended {
        if let Some(ended) = record::read::<Ended>(&container.dir, record::ENDED) {
            return ended;
        }
        if let Some(process) = container.process().and_then(ProcessId::open) {
            let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
        }
        shim::container::clean_up_after_shim(&container.dir, &container.record, &self.cgroups);
        let ended = Ended {
            exit_code: 137,
            finished_at: Timestamp::now(),
            reason: "ContainerStatusUnknown".into(),
            message: "the process that supervised the container was killed".into(),
        };
        let _ = record::write(&container.dir, record::ENDED, &ended);
        ended
    }

    fn tell(&self, record: &ContainerRecord) {
        let event = Event::Container { id: record.id.clone(), pod_uid: record.pod.uid.clone() };
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    pub(super) async fn stop(
        &self,
        id: &ContainerId,
        grace: Duration,
        signal: Option<i32>,
    ) -> Result<(), RuntimeError> {
        let Some(container) = self.container(id) else { return Ok(()) };
        if container.ended.is_some() || container.shim.is_none() {
            return Ok(());
        }
        let mut over = container.over.subscribe();
        let number = signal.unwrap_or_else(|| container.record.config.stop_signal());
        if !grace.is_zero()
            && let Some(process) = container.process().and_then(ProcessId::open)
        {
            // The process may be gone by now; then its end is on the way.
            let _ = nix::sys::signal::Signal::try_from(number).map_or_else(
                |_| send_realtime(&process, number),
                |_| Signal::from_named_raw(number).map_or(Ok(()), |s| rustix::process::pidfd_send_signal(&process, s)),
            );
            if tokio::time::timeout(grace, over.wait_for(|over| *over)).await.is_ok() {
                return Ok(());
            }
        }
        match container.process().and_then(ProcessId::open) {
            Some(process) => {
                let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
            }
            // Not started yet, or its first process hides: with the shim's end `watch` cleans up.
            None if container.ended.is_none() && container.process().is_none() => {
                if let Some(shim) = container.shim.and_then(ProcessId::open) {
                    let _ = rustix::process::pidfd_send_signal(&shim, Signal::KILL);
                }
            }
            None => {}
        }
        let _ = over.wait_for(|over| *over).await;
        Ok(())
    }

    pub(super) async fn remove(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let Some(container) = self.container(id) else { return Ok(()) };
        self.stop(id, Duration::ZERO, None).await?;
        let this = Arc::clone(self);
        super::blocking(move || {
            if container.shim.is_none() {
                this.cgroups.remove_leaf(&container.record.cgroup);
            }
            super::remove_dir(&container.dir)?;
            this.store.release(&container.record.id.0);
            Ok(())
        })
        .await?;
        self.state().containers.remove(id);
        Ok(())
    }

    /// Finds the containers of an earlier agent; those that run are watched from now on.
    pub(super) fn take_over_containers(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let root = self.config.state_dir.join("containers");
        for entry in fs::read_dir(&root).map_err(RuntimeError::io(format!("read {}", root.display())))?.flatten() {
            let dir = entry.path();
            let Some(record) = record::read::<ContainerRecord>(&dir, record::RECORD) else {
                // Never told to anyone.
                let _ = super::remove_dir(&dir);
                continue;
            };
            let id = record.id.clone();
            let mut container = Container::new(record, dir.clone());
            container.shim = record::read(&dir, record::SHIM);
            container.started = record::read(&dir, record::STARTED);
            container.ended = record::read(&dir, record::ENDED);
            let shim = container.shim;
            let unsupervised = container.ended.is_none() && (shim.is_some() || container.started.is_some());
            container.over.send_replace(container.ended.is_some());
            self.state().containers.insert(id.clone(), container);
            if unsupervised {
                let watcher = Arc::clone(self);
                tokio::spawn(async move { watcher.watch(id, shim).await });
            }
        }
        Ok(())
    }
}

/// Real-time signals have no place in the enumerations; by number, of a process that is held by its handle.
fn send_realtime(process: &std::os::fd::OwnedFd, number: i32) -> rustix::io::Result<()> {
    if number <= 0 || number > 64 {
        return Err(rustix::io::Errno::INVAL);
    }
    #[expect(unsafe_code, reason = "no crate of ours can name real-time signals")]
    // SAFETY: the number is one of a signal, and libc does not use it: it is sent to another process.
    let signal = unsafe { Signal::from_raw_unchecked(number) };
    rustix::process::pidfd_send_signal(process, signal)
}

fn not_found(id: &ContainerId) -> RuntimeError {
    RuntimeError::NotFound { kind: "container", id: id.0.clone() }
}
