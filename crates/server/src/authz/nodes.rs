//! What the node authorizer needs to know of the store: pods and what they refer to.

use everynode_api::node_access::{PodView, Relations};
use everynode_store::Store;
use serde_json::Value;

use crate::follow::Picture;

const PODS: &str = "/registry/pods/";

/// Which node holds which pod, and what those pods refer to.
#[derive(Default)]
pub(super) struct PodRelations {
    pub(super) relations: Relations,
}

impl Picture for PodRelations {
    const RANGES: &'static [&'static str] = &[PODS];

    fn apply(&mut self, key: &str, value: Option<&[u8]>) {
        let Some((namespace, name)) = key.strip_prefix(PODS).and_then(|rest| rest.split_once('/')) else { return };
        let object: Option<Value> = value.and_then(|bytes| serde_json::from_slice(bytes).ok());
        self.relations.set_pod(namespace, name, object.as_ref().and_then(PodView::from_value));
    }
}

/// The claim that a PersistentVolume is bound to.
pub(super) fn claim_of_volume(store: &Store, volume: &str) -> Option<(String, String)> {
    let object = read(store, &format!("/registry/persistentvolumes/{volume}"))?;
    let claim = object.pointer("/spec/claimRef")?;
    let text = |member: &str| claim.get(member).and_then(Value::as_str).map(str::to_owned);
    Some((text("namespace")?, text("name")?))
}

/// The node that a VolumeAttachment belongs to.
pub(super) fn node_of_attachment(store: &Store, attachment: &str) -> Option<String> {
    let object = read(store, &format!("/registry/volumeattachments/{attachment}"))?;
    object.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned)
}

fn read(store: &Store, key: &str) -> Option<Value> {
    serde_json::from_slice(&store.get(key)?.value).ok()
}
