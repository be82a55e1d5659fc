//! Replays the recorded sessions of a real Kubernetes against a fresh server, and says where it differs.
//!
//! With `--controller` the server runs without its own DaemonSet controller, and `everynode controller` in another process is the only
//! one. The recordings and the tool that replays them are not part of this repository: `../shared/golden`, or `--golden`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;
use everynode_e2e::process::{Everynode, end};

use crate::cluster;
use crate::shell::{root, say};

/// How to replay.
#[derive(Args)]
#[command(after_help = "Example: cargo xtask golden --controller -- --only 'http/3*' --quiet")]
pub(crate) struct GoldenArgs {
    /// Run the DaemonSet controller as a process of its own
    #[arg(long)]
    controller: bool,
    /// Where the recordings are
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// Options of replay.py [default: --without compacted]
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Children that are killed when something fails.
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
    let binary = cluster::build(false)?;
    let dir = std::env::temp_dir().join(format!("everynode-golden-{}", std::process::id()));
    let mut words = vec!["server"];
    if args.controller {
        words.extend(["--controllers", "*,-daemonset-controller"]);
    }
    let server = Everynode::start(&binary, &dir, &words)?;
    let controller = if args.controller { Some(controller(&binary, &server, &dir)?) } else { None };
    let clients = clients(&binary, &dir)?;
    let mut nodes = Command::new("python3");
    nodes.arg(golden.join("nodes.py")).arg("--kubeconfig").arg(server.kubeconfig());
    let nodes = Reaped(quiet(&mut nodes, &dir.join("nodes.log"))?.spawn().context("cannot start nodes.py")?);
    let mut replay = Command::new("python3");
    replay.arg(golden.join("replay.py")).arg("--kubeconfig").arg(server.kubeconfig()).arg("--clients").arg(clients);
    if args.options.is_empty() {
        replay.args(["--without", "compacted"]);
    } else {
        replay.args(&args.options);
    }
    let status = replay.status().context("cannot start replay.py")?;
    drop(nodes);
    if let Some(mut controller) = controller {
        end(&mut controller.0)?;
    }
    server.end()?;
    if !status.success() {
        bail!("something differs; the logs are in {}", dir.display());
    }
    say("all the same");
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
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
