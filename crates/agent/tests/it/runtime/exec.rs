//! Further commands in running containers.

use std::time::Duration;

use everynode_agent::runtime::{ExecRequest, RuntimeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{PATIENCE, World};

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn shell(script: &str) -> Vec<String> {
    vec!["sh".into(), "-c".into(), script.into()]
}

#[tokio::test]
async fn commands_give_output_and_exit_code() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let mut spec = world.script("exec sleep 1000");
    spec.env = vec![("A".into(), "from the pod".into())];
    let id = world.start(&sandbox, spec).await;
    for (command, stdout, stderr, code) in [
        (words("echo a"), "a\n", "", 0),
        (shell("echo $A; echo no >&2; exit 7"), "from the pod\n", "no\n", 7),
        (shell("kill -9 $$"), "", "", 137),
        (words("/bin/cat /proc/1/comm"), "sleep\n", "", 0),
    ] {
        let got = world.runtime.exec_sync(&id, command.clone(), None).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            (text(&got.stdout), text(&got.stderr), got.exit_code),
            (stdout.into(), stderr.into(), code),
            "{command:?}"
        );
    }
    let left: Vec<String> = std::fs::read_dir(world.path("state/containers").join(&id.0))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("exec-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    world.end().await;
}

#[tokio::test]
async fn input_ends_when_it_is_closed() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("exec sleep 1000")).await;
    let request = ExecRequest { command: words("cat"), stdin: true, stdout: true, ..ExecRequest::default() };
    let mut exec = world.runtime.exec(&id, request).await.unwrap();
    let mut stdin = exec.stdin.take().unwrap();
    let big = vec![b'x'; 300_000];
    let (_, text) = tokio::join!(
        async {
            stdin.write_all(&big).await.unwrap();
            drop(stdin);
        },
        async {
            let mut text = Vec::new();
            exec.stdout.take().unwrap().read_to_end(&mut text).await.unwrap();
            text
        }
    );
    assert_eq!(text.len(), 300_000);
    assert_eq!(exec.exit.await.unwrap(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_terminal_is_one_and_has_a_size() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("exec sleep 1000")).await;
    // Sizes and input come on ways of their own: whichever is quicker.
    let command = shell("tty; read line; until stty size 2>/dev/null; do :; done; echo got $line; exit 5");
    let request = ExecRequest { command, tty: true, stdin: true, stdout: true, stderr: false };
    let mut exec = world.runtime.exec(&id, request).await.unwrap();
    exec.resize.send((101, 33)).await.unwrap();
    let mut stdin = exec.stdin.take().unwrap();
    let mut stdout = exec.stdout.take().unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while !text.contains('\n') {
        assert_eq!(stdout.read(&mut byte).await.unwrap(), 1);
        text.push(char::from(byte[0]));
    }
    stdin.write_all(b"hello\n").await.unwrap();
    stdout.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("/dev/pts/"), "{text:?}");
    assert!(text.contains("33 101\r\n") && text.contains("got hello\r\n"), "{text:?}");
    assert_eq!(exec.exit.await.unwrap(), 5);
    world.end().await;
}

#[tokio::test]
async fn failures_name_the_reason() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("exec sleep 1000")).await;
    let error = world.runtime.exec_sync(&id, words("nosuch"), None).await.unwrap_err();
    assert!(error.to_string().contains(r#"exec: "nosuch": executable file not found in $PATH"#), "{error}");
    let limit = Duration::from_millis(200);
    let error = world.runtime.exec_sync(&id, words("sleep 1000"), Some(limit)).await.unwrap_err();
    assert!(matches!(error, RuntimeError::ExecTimeout { .. }), "{error}");
    let still_there = async {
        // The command is killed by its shim, a moment later.
        while String::from_utf8_lossy(&world.runtime.exec_sync(&id, words("ps -o args"), None).await.unwrap().stdout)
            .lines()
            .filter(|line| *line == "sleep 1000")
            .count()
            > 1
        {}
    };
    tokio::time::timeout(PATIENCE, still_there).await.expect("the command that took too long is gone");
    world.runtime.stop_container(&id, Duration::ZERO, None).await.unwrap();
    let error = world.runtime.exec_sync(&id, words("true"), None).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotRunning { .. }), "{error}");
    world.end().await;
}
