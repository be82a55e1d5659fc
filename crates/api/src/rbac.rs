//! Role-based access control as pure functions: which rule covers which request, who holds which rules, and whether
//! somebody may hand out a permission (A207–A211).
//!
//! Not here: where roles and bindings are kept and how they get here (`everynode_server::authz`), the node authorizer
//! ([`crate::node_access`]).

mod aggregate;
mod cover;
mod index;
pub mod policy;

use serde_json::{Value, json};

pub use aggregate::stale;
pub use cover::{compact, describe, missing};
pub use index::{Binding, Grant, Index, RoleRef};

/// The group of the RBAC kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// The group that passes every check (A208).
pub const MASTERS: &str = "system:masters";

const ALL: &str = "*";

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups, or `*`; the core group is the empty string.
    pub api_groups: Vec<String>,
    /// `resource`, `resource/subresource`, `*/subresource` or `*`.
    pub resources: Vec<String>,
    /// If not empty, only objects of these names.
    pub resource_names: Vec<String>,
    /// Paths, or prefixes that end with `*`.
    pub non_resource_urls: Vec<String>,
}

/// Whom a binding names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One user.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A service account; without a namespace the binding's own is meant.
    ServiceAccount {
        /// Its namespace.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
}

impl Asker<'_> {
    /// Whether the asker passes every check.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Something done to a resource.
    Resource {
        /// The verb.
        verb: &'a str,
        /// The API group.
        group: &'a str,
        /// The resource.
        resource: &'a str,
        /// The subresource or nothing.
        subresource: &'a str,
        /// The namespace, empty for cluster-wide requests.
        namespace: &'a str,
        /// The object's name, empty if none.
        name: &'a str,
    },
    /// Something done to a path that is no resource.
    Path {
        /// The verb.
        verb: &'a str,
        /// The path.
        path: &'a str,
    },
}

impl Rule {
    /// Reads a rule of a role object; members of the wrong type count as absent (validation has refused them before).
    pub fn from_value(value: &Value) -> Self {
        Self {
            verbs: strings(value, "verbs"),
            api_groups: strings(value, "apiGroups"),
            resources: strings(value, "resources"),
            resource_names: strings(value, "resourceNames"),
            non_resource_urls: strings(value, "nonResourceURLs"),
        }
    }

    /// The rules of a role object.
    pub fn list_from(role: &Value) -> Vec<Self> {
        role.get("rules").and_then(Value::as_array).into_iter().flatten().map(Self::from_value).collect()
    }

    /// The rule as part of a role object, without empty members.
    pub fn to_value(&self) -> Value {
        let mut value = json!({ "verbs": self.verbs });
        for (name, list) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            if !list.is_empty() {
                value[name] = json!(list);
            }
        }
        value
    }

    /// Whether this rule permits the action (A207).
    pub fn permits(&self, action: &Action<'_>) -> bool {
        match *action {
            Action::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && self.resources.iter().any(|pattern| names_resource(pattern, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.iter().any(|own| own == name))
            }
            Action::Path { verb, path } => {
                has(&self.verbs, verb) && self.non_resource_urls.iter().any(|pattern| names_path(pattern, path))
            }
        }
    }
}

impl Subject {
    /// Reads a subject of a binding object; `None` for kinds that do not exist.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        match value.get("kind").and_then(Value::as_str)? {
            "User" => Some(Self::User(text("name"))),
            "Group" => Some(Self::Group(text("name"))),
            "ServiceAccount" => {
                let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
                Some(Self::ServiceAccount { namespace, name: text("name") })
            }
            _ => None,
        }
    }

    /// Whether this names the asker; `home` is the namespace of the binding, if it has one.
    pub fn names(&self, asker: &Asker<'_>, home: Option<&str>) -> bool {
        match self {
            Self::User(name) => asker.user == name,
            Self::Group(name) => asker.groups.iter().any(|group| group == name),
            Self::ServiceAccount { namespace, name } => {
                let Some(namespace) = namespace.as_deref().or(home) else { return false };
                let account = asker.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
                account == Some((namespace, name))
            }
        }
    }

    /// `User "jane"`, `ServiceAccount "name/namespace"`: as reasons say it.
    pub fn phrase(&self, home: Option<&str>) -> String {
        match self {
            Self::User(name) => format!("User {name:?}"),
            Self::Group(name) => format!("Group {name:?}"),
            Self::ServiceAccount { namespace, name } => {
                let namespace = namespace.as_deref().or(home).unwrap_or_default();
                format!("ServiceAccount \"{name}/{namespace}\"")
            }
        }
    }
}

fn has(list: &[String], item: &str) -> bool {
    list.iter().any(|own| own == ALL || own == item)
}

fn names_resource(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    pattern.split_once('/').is_some_and(|(own, sub)| sub == subresource && (own == ALL || own == resource))
}

fn names_path(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn strings(value: &Value, member: &str) -> Vec<String> {
    let list = value.get(member).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
