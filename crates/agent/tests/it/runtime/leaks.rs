//! Many at once, and nothing left behind.

use everynode_agent::runtime::{HostNamespaces, SandboxSpec, builtin};

use super::world::{World, assert_clean};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_pods_at_once_leave_nothing() {
    let Some(world) = World::new().await else { return };
    let pods = (0..20).map(|number| {
        let world = &world;
        async move {
            let host = HostNamespaces { network: number % 2 == 0, pid: number % 3 == 0, ipc: false };
            let pod = SandboxSpec {
                uid: format!("u{number}"),
                hostname: format!("h{number}"),
                host,
                share_pid: number % 5 == 0,
                cgroup_parent: format!("/kubepods/burstable/podu{number}"),
                ..world.pod()
            };
            let sandbox = world.sandbox(pod).await;
            let mut spec = world.script("sleep 1000 & sleep 1000 & exec sleep 1000");
            spec.log_path = format!("{number}/0.log");
            let id = world.start(&sandbox, spec).await;
            let output = world.runtime.exec_sync(&id, vec!["echo".into(), number.to_string()], None).await.unwrap();
            assert_eq!(output.stdout, format!("{number}\n").into_bytes());
            sandbox
        }
    });
    let sandboxes = futures::future::join_all(pods).await;
    assert_eq!(world.runtime.list_containers().await.unwrap().len(), 20);
    futures::future::join_all(sandboxes.iter().map(|id| world.runtime.remove_sandbox(id)))
        .await
        .into_iter()
        .for_each(|result| result.unwrap());
    assert_clean(world.dir.path(), &world.config.cgroup_root);
    for dir in ["sandboxes", "containers"] {
        assert_eq!(std::fs::read_dir(world.path("state").join(dir)).unwrap().count(), 0, "{dir}");
    }
    assert_eq!(std::fs::read_dir(world.path("store/uses")).unwrap().count(), 0);
    world.end().await;
}

#[tokio::test]
async fn all_can_be_removed_at_once_also_after_a_crash() {
    let Some(world) = World::new().await else { return };
    let own = SandboxSpec { hostname: "h".into(), host: HostNamespaces::default(), share_pid: true, ..world.pod() };
    for pod in [own, SandboxSpec { uid: "other".into(), ..world.pod() }] {
        let sandbox = world.sandbox(pod).await;
        world.start(&sandbox, world.script("exec sleep 1000")).await;
        let created = world.script("true");
        world.runtime.create_container(&sandbox, created).await.unwrap();
    }
    builtin::remove_all(world.config.clone()).await.unwrap();
    builtin::remove_all(world.config.clone()).await.unwrap();
    assert_clean(world.dir.path(), &world.config.cgroup_root);
    assert!(!world.path("state").exists());
    assert_eq!(std::fs::read_dir(world.path("store/uses")).unwrap().count(), 0);
}
