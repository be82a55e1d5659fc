//! Gets the terminal of a container or command from libcontainer, which makes it inside of the container.

use std::{
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use super::control;

/// Waits for a terminal.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens in a directory of the container.
    pub(crate) fn listen(dir: &Path) -> Result<Self, String> {
        let path = dir.join("console.sock");
        let _ = std::fs::remove_file(&path);
        // The whole path may be longer than the address of a socket.
        let failed = |e: std::io::Error| format!("listen on {}: {e}", path.display());
        let before = std::env::current_dir().map_err(failed)?;
        std::env::set_current_dir(dir).map_err(failed)?;
        let listener = UnixListener::bind("console.sock").map_err(failed);
        std::env::set_current_dir(before).map_err(failed)?;
        Ok(Self { listener: listener?, path })
    }

    /// What to tell libcontainer.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The terminal's master side, once the container has been created.
    pub(crate) fn accept(self) -> Result<OwnedFd, String> {
        let (socket, _) = self.listener.accept().map_err(|e| format!("wait for the terminal: {e}"))?;
        let files = control::receive_files(socket.as_fd()).map_err(|e| format!("receive the terminal: {e}"))?;
        let _ = std::fs::remove_file(&self.path);
        files.into_iter().next().ok_or_else(|| "no terminal was made".into())
    }
}
