//! `shim container DIR`: runs one container from its start to its end, and outlives the agent.
//!
//! ```text
//! mount root ─> libcontainer create ─> leave the private mounts ─> start ─> started.json, answer to the agent
//!    ─> copy output to the log, reap ─> first process ended ─> kill the rest ─> ended.json ─> clean up, exit
//! ```
//!
//! The root file system is mounted in a mount namespace of its own that only the container keeps, so that the kernel takes
//! it away with the container, whoever dies first. (Not with bidirectional mounts: those need the node's.)

use std::{
    fs::{self, File},
    io::{PipeReader, Read},
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use libcontainer::{container::builder::ContainerBuilder, syscall::syscall::SyscallType};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{
    console::Console,
    control::{self, Reply},
    executor::{Program, listen_to_libcontainer, reported, stop_listening},
    machine, oci,
    pump::{self, Output},
    rootfs, user,
};
use crate::runtime::{
    Propagation, UserStatus,
    cgroup::Cgroups,
    images::chain,
    record::{self, ContainerRecord, Ended, ProcessId, SandboxRecord, Started},
};

/// Runs the container to its end. `agent` is told once whether it started.
pub(crate) fn run(dir: &Path, agent: UnixStream) -> Result<(), String> {
    let record: ContainerRecord =
        record::read(dir, record::RECORD).ok_or_else(|| format!("{} has no readable record", dir.display()))?;
    let cgroups = Cgroups::detect().map_err(|e| format!("read the mount table: {e}"))?;
    let own_score = machine::oom_score();
    let started = start(dir, &record);
    // libcontainer sets the container's score on the process that creates it.
    machine::set_oom_score(own_score);
    let running = match started {
        Ok(running) => running,
        Err(message) => {
            clean_up(dir, &record, &cgroups);
            end(
                dir,
                Ended {
                    exit_code: 128,
                    finished_at: Timestamp::now(),
                    reason: "StartError".into(),
                    message: message.clone(),
                },
            );
            let _ = control::send(&agent, &Reply::Failed(message));
            return Ok(());
        }
    };
    let _ = control::send(&agent, &Reply::Started);
    drop(agent);
    // Without an own process namespace the kernel does not end the other processes with the first one.
    let shares_processes = record.pod.host.pid || record.pod.share_pid;
    let after_init = || {
        if shares_processes {
            cgroups.kill(&record.cgroup);
        }
    };
    let exit_code = pump::run(running.pid, running.output, record.log_path.as_deref(), &record.shim, after_init);
    let out_of_memory = exit_code != 0 && cgroups.oom_kills(&record.cgroup) > 0;
    let reason = match exit_code {
        0 => "Completed",
        _ if out_of_memory => "OOMKilled",
        _ => "Error",
    };
    let finished_at = Timestamp::now();
    clean_up(dir, &record, &cgroups);
    end(dir, Ended { exit_code, finished_at, reason: reason.into(), message: String::new() });
    Ok(())
}

struct Running {
    pid: i32,
    output: Output,
}

fn end(dir: &Path, ended: Ended) {
    // If this fails (disk full), the agent sees a shim that ended without a word, and says so.
    let _ = record::write(dir, record::ENDED, &ended);
}

fn start(dir: &Path, record: &ContainerRecord) -> Result<Running, String> {
    let keeps_node_mounts = record.spec.mounts.iter().any(|m| m.propagation == Propagation::Bidirectional);
    let node_mounts = File::open("/proc/self/ns/mnt").map_err(|e| format!("open the mount namespace: {e}"))?;
    if !keeps_node_mounts {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("unshare mounts: {e}"))?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
            .map_err(|e| format!("detach mounts: {e}"))?;
    }
    let root = rootfs::mount_overlay(dir, record)?;
    let user = user::resolve(&root, &record.spec.user, &record.config.config.user)?;
    rootfs::prepare(&root, record)?;
    configure(dir, record, &user)?;
    let (running, mut container, mut report) = create(dir, record)?;
    if !keeps_node_mounts {
        setns(node_mounts.as_fd(), CloneFlags::CLONE_NEWNS).map_err(|e| format!("return to the node's mounts: {e}"))?;
    }
    container.start().map_err(|e| chain(&e))?;
    let mut failure = String::new();
    // Closes when the program is executed.
    report.read_to_string(&mut failure).map_err(|e| format!("wait for the program: {e}"))?;
    if let (Some(why), _) = reported(&failure) {
        return Err(cannot_start(&why));
    }
    let process = ProcessId::of(running.pid)
        // It may be over already; then its number is ours until it is reaped.
        .unwrap_or(ProcessId { pid: running.pid, start: 0 });
    let started = Started { process, started_at: Timestamp::now(), user };
    record::write(dir, record::STARTED, &started).map_err(|e| format!("write {}: {e}", record::STARTED))?;
    Ok(running)
}

fn cannot_start(why: &str) -> String {
    format!("unable to start container process: {why}")
}

fn configure(dir: &Path, record: &ContainerRecord, user: &UserStatus) -> Result<(), String> {
    let pause = record::read::<SandboxRecord>(&record.sandbox_dir, record::RECORD).and_then(|sandbox| sandbox.pause);
    let machine = machine::describe(record.spec.privileged, pause);
    let configuration = oci::configuration(record, user, &machine);
    fs::write(dir.join("config.json"), configuration.to_string()).map_err(|e| format!("write config.json: {e}"))
}

/// Has libcontainer create the container: everything but the program runs.
fn create(
    dir: &Path,
    record: &ContainerRecord,
) -> Result<(Running, libcontainer::container::Container, PipeReader), String> {
    let pipe = || std::io::pipe().map_err(|e| format!("make a pipe: {e}"));
    let (report, program) = pipe()?;
    let program = File::from(OwnedFd::from(program));
    listen_to_libcontainer(&program);
    let program = Program::new(program);
    let state = dir.join("state");
    let _ = fs::remove_dir_all(&state);
    fs::create_dir_all(&state).map_err(|e| format!("create {}: {e}", state.display()))?;
    let mut builder = ContainerBuilder::new(record.id.0.clone(), SyscallType::default())
        .with_executor(program)
        .with_root_path(&state)
        .map_err(|e| chain(&e))?;
    let console = if record.spec.tty { Some(Console::listen(dir)?) } else { None };
    let mut streams = None;
    if let Some(console) = &console {
        builder = builder.with_console_socket(Some(console.path()));
    } else {
        let ((out, out_end), (err, err_end)) = (pipe()?, pipe()?);
        let input: OwnedFd = match record.spec.stdin {
            false => File::open("/dev/null").map_err(|e| format!("open /dev/null: {e}"))?.into(),
            true => {
                let (input, keep) = pipe()?;
                // Nobody can attach yet: open for as long as the shim lives, and silent.
                std::mem::forget(keep);
                input.into()
            }
        };
        builder = builder.with_stdin(input).with_stdout(out_end).with_stderr(err_end);
        streams = Some((out, err));
    }
    let mut report = report;
    let built = builder.as_init(dir).with_systemd(false).build();
    stop_listening();
    let container = match built {
        Ok(container) => container,
        Err(error) => return Err(creation_failure(&mut report, &error)),
    };
    let output = match (console, streams) {
        (Some(console), _) => Output::terminal(console.accept()?),
        (None, Some((out, err))) => Output::pipes(out.into(), err.into()),
        (None, None) => return Err("no output was set up".into()),
    };
    let pid = container.pid().ok_or("libcontainer does not know the process")?.as_raw();
    Ok((Running { pid, output }, container, report))
}

/// What the container's side said, if anything, else libcontainer's words. The writing ends are closed by then.
fn creation_failure(report: &mut PipeReader, error: &libcontainer::error::LibcontainerError) -> String {
    let mut said = String::new();
    let _ = report.read_to_string(&mut said);
    match reported(&said) {
        (Some(why), _) => cannot_start(&why),
        (None, Some(cause)) => format!("failed to create container: {cause}"),
        (None, None) => format!("failed to create container: {}", chain(error)),
    }
}

/// Ends what is left of the container and takes its cgroup and mounts away.
fn clean_up(dir: &Path, record: &ContainerRecord, cgroups: &Cgroups) {
    super::reap::children();
    clean_up_after_shim(dir, record, cgroups);
}

/// The same for the agent, when the shim is gone.
pub(crate) fn clean_up_after_shim(dir: &Path, record: &ContainerRecord, cgroups: &Cgroups) {
    cgroups.remove_leaf(&record.cgroup);
    unmount(&dir.join("rootfs"));
    let _ = fs::remove_dir_all(dir.join("state"));
}

fn unmount(path: &PathBuf) {
    // Only there with bidirectional mounts.
    while umount2(path, MntFlags::MNT_DETACH).is_ok() {}
}
