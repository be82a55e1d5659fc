//! Who may do what: `system:masters`, then the node authorizer, then RBAC; the first that allows wins (A206–A220).
//!
//! The rules themselves are pure (`everynode_api::rbac`, `everynode_api::node_access`); here they get their data from
//! the store, always as of the request.
//!
//! Not here: who the asker is (`identity`), what a node may write into its own objects (`admission`).

pub mod escalation;
mod nodes;
mod roles;

use everynode_api::node_access;
use everynode_api::rbac::{Action, Asker, Grant, Rule};
use everynode_api::selector::fields;
use everynode_api::status::Status;
use everynode_store::Store;

use crate::follow::Followed;
use crate::identity::Identity;

/// What a request wants to do. Absent parts are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `get`, `list`, `create`, …; for paths the lower-case method.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// The path, if it is no resource.
    pub path: Option<&'a str>,
    /// Field selector of a list or watch, as sent and percent-decoded.
    pub field_selector: Option<&'a str>,
    /// Label selector likewise.
    pub label_selector: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// The object's name, or the one that a list or watch is narrowed to by its field selector (A99).
    pub fn effective_name(&self) -> &'a str {
        if !self.name.is_empty() || !matches!(self.verb, "list" | "watch") {
            return self.name;
        }
        self.selected("metadata.name").unwrap_or_default()
    }

    /// The value that the field selector demands of `field`.
    pub(crate) fn selected(&self, field: &str) -> Option<&'a str> {
        fields::demanded(self.field_selector?, field)
    }

    /// As the pure rules see it.
    pub fn action(&self) -> Action<'a> {
        match self.path {
            Some(path) => Action::Path { verb: self.verb, path },
            None => Action::Resource {
                verb: self.verb,
                group: self.group,
                resource: self.resource,
                subresource: self.subresource,
                namespace: self.namespace,
                name: self.effective_name(),
            },
        }
    }
}

/// The answer, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Which binding allows it, or why it is denied; often empty.
    pub reason: String,
}

/// Decides from memory; cheap to share behind an `Arc`.
pub struct Authorizer {
    roles: Followed<roles::Roles>,
    nodes: Followed<nodes::PodRelations>,
    node_rules: Vec<Rule>,
    store: Store,
}

impl Authorizer {
    /// Follows roles, bindings and pods of `store`.
    pub fn new(store: Store) -> Self {
        Self {
            roles: Followed::new(store.clone()),
            nodes: Followed::new(store.clone()),
            node_rules: everynode_api::rbac::policy::node_rules(),
            store,
        }
    }

    /// Decides one request.
    pub fn decide(&self, identity: &Identity, attributes: &Attributes<'_>) -> Decision {
        let asker = asker(identity);
        if asker.is_master() {
            return Decision { allowed: true, reason: String::new() };
        }
        let action = attributes.action();
        let mut reasons = Vec::new();
        if let Some(node) = node_access::node_name(&asker) {
            match self.decide_for_node(node, attributes) {
                node_access::Verdict::Allow => return Decision { allowed: true, reason: String::new() },
                node_access::Verdict::NoOpinion(reason) => reasons.extend(reason),
            }
        }
        match self.roles.look(|roles| roles.index.decide(&asker, &action)) {
            Grant::Allowed(reason) => return Decision { allowed: true, reason },
            Grant::Denied(problems) if problems.is_empty() => {}
            Grant::Denied(problems) => reasons.push(format!("RBAC: {}", aggregate(&problems))),
        }
        Decision { allowed: false, reason: reasons.join("\n") }
    }

    /// All rules that somebody holds, cluster-wide and in a namespace, and what could not be resolved.
    pub fn rules(&self, identity: &Identity, namespace: Option<&str>) -> (Vec<Rule>, Vec<String>) {
        self.roles.look(|roles| roles.index.rules_for(&asker(identity), namespace))
    }

    /// Whether the node authorizer has a say about this identity.
    pub(crate) fn is_node(&self, identity: &Identity) -> bool {
        node_access::node_name(&asker(identity)).is_some()
    }

    fn decide_for_node(&self, node: &str, attributes: &Attributes<'_>) -> node_access::Verdict {
        let request =
            node_access::Request { action: attributes.action(), node_selected: attributes.selected("spec.nodeName") };
        node_access::decide(node, &request, &self.node_rules, |object| match object {
            node_access::Object::Volume(name) => {
                let claim = nodes::claim_of_volume(&self.store, name);
                claim.is_some_and(|(namespace, name)| {
                    let claim = node_access::Reference::Claim;
                    self.nodes.look(|pods| pods.relations.refers(node, claim, &namespace, &name))
                })
            }
            node_access::Object::Attachment(name) => {
                nodes::node_of_attachment(&self.store, name).as_deref() == Some(node)
            }
            node_access::Object::Pod { namespace, name } => {
                self.nodes.look(|pods| pods.relations.holds(node, namespace, name))
            }
            node_access::Object::Referred { kind, namespace, name } => {
                self.nodes.look(|pods| pods.relations.refers(node, kind, namespace, name))
            }
        })
    }
}

/// The refusal, in the words of A210.
pub fn forbidden(identity: &Identity, attributes: &Attributes<'_>, decision: &Decision) -> Status {
    refusal(&identity.user, attributes, attributes.verb, &decision.reason)
}

/// As [`forbidden`], for a verb that is not the request's own.
pub(crate) fn refusal(user: &str, attributes: &Attributes<'_>, verb: &str, reason: &str) -> Status {
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let Attributes { group, resource, subresource, namespace, .. } = *attributes;
    let text = if let Some(path) = attributes.path {
        format!("User {user:?} cannot {verb} path {path:?}{because}")
    } else {
        let slash = if subresource.is_empty() { "" } else { "/" };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!(
            "User {user:?} cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {group:?} {scope}{because}"
        )
    };
    // Upstream escapes these three in what it puts into an answer that a browser might show.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match attributes.path {
        Some(_) => Status::forbidden_path(&text),
        None => Status::forbidden(group, resource, attributes.effective_name(), &text),
    }
}

pub(crate) fn asker(identity: &Identity) -> Asker<'_> {
    Asker { user: &identity.user, groups: &identity.groups }
}

/// One problem as it is, several as a list.
fn aggregate(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests;
