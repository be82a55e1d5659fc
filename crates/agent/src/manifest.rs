//! What a pod says of itself, looked up by name.

use k8s_openapi::api::core::v1::{Container, Pod};

/// The container of this name, of whatever kind.
pub(crate) fn container<'p>(pod: &'p Pod, name: &str) -> Option<&'p Container> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers).find(|container| container.name == name)
}
