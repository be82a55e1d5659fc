//! All roles and bindings, ready for decisions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Asker, Rule, Subject};

/// The role that a binding points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// A ClusterRole.
    Cluster(String),
    /// A Role in the binding's namespace.
    Namespaced(String),
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: RoleRef,
    /// Who gets it.
    pub subjects: Vec<Subject>,
}

impl Binding {
    /// Reads a binding object; `None` if it points to no kind of role.
    pub fn from_value(value: &Value) -> Option<Self> {
        let reference = value.get("roleRef")?;
        let name = reference.get("name").and_then(Value::as_str)?.to_owned();
        let role = match reference.get("kind").and_then(Value::as_str)? {
            "ClusterRole" => RoleRef::Cluster(name),
            "Role" => RoleRef::Namespaced(name),
            _ => return None,
        };
        let subjects = value.get("subjects").and_then(Value::as_array).into_iter().flatten();
        Some(Self { role, subjects: subjects.filter_map(Subject::from_value).collect() })
    }
}

/// Whether an action is permitted and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Some binding permits it; the text names binding, role and subject.
    Allowed(String),
    /// None does. The texts name the roles that bindings of the asker point to and that do not exist.
    Denied(Vec<String>),
}

/// Roles and bindings by name. Namespaced ones are found by (namespace, name).
#[derive(Debug, Default)]
pub struct Index {
    cluster_roles: BTreeMap<String, Vec<Rule>>,
    roles: BTreeMap<(String, String), Vec<Rule>>,
    cluster_bindings: BTreeMap<String, Binding>,
    bindings: BTreeMap<String, BTreeMap<String, Binding>>,
}

impl Index {
    /// Puts or removes the rules of a ClusterRole.
    pub fn set_cluster_role(&mut self, name: &str, rules: Option<Vec<Rule>>) {
        set(&mut self.cluster_roles, name.to_owned(), rules);
    }

    /// Puts or removes the rules of a Role.
    pub fn set_role(&mut self, namespace: &str, name: &str, rules: Option<Vec<Rule>>) {
        set(&mut self.roles, (namespace.to_owned(), name.to_owned()), rules);
    }

    /// Puts or removes a ClusterRoleBinding.
    pub fn set_cluster_binding(&mut self, name: &str, binding: Option<Binding>) {
        set(&mut self.cluster_bindings, name.to_owned(), binding);
    }

    /// Puts or removes a RoleBinding.
    pub fn set_binding(&mut self, namespace: &str, name: &str, binding: Option<Binding>) {
        let here = self.bindings.entry(namespace.to_owned()).or_default();
        set(here, name.to_owned(), binding);
        if here.is_empty() {
            self.bindings.remove(namespace);
        }
    }

    /// The rules of a ClusterRole.
    pub fn cluster_role(&self, name: &str) -> Option<&[Rule]> {
        self.cluster_roles.get(name).map(Vec::as_slice)
    }

    /// The rules of a Role.
    pub fn role(&self, namespace: &str, name: &str) -> Option<&[Rule]> {
        self.roles.get(&(namespace.to_owned(), name.to_owned())).map(Vec::as_slice)
    }

    /// Decides (A207): no rule denies, the first that permits wins, cluster-wide bindings first.
    pub fn decide(&self, asker: &Asker<'_>, action: &Action<'_>) -> Grant {
        let mut problems = Vec::new();
        let namespace = match action {
            Action::Resource { namespace, .. } if !namespace.is_empty() => Some(*namespace),
            _ => None,
        };
        for held in self.bindings_of(asker, namespace) {
            match self.rules_of(held.binding, held.home) {
                Ok(rules) if rules.iter().any(|rule| rule.permits(action)) => return Grant::Allowed(held.phrase()),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        Grant::Denied(problems)
    }

    /// All rules that the asker holds cluster-wide and, if given, in a namespace; and the roles that do not exist.
    pub fn rules_for(&self, asker: &Asker<'_>, namespace: Option<&str>) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        for held in self.bindings_of(asker, namespace) {
            match self.rules_of(held.binding, held.home) {
                Ok(found) => rules.extend_from_slice(found),
                Err(problem) => problems.push(problem),
            }
        }
        (rules, problems)
    }

    fn bindings_of<'a>(
        &'a self,
        asker: &'a Asker<'_>,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = Held<'a>> + 'a {
        let cluster = self.cluster_bindings.iter().map(|(name, binding)| (None, name, binding));
        let here = namespace.and_then(|namespace| self.bindings.get_key_value(namespace));
        let here = here.into_iter().flat_map(|(namespace, bindings)| {
            bindings.iter().map(move |(name, binding)| (Some(namespace.as_str()), name, binding))
        });
        cluster.chain(here).filter_map(move |(home, name, binding)| {
            let subject = binding.subjects.iter().find(|subject| subject.names(asker, home))?;
            Some(Held { home, name, binding, subject })
        })
    }

    fn rules_of(&self, binding: &Binding, home: Option<&str>) -> Result<&[Rule], String> {
        let (kind, name, rules) = match &binding.role {
            RoleRef::Cluster(name) => ("clusterrole", name, self.cluster_role(name)),
            RoleRef::Namespaced(name) => ("role", name, home.and_then(|home| self.role(home, name))),
        };
        rules.ok_or_else(|| format!("{kind}.{} {name:?} not found", super::GROUP))
    }
}

/// A binding through which the asker holds a role.
struct Held<'a> {
    home: Option<&'a str>,
    name: &'a str,
    binding: &'a Binding,
    subject: &'a Subject,
}

impl Held<'_> {
    fn phrase(&self) -> String {
        let binding = match self.home {
            Some(namespace) => format!("RoleBinding \"{}/{namespace}\"", self.name),
            None => format!("ClusterRoleBinding {:?}", self.name),
        };
        let role = match &self.binding.role {
            RoleRef::Cluster(name) => format!("ClusterRole {name:?}"),
            RoleRef::Namespaced(name) => format!("Role {name:?}"),
        };
        format!("RBAC: allowed by {binding} of {role} to {}", self.subject.phrase(self.home))
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
