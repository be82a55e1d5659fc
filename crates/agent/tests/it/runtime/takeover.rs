//! Containers outlive the agent (N319): a second runtime on the same state stands for the next agent.

use everynode_agent::runtime::{ContainerState, HostNamespaces, SandboxSpec, SandboxState, builtin};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::world::{World, ended};

#[tokio::test]
async fn the_next_agent_finds_what_runs_and_what_ended() {
    let Some(world) = World::new().await else { return };
    let pod = SandboxSpec { hostname: "x".into(), host: HostNamespaces::default(), ..world.pod() };
    let sandbox = world.sandbox(pod).await;
    let running = world.start(&sandbox, world.script("exec sleep 1000")).await;
    let over = world.start(&sandbox, world.script("exit 6")).await;
    world.ended(&over).await;
    let created = world.runtime.create_container(&sandbox, world.script("exit 0")).await.unwrap();

    let next = builtin::open(world.config.clone()).await.unwrap();
    let before = world.runtime.container_status(&running).await.unwrap();
    assert_eq!(next.container_status(&running).await.unwrap(), before);
    assert!(matches!(before.state, ContainerState::Running { .. }));
    let status = next.container_status(&over).await.unwrap();
    assert!(matches!(status.state, ContainerState::Exited { exit_code: 6, .. }), "{status:?}");
    assert_eq!(next.container_status(&created).await.unwrap().state, ContainerState::Created);
    let found = next.sandbox_status(&sandbox).await.unwrap();
    assert_eq!(
        (found.state, found.ips),
        (SandboxState::Ready, world.runtime.sandbox_status(&sandbox).await.unwrap().ips)
    );
    assert_eq!(next.exec_sync(&running, vec!["echo".into(), "hi".into()], None).await.unwrap().stdout, b"hi\n");
    next.start_container(&created).await.unwrap();
    ended(&next, &created).await;

    // The end is noticed by an agent that did not start it.
    let ContainerState::Running { pid, .. } = before.state else { unreachable!() };
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let status = ended(&next, &running).await;
    assert!(matches!(status.state, ContainerState::Exited { exit_code: 137, .. }), "{status:?}");
    next.remove_sandbox(&sandbox).await.unwrap();
    drop(next);
    world.end().await;
}

#[tokio::test]
async fn an_end_while_no_agent_looks_is_found_later() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("sleep 0.2; echo last words; exit 11")).await;
    // The first runtime stays idle; the second one opens after the end.
    world.ended(&id).await;
    let next = builtin::open(world.config.clone()).await.unwrap();
    let status = next.container_status(&id).await.unwrap();
    assert!(matches!(status.state, ContainerState::Exited { exit_code: 11, .. }), "{status:?}");
    assert_eq!(world.log("main/0.log"), "last words\n");
    next.remove_sandbox(&sandbox).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_killed_shim_takes_its_container_along() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("exec sleep 1000")).await;
    let text = std::fs::read_to_string(world.path("state/containers").join(&id.0).join("shim.json")).unwrap();
    let shim: serde_json::Value = serde_json::from_str(&text).unwrap();
    let pid = i32::try_from(shim["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let status = world.ended(&id).await;
    let ContainerState::Exited { exit_code, reason, .. } = status.state else { unreachable!() };
    assert_eq!((exit_code, reason.as_str()), (137, "ContainerStatusUnknown"));
    world.end().await;
}
