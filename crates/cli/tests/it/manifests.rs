//! Real manifests of real projects, unaltered: each applies and gets one pod object per eligible node.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use everynode_e2e::process::eventually;
use everynode_e2e::skip;

use crate::fleet::until_nodes;
use crate::kubectl::Kubectl;
use crate::{PATIENCE, hollow, tempdir};

/// Files whose DaemonSets need nothing but the cluster itself: different projects, different features.
const FILES: &[&str] = &[
    "amd-gpu-labeller",
    "aws-cloudwatch-agent",
    "aws-node-termination-handler-base",
    "azure-goldpinger",
    "azure-ip-masq-agent",
    "cadvisor-base",
    "ceph-csi-rbdplugin",
    "coroot-node-agent",
    "falco-exporter",
    "flannel-kube-flannel",
    "fluent-bit-elasticsearch",
    "fluentd-elasticsearch-rbac",
    "gke-daemonset-best-practices",
    "intel-gpu-plugin",
    "istio-cni",
    "kube-router-all-features",
    "kube2iam",
    "kubernetes-ip-masq-agent",
    "linkerd-cni",
    "logdna-agent",
    "nfd-worker",
    "node-problem-detector",
    "nvidia-k8s-device-plugin",
    "openshift-node-exporter",
    "signalfx-agent",
    "wazuh-agent",
];
const NODES: usize = 2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/manifests/real")
}

#[test]
fn real_manifests_get_one_pod_per_eligible_node() {
    if !folder().is_dir() {
        skip(&format!("{} is not there", folder().display()));
        return;
    }
    let dir = tempdir();
    let server = hollow(dir.path(), NODES);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    until_nodes(&kubectl, NODES);
    for file in FILES {
        let path = folder().join(format!("{file}.yaml"));
        let text = std::fs::read_to_string(&path).expect("manifest is there");
        for namespace in namespaces(&text) {
            kubectl.run(&format!("create namespace {namespace}"));
            for account in accounts(&text) {
                kubectl.run(&format!("create serviceaccount {account} -n {namespace}"));
            }
        }
        let applied = kubectl.run(&format!("apply -f {}", path.display()));
        assert_eq!(applied.code, Some(0), "{file}: {applied:?}");
    }
    one_pod_per_eligible_node(&kubectl);
    assert!(server.end().expect("ends").success());
}

/// The manifests that we hand out need nothing that is not in them.
#[test]
fn examples_get_one_pod_per_node() {
    let dir = tempdir();
    let server = hollow(dir.path(), NODES);
    let Some(kubectl) = Kubectl::of(&server) else { return };
    until_nodes(&kubectl, NODES);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for example in std::fs::read_dir(&examples).expect("there are examples") {
        kubectl.must(&format!("apply --validate=strict -f {}", example.expect("readable").path().display()));
    }
    one_pod_per_eligible_node(&kubectl);
    assert!(server.end().expect("ends").success());
}

fn one_pod_per_eligible_node(kubectl: &Kubectl) {
    let sets = "get ds -A --no-headers -o custom-columns=NS:.metadata.namespace,N:.metadata.name,\
                D:.status.desiredNumberScheduled,G:.metadata.generation,O:.status.observedGeneration";
    eventually("every set has all the pods that it wants", PATIENCE, || {
        let uneven: Vec<_> = kubectl.must(sets).lines().filter_map(|line| complaint(kubectl, line)).collect();
        if uneven.is_empty() { Ok(()) } else { Err(uneven.join("; ")) }
    })
    .expect("one pod object per eligible node");
}

/// Says what is wrong with a set's number of pods, when something is.
fn complaint(kubectl: &Kubectl, line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (namespace, name, desired) = (words.next()?, words.next()?, words.next()?);
    if words.next()? != words.next()? {
        return Some(format!("{namespace}/{name}: not looked at yet"));
    }
    let owner = format!(
        "jsonpath={{range .items[?(@.metadata.ownerReferences[0].name==\"{name}\")]}}{{.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values[0]}} {{end}}"
    );
    let pods = kubectl.run_with(&["get", "pods", "-n", namespace, "-o", &owner], "");
    let nodes: Vec<_> = pods.out.split_whitespace().collect();
    let distinct: BTreeSet<_> = nodes.iter().collect();
    let wanted = desired.parse::<usize>().ok();
    let right = wanted == Some(nodes.len()) && distinct.len() == nodes.len();
    (!right).then(|| format!("{namespace}/{name}: wants {desired}, has pods for {nodes:?}"))
}

/// The namespaces that a file speaks of, and the default one; a user would have made them.
fn namespaces(text: &str) -> BTreeSet<&str> {
    values(text, "namespace:").chain(["default"]).collect()
}

/// The service accounts that a file's pods use; their roles come from other files of the same project.
fn accounts(text: &str) -> BTreeSet<&str> {
    values(text, "serviceAccountName:").chain(values(text, "serviceAccount:")).collect()
}

fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim).filter_map(move |line| line.strip_prefix(key));
    lines.map(|value| value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
}
