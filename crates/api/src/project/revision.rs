//! ControllerRevision.

use std::sync::Arc;

use everynode_core::model::Revision;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ProjectError;
use super::meta::Meta;

#[derive(Deserialize)]
pub(super) struct WireRevision {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    revision: i64,
    data: Option<Box<RawValue>>,
}

pub(super) fn project(mut wire: WireRevision) -> Result<Revision, ProjectError> {
    let key = wire.metadata.key("ControllerRevision")?;
    let data: Arc<[u8]> = wire.data.map_or_else(|| [].into(), |data| data.get().as_bytes().into());
    Ok(Revision {
        key,
        uid: wire.metadata.uid(),
        version: wire.metadata.version(),
        created: wire.metadata.created(),
        terminating: wire.metadata.deletion().is_some(),
        owner: wire.metadata.owner(),
        labels: wire.metadata.take_labels(),
        number: wire.revision,
        rewritten: crate::daemonset::rewritten(&data).map(Arc::from),
        data,
    })
}
