//! Admission: what is added to an object before it is validated, and what is refused although its sender may write
//! (A225–A247).
//!
//! Two phases around validation, plugins in Kubernetes' order in each:
//! [`Admission::admit`] changes the object, [`Admission::validate`] only looks, and charges quotas at its end. The rules themselves are pure functions
//! in `everynode_api::admission`; here they get what they need from the store.
//!
//! Not here: authorization (`authz`), field validation and defaulting (`api`). Reads are never admitted.

mod by_node;
pub(crate) mod certificates;
mod namespaces;
mod pods;
mod quotas;
mod security_levels;

use std::sync::Arc;

use everynode_api::Object;
use everynode_api::admission::{nodes, priority};
use everynode_api::rbac::GROUP as RBAC;
use everynode_api::status::Status;
use everynode_store::Store;
use jiff::Timestamp;
use serde_json::Value;

use crate::authz::{Authorizer, escalation};
use crate::identity::Identity;

const SCHEDULING: &str = "scheduling.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// What is being done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new object, or a POST to a subresource.
    Create,
    /// A change of the object or of a subresource.
    Update,
    /// A deletion; `object` is the stored one.
    Delete,
    /// exec, attach, port-forward, proxy; `object` is the stored one.
    Connect,
}

/// The request around the object. Absent parts are empty.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// API group.
    pub group: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Kind of the resource (not of a subresource's body).
    pub kind: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Name; with generateName the drawn one.
    pub name: &'a str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// When.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Whether this is the resource itself and not one of its subresources.
    pub(crate) fn is(&self, group: &str, resource: &str) -> bool {
        self.is_sub(group, resource, "")
    }

    pub(crate) fn is_sub(&self, group: &str, resource: &str, subresource: &str) -> bool {
        self.group == group && self.resource == resource && self.subresource == subresource
    }

    /// `R "NAME" is forbidden: ⟨why⟩`.
    pub(crate) fn forbidden(&self, why: impl std::fmt::Display) -> Status {
        Status::forbidden(self.group, self.resource, self.name, why)
    }
}

/// All plugins. Cheap to share behind an `Arc`.
pub struct Admission {
    store: Store,
    authorizer: Arc<Authorizer>,
}

impl Admission {
    /// Looks things up in `store`.
    pub fn new(store: Store, authorizer: Arc<Authorizer>) -> Self {
        Self { store, authorizer }
    }

    /// The mutating phase, between defaulting and validation; answers warnings. `old` is the stored object of an update.
    pub async fn admit(
        &self,
        context: &Context<'_>,
        operation: Operation,
        old: Option<&Object>,
        object: &mut Object,
    ) -> Result<Vec<String>, Status> {
        let store = &self.store;
        namespaces::check(store, context, operation).await?;
        let of_pods = context.group.is_empty() && context.resource == "pods";
        if of_pods {
            pods::admit(store, context, operation, object).await?;
        }
        by_node::check(store, context, operation, old, object)?;
        if context.is("", "nodes") && operation == Operation::Create {
            nodes::taint(object);
        }
        if of_pods {
            pods::admit_classes(store, context, operation, old, object)?;
        }
        if context.is("", "persistentvolumeclaims") && operation == Operation::Create {
            pods::give_storage_class(store, object);
        }
        if context.is(SCHEDULING, "priorityclasses") && operation == Operation::Delete && is_system(context.name) {
            return Err(context.forbidden("this is a system priority class and cannot be deleted"));
        }
        if context.is(CERTIFICATES, "certificatesigningrequests") && operation == Operation::Create {
            certificates::stamp(context, object);
        }
        self.check_escalation(context, operation, old, object)?;
        Ok(Vec::new())
    }

    /// The validating phase, after validation and before the commit; answers warnings.
    pub async fn validate(
        &self,
        context: &Context<'_>,
        operation: Operation,
        old: Option<&Object>,
        object: &Object,
    ) -> Result<Vec<String>, Status> {
        let store = &self.store;
        if context.is("", "pods") && operation == Operation::Create {
            pods::check_limits(store, context, object)?;
        }
        let warnings = security_levels::check(store, context, operation, old, object)?;
        if context.is(SCHEDULING, "priorityclasses") && operation != Operation::Delete {
            let others = list(store, "/registry/priorityclasses/");
            priority::check_default(object, others.iter()).map_err(|why| context.forbidden(why))?;
        }
        if context.group == CERTIFICATES && context.resource == "certificatesigningrequests" {
            certificates::check(&self.authorizer, context, operation, old, object)?;
        }
        // Last: what is refused for another reason must not be charged.
        quotas::charge(store, context, operation, old, object).await?;
        Ok(warnings)
    }

    fn check_escalation(
        &self,
        context: &Context<'_>,
        operation: Operation,
        old: Option<&Object>,
        object: &Object,
    ) -> Result<(), Status> {
        let writes = matches!(operation, Operation::Create | Operation::Update);
        if !writes || context.group != RBAC || !context.subresource.is_empty() {
            return Ok(());
        }
        let Context { identity, resource, namespace, .. } = *context;
        match resource {
            "roles" | "clusterroles" => {
                escalation::check_role(&self.authorizer, identity, resource, namespace, old, object)
            }
            "rolebindings" | "clusterrolebindings" => {
                escalation::check_binding(&self.authorizer, identity, resource, namespace, old, object)
            }
            _ => Ok(()),
        }
    }
}

fn is_system(class: &str) -> bool {
    matches!(class, "system-node-critical" | "system-cluster-critical")
}

/// All stored objects below a prefix.
pub(crate) fn list(store: &Store, prefix: &str) -> Vec<Value> {
    let page = store.list(prefix, None, 0, None);
    let entries = page.map(|page| page.entries).unwrap_or_default();
    entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect()
}

/// Reads a stored object.
pub(crate) fn read(store: &Store, key: &str) -> Option<Value> {
    serde_json::from_slice(&store.get(key)?.value).ok()
}
