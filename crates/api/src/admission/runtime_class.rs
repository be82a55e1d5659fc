//! RuntimeClass (A236): overhead and scheduling of a class become the pod's.

use serde_json::Value;

use super::{Refusal, items};
use crate::value;

/// The class that a pod names.
pub fn named(pod: &Value) -> Option<&str> {
    pod.pointer("/spec/runtimeClassName").and_then(Value::as_str).filter(|name| !name.is_empty())
}

/// Copies from the class; `class` is `None` if the named one does not exist.
pub fn admit(pod: &mut Value, class: Option<&Value>) -> Result<(), Refusal> {
    let Some(name) = named(pod) else {
        return match pod.pointer("/spec/overhead") {
            Some(overhead) if !value::is_zero(overhead) => {
                Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".into())
            }
            _ => Ok(()),
        };
    };
    let Some(class) = class else { return Err(format!("pod rejected: RuntimeClass {name:?} not found")) };
    if let Some(overhead) = class.pointer("/overhead/podFixed") {
        match pod.pointer("/spec/overhead") {
            Some(own) if own != overhead => {
                return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".into());
            }
            _ => value::set(pod, "spec.overhead", overhead.clone()),
        }
    }
    let Some(scheduling) = class.get("scheduling") else { return Ok(()) };
    for (key, wanted) in scheduling.get("nodeSelector").and_then(Value::as_object).into_iter().flatten() {
        let own = pod.pointer("/spec/nodeSelector").and_then(|selector| selector.get(key));
        if let Some(own) = own.filter(|own| *own != wanted) {
            let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                plain(wanted),
                plain(own)
            ));
        }
        value::set_entry(pod, "spec.nodeSelector", key, wanted.clone());
    }
    for toleration in items(scheduling, "tolerations") {
        let own = value::list_mut(pod, "spec.tolerations");
        if !own.contains(toleration) {
            own.push(toleration.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A236.
    #[test]
    fn a_class_gives_overhead_and_scheduling() {
        let class = json!({"overhead": {"podFixed": {"cpu": "1"}},
                           "scheduling": {"nodeSelector": {"k": "a"}, "tolerations": [{"key": "t"}]}});
        let mut pod = json!({"spec": {"runtimeClassName": "foo"}});
        admit(&mut pod, Some(&class)).unwrap();
        assert_eq!(
            pod["spec"],
            json!({"runtimeClassName": "foo", "overhead": {"cpu": "1"}, "nodeSelector": {"k": "a"}, "tolerations": [{"key": "t"}]})
        );
        let refused = |spec: Value, class| admit(&mut json!({ "spec": spec }), class).unwrap_err();
        assert_eq!(refused(json!({"runtimeClassName": "foo"}), None), "pod rejected: RuntimeClass \"foo\" not found");
        assert_eq!(
            refused(json!({"runtimeClassName": "foo", "nodeSelector": {"k": "b"}}), Some(&class)),
            "conflict: runtimeClass.scheduling.nodeSelector[k] = a; pod.spec.nodeSelector[k] = b"
        );
    }
}
