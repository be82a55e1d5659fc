//! From a container's start to its end: copies its output to the log, reaps, and says how it ended.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use super::{
    log::{Log, Stream},
    reap,
};

/// How long output is still read after the end, when something else holds it open.
const DRAIN: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(2) };
const CHUNK_BYTES: usize = 32 << 10;
/// Chunks that are read when that time is over: at least what pipes hold, for this process may have been kept from running.
const LATE_LOOKS_MAX: usize = 8;
const CHILD: u64 = 2;

/// Where a container's output comes from.
#[derive(Debug)]
pub(crate) struct Output {
    sources: [Option<File>; 2],
}

impl Output {
    /// Two pipes.
    pub(crate) fn pipes(stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self { sources: [Some(stdout.into()), Some(stderr.into())] }
    }

    /// One terminal.
    pub(crate) fn terminal(master: OwnedFd) -> Self {
        Self { sources: [Some(master.into()), None] }
    }

    fn is_open(&self) -> bool {
        self.sources.iter().any(Option::is_some)
    }
}

/// Returns the exit code of `pid` once it has ended and its output is in the log. `after_end` is called between the two.
pub(crate) fn run(pid: i32, output: Output, log_path: Option<&Path>, shim: &[String], after_end: impl Fn()) -> i32 {
    copy_all(|| reap::ended(pid), output, log_path, shim, after_end)
}

/// The same for whatever `ended` gives the exit code of, once it has ended.
fn copy_all(
    ended: impl Fn() -> Option<i32>,
    mut output: Output,
    log_path: Option<&Path>,
    shim: &[String],
    after_end: impl Fn(),
) -> i32 {
    let mut log = Log::open(log_path).or_else(|_| Log::open(None)).ok();
    let (epoll, signals) = match watch(&output) {
        Ok(both) => both,
        // Without descriptors left nothing can be logged, but the end is still noticed.
        Err(_) => return wait_plainly(ended),
    };
    let mut code = ended();
    if code.is_some() {
        after_end();
    }
    let mut deadline = code.map(|_| Instant::now() + DRAIN);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut late_looks = LATE_LOOKS_MAX;
    while code.is_none() || output.is_open() {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout =
            left.map_or(EpollTimeout::NONE, |left| EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO));
        let mut events = [EpollEvent::empty(); 4];
        let Ok(ready) = epoll.wait(&mut events, timeout) else { continue };
        if left.is_some_and(|left| left.is_zero()) {
            if ready == 0 || late_looks == 0 {
                break;
            }
            late_looks -= 1;
        }
        for event in events.iter().take(ready) {
            if event.data() == CHILD {
                while let Ok(Some(_)) = signals.read_signal() {}
                if let Some(now) = ended() {
                    code = Some(now);
                    after_end();
                    deadline = Some(Instant::now() + DRAIN);
                }
            } else {
                copy(&mut output, usize::from(event.data() == 1), &mut buffer, log.as_mut(), shim);
            }
        }
    }
    if let Some(log) = &mut log {
        log.finish(Stream::Stdout);
        log.finish(Stream::Stderr);
    }
    code.unwrap_or(255)
}

fn watch(output: &Output) -> nix::Result<(Epoll, SignalFd)> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (number, source) in (0..).zip(&output.sources) {
        if let Some(source) = source {
            epoll.add(source.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
    }
    epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, CHILD))?;
    Ok((epoll, signals))
}

fn wait_plainly(ended: impl Fn() -> Option<i32>) -> i32 {
    loop {
        if let Some(code) = ended() {
            return code;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn copy(output: &mut Output, number: usize, buffer: &mut [u8], log: Option<&mut Log>, shim: &[String]) {
    let Some(source) = output.sources.get_mut(number) else { return };
    let Some(file) = source else { return };
    match file.read(buffer) {
        // A terminal whose other side is closed answers with an error.
        Ok(0) => *source = None,
        Err(e) if e.kind() != ErrorKind::Interrupted => *source = None,
        Err(_) => {}
        Ok(n) => {
            let stream = if number == 0 { Stream::Stdout } else { Stream::Stderr };
            let rotated = log.and_then(|log| log.write(stream, buffer.get(..n).unwrap_or_default()));
            if let (Some(path), Some((program, arguments))) = (rotated, shim.split_first()) {
                // In a process of its own: compressing takes longer than a pipe can wait. Reaped with the others.
                let _ = Command::new(program)
                    .args(arguments)
                    .arg("compress")
                    .arg(path)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use super::*;

    #[test]
    fn last_words_are_logged_also_when_their_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let ((out, mut out_end), (err, mut err_end)) = (pipe().unwrap(), pipe().unwrap());
        out_end.write_all(&b"a line of some length\n".repeat(2000)).unwrap();
        err_end.write_all(b"last\n").unwrap();
        // As if something else held them open.
        let output = Output::pipes(out.into(), err.into());
        assert_eq!(copy_all(|| Some(7), output, Some(&path), &[], || ()), 7);
        drop((out_end, err_end));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!((text.matches("a line of some length").count(), text.contains(" stderr F last\n")), (2000, true));
    }
}
