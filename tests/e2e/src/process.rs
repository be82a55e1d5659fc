//! The `everynode` process, as a user starts it: words in, a ready line out, SIGTERM to end it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a start may take before it counts as failed.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// How long a process may take to end after SIGTERM.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// A running `everynode up` or `everynode server`. Killed when dropped; end it properly with [`Everynode::end`].
pub struct Everynode {
    child: Child,
    /// `https://HOST:PORT`, from the ready line.
    pub url: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// From the start of the process to its ready line.
    pub started_in: Duration,
}

impl Everynode {
    /// Starts `binary` with `words`, `--data-dir` and a free port, and waits for the ready line. Its log goes to
    /// `everynode.log` in the data directory.
    ///
    /// # Errors
    /// When it does not start or does not become ready; the end of its log is in the message.
    pub fn start(binary: &Path, data_dir: &Path, words: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let log_path = data_dir.join("everynode.log");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot open {}", log_path.display()))?;
        let mut command = Command::new(binary);
        command.args(words).arg("--data-dir").arg(data_dir);
        if !words.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let start = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.with_context(|| format!("cannot start {}", binary.display()))?;
        let out = child.stdout.take().context("no standard output")?;
        let Some(url) = ready_line(out) else {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(15).collect();
            bail!("everynode did not become ready:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        };
        Ok(Self { child, url, data_dir: data_dir.to_owned(), started_in: start.elapsed() })
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join("admin.kubeconfig")
    }

    /// The process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM and waits.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub fn end(mut self) -> anyhow::Result<ExitStatus> {
        end(&mut self.child)
    }

    /// Ends it as a power cut would: SIGKILL, no warning.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("cannot kill everynode")?;
        self.child.wait().context("cannot reap everynode")?;
        Ok(())
    }
}

impl Drop for Everynode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM and waits for the end.
///
/// # Errors
/// When the process does not end in time; it is killed then.
pub fn end(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    sent.context("cannot start kill")?;
    let deadline = Instant::now() + END_PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().context("cannot wait for a process")? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().context("cannot kill a process")?;
    bail!("a process did not end on SIGTERM")
}

/// Reads the output to the ready line, and drains the rest so that the process never blocks on a full pipe.
fn ready_line(out: impl std::io::Read + Send + 'static) -> Option<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("everynode is ready at ") {
                let _ = tell.send(url.to_owned());
            }
        }
    });
    told.recv_timeout(READY_PATIENCE).ok()
}

/// Looks at `condition` until it holds.
///
/// # Errors
/// When it does not hold within `patience`, with the last thing that it said.
pub fn eventually(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<(), String>,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(()) => return Ok(start.elapsed()),
            Err(last) if start.elapsed() > patience => {
                bail!("waited {} s in vain: {what}; last seen: {last}", patience.as_secs())
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
