//! Default roles and bindings: made, and repaired without taking away what people have added (A414).

use everynode_api::Object;
use everynode_api::rbac::{self, GROUP, Rule, policy};
use serde_json::{Value, json};

use super::Wanted;

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

pub(super) fn all() -> Vec<Wanted> {
    let root = format!("/apis/{GROUP}/v1");
    policy::objects()
        .into_iter()
        .map(|made| {
            let (collection, key) = match made.namespace {
                Some(namespace) => (
                    format!("{root}/namespaces/{namespace}/{}", made.resource),
                    format!("/registry/{}/{namespace}/{}", made.resource, made.name),
                ),
                None => (format!("{root}/{}", made.resource), format!("/registry/{}/{}", made.resource, made.name)),
            };
            Wanted { collection, name: made.name.to_owned(), key, object: made.object, merge }
        })
        .collect()
}

/// Adds missing labels, annotations, rules and subjects.
pub(super) fn merge(stored: &Object, wanted: &Object) -> Option<Object> {
    if stored.pointer("/metadata/annotations").and_then(|all| all.get(AUTOUPDATE)) == Some(&json!("false")) {
        return None;
    }
    let mut merged = stored.clone();
    for map in ["labels", "annotations"] {
        let Some(entries) = wanted["metadata"][map].as_object() else { continue };
        for (key, value) in entries {
            if merged["metadata"][map].get(key).is_none() {
                merged["metadata"][map][key] = value.clone();
            }
        }
    }
    if wanted.get("roleRef").is_some() {
        merge_subjects(&mut merged, wanted);
    } else if wanted.get("aggregationRule").is_none() {
        let missing = rbac::missing(&Rule::list_from(stored), &Rule::list_from(wanted));
        let rules = merged.as_object_mut()?.entry("rules").or_insert_with(|| json!([]));
        rules.as_array_mut()?.extend(rbac::compact(&missing).iter().map(Rule::to_value));
        if rules.as_array().is_some_and(Vec::is_empty) {
            merged.as_object_mut()?.remove("rules");
        }
    } else if merged.get("aggregationRule").is_none() {
        merged["aggregationRule"] = wanted["aggregationRule"].clone();
    }
    (merged != *stored).then_some(merged)
}

fn merge_subjects(merged: &mut Value, wanted: &Object) {
    let Some(subjects) = wanted.get("subjects").and_then(Value::as_array) else { return };
    let same = |one: &Value, other: &Value| {
        ["kind", "name", "namespace"].iter().all(|member| one.get(member) == other.get(member))
    };
    let Some(object) = merged.as_object_mut() else { return };
    let list = object.entry("subjects").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for subject in subjects {
        if !list.iter().any(|have| same(have, subject)) {
            list.push(subject.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A414.
    #[test]
    fn repair_adds_and_never_takes_away() {
        let rule = |verbs: &[&str], resource: &str| json!({"verbs": verbs, "apiGroups": [""], "resources": [resource]});
        let metadata = json!({"name": "x", "labels": {"l": "1"}, "annotations": {AUTOUPDATE: "true"}});
        let wanted = json!({"metadata": metadata, "rules": [rule(&["get", "list"], "pods")]});
        assert_eq!(merge(&wanted, &wanted), None);
        let own = json!({"metadata": metadata, "rules": [rule(&["get"], "pods"), rule(&["get"], "secrets")]});
        let merged = merge(&own, &wanted).unwrap();
        let rules = json!([rule(&["get"], "pods"), rule(&["get"], "secrets"), rule(&["list"], "pods")]);
        assert_eq!(merged["rules"], rules);
        let mut frozen = own;
        frozen["metadata"]["annotations"][AUTOUPDATE] = json!("false");
        assert_eq!(merge(&frozen, &wanted), None);
        let group = |name: &str| json!({"kind": "Group", "name": name, "apiGroup": GROUP});
        let bound = |subjects: Vec<Value>| json!({"metadata": metadata, "roleRef": {}, "subjects": subjects});
        let merged = merge(&bound(vec![group("a")]), &bound(vec![group("b")])).unwrap();
        assert_eq!(merged["subjects"], json!([group("a"), group("b")]));
    }
}
