//! Roles and bindings (A410, A411). Not here: what they allow ([`crate::rbac`]), escalation and aggregation.

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::invalid;
use crate::kinds::{go_struct, quoted};
use crate::names;
use crate::selector::structured;
use crate::strategy::Strategy;
use crate::value::{Read, same, set};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The strategy of Role (namespaced) or ClusterRole.
#[derive(Debug)]
pub struct Role {
    namespaced: bool,
}

/// Role.
pub static ROLE: Role = Role { namespaced: true };
/// ClusterRole.
pub static CLUSTER_ROLE: Role = Role { namespaced: false };

impl Strategy for Role {
    fn validate(&self, role: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for (i, rule) in role.list("rules").iter().enumerate() {
            self.rule(rule, &Path::new("rules").index(i), &mut errors);
        }
        if let Some(aggregation) = role.at("aggregationRule") {
            let at = Path::new("aggregationRule.clusterRoleSelectors");
            let selectors = aggregation.list("clusterRoleSelectors");
            if selectors.is_empty() {
                errors.push(Error::required(
                    &at,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil",
                ));
            }
            for (i, selector) in selectors.iter().enumerate() {
                structured::validate(selector, &at.index(i), &mut errors);
            }
        }
        errors
    }
}

impl Role {
    fn rule(&self, rule: &Value, at: &Path, errors: &mut Vec<Error>) {
        if rule.list("verbs").is_empty() {
            errors.push(Error::required(&at.child("verbs"), "verbs must contain at least one value"));
        }
        let urls = rule.list("nonResourceURLs");
        if !urls.is_empty() {
            let field = at.child("nonResourceURLs");
            if self.namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.push(Error::invalid(&field, Value::from(urls), why));
            }
            let regular = ["apiGroups", "resources", "resourceNames"].iter().any(|m| !rule.list(m).is_empty());
            if regular {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(Error::invalid(&field, Value::from(urls), why));
            }
            return;
        }
        if rule.list("apiGroups").is_empty() {
            errors.push(Error::required(&at.child("apiGroups"), "resource rules must supply at least one api group"));
        }
        if rule.list("resources").is_empty() {
            errors.push(Error::required(&at.child("resources"), "resource rules must supply at least one resource"));
        }
    }
}

/// The strategy of RoleBinding (namespaced) or ClusterRoleBinding.
#[derive(Debug)]
pub struct Binding {
    namespaced: bool,
}

/// RoleBinding.
pub static ROLE_BINDING: Binding = Binding { namespaced: true };
/// ClusterRoleBinding.
pub static CLUSTER_ROLE_BINDING: Binding = Binding { namespaced: false };

impl Strategy for Binding {
    fn default(&self, binding: &mut Object) {
        if binding.text_or_empty("roleRef.apiGroup").is_empty() {
            set(binding, "roleRef.apiGroup", GROUP);
        }
        for subject in binding.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            let named = matches!(subject.text_or_empty("kind"), "User" | "Group");
            if named && subject.text_or_empty("apiGroup").is_empty() {
                set(subject, "apiGroup", GROUP);
            }
        }
    }

    fn validate(&self, binding: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("roleRef");
        let group = binding.text_or_empty("roleRef.apiGroup");
        if group != GROUP {
            errors.push(Error::not_supported(&at.child("apiGroup"), group, &[GROUP]));
        }
        let kinds: &[&str] = if self.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        let kind = binding.text_or_empty("roleRef.kind");
        if !kinds.contains(&kind) {
            errors.push(Error::not_supported(&at.child("kind"), kind, kinds));
        }
        let name = binding.text_or_empty("roleRef.name");
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        } else {
            invalid(&mut errors, &at.child("name"), name, names::path_segment(name));
        }
        for (i, subject) in binding.list("subjects").iter().enumerate() {
            self.subject(subject, &Path::new("subjects").index(i), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = self.validate(new);
        if !same(new.get("roleRef"), old.get("roleRef")) {
            let text = |member: &str| json!(new.text_or_empty(&format!("roleRef.{member}")));
            let members = [("APIGroup", text("apiGroup")), ("Kind", text("kind")), ("Name", text("name"))];
            errors.push(quoted(&Path::new("roleRef"), go_struct(members.into_iter()), "cannot change roleRef"));
        }
        errors
    }
}

impl Binding {
    fn subject(&self, subject: &Value, at: &Path, errors: &mut Vec<Error>) {
        let name = subject.text_or_empty("name");
        if name.is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        }
        let group = subject.text_or_empty("apiGroup");
        match subject.text_or_empty("kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    invalid(errors, &at.child("name"), name, names::subdomain(name));
                }
                if !group.is_empty() {
                    errors.push(Error::not_supported(&at.child("apiGroup"), group, &[""]));
                }
                if !self.namespaced && subject.text_or_empty("namespace").is_empty() {
                    errors.push(Error::required(&at.child("namespace"), ""));
                }
            }
            "User" | "Group" => {
                if group != GROUP {
                    errors.push(Error::not_supported(&at.child("apiGroup"), group, &[GROUP]));
                }
            }
            kind => {
                let kinds = &["ServiceAccount", "User", "Group"];
                errors.push(Error::not_supported_in_order(&at.child("kind"), kind, kinds));
            }
        }
    }
}
