//! Locks on files, against other threads and other processes.

use std::{fs::File, io};

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits for it.
    pub(crate) fn wait(file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }

    /// Takes it if nobody holds it.
    pub(crate) fn take_free(file: File) -> Option<Self> {
        file.try_lock().is_ok().then_some(Self(file))
    }
}

impl Drop for Lock {
    /// By word and not by closing alone: a process that is being started holds copies of our files until it runs its program.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another thread may start a process at any moment, which holds the file too until it runs its program.
    #[test]
    fn a_lock_ends_also_while_a_process_is_being_started() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let held = Lock::wait(open()).unwrap();
        let _inherited = held.0.try_clone().unwrap();
        assert!(Lock::take_free(open()).is_none());
        drop(held);
        assert!(Lock::take_free(open()).is_some());
    }
}
