//! A DaemonSet on hollow nodes, driven with kubectl: it comes, follows the nodes, rolls, rolls back and goes.

use everynode_e2e::process::{Everynode, eventually};

use crate::kubectl::Kubectl;
use crate::{PATIENCE, binary, hollow, tempdir};

pub(crate) const SET: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logger, labels: {app: logger}}
spec:
  selector: {matchLabels: {app: logger}}
  template:
    metadata: {labels: {app: logger}}
    spec:
      containers: [{name: main, image: example.org/logger:1}]
";

fn columns(kubectl: &Kubectl) -> String {
    let line = kubectl.must("get ds logger --no-headers");
    line.split_whitespace().skip(1).take(5).collect::<Vec<_>>().join(" ")
}

pub(crate) fn until_columns(kubectl: &Kubectl, expect: &str) {
    eventually(&format!("the columns are {expect}"), PATIENCE, || {
        let seen = columns(kubectl);
        if seen == expect { Ok(()) } else { Err(seen) }
    })
    .expect("status follows");
}

/// Waits until so many nodes are ready: they register themselves some time after the server is.
pub(crate) fn until_nodes(kubectl: &Kubectl, count: usize) {
    eventually(&format!("{count} nodes are ready"), PATIENCE, || {
        let seen = kubectl.must("get nodes --no-headers");
        if seen.matches(" Ready ").count() == count { Ok(()) } else { Err(seen) }
    })
    .expect("nodes register");
}

/// Waits, as a user would, until a rollout says that it has ended; what it said.
pub(crate) fn rolled_out(kubectl: &Kubectl, set: &str) -> String {
    kubectl.must(&format!("rollout status ds/{set} --timeout={}s", PATIENCE.as_secs()))
}

#[test]
fn a_daemon_set_lives_through_its_days() {
    let dir = tempdir();
    let server = hollow(dir.path(), 3);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    assert_eq!(kubectl.must_feed("apply -f -", SET), "daemonset.apps/logger created\n");
    until_columns(&kubectl, "3 3 3 3 3");
    let done = "daemon set \"logger\" successfully rolled out";
    assert!(rolled_out(&kubectl, "logger").contains(done));

    kubectl.must("set image ds/logger main=example.org/logger:2");
    assert!(rolled_out(&kubectl, "logger").contains(done));
    assert_eq!(kubectl.must("rollout history ds/logger").lines().count(), 5, "two revisions");
    kubectl.must("rollout undo ds/logger");
    rolled_out(&kubectl, "logger");
    let image = kubectl.must("get pods -o jsonpath={.items[*].spec.containers[0].image}");
    assert_eq!(image, "example.org/logger:1 example.org/logger:1 example.org/logger:1");

    kubectl.must("patch ds logger -p {\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"disk\":\"ssd\"}}}}}");
    until_columns(&kubectl, "0 0 0 0 0");
    kubectl.must("label node node-2 disk=ssd");
    until_columns(&kubectl, "1 1 1 1 1");
    kubectl.must("label node node-2 disk-");
    until_columns(&kubectl, "0 0 0 0 0");

    kubectl.must("delete ds logger");
    eventually("no pod is left", PATIENCE, || {
        let left = kubectl.must("get pods --no-headers");
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .expect("pods go with their set");
    assert!(server.end().expect("ends").success());
}

#[test]
fn a_node_that_joins_gets_its_pod_and_one_that_is_deleted_loses_it() {
    let dir = tempdir();
    let server = hollow(dir.path(), 2);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    kubectl.must_feed("apply -f -", SET);
    until_columns(&kubectl, "2 2 2 2 2");

    let token = std::process::Command::new(binary())
        .args(["token", "create", "--kubeconfig"])
        .arg(server.kubeconfig())
        .output()
        .expect("everynode runs");
    let printed = String::from_utf8_lossy(&token.stdout).into_owned();
    let join = printed.lines().find_map(|line| line.strip_prefix("everynode agent "));
    let join = join.unwrap_or_else(|| panic!("prints the command: {token:?}"));
    let joiner_dir = dir.path().join("joiner");
    let mut joiner = std::process::Command::new(binary())
        .arg("agent")
        .args(join.split_whitespace())
        .args(["--runtime", "hollow", "--node-name", "joiner", "--data-dir"])
        .arg(&joiner_dir)
        .stderr(std::fs::File::create(dir.path().join("joiner.log")).expect("log"))
        .spawn()
        .expect("everynode starts");
    until_columns(&kubectl, "3 3 3 3 3");
    assert!(everynode_e2e::process::end(&mut joiner).expect("ends").success());
    kubectl.must("delete node joiner");
    until_columns(&kubectl, "2 2 2 2 2");
    assert!(server.end().expect("ends").success());
}

/// Explains itself for every node, with the words of the first rule that fails.
#[test]
fn explain_has_a_verdict_for_every_node() {
    let dir = tempdir();
    let server: Everynode = hollow(dir.path(), 2);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    until_nodes(&kubectl, 2);
    kubectl.must("taint node node-2 dedicated=db:NoSchedule");
    kubectl.must_feed("apply -f -", SET);
    until_columns(&kubectl, "1 1 1 1 1");
    let explained = std::process::Command::new(binary())
        .args(["explain", "ds/logger", "--kubeconfig"])
        .arg(server.kubeconfig())
        .output()
        .expect("everynode runs");
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    let line = |node: &str| text.lines().find(|line| line.starts_with(node)).unwrap_or_default().to_owned();
    assert!(line("node-1").contains("logger-"), "the pod is named: {text}");
    assert!(line("node-2").contains("dedicated=db:NoSchedule"), "the taint is named: {text}");
    assert!(server.end().expect("ends").success());
}
