//! Roles and bindings of the store, indexed.

use everynode_api::rbac::{Binding, Index, Rule};
use serde_json::Value;

use crate::follow::Picture;

const CLUSTER_ROLES: &str = "/registry/clusterroles/";
const CLUSTER_BINDINGS: &str = "/registry/clusterrolebindings/";
const ROLES: &str = "/registry/roles/";
const BINDINGS: &str = "/registry/rolebindings/";

/// All that RBAC decides with.
#[derive(Default)]
pub(crate) struct Roles {
    pub(crate) index: Index,
}

impl Picture for Roles {
    const RANGES: &'static [&'static str] = &[CLUSTER_ROLES, CLUSTER_BINDINGS, ROLES, BINDINGS];

    fn apply(&mut self, key: &str, value: Option<&[u8]>) {
        // A stored value that is not JSON grants nothing.
        let object: Option<Value> = value.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let rules = || object.as_ref().map(Rule::list_from);
        let binding = || object.as_ref().and_then(Binding::from_value);
        if let Some(name) = key.strip_prefix(CLUSTER_ROLES) {
            self.index.set_cluster_role(name, rules());
        } else if let Some(name) = key.strip_prefix(CLUSTER_BINDINGS) {
            self.index.set_cluster_binding(name, binding());
        } else if let Some((namespace, name)) = key.strip_prefix(ROLES).and_then(|rest| rest.split_once('/')) {
            self.index.set_role(namespace, name, rules());
        } else if let Some((namespace, name)) = key.strip_prefix(BINDINGS).and_then(|rest| rest.split_once('/')) {
            self.index.set_binding(namespace, name, binding());
        }
    }
}
