//! The last steps in the container before its program runs: find it, undo what the shim set for itself, exec.
//!
//! Failures are reported through a pipe in the words of other runtimes, because libcontainer has its own.

use std::{
    ffi::CString,
    fs::File,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use libcontainer::{
    oci_spec::runtime::Spec,
    workload::{Executor, ExecutorError, ExecutorValidationError},
};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Search path when neither image nor pod sets one.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a container's program. The report pipe closes by itself when the program runs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    report: Arc<File>,
}

impl Program {
    /// `report` is the writing end of a close-on-exec pipe.
    pub(crate) fn new(report: File) -> Self {
        Self { report: Arc::new(report) }
    }

    fn fail(&self, message: &str) {
        // Nobody else can be told if this does not work.
        let _ = (&*self.report).write_all(format!("{message}\n").as_bytes());
    }
}

/// Marks what libcontainer said, which matters only when nothing else was said.
const ASIDE: char = '\u{1}';

/// Where libcontainer's messages go; the container's side has a copy of its own.
static ASIDES: Mutex<Option<File>> = Mutex::new(None);

/// Sends libcontainer's error messages through the report pipe: its errors themselves often lack the cause, and in the
/// container there is nowhere else to write to. Call [`stop_listening`] before the pipe is read to its end.
pub(crate) fn listen_to_libcontainer(report: &File) {
    *ASIDES.lock().unwrap_or_else(PoisonError::into_inner) = report.try_clone().ok();
    // A shim does this once.
    let _ = tracing::subscriber::set_global_default(Asides);
}

/// Closes this process's end.
pub(crate) fn stop_listening() {
    *ASIDES.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// What the program's side reported: why it failed, or at least the first thing libcontainer complained of.
pub(crate) fn reported(text: &str) -> (Option<String>, Option<String>) {
    let (asides, own): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with(ASIDE));
    let first = asides.first().map(|line| line.trim_start_matches(ASIDE).to_owned());
    (own.first().map(|own| (*own).to_owned()), first)
}

struct Asides;

impl tracing::Subscriber for Asides {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Words(String::from(ASIDE));
        event.record(&mut text);
        if let Some(report) = ASIDES.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = report.write_all(format!("{}\n", text.0.trim_end().replace('\n', " ")).as_bytes());
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Words(String);

impl tracing::field::Visit for Words {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let text =
            if field.name() == "message" { format!("{value:?} ") } else { format!("{}={value:?} ", field.name()) };
        self.0.push_str(&text);
    }
}

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        find(spec).map(drop).map_err(|message| {
            self.fail(&message);
            ExecutorValidationError::ArgValidationError(message)
        })
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let failed = |message: String| {
            self.fail(&message);
            ExecutorError::Other(message)
        };
        let path = find(spec).map_err(failed)?;
        let arguments = spec.process().as_ref().and_then(|p| p.args().clone()).unwrap_or_default();
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| failed("exec: an argument holds a zero byte".into()));
        let program = text(path.as_os_str().as_bytes())?;
        let arguments = arguments.iter().map(|a| text(a.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let environment = std::env::vars_os()
            .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<Result<Vec<_>, _>>()?;
        restore_signals();
        let Err(errno) = nix::unistd::execve(&program, &arguments, &environment);
        Err(failed(format!("exec {}: {}", path.display(), words(errno))))
    }
}

/// A program starts with default signal handling; Rust ignores SIGPIPE, and whoever started the agent may have more.
fn restore_signals() {
    for number in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        #[expect(unsafe_code, reason = "there is no safe call to reset a signal")]
        // SAFETY: the default action is not a handler, so no code of this process can run in a signal context.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Where the program is, in the container's own view.
fn find(spec: &Spec) -> Result<PathBuf, String> {
    let process = spec.process().as_ref();
    let name = process.and_then(|p| p.args().as_ref()).and_then(|a| a.first()).cloned().unwrap_or_default();
    if name.is_empty() {
        return Err("no command specified".into());
    }
    let empty = Vec::new();
    let environment = process.and_then(|p| p.env().as_ref()).unwrap_or(&empty);
    let search = environment.iter().rev().find_map(|v| v.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    look_up(&name, search)
}

fn look_up(name: &str, search: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(problem) => Err(format!("exec: {name:?}: {problem}")),
        };
    }
    let mut denied = false;
    for dir in search.split(':') {
        let path = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(problem) => denied |= problem == "permission denied",
        }
    }
    let problem = if denied { "permission denied" } else { "executable file not found in $PATH" };
    Err(format!("exec: {name:?}: {problem}"))
}

fn executable(path: &Path) -> Result<(), String> {
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("stat {}: no such file or directory", path.display()));
        }
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Err("permission denied".into()),
        Err(e) => return Err(e.to_string()),
    };
    if meta.is_dir() {
        Err("is a directory".into())
    } else if meta.permissions().mode() & 0o111 == 0 {
        Err("permission denied".into())
    } else {
        Ok(())
    }
}

/// The words of C's strerror, which users know.
fn words(errno: nix::errno::Errno) -> String {
    errno.desc().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_words_come_before_those_of_libcontainer() {
        assert_eq!(reported(""), (None, None));
        assert_eq!(reported("\u{1}a\n\u{1}b\n"), (None, Some("a".into())));
        assert_eq!(reported("\u{1}a\nexec: no\n\u{1}b\n"), (Some("exec: no".into()), Some("a".into())));
    }

    #[test]
    fn programs_are_found_as_a_shell_would() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let (good, plain) = (file("good", 0o755), file("plain", 0o644));
        let search = format!("/nosuch:{}", dir.path().display());
        assert_eq!(look_up("good", &search), Ok(good.clone().into()));
        assert_eq!(look_up(&good, ""), Ok(good.into()));
        for (name, expect) in [
            ("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#.to_owned()),
            ("plain", r#"exec: "plain": permission denied"#.to_owned()),
            ("/no/such", r#"exec: "/no/such": stat /no/such: no such file or directory"#.to_owned()),
            (&plain, format!("exec: {plain:?}: permission denied")),
            ("/tmp", r#"exec: "/tmp": is a directory"#.to_owned()),
        ] {
            assert_eq!(look_up(name, &search), Err(expect));
        }
    }
}
