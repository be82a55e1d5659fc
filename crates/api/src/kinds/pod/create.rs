//! What a new pod is given beside its status (A312): label keys become expressions, AppArmor's annotation and field agree.

use serde_json::{Value, json};

use crate::Object;
use crate::value::{Read, at_mut, list_mut, set, set_entry};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Turns `matchLabelKeys` and `mismatchLabelKeys` into expressions over the pod's own labels.
pub(super) fn expand_label_keys(pod: &mut Object) {
    let Some(labels) = pod.map("metadata.labels").cloned() else { return };
    let expand = |owner: &mut Value| {
        if owner.at("labelSelector").is_none() {
            return;
        }
        for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            let keys: Vec<String> = owner.list(keys).iter().filter_map(Value::as_str).map(str::to_owned).collect();
            for key in keys {
                if let Some(value) = labels.get(&key) {
                    let expression = json!({"key": key, "operator": operator, "values": [value]});
                    list_mut(owner, "labelSelector.matchExpressions").push(expression);
                }
            }
        }
    };
    each(pod, "spec.topologySpreadConstraints", &expand);
    for kind in ["podAffinity", "podAntiAffinity"] {
        let required = format!("spec.affinity.{kind}.requiredDuringSchedulingIgnoredDuringExecution");
        each(pod, &required, &expand);
        let preferred = format!("spec.affinity.{kind}.preferredDuringSchedulingIgnoredDuringExecution");
        each(pod, &preferred, &|term: &mut Value| {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                expand(term);
            }
        });
    }
}

fn each(pod: &mut Object, list: &str, act: &dyn Fn(&mut Value)) {
    at_mut(pod, list).and_then(Value::as_array_mut).into_iter().flatten().for_each(act);
}

/// The annotation of old clients and the field of new ones say the same.
pub(super) fn app_armor(pod: &mut Object) {
    let annotations = pod.map("metadata.annotations").cloned().unwrap_or_default();
    let mut missing = Vec::new();
    for list in ["initContainers", "containers"] {
        each_mut(pod, list, |container| {
            let key = format!("{APP_ARMOR}{}", container.text_or_empty("name"));
            let said = annotations.get(&key).and_then(Value::as_str);
            match (said.and_then(profile), container.at("securityContext.appArmorProfile")) {
                (Some(profile), None) => set(container, "securityContext.appArmorProfile", profile),
                (None, Some(field)) if said.is_none() => missing.extend(annotation(field).map(|value| (key, value))),
                _ => {}
            }
        });
    }
    for (key, value) in missing {
        set_entry(pod, "metadata.annotations", &key, value);
    }
}

fn each_mut(pod: &mut Object, list: &str, act: impl FnMut(&mut Value)) {
    at_mut(pod, &format!("spec.{list}")).and_then(Value::as_array_mut).into_iter().flatten().for_each(act);
}

fn profile(annotation: &str) -> Option<Value> {
    match annotation {
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        "unconfined" => Some(json!({"type": "Unconfined"})),
        other => other.strip_prefix("localhost/").map(|name| json!({"type": "Localhost", "localhostProfile": name})),
    }
}

fn annotation(profile: &Value) -> Option<String> {
    match profile.text("type")? {
        "RuntimeDefault" => Some("runtime/default".to_owned()),
        "Unconfined" => Some("unconfined".to_owned()),
        "Localhost" => Some(format!("localhost/{}", profile.text_or_empty("localhostProfile"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_and_app_armor() {
        // A312.
        let mut pod = json!({"metadata": {"labels": {"h": "1"}, "annotations": {
            "container.apparmor.security.beta.kubernetes.io/a": "localhost/x"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}],
            "topologySpreadConstraints": [{"labelSelector": {}, "matchLabelKeys": ["h", "gone"]}]}});
        expand_label_keys(&mut pod);
        app_armor(&mut pod);
        let expressions = &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"];
        assert_eq!(*expressions, json!([{"key": "h", "operator": "In", "values": ["1"]}]));
        let profile = &pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
        assert_eq!(*profile, json!({"type": "Localhost", "localhostProfile": "x"}));
        assert_eq!(pod["metadata"]["annotations"]["container.apparmor.security.beta.kubernetes.io/b"], "unconfined");
    }
}
