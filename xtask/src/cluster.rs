//! An everynode under demonstration or measurement: its process, a client for it, and what is asked of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use http::Request;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::shell::{must, root};

/// How often a condition is looked at while the demo waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const READY_PATIENCE: Duration = Duration::from_secs(30);
const END_PATIENCE: Duration = Duration::from_secs(20);
/// Where Node Exporter listens, on the node's own network.
const METRICS_PORT: u16 = 9100;

/// Builds the binary and says where it is.
pub(crate) fn build(release: bool) -> anyhow::Result<PathBuf> {
    let profile = if release { "release" } else { "dev" };
    must("cargo", &["build", "--package", "everynode-cli", "--profile", profile])?;
    Ok(root().join("target").join(if release { "release" } else { "debug" }).join("everynode"))
}

/// A running everynode and a client for it.
pub(crate) struct Cluster {
    binary: PathBuf,
    server: Child,
    url: String,
    pub(crate) kubeconfig: PathBuf,
    client: kube::Client,
    agents: Vec<Child>,
}

impl Cluster {
    /// Starts `everynode up` with `nodes` nodes and waits for its ready line.
    pub(crate) async fn up(binary: &Path, data_dir: &Path, nodes: usize, hollow: bool) -> anyhow::Result<Self> {
        let log = std::fs::File::create(data_dir.join("everynode.log")).context("cannot create the log file")?;
        let mut command = Command::new(binary);
        command.args(["up", "--listen", "127.0.0.1:0", "--node-name", "node", "--nodes", &nodes.to_string()]);
        command.arg("--data-dir").arg(data_dir);
        if hollow {
            command.args(["--runtime", "hollow"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut server = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let out = server.stdout.take().context("no standard output")?;
        let ready = timeout(READY_PATIENCE, BufReader::new(out).lines().next_line()).await;
        let ready = ready.ok().and_then(Result::ok).flatten();
        let Some(url) = ready.as_deref().and_then(|line| line.strip_prefix("everynode is ready at ")) else {
            bail!("everynode did not become ready; its log is {}", data_dir.join("everynode.log").display());
        };
        let kubeconfig = data_dir.join("admin.kubeconfig");
        let read = Kubeconfig::read_from(&kubeconfig).context("cannot read the admin's kubeconfig")?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(read, &options).await;
        let client = kube::Client::try_from(config.context("cannot use the admin's kubeconfig")?)?;
        let (binary, url) = (binary.to_owned(), url.to_owned());
        Ok(Self { binary, server, url, kubeconfig, client, agents: Vec::new() })
    }

    /// The process number of the server, which is also the node's agent when there is one node.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.server.id()
    }

    /// A client with all rights.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The address of the API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Joins one more node of this machine with a fresh token, as `everynode token create` would have it.
    pub(crate) async fn join(&mut self, name: &str, data_dir: &Path, hollow: bool) -> anyhow::Result<()> {
        let token = Command::new(&self.binary).args(["token", "create", "--kubeconfig"]).arg(&self.kubeconfig).output();
        let printed = String::from_utf8(token.await.context("cannot make a join token")?.stdout)?;
        let join = printed.lines().find_map(|line| line.strip_prefix("everynode agent "));
        let words = join.context("everynode token create printed no command")?.split_whitespace();
        let log = std::fs::File::create(data_dir.join(format!("{name}.log"))).context("cannot create the log file")?;
        let mut command = Command::new(&self.binary);
        command.arg("agent").args(words).args(["--node-name", name]);
        if hollow {
            command.args(["--runtime", "hollow", "--data-dir"]).arg(data_dir.join("nodes").join(name));
        } else {
            command.arg("--beside").arg(data_dir);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.agents.push(command.spawn().context("cannot start the further node")?);
        Ok(())
    }

    /// Creates the set, or changes it to the given one.
    pub(crate) async fn apply(&self, set: &DaemonSet) -> anyhow::Result<()> {
        let created = self.sets().create(&PostParams::default(), set).await;
        created.map(|_| ()).context("cannot create the DaemonSet")
    }

    /// Changes the set by a merge patch.
    pub(crate) async fn patch(&self, name: &str, patch: &Value) -> anyhow::Result<()> {
        let patched = self.sets().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(|_| ()).context("cannot change the DaemonSet")
    }

    /// Deletes a node's object; its agent must have ended before.
    pub(crate) async fn delete_node(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(mut agent) = self.agents.pop() {
            end(&mut agent).await?;
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.delete(name, &kube::api::DeleteParams::default()).await.context("cannot delete the node")?;
        Ok(())
    }

    fn sets(&self) -> Api<DaemonSet> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// The set's status numbers: observed generation up to date, desired, updated, available.
    pub(crate) async fn rollout(&self, name: &str) -> anyhow::Result<(bool, i32, i32, i32)> {
        let set = self.sets().get(name).await.context("cannot read the DaemonSet")?;
        let status = set.status.unwrap_or_default();
        let observed = status.observed_generation >= set.metadata.generation;
        let (updated, available) = (status.updated_number_scheduled, status.number_available);
        Ok((observed, status.desired_number_scheduled, updated.unwrap_or(0), available.unwrap_or(0)))
    }

    /// The pods of the demo.
    pub(crate) async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "default");
        Ok(pods.list(&ListParams::default()).await.context("cannot list the pods")?.items)
    }

    /// What `kubectl get` would print for `path`, as the server's own table.
    pub(crate) async fn table(&self, path: &str) -> anyhow::Result<Value> {
        let request = Request::get(path).header("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
        let text = self.client.request_text(request.body(Vec::new())?).await.context("cannot read the table")?;
        serde_json::from_str(&text).context("the table is not JSON")
    }

    /// Ends every process of the demo. With `remove`, nothing of its nodes is left on the machine either.
    pub(crate) async fn end(mut self, data_dir: &Path, remove: bool) -> anyhow::Result<()> {
        for agent in &mut self.agents {
            end(agent).await?;
        }
        end(&mut self.server).await?;
        if remove {
            let removed = Command::new(&self.binary).args(["reset", "--yes", "--data-dir"]).arg(data_dir).status();
            if !removed.await.context("cannot start everynode reset")?.success() {
                bail!("everynode reset left something behind below {}", data_dir.display());
            }
        }
        Ok(())
    }
}

/// Waits until `condition` holds and returns how long it took.
pub(crate) async fn wait<F>(what: &str, patience: Duration, mut condition: F) -> anyhow::Result<Duration>
where
    F: AsyncFnMut() -> anyhow::Result<bool>,
{
    let start = Instant::now();
    while !condition().await? {
        if start.elapsed() > patience {
            bail!("waited {} s in vain: {what}", patience.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(start.elapsed())
}

/// The first line of Node Exporter's own metrics on a node.
pub(crate) async fn scrape(address: &str) -> anyhow::Result<Option<String>> {
    let Ok(mut stream) = tokio::net::TcpStream::connect((address, METRICS_PORT)).await else { return Ok(None) };
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    if stream.read_to_string(&mut text).await.is_err() {
        return Ok(None);
    }
    Ok(text
        .lines()
        .find(|line| line.starts_with("node_uname_info") || line.starts_with("node_load1"))
        .map(str::to_owned))
}

/// The DaemonSet of the demo: Node Exporter as its own documentation runs it.
pub(crate) fn node_exporter(image: &str) -> anyhow::Result<DaemonSet> {
    let labels = json!({"app.kubernetes.io/name": "node-exporter"});
    let mount =
        json!({"name": "root", "mountPath": "/host/root", "mountPropagation": "HostToContainer", "readOnly": true});
    let probe = json!({"httpGet": {"path": "/", "port": METRICS_PORT}, "periodSeconds": 1});
    serde_json::from_value(json!({
        "metadata": {"name": "node-exporter", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": true, "hostPID": true, "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 65534},
                    "containers": [{
                        "name": "node-exporter", "image": image, "imagePullPolicy": "IfNotPresent",
                        "args": ["--path.rootfs=/host/root", format!("--web.listen-address=:{METRICS_PORT}")],
                        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "hostPort": METRICS_PORT}],
                        "readinessProbe": probe,
                        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                        "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false},
                        "volumeMounts": [mount],
                    }],
                    "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
                    "tolerations": [{"operator": "Exists"}],
                },
            },
        },
    }))
    .context("the demo's DaemonSet is malformed")
}

async fn end(child: &mut Child) -> anyhow::Result<()> {
    if let Some(pid) = child.id() {
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.context("cannot start kill")?;
    }
    if timeout(END_PATIENCE, child.wait()).await.is_err() {
        child.kill().await.context("cannot end a process of the demo")?;
        bail!("a process of the demo did not end on SIGTERM");
    }
    Ok(())
}
