//! A DaemonSet's life in under a minute: a node joins, an update rolls, an agent is killed, a node leaves.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::{Clock, NODES, SET};
use crate::cluster::{Cluster, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// Plays it.
pub(super) async fn play(cluster: &mut Cluster, clock: &Clock, data_dir: &Path, hollow: bool) -> anyhow::Result<()> {
    let joiner = format!("node-{}", NODES + 1);
    let start = Instant::now();
    cluster.join(&joiner, data_dir, hollow).await?;
    available_on(cluster, NODES + 1).await?;
    clock.say(&format!("{joiner} joined and has its agent      {:6.2} s", start.elapsed().as_secs_f64()));

    let start = Instant::now();
    roll(cluster, clock).await?;
    clock.say(&format!("the update rolled node by node         {:6.2} s", start.elapsed().as_secs_f64()));

    if !hollow {
        let took = kill_one(cluster).await?;
        clock.say(&format!("a killed agent came back               {:6.2} s", took.as_secs_f64()));
    }

    let start = Instant::now();
    cluster.delete_node(&joiner).await?;
    available_on(cluster, NODES).await?;
    wait("the pod of the node that left is gone", PATIENCE, async || Ok(cluster.pods().await?.len() == NODES)).await?;
    clock.say(&format!("{joiner} left, and its pod went with it   {:6.2} s", start.elapsed().as_secs_f64()));
    Ok(())
}

async fn available_on(cluster: &Cluster, nodes: usize) -> anyhow::Result<Duration> {
    let nodes = i32::try_from(nodes)?;
    wait(&format!("{nodes} nodes have an available pod"), PATIENCE, async || {
        let (_, desired, _, available) = cluster.rollout(SET).await?;
        Ok(desired == nodes && available == nodes)
    })
    .await
}

/// Changes the template and names each node when its pod is new and ready.
async fn roll(cluster: &Cluster, clock: &Clock) -> anyhow::Result<()> {
    let old: BTreeSet<String> = cluster.pods().await?.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    let template = json!({"metadata": {"annotations": {"demo.everynode.io/update": "1"}}});
    cluster.patch(SET, &json!({"spec": {"template": template}})).await?;
    let mut told = BTreeSet::new();
    wait("the update has rolled", PATIENCE, async || {
        for pod in cluster.pods().await? {
            let fresh = pod.metadata.uid.as_ref().is_some_and(|uid| !old.contains(uid));
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            if let Some(node) = node.filter(|_| fresh && is_ready(&pod))
                && told.insert(node.clone())
            {
                clock.say(&format!("  {node} is updated"));
            }
        }
        let (observed, desired, updated, available) = cluster.rollout(SET).await?;
        let all_told = usize::try_from(desired).is_ok_and(|desired| told.len() >= desired);
        Ok(observed && updated == desired && available == desired && all_told)
    })
    .await?;
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Kills one agent's process from outside, as the kernel's out-of-memory killer would, and waits for its restart.
async fn kill_one(cluster: &Cluster) -> anyhow::Result<Duration> {
    let restarts = |pods: &[Pod]| -> i32 {
        let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
        statuses.map(|status| status.restart_count).sum()
    };
    let before = restarts(&cluster.pods().await?);
    let victim = exporter_process()?.context("no node exporter runs on this machine")?;
    let start = Instant::now();
    tokio::process::Command::new("kill").args(["-KILL", &victim.to_string()]).status().await?;
    wait("the killed agent is back", PATIENCE, async || {
        let pods = cluster.pods().await?;
        Ok(restarts(&pods) > before && pods.iter().all(is_ready))
    })
    .await?;
    Ok(start.elapsed())
}

/// The process number of one of the demo's exporters: started from the image's entry point.
fn exporter_process() -> anyhow::Result<Option<u32>> {
    for process in std::fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
        if line.starts_with(b"/bin/node_exporter\0--path.rootfs=/host/root") {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
