//! A power cut and a new start: every object is there again.

use everynode_e2e::process::Everynode;

use crate::fleet::{SET, until_columns};
use crate::kubectl::Kubectl;
use crate::{binary, hollow, tempdir};

#[test]
fn a_killed_server_has_everything_again() {
    let dir = tempdir();
    let server = hollow(dir.path(), 2);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    kubectl.must_feed("apply -f -", SET);
    until_columns(&kubectl, "2 2 2 2 2");
    let uids = |kubectl: &Kubectl| kubectl.must("get pods -l app=logger -o jsonpath={.items[*].metadata.uid}");
    let before = uids(&kubectl);
    server.kill().expect("killed");

    let words = ["up", "--runtime", "hollow", "--node-name", "node", "--nodes", "2"];
    let server = Everynode::start(binary(), dir.path(), &words).expect("starts again");
    let kubectl = Kubectl::of(&server).expect("was there before");
    assert_eq!(uids(&kubectl), before, "the same pods, not new ones");
    until_columns(&kubectl, "2 2 2 2 2");
    let restarts =
        kubectl.must("get pods -l app=logger -o jsonpath={.items[*].status.containerStatuses[0].restartCount}");
    assert_eq!(restarts, "0 0", "nothing was restarted");
    assert!(server.end().expect("ends").success());
}
