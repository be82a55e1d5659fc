//! TaintNodesByCondition (A230) and PodTopologyLabels (A238).

use serde_json::{Value, json};

use super::{items, text};
use crate::value;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// A new node takes no pods until the node controller has seen it ready.
pub fn taint(node: &mut Value) {
    let there = node.get("spec").is_some_and(|spec| {
        items(spec, "taints").any(|taint| text(taint, "key") == NOT_READY && text(taint, "effect") == "NoSchedule")
    });
    if !there {
        value::list_mut(node, "spec.taints").push(json!({ "key": NOT_READY, "effect": "NoSchedule" }));
    }
}

/// Gives a pod (or a Binding) the topology labels of its node.
pub fn label_topology(object: &mut Value, node: &Value) {
    for key in TOPOLOGY {
        let label = node.pointer("/metadata/labels").and_then(|labels| labels.get(key));
        if let Some(label) = label {
            value::set_entry(object, "metadata.labels", key, label.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_is_not_ready() {
        let mut node = json!({"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}});
        taint(&mut node);
        taint(&mut node);
        assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
        assert_eq!(node["spec"]["taints"][1], json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }

    #[test]
    fn pods_know_the_topology_of_their_node() {
        let node = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z1", "disk": "ssd"}}});
        let mut pod = json!({"metadata": {"name": "p"}});
        label_topology(&mut pod, &node);
        assert_eq!(pod["metadata"]["labels"], json!({"topology.kubernetes.io/zone": "z1"}));
    }
}
