//! How agent and shim talk: a socket pair that is the shim's standard input. Messages are JSON after a length.
//!
//! The other end closing means "the agent is gone": a container does not care, a command started by exec ends.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Most bytes of one message.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 4 << 20;

/// What a shim answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The program runs.
    Started,
    /// It ended.
    Exited(i32),
    /// It could not be started, in words.
    Failed(String),
}

/// What to run by exec.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExecMessage {
    pub(crate) command: Vec<String>,
    pub(crate) tty: bool,
}

/// A window size for a command with a terminal.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Resize {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// One message as bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|n| *n <= MESSAGE_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a message to the shim is too long"))?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(text);
    Ok(bytes)
}

/// Sends one message.
pub(crate) fn send<T: Serialize>(mut socket: &UnixStream, message: &T) -> io::Result<()> {
    socket.write_all(&encode(message)?)
}

/// Receives one message; `None` when the other end is closed.
pub(crate) fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length).min(MESSAGE_BYTES_MAX) as usize;
    let mut text = vec![0; length];
    socket.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Sends open files, at most three.
pub(crate) fn send_files(socket: &UnixStream, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("too many files for one message"));
    }
    sendmsg(socket.as_fd(), &[IoSlice::new(b"F")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives open files; none when the other end is closed.
pub(crate) fn receive_files(socket: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_files_arrive() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send_files(&a, &[writer.as_fd()]).unwrap();
        drop(writer);
        send(&a, &Reply::Exited(7)).unwrap();
        drop(a);
        let files = receive_files(b.as_fd()).unwrap();
        for file in files {
            std::fs::File::from(file).write_all(b"hello").unwrap();
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert!(matches!(receive::<Reply>(&b).unwrap(), Some(Reply::Exited(7))));
        assert!(receive::<Reply>(&b).unwrap().is_none());
    }
}
