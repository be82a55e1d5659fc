//! What every runtime promises, checked on the built-in one.

use everynode_agent::runtime::{
    Capabilities, ContainerState, DnsConfig, HostNamespaces, Mount, Resources, SandboxSpec, SandboxState, UserSpec,
};

use super::world::{SHELL, World};

#[tokio::test]
async fn a_container_runs_and_its_end_is_known() {
    let Some(world) = World::new().await else { return };
    for (script, code, reason) in
        [("exit 0", 0, "Completed"), ("exit 3", 3, "Error"), ("kill -9 $$; sleep 9", 137, "Error")]
    {
        // The first process of a namespace cannot kill itself, so it shares the node's.
        let pod = SandboxSpec { host: HostNamespaces { network: true, pid: true, ipc: true }, ..world.pod() };
        let (got, why, _) = world.run(pod, world.script(script)).await;
        assert_eq!((got, why.as_str()), (code, reason), "{script}");
    }
    world.end().await;
}

#[tokio::test]
async fn output_is_logged_with_its_stream() {
    let Some(world) = World::new().await else { return };
    let sandbox = world.sandbox(world.pod()).await;
    let id = world.start(&sandbox, world.script("echo out; echo err >&2; printf unfinished")).await;
    world.ended(&id).await;
    let raw = std::fs::read_to_string(world.path("logs/main/0.log")).unwrap();
    let mut entries: Vec<&str> = raw.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    entries.sort_unstable();
    assert_eq!(entries, ["stderr F err", "stdout F out", "stdout P unfinished"]);
    world.end().await;
}

/// N112, N123–N133, N212, N214.
#[tokio::test]
async fn a_container_sees_what_was_asked_for() {
    let Some(world) = World::new().await else { return };
    std::fs::create_dir_all(world.path("volume/sub")).unwrap();
    std::fs::write(world.path("volume/file"), "content\n").unwrap();
    let own = SandboxSpec {
        hostname: "web-1".into(),
        host: HostNamespaces::default(),
        dns: Some(DnsConfig { servers: vec!["10.9.9.9".into()], ..DnsConfig::default() }),
        ..world.pod()
    };
    let mount =
        |readonly| Mount { host_path: world.path("volume"), container_path: "/v".into(), readonly, ..Mount::default() };
    let base = world.script("");
    for (name, pod, change, script, expect) in [
        (
            "host name",
            own.clone(),
            base.clone(),
            "hostname; cat /etc/hostname; echo $HOSTNAME",
            "web-1\nweb-1\nweb-1\n",
        ),
        ("resolver", own.clone(), base.clone(), "cat /etc/resolv.conf", "nameserver 10.9.9.9\n"),
        ("process numbers", world.pod(), base.clone(), "echo $$", "1\n"),
        (
            "environment",
            world.pod(),
            {
                let mut s = base.clone();
                s.env = vec![("A".into(), "b c".into())];
                s
            },
            "echo $A $FROM_IMAGE",
            "b c yes\n",
        ),
        (
            "working directory",
            world.pod(),
            {
                let mut s = base.clone();
                s.working_dir = "/made/for/it".into();
                s
            },
            "pwd",
            "/made/for/it\n",
        ),
        (
            "user",
            world.pod(),
            {
                let mut s = base.clone();
                s.user = UserSpec { uid: Some(1000), gid: None, supplemental_groups: vec![77] };
                s
            },
            "id -u; id -g; id -G",
            "1000\n1001\n1001 50 77\n",
        ),
        (
            "read-only root",
            world.pod(),
            {
                let mut s = base.clone();
                s.readonly_rootfs = true;
                s
            },
            "touch /x 2>/dev/null || echo refused",
            "refused\n",
        ),
        (
            "volume",
            world.pod(),
            {
                let mut s = base.clone();
                s.mounts = vec![mount(false)];
                s
            },
            "cat /v/file; echo more > /v/sub/new && cat /v/sub/new",
            "content\nmore\n",
        ),
        (
            "read-only volume",
            world.pod(),
            {
                let mut s = base.clone();
                s.mounts = vec![mount(true)];
                s
            },
            "touch /v/x 2>/dev/null || echo refused",
            "refused\n",
        ),
        (
            "no capabilities",
            world.pod(),
            {
                let mut s = base.clone();
                s.capabilities = Capabilities { add: Vec::new(), drop: vec!["ALL".into()] };
                s
            },
            "while read k v; do [ $k = CapEff: ] && echo $v; done < /proc/self/status; true",
            "0000000000000000\n",
        ),
        (
            "no new privileges",
            world.pod(),
            {
                let mut s = base.clone();
                s.no_new_privs = true;
                s
            },
            "while read k v; do [ $k = NoNewPrivs: ] && echo $v; done < /proc/self/status; true",
            "1\n",
        ),
        (
            "score",
            world.pod(),
            {
                let mut s = base.clone();
                s.resources.oom_score_adj = Some(1000);
                s
            },
            "cat /proc/self/oom_score_adj",
            "1000\n",
        ),
        ("broken pipes end programs", world.pod(), base.clone(), "yes | head -n 1", "y\n"),
        (
            "privileged",
            world.pod(),
            {
                let mut s = base.clone();
                s.privileged = true;
                s
            },
            "mount -t tmpfs none /tmp && ls /dev/vda /dev/sda /dev/null 2>/dev/null | head -n 1 > /dev/null && echo ok",
            "ok\n",
        ),
        ("hidden paths", world.pod(), base.clone(), "cat /proc/keys /proc/timer_list | head -c 9; echo", "\n"),
        ("shared memory", own, base.clone(), "echo x > /dev/shm/y && cat /dev/shm/y", "x\n"),
    ] {
        let mut spec = change;
        spec.command = vec!["/bin/sh".into(), "-c".into(), script.into()];
        let (code, reason, log) = world.run(pod, spec).await;
        // Groups come in no particular order.
        let sort = |text: &str| if name == "user" { sorted_words(text) } else { text.to_owned() };
        assert_eq!((code, sort(&log)), (0, sort(expect)), "{name}: {reason}");
    }
    world.end().await;
}

fn sorted_words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

#[tokio::test]
async fn the_image_gives_defaults() {
    let Some(world) = World::new().await else { return };
    let mut image = super::world::shell_image("example.test/defaults:1");
    image.entrypoint = vec!["/bin/echo".into(), "entry".into()];
    image.cmd = vec!["cmd".into()];
    super::archive::write(&image, &world.path("late.tar")).unwrap();
    std::fs::rename(world.path("late.tar"), world.path("images/late.tar")).unwrap();
    let mut spec = world.script("");
    spec.image = "example.test/defaults:1".into();
    spec.command.clear();
    let present = async {
        // It is imported when it appears; the only sign is that it is there.
        while world.runtime.image_status(&spec.image).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::world::PATIENCE, present).await.unwrap();
    assert_eq!(world.run(world.pod(), spec.clone()).await.2, "entry cmd\n");
    spec.args = vec!["args".into()];
    assert_eq!(world.run(world.pod(), spec).await.2, "entry args\n");
    world.end().await;
}

#[tokio::test]
async fn lists_and_statuses_tell_what_was_asked() {
    let Some(world) = World::new().await else { return };
    let mut pod = world.pod();
    pod.labels.insert("io.kubernetes.pod.uid".into(), pod.uid.clone());
    let sandbox = world.sandbox(pod.clone()).await;
    let mut spec = world.script("exec sleep 1000");
    spec.attempt = 4;
    spec.annotations.insert("a".into(), "b".into());
    let id = world.runtime.create_container(&sandbox, spec.clone()).await.unwrap();
    let status = world.runtime.container_status(&id).await.unwrap();
    assert_eq!(status.state, ContainerState::Created);
    world.runtime.start_container(&id).await.unwrap();
    let status = world.runtime.list_containers().await.unwrap().remove(0);
    assert!(matches!(status.state, ContainerState::Running { pid, .. } if pid > 1), "{status:?}");
    assert_eq!((status.attempt, status.image.as_str(), status.pod_uid.as_str()), (4, SHELL, pod.uid.as_str()));
    assert_eq!(status.annotations, spec.annotations);
    assert!(status.image_id.starts_with("sha256:") && status.image_ref.contains("@sha256:"), "{status:?}");
    assert_eq!(status.log_path, Some(world.path("logs/main/0.log")));
    let listed = world.runtime.list_sandboxes().await.unwrap().remove(0);
    assert_eq!((listed.state, &listed.labels), (SandboxState::Ready, &pod.labels));
    let stats = world.runtime.stats(&id).await.unwrap();
    assert!(stats.memory_usage_bytes > 0 && stats.pids >= 1, "{stats:?}");
    world.runtime.stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(world.runtime.sandbox_status(&sandbox).await.unwrap().state, SandboxState::NotReady);
    assert!(world.runtime.create_container(&sandbox, spec).await.is_err());
    world.runtime.remove_sandbox(&sandbox).await.unwrap();
    world.runtime.remove_sandbox(&sandbox).await.unwrap();
    assert!(world.runtime.container_status(&id).await.unwrap_err().is_not_found());
    world.end().await;
}

/// N231, N236, N237.
#[tokio::test]
async fn too_much_memory_is_an_end_of_its_own() {
    let Some(world) = World::new().await else { return };
    let mut spec = world.script("x=a; while true; do x=$x$x$x$x; done");
    spec.resources = Resources { memory_limit_bytes: Some(16 << 20), ..Resources::default() };
    let mut pod = world.pod();
    pod.resources = Resources { cpu_shares: Some(2), memory_limit_bytes: Some(64 << 20), ..Resources::default() };
    let (code, reason, _) = world.run(pod, spec).await;
    assert_eq!((code, reason.as_str()), (137, "OOMKilled"));
    world.end().await;
}

/// N211.
#[tokio::test]
async fn containers_of_a_pod_share_what_they_should() {
    let Some(world) = World::new().await else { return };
    let pod =
        SandboxSpec { hostname: "shared".into(), host: HostNamespaces::default(), share_pid: true, ..world.pod() };
    let sandbox = world.sandbox(pod).await;
    let mut first = world.script("echo hello > /dev/shm/x; exec sleep 1000");
    first.log_path = "first/0.log".into();
    world.start(&sandbox, first).await;
    let second = world.script("until cat /dev/shm/x 2>/dev/null; do :; done; until ps | grep -q 'sleep 100[0]'; do :; done; echo $$ ; hostname");
    let mut second = second;
    second.command[2] = "until cat /dev/shm/x 2>/dev/null; do :; done; until ps -o args | while read l; do [ \"$l\" = 'sleep 1000' ] && exit 7; done; [ $? = 7 ]; do :; done; [ $$ != 1 ] && hostname".into();
    let id = world.start(&sandbox, second).await;
    world.ended(&id).await;
    assert_eq!(world.log("main/0.log"), "hello\nshared\n");
    world.end().await;
}

#[tokio::test]
async fn pods_with_their_own_network_are_reachable() {
    let Some(world) = World::new().await else { return };
    let pod = SandboxSpec { hostname: "net".into(), host: HostNamespaces::default(), ..world.pod() };
    let own = world.loopback();
    let sandbox = world
        .sandbox(SandboxSpec {
            port_mappings: vec![everynode_agent::runtime::PortMapping {
                host_ip: own.to_string(),
                host_port: 38_080,
                container_port: 8080,
                ..Default::default()
            }],
            ..pod.clone()
        })
        .await;
    let status = world.runtime.sandbox_status(&sandbox).await.unwrap();
    let ip = status.ips[0];
    let id = world.start(&sandbox, world.script("while true; do echo pong | nc -l -p 8080; done")).await;
    for address in [(ip, 8080), (own.into(), 38_080)] {
        let answer = async {
            loop {
                use tokio::io::AsyncReadExt;
                let mut text = String::new();
                if let Ok(mut stream) = tokio::net::TcpStream::connect(address).await
                    && stream.read_to_string(&mut text).await.is_ok()
                    && !text.is_empty()
                {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        let text = tokio::time::timeout(super::world::PATIENCE, answer).await.unwrap();
        assert_eq!(text, "pong\n", "{address:?}");
    }
    let other = world.sandbox(SandboxSpec { uid: "other".into(), ..pod }).await;
    assert_ne!(world.runtime.sandbox_status(&other).await.unwrap().ips[0], ip);
    let output =
        world.runtime.exec_sync(&id, ["ip", "-4", "addr", "show", "eth0"].map(str::to_owned).to_vec(), None).await;
    assert!(String::from_utf8_lossy(&output.unwrap().stdout).contains(&ip.to_string()));
    world.end().await;
}
