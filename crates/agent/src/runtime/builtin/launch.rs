//! Starts shims and listens to their answers.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    path::Path,
    process::Stdio,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, unix::AsyncFd},
    net::UnixStream,
    process::{Child, Command},
};

use crate::runtime::shim::control::{self, MESSAGE_BYTES_MAX, Reply};

/// A shim that was started, and the control socket to it.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) socket: UnixStream,
}

/// Starts `shim ACT TARGET`, with files to hand over first. Its diagnostics go to `stderr`.
pub(super) fn start(
    shim: &[OsString],
    act: &str,
    target: &Path,
    files: &[BorrowedFd<'_>],
    stderr: Stdio,
) -> io::Result<Launched> {
    let (program, arguments) = shim.split_first().ok_or_else(|| io::Error::other("no shim configured"))?;
    let (ours, theirs) = StdStream::pair()?;
    let child = Command::new(program)
        .args(arguments)
        .arg(act)
        .arg(target)
        // Nothing of the agent's environment may reach a container, nor change what libcontainer does.
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(stderr)
        // A Ctrl-C for the agent is not one for its containers.
        .process_group(0)
        .spawn()?;
    if !files.is_empty() {
        control::send_files(&ours, files)?;
    }
    ours.set_nonblocking(true)?;
    Ok(Launched { child, socket: UnixStream::from_std(ours)? })
}

/// The next answer; `None` when the shim is gone.
pub(super) async fn reply(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Reply>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length).await {
        Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => return Ok(None),
        other => other?,
    };
    let length = u32::from_le_bytes(length).min(MESSAGE_BYTES_MAX) as usize;
    let mut text = vec![0; length];
    socket.read_exact(&mut text).await?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// /dev/null, to read and to write.
pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

/// A pipe whose ends are not inherited.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// Watches a file for readiness.
pub(super) fn watch(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio cannot know that the file stays open as long as it is watched")]
    // SAFETY: an `OwnedFd` is its descriptor's only owner, and it stays in the `AsyncFd` until that is deregistered.
    let watched = unsafe { AsyncFd::register(file) };
    Ok(watched?)
}

/// Borrows several files.
pub(super) fn borrowed(files: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    files.iter().map(AsFd::as_fd).collect()
}
