//! Real containers, as root: they run, restart, log, answer exec, and survive everynode; and nothing of them is left behind.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use everynode_e2e::process::{Everynode, eventually};
use everynode_e2e::{image, is_root, skip};

use crate::fleet::rolled_out;
use crate::kubectl::Kubectl;
use crate::{DIRS, PATIENCE, binary, tempdir};

const TICKER: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {greeting: hello}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ticker}
spec:
  selector: {matchLabels: {app: ticker}}
  template:
    metadata: {labels: {app: ticker}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - {name: first, image: IMAGE, command: [sh, -c, 'echo $(GREETING) > /shared/file'],
         env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: words, key: greeting}}}],
         volumeMounts: [{name: shared, mountPath: /shared}]}
      containers:
      - name: main
        image: IMAGE
        command: [sh, -c, 'cat /shared/file; echo node $NODE; trap exit TERM; while :; do sleep 1; done']
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {exec: {command: [cat, /shared/file]}, periodSeconds: 1}
        volumeMounts: [{name: shared, mountPath: /shared}]
      volumes: [{name: shared, emptyDir: {}}]
";

/// The node of these tests is the machine itself: one at a time. A test that fails leaves nothing on it either; what is declared
/// after this, the server above all, has ended by then.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reset = Command::new(binary()).args(["reset", "--yes", "--data-dir"]).arg(self.dir.path()).status();
            drop(reset);
        }
    }
}

pub(crate) fn machine() -> Option<Machine> {
    static MACHINE: Mutex<()> = Mutex::new(());
    if !is_root() {
        skip("real containers need root");
        return None;
    }
    let alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    clear_up();
    Some(Machine { dir: tempdir(), _alone: alone })
}

/// Ends and removes what tests left whose process was killed: it may hold the ports of the next ones.
fn clear_up() {
    for dir in std::fs::read_dir(std::env::temp_dir()).expect("readable").flatten().map(|entry| entry.path()) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = name.strip_prefix(DIRS).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_none_or(|process| Path::new("/proc").join(process.to_string()).exists()) {
            continue;
        }
        for (process, _) in processes_of(&dir) {
            let _ = Command::new("kill").args(["-KILL", &process]).status();
        }
        let _ = Command::new(binary()).args(["reset", "--yes", "--data-dir"]).arg(&dir).status();
        let _ = std::fs::remove_dir_all(&dir);
    }
}

/// The numbers and command lines of all processes that name a directory.
fn processes_of(dir: &Path) -> Vec<(String, String)> {
    let name = dir.display().to_string();
    let all = std::fs::read_dir("/proc").expect("readable").flatten().map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        (process.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&line).replace('\0', " "))
    });
    all.filter(|(_, line)| line.contains(&name)).collect()
}

fn up(dir: &Path, nodes: &str) -> Everynode {
    let words = ["up", "--runtime", "builtin", "--node-name", "node", "--nodes", nodes];
    Everynode::start(binary(), dir, &words).expect("everynode starts")
}

/// Fetches the image once; says so and gives up when there is no way to get it.
pub(crate) fn provide(dir: &Path) -> bool {
    let images = dir.join("images");
    match image::stand_in(&images).or_else(|_| image::provide(&images)) {
        Ok(_) => true,
        Err(error) => {
            skip(&format!("no image to run: {error:#}"));
            false
        }
    }
}

pub(crate) fn until(kubectl: &Kubectl, words: &str, expect: &str) {
    eventually(&format!("{words} gives {expect}"), PATIENCE, || {
        let ran = kubectl.run(words);
        if ran.out.trim() == expect { Ok(()) } else { Err(format!("{ran:?}")) }
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", kubectl.run("describe pods -A").out));
}

/// `everynode reset`, and then nothing of the data directory may be in use on the machine.
pub(crate) fn reset(dir: &Path) {
    let reset = Command::new(binary()).args(["reset", "--yes", "--data-dir"]).arg(dir).output().expect("runs");
    assert!(reset.status.success(), "{reset:?}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
    let name = dir.display().to_string();
    assert_eq!(mounts.lines().find(|line| line.contains(&name)), None, "a mount is left");
    assert_eq!(processes_of(dir), [], "processes are left");
}

#[test]
fn a_container_lives_through_its_days() {
    let Some(machine) = machine() else { return };
    let dir = &machine.dir;
    if !provide(dir.path()) {
        return;
    }
    let server = up(dir.path(), "1");
    let Some(kubectl) = Kubectl::of(&server) else { return };
    kubectl.must_feed("apply -f -", &TICKER.replace("IMAGE", image::REFERENCE));
    until(&kubectl, "get ds ticker -o jsonpath={.status.numberAvailable}", "1");
    until(&kubectl, "logs ds/ticker", "hello\nnode node");

    let pod = kubectl.must("get pods -l app=ticker -o jsonpath={.items[0].metadata.name}");
    let ran = kubectl.run_with(&["exec", &pod, "--", "sh", "-c", "echo out; echo err >&2; exit 7"], "");
    assert_eq!((ran.code, ran.out.trim()), (Some(7), "out"), "{ran:?}");
    assert!(ran.err.contains("err"), "{ran:?}");
    let ran = kubectl.run_with(&["exec", "-i", &pod, "--", "cat"], "through");
    assert_eq!(ran.out, "through", "{ran:?}");

    let restarts = "get pods -l app=ticker -o jsonpath={.items[0].status.containerStatuses[0].restartCount}";

    let main = main_process(&pod, &kubectl);
    Command::new("kill").args(["-KILL", &main]).status().expect("kill runs");
    until(&kubectl, restarts, "1");
    until(&kubectl, "get ds ticker -o jsonpath={.status.numberAvailable}", "1");
    assert!(kubectl.must("logs ds/ticker --previous").contains("node node"));

    let identity = "get pods -l app=ticker -o jsonpath={.items[0].status.containerStatuses[0].containerID}";
    let before = kubectl.must(identity);
    server.kill().expect("killed");
    let server = up(dir.path(), "1");
    let kubectl = Kubectl::of(&server).expect("was there before");
    until(&kubectl, identity, &before);
    until(&kubectl, restarts, "1");

    kubectl.must("delete ds ticker");
    until(&kubectl, "get pods -o name", "");
    assert!(server.end().expect("ends").success());
    reset(dir.path());
}

/// The process number, on the machine, of the container's first process.
fn main_process(pod: &str, kubectl: &Kubectl) -> String {
    let uid = kubectl.must(&format!("get pod {pod} -o jsonpath={{.metadata.uid}}"));
    for process in std::fs::read_dir("/proc").expect("readable").flatten() {
        let groups = std::fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if groups.contains(&uid) && line.starts_with(b"sh\0-c\0cat /shared/file") {
            return process.file_name().to_string_lossy().into_owned();
        }
    }
    panic!("no process of pod {uid} found");
}

#[test]
fn several_nodes_on_one_machine_have_ports_and_logs_of_their_own() {
    let Some(machine) = machine() else { return };
    let dir = &machine.dir;
    if !provide(dir.path()) {
        return;
    }
    let server = up(dir.path(), "2");
    let Some(kubectl) = Kubectl::of(&server) else { return };
    kubectl.must_feed("apply -f -", &node_exporter());
    until(&kubectl, "get ds node-exporter -o jsonpath={.status.numberAvailable}", "2");
    let addresses = kubectl.must("get pods -l app=node-exporter -o jsonpath={.items[*].status.hostIP}");
    let addresses: Vec<_> = addresses.split_whitespace().collect();
    assert_eq!(addresses.len(), 2);
    assert_ne!(addresses[0], addresses[1], "each node has its own address");
    for address in addresses {
        assert!(metrics(address).contains("node_uname_info"), "{address} serves metrics");
    }
    // The next pod wants the same port, and comes before the agent has forgotten the last one.
    kubectl.must("rollout restart ds/node-exporter");
    rolled_out(&kubectl, "node-exporter");
    let refused = kubectl.must("get events --field-selector reason=FailedDaemonPod -o jsonpath={.items[*].message}");
    assert_eq!(refused, "");
    assert!(server.end().expect("ends").success());
    reset(dir.path());
}

/// The example, with the image that this machine packed itself.
pub(crate) fn node_exporter() -> String {
    const PUBLISHED: &str = "quay.io/prometheus/node-exporter:v1.9.1";
    let example = include_str!("../../../../examples/node-exporter.yaml");
    assert!(example.contains(PUBLISHED), "the example's image");
    example.replace(PUBLISHED, image::REFERENCE)
}

fn metrics(address: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((address, 9100)).expect("listens");
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    text
}
