//! `everynode controller` as `deploy/` runs it: in a pod with a network of its own, with the pod's service account and no
//! kubeconfig, as the only DaemonSet controller of the cluster that runs the pod.

use everynode_e2e::archive::Image;
use everynode_e2e::image;
use everynode_e2e::process::Everynode;
use serde_json::{Value, json};

use crate::binary;
use crate::containers::{machine, node_exporter, provide, reset, until};
use crate::kubectl::Kubectl;
use crate::rights::manifests;

const LEASE: &str = "-n everynode-system get lease everynode-controller -o jsonpath={.spec.holderIdentity}";

/// The pod of the Deployment, under its own name: Deployments are stored here and not acted on.
fn pod() -> Value {
    let deployment = manifests("30-controller.yaml").remove(0);
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("controller");
    pod["metadata"]["namespace"] = json!("everynode-system");
    pod
}

#[test]
fn in_a_pod_the_controller_needs_nothing_but_its_account() {
    let Some(machine) = machine() else { return };
    let dir = &machine.dir;
    if !provide(dir.path()) {
        return;
    }
    let pod = pod();
    let reference = pod["spec"]["containers"][0]["image"].as_str().expect("an image");
    let packed = Image { reference, entrypoint: &["/bin/everynode"], user: "65532:65532" };
    image::of_program(binary(), &packed, &dir.path().join("images/everynode.tar")).expect("packed");
    let words = ["up", "--runtime", "builtin", "--node-name", "node", "--controllers", "*,-daemonset-controller"];
    let server = Everynode::start(binary(), dir.path(), &words).expect("everynode starts");
    let Some(kubectl) = Kubectl::of(&server) else { return };
    for file in ["10-namespace.yaml", "20-rights.yaml"] {
        kubectl.must(&format!("apply -f {}/../../deploy/{file}", env!("CARGO_MANIFEST_DIR")));
    }
    kubectl.must_feed("apply -f -", &pod.to_string());
    kubectl.must_feed("apply -f -", &node_exporter());
    until(&kubectl, "get ds node-exporter -o jsonpath={.status.numberAvailable}", "1");
    let ready = "-n everynode-system get pod controller -o jsonpath={.status.containerStatuses[0].ready}";
    until(&kubectl, ready, "true");
    assert!(kubectl.must(LEASE).starts_with("controller"), "the pod's name tells who leads");

    kubectl.must("-n everynode-system delete pod controller");
    until(&kubectl, LEASE, "");
    kubectl.must("delete ds node-exporter --cascade=orphan");
    kubectl.must("delete pods --all");
    assert!(server.end().expect("ends").success());
    reset(dir.path());
}
