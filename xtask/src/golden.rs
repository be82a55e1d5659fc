//! Replays the recorded sessions of a real Kubernetes against a fresh server, and says where it differs.
//!
//! With `--controller` the server runs without its own DaemonSet controller, and `everynode controller` in another process is the only
//! one. The recordings and the tool that replays them are not part of this repository: `../shared/golden`, or `--golden`.
//! Differences that COMPATIBILITY.md explains are told and counted apart; any other one fails the chore.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use everynode_e2e::process::{Everynode, end, eventually};
use serde_json::Value;

use crate::cluster;
use crate::shell::{root, say};

/// Sessions in which a DaemonSet controller takes part, or its objects.
const OF_DAEMON_SETS: [&str; 7] = ["http/03*", "http/04*", "http/05*", "http/16*", "http/27*", "http/3*", "kubectl/*"];
/// So many nodes play along, and must be there within this time.
const NODES: usize = 3;
const NODES_PATIENCE: Duration = Duration::from_secs(20);
/// Records that differ on purpose or are known to be missing: the file, and the record (none: all of the file).
const KNOWN: [(&str, Option<&str>); 4] = [
    ("http/26-custom-resources", None),
    ("kubectl/07-explain-create-wait", Some("explain the kind")),
    ("kubectl/07-explain-create-wait", Some("explain a part")),
    ("kubectl/07-explain-create-wait", Some("explain a scalar")),
];

/// How to replay.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask golden                                   all sessions but http/40, which needs an old server; half an hour
  cargo xtask golden -- --only 'http/0*' --quiet       some of them, and only what differs
  cargo xtask golden -- --level P0 --json report.json  what clients depend on, with a report for programs
  cargo xtask golden --controller                      the DaemonSet's sessions with `everynode controller` as the only controller
  cargo xtask golden --binary target/release/everynode another build of everynode
  cargo xtask golden -- --list                         what there is

What follows `--` goes to replay.py. It needs Python 3, and kubectl 1.32 for the sessions kubectl/*.")]
pub(crate) struct GoldenArgs {
    /// Run the DaemonSet controller as a process of its own, and replay the DaemonSet's sessions unless --only names others
    #[arg(long)]
    controller: bool,
    /// The everynode to start [default: built now]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the recordings are [default: ../shared/golden]
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// Options of replay.py
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// A child that is killed when something fails.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(args: &GoldenArgs) -> anyhow::Result<()> {
    let golden = args.golden.clone().unwrap_or_else(|| root().join("../shared/golden"));
    if !golden.join("replay.py").is_file() {
        bail!("there are no recordings in {}: name their directory with --golden", golden.display());
    }
    if args.options.iter().any(|option| option == "--list") {
        let status = Command::new("python3").arg(golden.join("replay.py")).args(&args.options).status();
        return if status.context("cannot start replay.py")?.success() { Ok(()) } else { bail!("replay.py failed") };
    }
    let binary = match &args.binary {
        Some(binary) => std::path::absolute(binary).context("cannot use --binary")?,
        None => cluster::build(false)?,
    };
    let dir = std::env::temp_dir().join(format!("everynode-golden-{}", std::process::id()));
    let report = replay(args, &golden, &binary, &dir).with_context(|| format!("the logs are in {}", dir.display()))?;
    let unknown = judge(&report)?;
    if !unknown.is_empty() {
        bail!("{} differ; the logs are in {}:\n  {}", unknown.len(), dir.display(), unknown.join("\n  "));
    }
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
}

/// Starts everything, replays, ends everything; the report of replay.py.
fn replay(args: &GoldenArgs, golden: &Path, binary: &Path, dir: &Path) -> anyhow::Result<Value> {
    let mut words = vec!["server"];
    if args.controller {
        words.extend(["--controllers", "*,-daemonset-controller"]);
    }
    let server = Everynode::start(binary, dir, &words)?;
    let controller = if args.controller { Some(controller(binary, &server, dir)?) } else { None };
    let clients = clients(binary, dir)?;
    let mut nodes = Command::new("python3");
    nodes.arg(golden.join("nodes.py")).arg("--kubeconfig").arg(server.kubeconfig());
    let nodes = Reaped(quiet(&mut nodes, &dir.join("nodes.log"))?.spawn().context("cannot start nodes.py")?);
    eventually("the three nodes of the recordings are there", NODES_PATIENCE, || {
        let log = std::fs::read_to_string(dir.join("nodes.log")).unwrap_or_default();
        if log.lines().filter(|line| line.contains("registered")).count() >= NODES { Ok(()) } else { Err(log) }
    })?;
    let has = |name: &str| args.options.iter().position(|option| option == name);
    let mut replay = Command::new("python3");
    replay.arg(golden.join("replay.py")).arg("--kubeconfig").arg(server.kubeconfig());
    replay.arg("--clients").arg(clients).args(["--without", "compacted"]).args(&args.options);
    if args.controller && has("--only").is_none() {
        replay.args(OF_DAEMON_SETS.iter().flat_map(|files| ["--only", files]));
    }
    let given = has("--json").and_then(|at| args.options.get(at + 1)).map(PathBuf::from);
    let report = given.clone().unwrap_or_else(|| dir.join("report.json"));
    if given.is_none() {
        replay.arg("--json").arg(&report);
    }
    let status = replay.status().context("cannot start replay.py")?;
    drop(nodes);
    if let Some(mut controller) = controller {
        end(&mut controller.0)?;
    }
    server.end()?;
    // 0: all the same, 1: something differs.
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("replay.py could not run: {status}");
    }
    let text = std::fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
    serde_json::from_str(&text).context("the report of replay.py is not JSON")
}

/// Says how many records are the same, and names those that differ and should not.
fn judge(report: &Value) -> anyhow::Result<Vec<String>> {
    let records = report["records"].as_array().context("the report of replay.py has no records")?;
    let different = records.iter().filter(|record| record["same"] == false);
    let names = different.map(|record| [&record["file"], &record["name"]].map(|v| v.as_str().unwrap_or_default()));
    let is_known = |[file, name]: &[&str; 2]| {
        let file = file.trim_end_matches(".jsonl");
        KNOWN.iter().any(|(known, record)| *known == file && record.is_none_or(|record| record == *name))
    };
    let (known, unknown): (Vec<_>, Vec<_>) = names.partition(is_known);
    let same = records.len() - known.len() - unknown.len();
    let explained = format!("{} differ as COMPATIBILITY.md says, {} otherwise", known.len(), unknown.len());
    say(&format!("{same} of {} records are the same; {explained}", records.len()));
    Ok(unknown.into_iter().map(|[file, name]| format!("{file}: {name}")).collect())
}

fn quiet<'c>(command: &'c mut Command, log: &Path) -> anyhow::Result<&'c mut Command> {
    let log = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    let error = log.try_clone().context("cannot share a log")?;
    Ok(command.stdout(log).stderr(error))
}

fn controller(binary: &Path, server: &Everynode, dir: &Path) -> anyhow::Result<Reaped> {
    let log = File::create(dir.join("controller.log")).context("cannot make controller.log")?;
    let child = Command::new(binary)
        .args(["controller", "--listen", "127.0.0.1:0", "--kubeconfig"])
        .arg(server.kubeconfig())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn();
    let mut child = Reaped(child.context("cannot start the controller")?);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().context("no standard output")?).read_line(&mut line)?;
    if !line.contains("is up") {
        bail!("the controller did not start; its log is in {}", dir.display());
    }
    Ok(child)
}

/// Kubeconfigs of the people and the node who take part.
fn clients(binary: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let clients = dir.join("clients");
    std::fs::create_dir_all(&clients).with_context(|| format!("cannot make {}", clients.display()))?;
    for (file, user, group) in [("jane", "jane", "dev"), ("node-a", "system:node:node-a", "system:nodes")] {
        let out = File::create(clients.join(format!("{file}.kubeconfig"))).context("cannot make a kubeconfig")?;
        let mut command = Command::new(binary);
        command.args(["kubeconfig", "--user", user, "--group", group, "--data-dir"]).arg(dir).stdout(out);
        if !command.status().context("cannot start everynode")?.success() {
            bail!("cannot make a kubeconfig for {user}");
        }
    }
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_difference_that_is_explained_is_let_pass() {
        let record = |file: &str, name: &str, same: bool| json!({"file": file, "name": name, "same": same});
        let report = json!({"records": [
            record("http/01-discovery.jsonl", "the groups", true),
            record("http/26-custom-resources.jsonl", "an object", false),
            record("kubectl/07-explain-create-wait.jsonl", "explain a part", false),
            record("kubectl/07-explain-create-wait.jsonl", "wait", false),
        ]});
        assert_eq!(judge(&report).expect("a report"), ["kubectl/07-explain-create-wait.jsonl: wait"]);
        assert!(judge(&json!({})).is_err());
    }
}
