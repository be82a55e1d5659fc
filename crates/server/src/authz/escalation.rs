//! Nobody grants more than they hold (A211): the check of every write of a role or a binding.
//!
//! `system:masters` pass; so does whoever may `escalate` on the role or `bind` it.

use everynode_api::Object;
use everynode_api::rbac::{self, Binding, GROUP, RoleRef, Rule};
use everynode_api::status::Status;
use serde_json::Value;

use super::{Attributes, Authorizer, asker};
use crate::identity::Identity;

/// Checks the new state of a `roles` or `clusterroles` object. `old` is the stored one of an update.
pub fn check_role(
    authorizer: &Authorizer,
    identity: &Identity,
    resource: &str,
    namespace: &str,
    old: Option<&Object>,
    new: &Object,
) -> Result<(), Status> {
    let name = name_of(new);
    let unchanged = old.is_some_and(|old| {
        old.get("rules") == new.get("rules") && old.get("aggregationRule") == new.get("aggregationRule")
    });
    if unchanged || asker(identity).is_master() {
        return Ok(());
    }
    let may = Attributes { verb: "escalate", group: GROUP, resource, namespace, name, ..Attributes::default() };
    if authorizer.decide(identity, &may).allowed {
        return Ok(());
    }
    let mut wanted = Rule::list_from(new);
    if let Some(rule) = new.get("aggregationRule").filter(|rule| !rule.is_null())
        && old.and_then(|old| old.get("aggregationRule")) != Some(rule)
    {
        // What an aggregated role will hold one day cannot be known, so it takes everything to make one.
        let all = || vec!["*".to_owned()];
        wanted = vec![
            Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
        ];
    }
    covered(authorizer, identity, resource, namespace, name, &wanted)
}

/// Checks a new `rolebindings` or `clusterrolebindings` object, or new subjects of one.
pub fn check_binding(
    authorizer: &Authorizer,
    identity: &Identity,
    resource: &str,
    namespace: &str,
    old: Option<&Object>,
    new: &Object,
) -> Result<(), Status> {
    let same = |member: &str| old.is_some_and(|old| old.get(member) == new.get(member));
    if (same("roleRef") && same("subjects")) || asker(identity).is_master() {
        return Ok(());
    }
    let Some(binding) = Binding::from_value(new) else { return Ok(()) };
    let (role_resource, role, home) = match &binding.role {
        RoleRef::Cluster(role) => ("clusterroles", role, ""),
        RoleRef::Namespaced(role) => ("roles", role, namespace),
    };
    let may = Attributes {
        verb: "bind",
        group: GROUP,
        resource: role_resource,
        namespace,
        name: role,
        ..Attributes::default()
    };
    if authorizer.decide(identity, &may).allowed {
        return Ok(());
    }
    let rules = authorizer.roles.look(|roles| match &binding.role {
        RoleRef::Cluster(role) => roles.index.cluster_role(role).map(<[Rule]>::to_vec),
        RoleRef::Namespaced(role) => roles.index.role(home, role).map(<[Rule]>::to_vec),
    });
    let Some(rules) = rules else { return Err(Status::not_found(GROUP, role_resource, role)) };
    covered(authorizer, identity, resource, namespace, name_of(new), &rules)
}

fn covered(
    authorizer: &Authorizer,
    identity: &Identity,
    resource: &str,
    namespace: &str,
    name: &str,
    wanted: &[Rule],
) -> Result<(), Status> {
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    let (held, problems) = authorizer.rules(identity, namespace);
    let missing = rbac::missing(&held, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = rbac::compact(&missing).iter().map(rbac::describe).collect();
    lines.sort();
    let groups: Vec<String> = identity.groups.iter().map(|group| format!("{group:?}")).collect();
    let mut why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        identity.user,
        groups.join(" "),
        lines.join("\n")
    );
    if !problems.is_empty() {
        let quoted: Vec<String> = problems.iter().map(String::to_owned).collect();
        why.push_str(&format!("; resolution errors: [{}]", quoted.join(", ")));
    }
    Err(Status::forbidden(GROUP, resource, name, why))
}

fn name_of(object: &Object) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
