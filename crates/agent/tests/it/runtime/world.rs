//! A runtime with an image to play with, in directories of its own.

use std::{
    ffi::OsString,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use everynode_agent::runtime::{
    ContainerId, ContainerSpec, ContainerState, ContainerStatus, Event, HostNamespaces, SandboxId, SandboxSpec,
    SharedRuntime, builtin,
};
use futures::StreamExt;
use tokio::sync::OnceCell;

use super::archive::{Image, Layer, write};

/// Longer than anything takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static WORLDS: AtomicU8 = AtomicU8::new(0);
static CLEARED: OnceCell<()> = OnceCell::const_new();
/// Directories of worlds begin so, and go on with the numbers of the process and the world.
const DIRS: &str = "evn-";

/// True when containers can be run here; says so if not.
pub(crate) fn possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: tests of the built-in runtime need root");
        return false;
    }
    if busybox().is_none() {
        eprintln!("SKIPPED: tests of the built-in runtime need a static busybox (apt-get install busybox-static)");
        return false;
    }
    true
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The image of most tests: busybox with a shell and users.
pub(crate) fn shell_image(name: &str) -> Image {
    let mut layer = Layer::new();
    layer.dir("bin", 0o755).unwrap();
    layer.copy(&busybox().unwrap(), "bin/busybox", 0o755).unwrap();
    for tool in [
        "sh", "cat", "ls", "id", "sleep", "env", "echo", "kill", "true", "hostname", "stty", "tty", "ps", "nc", "wget",
        "ip", "head", "yes", "mount", "touch",
    ] {
        layer.symlink(&format!("bin/{tool}"), "busybox").unwrap();
    }
    layer.dir("etc", 0o755).unwrap();
    layer.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n").unwrap();
    layer.file("etc/group", 0o644, b"root:x:0:\napp:x:1001:\nlogs:x:50:app\n").unwrap();
    layer.dir("tmp", 0o1777).unwrap();
    layer.file("bin/text", 0o755, b"not a program").unwrap();
    Image {
        name: name.into(),
        layers: vec![layer.finish().unwrap()],
        cmd: vec!["/bin/sh".into()],
        env: vec!["FROM_IMAGE=yes".into()],
        ..Image::default()
    }
}

/// Name of the image of most tests.
pub(crate) const SHELL: &str = "example.test/shell:1";

/// A runtime in a temporary directory.
pub(crate) struct World {
    pub(crate) runtime: SharedRuntime,
    pub(crate) config: builtin::Config,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) number: u8,
}

impl World {
    /// Opens a runtime with [`SHELL`]; `None` (after saying why) when that is not possible here.
    pub(crate) async fn new() -> Option<Self> {
        if !possible() {
            return None;
        }
        CLEARED.get_or_init(clear_up).await;
        let number = WORLDS.fetch_add(1, Ordering::SeqCst);
        let process = std::process::id();
        let dir = tempfile::Builder::new().prefix(&format!("{DIRS}{process}-{number}-")).tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("images")).unwrap();
        write(&shell_image(SHELL), &dir.path().join("images/shell.tar")).unwrap();
        let config = config(dir.path(), process, number);
        let runtime = builtin::open(config.clone()).await.unwrap();
        Some(Self { runtime, config, dir, number })
    }

    /// An address of this machine that is nobody else's: for ports that others may have, too.
    pub(crate) fn loopback(&self) -> Ipv4Addr {
        let [_, high, low, _] = self.config.pod_network.base.octets();
        Ipv4Addr::new(127, high, low, 1)
    }

    /// A sandbox on the node's network: the fastest.
    pub(crate) fn pod(&self) -> SandboxSpec {
        SandboxSpec {
            name: "pod".into(),
            namespace: "default".into(),
            uid: format!("uid-{}", self.number),
            log_directory: self.dir.path().join("logs"),
            host: HostNamespaces { network: true, pid: false, ipc: true },
            cgroup_parent: format!("/kubepods/besteffort/poduid-{}", self.number),
            ..SandboxSpec::default()
        }
    }

    pub(crate) async fn sandbox(&self, spec: SandboxSpec) -> SandboxId {
        self.runtime.run_sandbox(spec).await.unwrap()
    }

    /// A container that runs a shell script.
    pub(crate) fn script(&self, script: &str) -> ContainerSpec {
        ContainerSpec {
            name: "main".into(),
            image: SHELL.into(),
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            log_path: "main/0.log".into(),
            ..ContainerSpec::default()
        }
    }

    pub(crate) async fn start(&self, sandbox: &SandboxId, spec: ContainerSpec) -> ContainerId {
        let id = self.runtime.create_container(sandbox, spec).await.unwrap();
        self.runtime.start_container(&id).await.unwrap();
        id
    }

    /// Runs a container to its end; its exit code, reason and log.
    pub(crate) async fn run(&self, pod: SandboxSpec, spec: ContainerSpec) -> (i32, String, String) {
        let sandbox = self.sandbox(pod).await;
        let log = spec.log_path.clone();
        let id = self.start(&sandbox, spec).await;
        let status = self.ended(&id).await;
        let ContainerState::Exited { exit_code, reason, .. } = status.state else { unreachable!() };
        let text = self.log(&log);
        self.runtime.remove_sandbox(&sandbox).await.unwrap();
        let _ = std::fs::remove_dir_all(self.dir.path().join("logs"));
        (exit_code, reason, text)
    }

    /// The text of a log without times and tags.
    pub(crate) fn log(&self, path: &str) -> String {
        let raw = std::fs::read_to_string(self.dir.path().join("logs").join(path)).unwrap_or_default();
        raw.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    pub(crate) async fn ended(&self, id: &ContainerId) -> ContainerStatus {
        ended(&self.runtime, id).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Everything is removed; what is left is a leak.
    pub(crate) async fn end(self) {
        for sandbox in self.runtime.list_sandboxes().await.unwrap() {
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
        assert_clean(self.dir.path(), &self.config.cgroup_root);
    }
}

fn config(dir: &Path, process: u32, world: u8) -> builtin::Config {
    builtin::Config {
        state_dir: dir.join("state"),
        image_store: dir.join("store"),
        image_archives: dir.join("images"),
        shim: vec![OsString::from(env!("CARGO_BIN_EXE_everynode-shim"))],
        cgroup_root: format!("/evntest-{process}-{world}"),
        pod_network: builtin::PodNetwork { base: subnet(process, world), prefix_len: 24 },
    }
}

/// Worlds share one bridge, but no addresses: not with each other, and hardly with those of another process.
fn subnet(process: u32, world: u8) -> Ipv4Addr {
    const FIRST: u8 = 150;
    const WORLDS_MAX: u32 = 32;
    let at = (process * WORLDS_MAX + u32::from(world)) % (u32::from(250 - FIRST) << 8);
    let [_, _, high, low] = at.to_be_bytes();
    Ipv4Addr::new(10, FIRST + high, low, 0)
}

/// Ends and removes the worlds of processes that were killed.
async fn clear_up() {
    for dir in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path()) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((process, rest)) = name.strip_prefix(DIRS).and_then(|name| name.split_once('-')) else { continue };
        let world = rest.split('-').next().unwrap_or_default();
        let (Ok(process), Ok(world)) = (process.parse(), world.parse()) else { continue };
        if !Path::new("/proc").join(format!("{process}")).exists() {
            let removed = builtin::remove_all(config(&dir, process, world)).await;
            if let Err(error) = removed {
                eprintln!("cannot clear up {}: {error}", dir.display());
            }
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
}

/// A test that failed leaves nothing running either.
impl Drop for World {
    fn drop(&mut self) {
        let config = self.config.clone();
        let clean = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(builtin::remove_all(config))
        });
        if let Ok(Err(error)) = clean.join() {
            eprintln!("cannot clean up: {error}");
        }
    }
}

/// Waits for the end of a container, by its events.
pub(crate) async fn ended(runtime: &SharedRuntime, id: &ContainerId) -> ContainerStatus {
    let mut events = runtime.events();
    let wait = async {
        loop {
            let status = runtime.container_status(id).await.unwrap();
            if matches!(status.state, ContainerState::Exited { .. }) {
                return status;
            }
            let event: Event = events.next().await.unwrap();
            drop(event);
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the container ends")
}

/// No mount below the directory, no process with it on its command line, no cgroup.
pub(crate) fn assert_clean(dir: &Path, cgroup_root: &str) {
    let text = dir.to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&text)).collect();
    assert!(left.is_empty(), "mounts left: {left:#?}");
    for controller in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let left = controller.path().join(cgroup_root.trim_start_matches('/'));
        assert!(!left.exists(), "cgroup left: {}", left.display());
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        assert!(!line.contains(&text), "process left: {}", line.replace('\0', " "));
    }
}
