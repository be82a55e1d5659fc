//! What runs containers on a node: the trait [`Runtime`] and the plain data that goes through it.
//!
//! The trait is modelled on CRI v1 (spec N106–N137), small, and free of Kubernetes objects: a caller (the pod worker)
//! has already decided names, mounts, environment and resources. Calls that find their object already gone or already in
//! the wanted state succeed, so that every step of a worker can be repeated (N109).
//!
//! Invariants:
//! * A runtime keeps containers running when the agent goes away, and lists them again afterwards (N319).
//! * Everything a caller needs to take a pod over is in labels and annotations; they come back unchanged.
//! * Events are hints without order: after each one, and after [`Event::Lagged`], read the status again (N304).
//!
//! Not here: restart policy, back-off, probes, volumes, pull policy (the pod worker decides those).

pub mod builtin;
pub(crate) mod cgroup;
mod error;
pub mod images;
pub(crate) mod lock;
pub(crate) mod netlink;
pub(crate) mod record;
pub mod shim;
mod spec;
mod status;

use std::{sync::Arc, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};
use tokio::io::{AsyncRead, AsyncWrite};

pub use error::{PullFailure, RuntimeError};
pub use spec::{
    Capabilities, ContainerSpec, Credential, DeviceSpec, DnsConfig, HostNamespaces, Mount, PortMapping, Propagation,
    Protocol, PullRequest, Resources, SandboxSpec, SeccompProfile, UserSpec,
};
pub use status::{
    ContainerId, ContainerState, ContainerStatus, Event, ImageFsUsage, ImageInfo, RuntimeStatus, SandboxId,
    SandboxState, SandboxStatus, Stats, UserStatus, Version,
};

/// A result of a runtime call, still to be awaited.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, RuntimeError>>;

/// A runtime as the pod workers hold it.
pub type SharedRuntime = Arc<dyn Runtime>;

/// Runs sandboxes and containers on this node.
pub trait Runtime: Send + Sync + 'static {
    /// Name and version, for `status.nodeInfo.containerRuntimeVersion` and the `containerID` scheme.
    fn version(&self) -> Version;

    /// Whether containers and pod networks can be started now.
    fn status(&self) -> Answer<'_, RuntimeStatus>;

    /// Creates a sandbox (namespaces, network, pod cgroup). Not idempotent: each call makes a new one.
    fn run_sandbox(&self, spec: SandboxSpec) -> Answer<'_, SandboxId>;

    /// Kills what still runs in the sandbox and gives its network back. A sandbox that is gone is fine.
    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()>;

    /// Stops the sandbox and removes it, its containers and their files (not the logs). A sandbox that is gone is fine.
    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, ()>;

    /// All sandboxes, newest first.
    fn list_sandboxes(&self) -> Answer<'_, Vec<SandboxStatus>>;

    /// One sandbox; [`RuntimeError::NotFound`] when it is gone.
    fn sandbox_status<'a>(&'a self, id: &'a SandboxId) -> Answer<'a, SandboxStatus>;

    /// Prepares a container in a sandbox without starting it. The image must be present.
    fn create_container<'a>(&'a self, sandbox: &'a SandboxId, spec: ContainerSpec) -> Answer<'a, ContainerId>;

    /// Starts a created container. On failure the container is `Exited` with code 128 and reason `StartError`, and the
    /// error is [`RuntimeError::StartContainer`] with the words to show.
    fn start_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()>;

    /// Sends `signal` (`None`: the stop signal of the image, else SIGTERM), waits up to `grace`, then SIGKILL; returns once
    /// the container has exited. May be dropped and called again with a shorter grace. A container that is gone is fine.
    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration, signal: Option<i32>) -> Answer<'a, ()>;

    /// Kills the container if it runs, and removes it with its files (not its logs). One that is gone is fine.
    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ()>;

    /// All containers in any state, newest first.
    fn list_containers(&self) -> Answer<'_, Vec<ContainerStatus>>;

    /// One container; [`RuntimeError::NotFound`] when it is gone.
    fn container_status<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, ContainerStatus>;

    /// Starts a command in a running container and hands out its streams. Dropping the [`Exec`] kills the command.
    fn exec<'a>(&'a self, id: &'a ContainerId, request: ExecRequest) -> Answer<'a, Exec>;

    /// Runs a command to its end. `timeout` `None` means no limit; on expiry the command is killed and the error is
    /// [`RuntimeError::ExecTimeout`]. Each output stream is cut at [`EXEC_SYNC_OUTPUT_BYTES_MAX`].
    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Answer<'a, ExecOutput>;

    /// The image if it is present; `reference` is a name (any familiar form) or an image id.
    fn image_status<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>>;

    /// Pulls an image from its registry even if it is present (the caller has decided on the pull policy).
    fn pull_image(&self, request: PullRequest) -> Answer<'_, ImageInfo>;

    /// All images present.
    fn list_images(&self) -> Answer<'_, Vec<ImageInfo>>;

    /// Removes a name, or (given an id) all names of an image; layers nobody uses any more are freed.
    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, ()>;

    /// How full the file system of the images is.
    fn image_fs_usage(&self) -> Answer<'_, ImageFsUsage>;

    /// CPU and memory of one running container.
    fn stats<'a>(&'a self, id: &'a ContainerId) -> Answer<'a, Stats>;

    /// Changes in containers from now on, without polling. Each call is an own subscription.
    fn events(&self) -> BoxStream<'static, Event>;
}

/// Bytes kept of each stream by [`Runtime::exec_sync`].
pub const EXEC_SYNC_OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A command to run in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// A terminal instead of three pipes; stderr then comes on stdout.
    pub tty: bool,
    /// Whether input will be written; without it the command reads from /dev/null.
    pub stdin: bool,
    /// Whether standard output is wanted; without it, it goes to /dev/null.
    pub stdout: bool,
    /// Whether standard error is wanted (never with `tty`).
    pub stderr: bool,
}

/// A running command: its streams and its end.
pub struct Exec {
    /// Where to write input; drop (or shut down) to close it.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Standard output, or the terminal.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Standard error.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Sends window sizes (columns, rows); closed and ignored without a terminal.
    pub resize: tokio::sync::mpsc::Sender<(u16, u16)>,
    /// Resolves to the exit code (128 + signal when killed by one). Must be polled for the command to be supervised;
    /// dropping it kills the command.
    pub exit: BoxFuture<'static, Result<i32, RuntimeError>>,
}

impl std::fmt::Debug for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exec").finish_non_exhaustive()
    }
}

/// What a finished command left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output, cut at [`EXEC_SYNC_OUTPUT_BYTES_MAX`].
    pub stdout: Vec<u8>,
    /// Standard error, cut likewise.
    pub stderr: Vec<u8>,
    /// Exit code; 128 + signal when killed by one.
    pub exit_code: i32,
}
