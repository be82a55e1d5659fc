//! Waits for children; a shim is a subreaper, so others' orphans may be among them.

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Takes all children that ended; returns the exit code of `wanted` if it was among them.
pub(crate) fn ended(wanted: i32) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid.as_raw() == wanted => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == wanted => code = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return code,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return code,
        }
    }
}

/// Ends all children. A failed start leaves processes that wait for ever, and one that is not reaped keeps a whole process
/// namespace from going away.
pub(crate) fn children() {
    let own = std::process::id();
    let list = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    for pid in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    while !matches!(waitpid(None::<Pid>, None), Err(Errno::ECHILD)) {}
}
