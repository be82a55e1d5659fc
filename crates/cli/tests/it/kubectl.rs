//! A real `kubectl`, when there is one: 1.32 by preference, since that is what the recorded sessions used.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use everynode_e2e::process::Everynode;
use everynode_e2e::skip;

/// `kubectl` with a server's admin kubeconfig.
pub(crate) struct Kubectl {
    program: &'static Path,
    kubeconfig: PathBuf,
    cache: tempfile::TempDir,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Kubectl {
    /// None when the machine has no kubectl; says so, so that a skipped test is not silent.
    pub(crate) fn of(server: &Everynode) -> Option<Self> {
        Self::at(server.kubeconfig())
    }

    /// The same, with this kubeconfig.
    pub(crate) fn at(kubeconfig: PathBuf) -> Option<Self> {
        let Some(program) = program() else {
            skip("no kubectl on this machine; install kubernetes-client to run this test");
            return None;
        };
        Some(Self { program, kubeconfig, cache: crate::tempdir() })
    }

    /// Runs it with `words`, split at blanks.
    pub(crate) fn run(&self, words: &str) -> Ran {
        self.feed(words, "")
    }

    /// Runs it with `input` on its standard input.
    pub(crate) fn feed(&self, words: &str, input: &str) -> Ran {
        self.run_with(&words.split_whitespace().collect::<Vec<_>>(), input)
    }

    /// Runs it with words that may hold blanks.
    pub(crate) fn run_with(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(self.cache.path()).args(words);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("piped");
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs it and demands success; gives what it printed.
    pub(crate) fn must(&self, words: &str) -> String {
        self.must_feed(words, "")
    }

    /// Runs it with `input` and demands success.
    pub(crate) fn must_feed(&self, words: &str, input: &str) -> String {
        let ran = self.feed(words, input);
        assert_eq!(ran.code, Some(0), "kubectl {words}: {ran:?}");
        ran.out
    }
}

fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let dirs: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
        let plain = dirs.iter().map(|dir| dir.join("kubectl")).find(|path| path.is_file())?;
        // The cloud SDK's kubectl is a dispatcher with the versions beside it.
        let beside = std::fs::canonicalize(&plain).ok()?.with_file_name("kubectl.1.32");
        Some(if beside.is_file() { beside } else { plain })
    };
    PROGRAM.get_or_init(find).as_deref()
}
