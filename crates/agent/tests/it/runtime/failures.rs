//! What cannot be started, and what does not want to end.

use std::time::{Duration, Instant};

use everynode_agent::runtime::{ContainerState, Mount, RuntimeError};

use super::world::{PATIENCE, World};

#[tokio::test]
async fn a_container_that_cannot_start_says_why_and_is_over() {
    let Some(world) = World::new().await else { return };
    for (command, expect) in [
        ("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#),
        ("/no/such", r#"exec: "/no/such": stat /no/such: no such file or directory"#),
        ("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#),
        ("/bin/text", "exec /bin/text: exec format error"),
    ] {
        let sandbox = world.sandbox(world.pod()).await;
        let mut spec = world.script("");
        spec.command = vec![command.into()];
        let id = world.runtime.create_container(&sandbox, spec).await.unwrap();
        let error = world.runtime.start_container(&id).await.unwrap_err();
        assert!(matches!(error, RuntimeError::StartContainer { .. }) && error.to_string().contains(expect), "{error}");
        let status = world.runtime.container_status(&id).await.unwrap();
        let ContainerState::Exited { exit_code, reason, message, .. } = status.state else { panic!("{status:?}") };
        assert_eq!((exit_code, reason.as_str()), (128, "StartError"), "{command}");
        assert_eq!(message, format!("unable to start container process: {expect}"));
        world.runtime.remove_sandbox(&sandbox).await.unwrap();
    }
    world.end().await;
}

#[tokio::test]
async fn an_unknown_image_is_not_found() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let mut spec = world.script("");
    spec.image = "example.test/nosuch:1".into();
    assert!(world.runtime.create_container(&sandbox, spec.clone()).await.unwrap_err().is_not_found());
    spec.image = "Not A Name".into();
    let error = world.runtime.create_container(&sandbox, spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::InvalidImageName { .. }), "{error}");
    world.end().await;
}

#[tokio::test]
async fn an_unknown_user_is_named() {
    let Some(world) = World::new().await else { return };
    let mut image = super::world::shell_image("example.test/ghost:1");
    image.user = "ghost".into();
    super::archive::write(&image, &world.path("images/ghost.tar")).unwrap();
    let runtime = everynode_agent::runtime::builtin::open(world.config.clone()).await.unwrap();
    let sandbox = runtime.run_sandbox(world.pod()).await.unwrap();
    assert!(runtime.image_status("example.test/ghost:1").await.unwrap().is_some());
    let mut spec = world.script("true");
    spec.image = "example.test/ghost:1".into();
    let id = runtime.create_container(&sandbox, spec).await.unwrap();
    let error = runtime.start_container(&id).await.unwrap_err();
    assert!(error.to_string().contains("unable to find user ghost"), "{error}");
    runtime.remove_sandbox(&sandbox).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_bad_mount_is_named() {
    let Some(world) = World::new().await else { return };
    std::fs::write(world.path("file"), "x").unwrap();
    let sandbox = world.sandbox(world.pod()).await;
    let mut spec = world.script("true");
    let (host_path, container_path) = (world.path("file/below"), "/v".into());
    spec.mounts = vec![Mount { host_path, container_path, ..Mount::default() }];
    let id = world.runtime.create_container(&sandbox, spec).await.unwrap();
    let error = world.runtime.start_container(&id).await.unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
    world.end().await;
}

/// N264.
#[tokio::test]
async fn stopping_asks_first_and_then_insists() {
    let Some(world) = World::new().await else { return };
    let polite = "trap 'echo bye; exit 9' TERM; echo ready; while true; do sleep 1000 & wait $!; done";
    let stubborn = "trap '' TERM; echo ready; while true; do sleep 1000; done";
    let usr1 = "trap 'exit 4' USR1; echo ready; while true; do sleep 1000 & wait $!; done";
    for (script, grace, signal, code) in [
        (polite, PATIENCE, None, 9),
        (usr1, PATIENCE, Some(10), 4),
        (stubborn, Duration::from_millis(300), None, 137),
        (polite, Duration::ZERO, None, 137),
    ] {
        let sandbox = world.sandbox(world.pod()).await;
        let id = world.start(&sandbox, world.script(script)).await;
        let ready = async {
            while !world.log("main/0.log").contains("ready") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        let before = Instant::now();
        world.runtime.stop_container(&id, grace, signal).await.unwrap();
        assert!(before.elapsed() >= if code == 137 { grace } else { Duration::ZERO });
        let status = world.runtime.container_status(&id).await.unwrap();
        assert!(
            matches!(status.state, ContainerState::Exited { exit_code, .. } if exit_code == code),
            "{script} {status:?}"
        );
        world.runtime.stop_container(&id, grace, signal).await.unwrap();
        world.runtime.remove_sandbox(&sandbox).await.unwrap();
        std::fs::remove_dir_all(world.path("logs")).unwrap();
    }
    world.end().await;
}

#[tokio::test]
async fn a_shorter_grace_overtakes_a_longer_one() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("trap '' TERM; while true; do sleep 1000; done")).await;
    let long = world.runtime.stop_container(&id, Duration::from_secs(1000), None);
    let short = world.runtime.stop_container(&id, Duration::from_millis(1), None);
    let both = async { tokio::join!(long, short) };
    let (a, b) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    a.and(b).unwrap();
    world.end().await;
}
