//! Pods: what the server does with them beyond storing (A310–A334). The pod spec itself is shared with every kind that has a template.

use serde_json::Value;

use crate::Object;
use crate::registry::Durability;
use crate::strategy::Strategy;
use crate::value::Read;

/// Seconds of grace when neither the request nor the pod says.
pub const DEFAULT_GRACE: i64 = 30;

/// The strategy of pods.
#[derive(Debug)]
pub struct Pod;

/// The one [`Pod`].
pub static POD: Pod = Pod;

impl Strategy for Pod {
    fn grace(&self, pod: &Object, asked: Option<i64>) -> Option<i64> {
        let finished = matches!(pod.text_or_empty("status.phase"), "Succeeded" | "Failed");
        if finished || pod.text_or_empty("spec.nodeName").is_empty() {
            return Some(0);
        }
        let grace = asked.or_else(|| pod.int("spec.terminationGracePeriodSeconds")).unwrap_or(DEFAULT_GRACE);
        Some(if grace < 0 { 1 } else { grace })
    }

    fn select(&self, pod: &Object, field: &str) -> Option<String> {
        match field {
            "spec.host" => Some(pod.text_or_empty("spec.nodeName").to_owned()),
            "spec.hostNetwork" => Some(pod.is_true("spec.hostNetwork").to_string()),
            "status.podIPs" => {
                let ips = pod.list("status.podIPs").iter().map(|p| p.text_or_empty("ip"));
                Some(ips.collect::<Vec<_>>().join(","))
            }
            _ => None,
        }
    }

    fn topics(&self, pod: &Object) -> Vec<String> {
        vec![format!("spec.nodeName={}", pod.text_or_empty("spec.nodeName"))]
    }

    fn durability(&self, _new: &Object, _old: Option<&Object>, _subresource: &str) -> Durability {
        Durability::Now
    }
}

/// The containers of a pod spec of all three lists, as (list, value).
pub fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| spec.list(list).iter().map(move |c| (list, c)))
}
