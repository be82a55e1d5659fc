//! What a stored object is indexed by in the store's log, so that an event wakes only those who asked for it.

use everynode_store::Topic;

/// The topics of a stored value, to be given to `Store::open`: pods are indexed by the node they are bound to, so that
/// a pod's event wakes the one agent that watches it.
pub fn topics(key: &str, value: &[u8]) -> Vec<Topic> {
    if !key.starts_with("/registry/pods/") {
        return Vec::new();
    }
    node_name(value).map(|node| pod_topic(&node)).into_iter().collect()
}

/// The topic of the pods of a node.
pub(crate) fn pod_topic(node: &str) -> Topic {
    Topic::new(&format!("spec.nodeName={node}"))
}

fn node_name(pod: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Pod {
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        #[serde(default)]
        node_name: String,
    }
    let pod: Pod = serde_json::from_slice(pod).ok()?;
    (!pod.spec.node_name.is_empty()).then_some(pod.spec.node_name)
}
