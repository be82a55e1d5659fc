//! Our own runtime: libcontainer in a helper process per container, overlayfs, images from files and registries.
//!
//! The agent's half. It owns nothing that a container needs: each container lives with its shim, and all that is known is
//! on disk (`record`), so that killing the agent changes nothing and the next one takes over.
//!
//! Not applied, and said in [`Runtime::status`]: seccomp profiles, AppArmor, SELinux; address translation for pods with an
//! own network that talk to the outside world.

mod containers;
mod exec;
mod imports;
mod launch;
mod ports;
mod sandboxes;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use tokio::sync::{Semaphore, broadcast, watch};

use super::{
    Answer, ContainerId, ContainerSpec, ContainerStatus, Event, Exec, ExecOutput, ExecRequest, ImageFsUsage, ImageInfo,
    PullRequest, Runtime, RuntimeError, RuntimeStatus, SandboxId, SandboxSpec, SandboxStatus, SharedRuntime, Stats,
    Version, cgroup::Cgroups, images,
};

/// Downloads at the same time; unpacking goes one at a time anyway.
const PULLS_MAX: usize = 4;
/// Events that a slow listener may be behind before it has to look at everything.
const EVENTS_MAX: usize = 1024;

/// What the built-in runtime of one node has to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// State of sandboxes and containers; one directory per node, on a file system that overlayfs takes as upper layer.
    pub state_dir: PathBuf,
    /// Unpacked images, shared by all nodes of this machine.
    pub image_store: PathBuf,
    /// Where image archives (`*.tar`) are dropped by users; imported at the start and when they appear.
    pub image_archives: PathBuf,
    /// How to start the shim: program and first arguments, for example `/proc/self/exe shim`.
    pub shim: Vec<OsString>,
    /// Put before every cgroup path; empty, or for example `/everynode-node-2` when nodes share a machine.
    pub cgroup_root: String,
    /// Addresses of pods without the node's network.
    pub pod_network: PodNetwork,
}

/// The addresses of a node's pods: `base` is the network, the first address after it the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodNetwork {
    /// Network address.
    pub base: Ipv4Addr,
    /// Length of its prefix.
    pub prefix_len: u8,
}

/// The pods of a machine that is one node.
pub const MACHINE_PODS: PodNetwork = PodNetwork { base: Ipv4Addr::new(10, 88, 0, 0), prefix_len: 24 };

/// Makes the bridge of pods, if it is absent, and gives this machine's address on it: there, pods with a network of their own
/// reach the machine.
///
/// # Errors
/// When this process may not make it.
pub fn open_bridge(network: PodNetwork) -> std::io::Result<Ipv4Addr> {
    sandboxes::ensure_bridge(network)
}

/// Opens the runtime: takes over the containers that run, imports image archives and watches for more.
pub async fn open(config: Config) -> Result<SharedRuntime, RuntimeError> {
    let (runtime, imported) = assemble(config).await?;
    tokio::spawn(Arc::clone(&runtime).import_archives(imported));
    Ok(Arc::new(Handle(runtime)))
}

/// Ends and removes all that runtimes with this configuration ever started: containers, sandboxes, cgroups, the bridge when
/// nobody else is on it, and the state. Images stay. No agent may run meanwhile.
pub async fn remove_all(config: Config) -> Result<(), RuntimeError> {
    if !config.state_dir.exists() {
        return Ok(());
    }
    let (runtime, _) = assemble(config).await?;
    let sandboxes: Vec<SandboxId> = runtime.sandbox_statuses().into_iter().map(|sandbox| sandbox.id).collect();
    futures::future::try_join_all(sandboxes.iter().map(|id| runtime.remove_sandbox_and_containers(id))).await?;
    // Those whose sandbox is not known any more.
    for container in runtime.container_statuses() {
        runtime.remove(&container.id).await?;
    }
    let state_dir = runtime.config.state_dir.clone();
    blocking(move || {
        sandboxes::remove_unused_bridge();
        remove_dir(&state_dir)
    })
    .await
}

/// Opens the state and takes over what runs; nothing is imported yet.
async fn assemble(config: Config) -> Result<(Arc<Builtin>, watch::Sender<bool>), RuntimeError> {
    if !nix::unistd::geteuid().is_root() {
        let mend = "run it as root, or use --runtime hollow";
        return Err(RuntimeError::Unsupported(format!("the built-in runtime needs root: {mend}")));
    }
    for dir in [config.state_dir.join("sandboxes"), config.state_dir.join("containers"), config.image_archives.clone()]
    {
        fs::create_dir_all(&dir).map_err(RuntimeError::io(format!("create {}", dir.display())))?;
    }
    let cgroups = Cgroups::detect().map_err(RuntimeError::io("read the mount table"))?;
    let store_dir = config.image_store.clone();
    let store = blocking(move || images::Store::open(store_dir)).await?;
    let (events, _) = broadcast::channel(EVENTS_MAX);
    let (imported, imports) = watch::channel(false);
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    let runtime = Arc::new(Builtin {
        config,
        store,
        cgroups,
        events,
        imports,
        boot_id,
        pulls: Semaphore::new(PULLS_MAX),
        state: Mutex::default(),
    });
    runtime.take_over_sandboxes().await?;
    runtime.take_over_containers()?;
    Ok((runtime, imported))
}

struct Builtin {
    config: Config,
    store: images::Store,
    cgroups: Cgroups,
    events: broadcast::Sender<Event>,
    /// Turns true once the archives that were there at the start are imported.
    imports: watch::Receiver<bool>,
    boot_id: String,
    /// Bounds pulls at the same time, so that a registry that does not answer holds up only those who want it.
    pulls: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sandboxes: BTreeMap<SandboxId, sandboxes::Sandbox>,
    containers: BTreeMap<ContainerId, containers::Container>,
}

impl Builtin {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shim_words(&self) -> Vec<String> {
        self.config.shim.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    async fn imported(&self) {
        let mut imports = self.imports.clone();
        // The importing task is gone only when the runtime is.
        let _ = imports.wait_for(|done| *done).await;
    }

    async fn find_image(&self, name: &str) -> Result<Option<ImageInfo>, RuntimeError> {
        self.imported().await;
        let (store, name) = (self.store.clone(), name.to_owned());
        blocking(move || store.status(&name)).await
    }
}

/// The runtime as it is handed out: calls that outlive their caller need an owner.
struct Handle(Arc<Builtin>);

impl Runtime for Handle {
    fn version(&self) -> Version {
        Version { name: "everynode".into(), version: env!("CARGO_PKG_VERSION").into() }
    }

    fn status(&self) -> Answer<'_, RuntimeStatus> {
        let usable = self.0.cgroups.is_usable();
        let status = RuntimeStatus {
            not_ready: (!usable).then(|| "no cgroup hierarchy with a memory controller is mounted".to_owned()),
            network_not_ready: None,
            limits: vec![
                "seccomp profiles are not applied".into(),
                "AppArmor and SELinux are not applied".into(),
                "pods with their own network reach the node and each other, not the outside world".into(),
            ],
        };
        async { Ok(status) }.boxed()
    }

    fn run_sandbox(&self, spec: SandboxSpec) -> Answer<'_, SandboxId> {
        self.0.new_sandbox(spec).boxed()
    }

    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()> {
        self.0.stop_sandbox_and_containers(id).boxed()
    }

    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()> {
        self.0.remove_sandbox_and_containers(id).boxed()
    }

    fn list_sandboxes(&self) -> Answer<'_, Vec<SandboxStatus>> {
        async { Ok(self.0.sandbox_statuses()) }.boxed()
    }

    fn sandbox_status<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, SandboxStatus> {
        async { self.0.one_sandbox_status(id) }.boxed()
    }

    fn create_container<'a>(&'a self, sandbox: &'a SandboxId, spec: ContainerSpec) -> Answer<'a, ContainerId> {
        self.0.new_container(sandbox, spec).boxed()
    }

    fn start_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()> {
        self.0.launch(id).boxed()
    }

    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration, signal: Option<i32>) -> Answer<'a, ()> {
        self.0.stop(id, grace, signal).boxed()
    }

    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()> {
        self.0.remove(id).boxed()
    }

    fn list_containers(&self) -> Answer<'_, Vec<ContainerStatus>> {
        async { Ok(self.0.container_statuses()) }.boxed()
    }

    fn container_status<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ContainerStatus> {
        async { self.0.one_container_status(id) }.boxed()
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, request: ExecRequest) -> Answer<'a, Exec> {
        self.0.start_exec(id, request).boxed()
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Answer<'a, ExecOutput> {
        self.0.run_exec(id, command, timeout).boxed()
    }

    fn image_status<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>> {
        self.0.find_image(reference).boxed()
    }

    fn pull_image(&self, request: PullRequest) -> Answer<'_, ImageInfo> {
        async move {
            // It is never closed.
            let _turn = self.0.pulls.acquire().await;
            images::pull::pull(&self.0.store, &request).await
        }
        .boxed()
    }

    fn list_images(&self) -> Answer<'_, Vec<ImageInfo>> {
        let store = self.0.store.clone();
        async move {
            self.0.imported().await;
            blocking(move || store.list()).await
        }
        .boxed()
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, ()> {
        let (store, name) = (self.0.store.clone(), reference.to_owned());
        blocking(move || store.remove(&name)).boxed()
    }

    fn image_fs_usage(&self) -> Answer<'_, ImageFsUsage> {
        let store = self.0.store.clone();
        blocking(move || store.fs_usage()).boxed()
    }

    fn stats<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, Stats> {
        async move {
            if self.0.running(id)?.is_none() {
                return Err(RuntimeError::NotRunning { id: id.clone() });
            }
            let this = Arc::clone(&self.0);
            let cgroup = this.state().containers.get(id).map(|c| c.record.cgroup.clone()).unwrap_or_default();
            blocking(move || this.cgroups.stats(&cgroup).map_err(RuntimeError::io(format!("read cgroup {cgroup}"))))
                .await
        }
        .boxed()
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let receiver = self.0.events.subscribe();
        futures::stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Event::Lagged, receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
        .boxed()
    }
}

/// Runs blocking work away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(RuntimeError::io("finish blocking work")(io::Error::other(e))))
}

/// Removes a directory with all in it; one that is gone is fine.
fn remove_dir(dir: &Path) -> Result<(), RuntimeError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(RuntimeError::io(format!("remove {}", dir.display()))(e)),
        _ => Ok(()),
    }
}

/// 64 hexadecimal digits, unique for ever.
fn new_id() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
