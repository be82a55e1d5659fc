//! The hidden subcommand `everynode shim …`: single-threaded processes around libcontainer, which must not be used in a
//! process with threads (it changes the working directory, clones without libc and sets its own oom score).
//!
//! | words | life |
//! |---|---|
//! | `container DIR` | as long as the container: starts it, writes its log, records its end |
//! | `sandbox DIR` | makes and pins the namespaces of a pod |
//! | `exec DIR` | one command in a running container |
//! | `pause` | number 1 of a process namespace that a pod's containers share |
//! | `compress FILE` | one rotated log |
//! | `node FILE -- COMMAND…` | puts a node into namespaces of its own, then becomes the command |
//!
//! Standard input is the control socket ([`control`]). Nothing is printed; the answer goes over the socket.

mod console;
pub(crate) mod container;
pub(crate) mod control;
mod exec;
mod executor;
mod log;
mod machine;
mod oci;
mod pump;
mod reap;
mod rootfs;
pub(crate) mod sandbox;
mod user;

use std::{
    ffi::OsString,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
};

use control::Reply;

/// Runs the shim with the words after `shim`. Call it before any thread or async runtime exists.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut words = args.into_iter();
    let (Some(act), rest) = (words.next(), words.collect::<Vec<_>>()) else { return usage() };
    let target = rest.first().map(Path::new);
    match (act.to_str(), target) {
        (Some("pause"), None) => pause(),
        (Some("compress"), Some(file)) => code(log::compress(file).is_ok()),
        (Some("container"), Some(dir)) => with_agent(|agent| {
            stay();
            container::run(dir, agent)
        }),
        (Some("sandbox"), Some(dir)) => with_agent(|agent| {
            sandbox::run(dir)?;
            let _ = control::send(&agent, &Reply::Started);
            Ok(())
        }),
        (Some("exec"), Some(dir)) => with_agent(|agent| {
            let _ = prctl_subreaper();
            exec::run(dir, &agent)
        }),
        (Some("node"), Some(plan)) => code(crate::netns::enter(plan, &rest).is_ok()),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    ExitCode::from(2)
}

fn code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes the control socket from standard input, and tells the agent when the act fails.
fn with_agent(act: impl FnOnce(UnixStream) -> Result<(), String>) -> ExitCode {
    let agent = match std::io::stdin().as_fd().try_clone_to_owned().map(socket) {
        Ok((agent, spare)) => {
            // Standard input of what is started from here must not be the control socket.
            if let Ok(null) = std::fs::File::open("/dev/null") {
                let _ = rustix::stdio::dup2_stdin(&null);
            }
            (agent, spare)
        }
        Err(_) => return ExitCode::FAILURE,
    };
    let (agent, spare) = agent;
    let result = act(agent);
    if let (Err(message), Some(spare)) = (&result, spare) {
        let _ = control::send(&spare, &Reply::Failed(message.clone()));
    }
    code(result.is_ok())
}

/// The socket twice: one for the act, which may close it early, one for a failure.
fn socket(fd: OwnedFd) -> (UnixStream, Option<UnixStream>) {
    let socket = UnixStream::from(fd);
    let spare = socket.try_clone().ok();
    (socket, spare)
}

/// Makes this process independent of whoever started it.
fn stay() {
    let _ = nix::unistd::setsid();
    let _ = std::env::set_current_dir("/");
    let _ = prctl_subreaper();
}

fn prctl_subreaper() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
}

/// Reaps orphans until the namespace is ended from outside.
fn pause() -> ExitCode {
    let mut mask = nix::sys::signal::SigSet::empty();
    mask.add(nix::sys::signal::Signal::SIGCHLD);
    if mask.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        let _ = reap::ended(0);
        if mask.wait().is_err() {
            return ExitCode::FAILURE;
        }
    }
}
