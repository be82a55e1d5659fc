//! ClusterRoles that are made of others (A209, A413).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::selector::structured;

/// Roles that select each other in a circle settle within this many rounds or not at all.
const ROUNDS_MAX: usize = 16;

/// The ClusterRoles whose stored rules differ from what their aggregation demands, with the rules they should have.
/// `roles` are all ClusterRoles by name.
pub fn stale(roles: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut roles = roles.clone();
    let mut stale = BTreeMap::new();
    for _ in 0..ROUNDS_MAX {
        let changes: Vec<(String, Value)> = roles
            .iter()
            .filter_map(|(name, role)| {
                let rules = union(name, role.get("aggregationRule").filter(|rule| !rule.is_null())?, &roles);
                let have = role.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                (have != rules.as_slice()).then(|| (name.clone(), Value::Array(rules)))
            })
            .collect();
        if changes.is_empty() {
            break;
        }
        for (name, rules) in changes {
            if let Some(role) = roles.get_mut(&name) {
                role["rules"] = rules.clone();
            }
            stale.insert(name, rules);
        }
    }
    stale
}

/// The rules of all roles that a rule selects, in the order of their names, each once.
fn union(own: &str, aggregation: &Value, roles: &BTreeMap<String, Value>) -> Vec<Value> {
    let selectors = aggregation.get("clusterRoleSelectors").and_then(Value::as_array);
    let selectors = selectors.map(Vec::as_slice).unwrap_or_default();
    let mut rules: Vec<Value> = Vec::new();
    for (_, role) in roles.iter().filter(|(name, _)| *name != own) {
        let labels = role.pointer("/metadata/labels").and_then(Value::as_object);
        if !selectors.iter().any(|selector| structured::matches(selector, labels)) {
            continue;
        }
        for rule in role.get("rules").and_then(Value::as_array).into_iter().flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::policy;

    #[test]
    fn admin_is_made_of_edit_and_edit_of_view() {
        let roles: BTreeMap<String, Value> = policy::objects()
            .into_iter()
            .filter(|made| made.resource == "clusterroles")
            .map(|made| (made.name.to_owned(), made.object))
            .collect();
        let stale = stale(&roles);
        assert_eq!(stale.keys().collect::<Vec<_>>(), ["admin", "edit", "view"]);
        let count = |name: &str| stale[name].as_array().unwrap().len();
        assert!(count("admin") > count("edit") && count("edit") > count("view"));
        let view = stale["view"].to_string();
        assert!(view.contains("daemonsets") && !view.contains("secrets") && !view.contains("roles"));
        let settled = roles.into_iter().map(|(name, mut role)| {
            if let Some(rules) = stale.get(&name) {
                role["rules"] = rules.clone();
            }
            (name, role)
        });
        assert_eq!(super::stale(&settled.collect()), BTreeMap::new());
    }
}
