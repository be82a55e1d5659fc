//! `shim exec DIR`: runs one more command in a running container; one short-lived process for each.
//!
//! Over the control socket come the three streams and the command; back go the outcome. When the agent's end closes, the
//! command is killed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use libcontainer::{container::builder::ContainerBuilder, syscall::syscall::SyscallType};
use nix::{
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{
    console::Console,
    control::{self, ExecMessage, Reply, Resize},
    executor::{Program, listen_to_libcontainer, reported, stop_listening},
    machine, reap,
};
use crate::runtime::{
    images::chain,
    record::{self, ContainerRecord},
};

const CONTROL: u64 = 0;
const CHILD: u64 = 1;
const INPUT: u64 = 2;
const TERMINAL: u64 = 3;

/// Runs the command to its end and tells the agent.
pub(crate) fn run(dir: &Path, agent: &UnixStream) -> Result<(), String> {
    let reply = match execute(dir, agent) {
        Ok(code) => Reply::Exited(code),
        Err(message) => Reply::Failed(message),
    };
    reap::children();
    let _ = control::send(agent, &reply);
    Ok(())
}

fn execute(dir: &Path, agent: &UnixStream) -> Result<i32, String> {
    let files = control::receive_files(agent.as_fd()).map_err(|e| format!("receive the streams: {e}"))?;
    let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(files) else {
        return Err("the streams are missing".into());
    };
    let request: ExecMessage =
        control::receive(agent).map_err(|e| format!("receive the command: {e}"))?.ok_or("the agent went away")?;
    let record: ContainerRecord = record::read(dir, record::RECORD).ok_or("the container has no readable record")?;
    let work = Work::new(dir, &record.id.0)?;
    work.write_process(&request)?;
    let (mut report, program) = io::pipe().map_err(|e| format!("make a pipe: {e}"))?;
    let program = File::from(OwnedFd::from(program));
    listen_to_libcontainer(&program);
    let own_score = machine::oom_score();
    let mut builder = ContainerBuilder::new(record.id.0.clone(), SyscallType::default())
        .with_executor(Program::new(program))
        .with_root_path(&work.dir)
        .map_err(|e| chain(&e))?;
    let console = if request.tty { Some(Console::listen(&work.dir)?) } else { None };
    let mut terminal_ends = None;
    if let Some(console) = &console {
        builder = builder.with_console_socket(Some(console.path()));
        terminal_ends = Some((File::from(stdin), File::from(stdout)));
    } else {
        builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
    }
    let built = builder.as_tenant().with_process(Some(work.process())).with_detach(request.tty).build();
    stop_listening();
    machine::set_oom_score(own_score);
    let mut said = String::new();
    let pid = match built {
        Ok(pid) => {
            let _ = report.read_to_string(&mut said);
            pid
        }
        Err(error) => {
            reap::children();
            let _ = report.read_to_string(&mut said);
            let (own, cause) = reported(&said);
            let why = own.or(cause).unwrap_or_else(|| chain(&error));
            return Err(format!("unable to start container process: {why}"));
        }
    };
    if let (Some(why), _) = reported(&said) {
        return Err(format!("unable to start container process: {why}"));
    }
    let terminal = match (console, terminal_ends) {
        (Some(console), Some((input, output))) => {
            Some(Terminal { master: console.accept()?.into(), input: Some(input), output })
        }
        _ => None,
    };
    drop(work);
    let _ = control::send(agent, &Reply::Started);
    supervise(Pid::from_raw(pid.as_raw()), agent, terminal).map_err(|e| format!("supervise the command: {e}"))
}

/// A directory for one exec: libcontainer leaves sockets beside the state it reads, so it gets a copy.
struct Work {
    dir: PathBuf,
}

impl Work {
    fn new(container: &Path, id: &str) -> Result<Self, String> {
        let work = Self { dir: container.join(format!("exec-{}", std::process::id())) };
        let state = work.dir.join(id);
        fs::create_dir_all(&state).map_err(|e| format!("create {}: {e}", state.display()))?;
        let from = container.join("state").join(id).join("state.json");
        fs::copy(&from, state.join("state.json")).map_err(|e| format!("read the state of the container: {e}"))?;
        Ok(work)
    }

    fn process(&self) -> PathBuf {
        self.dir.join("process.json")
    }

    /// The command as the container's own process: same user, environment, capabilities.
    fn write_process(&self, request: &ExecMessage) -> Result<(), String> {
        let config = self.dir.parent().unwrap_or(Path::new("/")).join("config.json");
        let text = fs::read(&config).map_err(|e| format!("read {}: {e}", config.display()))?;
        let config: Value = serde_json::from_slice(&text).map_err(|e| format!("parse {}: {e}", config.display()))?;
        let mut process = config.get("process").cloned().unwrap_or_default();
        if let Some(fields) = process.as_object_mut() {
            fields.insert("terminal".into(), request.tty.into());
            fields.insert("args".into(), json!(request.command));
            let has_terminal = |env: &[Value]| env.iter().any(|v| v.as_str().is_some_and(|v| v.starts_with("TERM=")));
            if let Some(env) = fields.get_mut("env").and_then(Value::as_array_mut)
                && request.tty
                && !has_terminal(env)
            {
                env.push("TERM=xterm".into());
            }
        }
        fs::write(self.process(), process.to_string()).map_err(|e| format!("write process.json: {e}"))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A terminal and the agent's pipes to it.
struct Terminal {
    master: File,
    input: Option<File>,
    output: File,
}

impl Terminal {
    /// Passes what was typed on; at the end of the input the end-of-file character.
    fn input(&mut self, buffer: &mut [u8]) {
        let Some(input) = &mut self.input else { return };
        let n = input.read(buffer).unwrap_or(0);
        if n == 0 || self.master.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
            let _ = self.master.write_all(&[4]);
            self.input = None;
        }
    }

    /// Passes what is shown on; false at the end.
    fn output(&mut self, buffer: &mut [u8]) -> bool {
        match self.master.read(buffer) {
            Ok(n) if n > 0 => self.output.write_all(buffer.get(..n).unwrap_or_default()).is_ok(),
            _ => false,
        }
    }
}

fn supervise(pid: Pid, agent: &UnixStream, mut terminal: Option<Terminal>) -> io::Result<i32> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let listen = EpollFlags::EPOLLIN;
    epoll.add(agent, EpollEvent::new(listen, CONTROL))?;
    epoll.add(&signals, EpollEvent::new(listen, CHILD))?;
    if let Some(terminal) = &terminal {
        epoll.add(&terminal.master, EpollEvent::new(listen, TERMINAL))?;
        if let Some(input) = &terminal.input {
            epoll.add(input, EpollEvent::new(listen, INPUT))?;
        }
    }
    let mut buffer = vec![0; 32 << 10];
    let mut code = reap::ended(pid.as_raw());
    let mut terminal_open = terminal.is_some();
    while code.is_none() || terminal_open {
        // After the end only what the terminal still holds is of interest.
        let timeout = if code.is_some() { EpollTimeout::from(200u8) } else { EpollTimeout::NONE };
        let mut events = [EpollEvent::empty(); 4];
        let Ok(ready) = epoll.wait(&mut events, timeout) else { continue };
        if ready == 0 {
            break;
        }
        for event in events.iter().take(ready) {
            match (event.data(), &mut terminal) {
                (CONTROL, _) => match control::receive::<Resize>(agent) {
                    Ok(Some(size)) => terminal.iter().for_each(|t| resize(&t.master, size)),
                    Ok(None) | Err(_) => {
                        let _ = kill(pid, Signal::SIGKILL);
                        epoll.delete(agent)?;
                    }
                },
                (CHILD, _) => {
                    while let Ok(Some(_)) = signals.read_signal() {}
                    code = reap::ended(pid.as_raw()).or(code);
                }
                // Closing the pipe takes it out of the set.
                (INPUT, Some(terminal)) => terminal.input(&mut buffer),
                (TERMINAL, Some(terminal)) => {
                    terminal_open = terminal.output(&mut buffer);
                    if !terminal_open {
                        epoll.delete(&terminal.master)?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(code.unwrap_or(255))
}

fn resize(terminal: &File, size: Resize) {
    let size = rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}
