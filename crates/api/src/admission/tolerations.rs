//! DefaultTolerationSeconds (A233): a pod outlives a node that is away for five minutes.

use serde_json::{Value, json};

use super::{items, text};
use crate::value;

const KEYS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

/// Adds what the pod does not tolerate by itself.
pub fn admit(pod: &mut Value) {
    for key in KEYS {
        let Some(spec) = pod.get("spec") else { return };
        let tolerated = items(spec, "tolerations").any(|own| {
            let own_key = text(own, "key");
            (own_key.is_empty() || own_key == key) && matches!(text(own, "effect"), "" | "NoExecute")
        });
        if !tolerated {
            value::list_mut(pod, "spec.tolerations").push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A233.
    #[test]
    fn only_what_is_not_tolerated_is_added() {
        let keys = |tolerations: Value| {
            let mut pod = json!({"spec": {"tolerations": tolerations}});
            admit(&mut pod);
            let all = pod["spec"]["tolerations"].as_array().unwrap().iter();
            all.filter(|own| own.get("tolerationSeconds").is_some())
                .map(|own| text(own, "key").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(json!([])), KEYS);
        assert_eq!(keys(json!([{"operator": "Exists"}])), [""; 0]);
        assert_eq!(keys(json!([{"operator": "Exists", "effect": "NoSchedule"}])), KEYS);
        assert_eq!(keys(json!([{"key": KEYS[0], "operator": "Exists", "effect": "NoExecute"}])), KEYS[1..]);
        assert_eq!(keys(json!([{"key": KEYS[1], "operator": "Exists"}])), KEYS[..1]);
    }
}
