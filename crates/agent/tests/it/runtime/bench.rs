//! What a pod start costs; printed, and only a coarse bound asserted.

use std::time::{Duration, Instant};

use everynode_agent::runtime::{HostNamespaces, SandboxSpec};

use super::world::World;

/// Far from what a start takes, for a machine may be busy with something else; further from what it may take.
const COARSE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_a_pod_is_fast() {
    let Some(world) = World::new().await else { return };
    for (name, host) in [
        ("host network and ipc", HostNamespaces { network: true, pid: false, ipc: true }),
        ("host network", HostNamespaces { network: true, pid: false, ipc: false }),
        ("own network", HostNamespaces::default()),
    ] {
        let mut totals = Vec::new();
        let mut parts = [Duration::ZERO; 4];
        for _ in 0..8 {
            let at = Instant::now();
            let sandbox = world.sandbox(SandboxSpec { host, hostname: "h".into(), ..world.pod() }).await;
            let made = at.elapsed();
            let id = world.runtime.create_container(&sandbox, world.script("exec sleep 1000")).await.unwrap();
            let created = at.elapsed();
            world.runtime.start_container(&id).await.unwrap();
            let started = at.elapsed();
            totals.push(started);
            world.runtime.exec_sync(&id, vec!["true".into()], None).await.unwrap();
            let executed = at.elapsed();
            world.runtime.remove_sandbox(&sandbox).await.unwrap();
            for (sum, part) in parts.iter_mut().zip([made, created - made, started - created, executed - started]) {
                *sum += part;
            }
        }
        totals.sort_unstable();
        let mean = parts.map(|sum| format!("{:.1}", sum.as_secs_f64() * 1000.0 / 8.0));
        eprintln!(
            "{name}: median {:?} of sandbox+create+start; means in ms: sandbox {}, create {}, start {}, exec {}",
            totals[4], mean[0], mean[1], mean[2], mean[3]
        );
        assert!(totals[0] < COARSE, "{totals:?}");
    }
    world.end().await;
}
