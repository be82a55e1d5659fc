//! How quickly a user gets somewhere: cold start to ready, memory when idle, and a pod from bound to running.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use everynode_e2e::{image, is_root};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{machine, spread};
use crate::cluster::{Cluster, build, wait};
use crate::shell::say;

/// How long the process is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures and prints.
pub(super) fn run(starts: usize, pods: usize, dev: bool) -> anyhow::Result<()> {
    let binary = build(!dev)?;
    say(if dev { "build: dev, unoptimised" } else { "build: release" });
    let dir = std::env::temp_dir().join(format!("everynode-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(measure(&binary, &dir, starts, pods));
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    measured
}

async fn measure(binary: &Path, dir: &Path, starts: usize, pods: usize) -> anyhow::Result<()> {
    say(&format!("machine: {}", machine()));
    let hollow = !is_root();
    let mut times = Vec::new();
    for round in 0..starts {
        let data_dir = dir.join(format!("start-{round}"));
        std::fs::create_dir_all(&data_dir)?;
        let begin = Instant::now();
        let cluster = Cluster::up(binary, &data_dir, 1, true).await?;
        times.push(begin.elapsed());
        cluster.end(&data_dir, false).await?;
    }
    say(&format!("cold start on an empty store, process start to ready line: {}", spread(&mut times)));

    let data_dir = dir.join("pods");
    std::fs::create_dir_all(&data_dir)?;
    if !hollow {
        say(&image::provide(&data_dir.join("images"))?);
    }
    let cluster = Cluster::up(binary, &data_dir, 1, hollow).await?;
    sleep(IDLE).await;
    say(&format!(
        "resident memory of server and agent in one process, {} s idle: {}",
        IDLE.as_secs(),
        resident(&cluster)?
    ));
    let started = pod_starts(&cluster, pods).await;
    cluster.end(&data_dir, true).await?;
    let runtime = if hollow { "hollow" } else { "builtin" };
    say(&format!(
        "pod start, image present, {runtime} runtime, bound to Running as a watch sees it: {}",
        spread(&mut started?)
    ));
    Ok(())
}

fn resident(cluster: &Cluster) -> anyhow::Result<String> {
    let pid = cluster.pid().context("the server has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("cannot read the server's status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or(0)
    };
    Ok(format!("{:.1} MB (VmRSS), of it {:.1} MB anonymous", mb(field("VmRSS:")), mb(field("RssAnon:"))))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Starts pods one after another and times each from the event that binds it to the event that shows it running.
async fn pod_starts(cluster: &Cluster, pods: usize) -> anyhow::Result<Vec<Duration>> {
    let api: Api<Pod> = Api::namespaced(cluster.client(), "default");
    wait("the default service account", PATIENCE, async || {
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(cluster.client(), "default");
        Ok(accounts.get_opt("default").await?.is_some())
    })
    .await?;
    let mut times = Vec::new();
    for number in 0..pods {
        let name = format!("bench-{number}");
        let one = timeout(PATIENCE, pod_start(&api, &name)).await;
        times.push(one.with_context(|| format!("pod {name} did not become Running"))??);
        api.delete(&name, &DeleteParams::default().grace_period(0)).await.context("cannot delete the pod")?;
    }
    Ok(times)
}

async fn pod_start(api: &Api<Pod>, name: &str) -> anyhow::Result<Duration> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "hostNetwork": true, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": image::REFERENCE, "command": ["/bin/node_exporter"],
                            "args": ["--web.listen-address=127.0.0.1:0"]}],
        },
    }))?;
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = Box::pin(api.watch(&parameters, "0").await.context("cannot watch pods")?);
    api.create(&PostParams::default(), &pod).await.context("cannot create the pod")?;
    let mut bound = None;
    while let Some(event) = events.try_next().await.context("the watch broke")? {
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
        let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let since = *bound.get_or_insert(Instant::now());
        if !is_bound {
            bound = None;
        } else if pod.status.and_then(|status| status.phase).as_deref() == Some("Running") {
            return Ok(since.elapsed());
        }
    }
    anyhow::bail!("the watch ended early")
}
