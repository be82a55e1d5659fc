//! HorizontalPodAutoscaler: v1 and v2 are one stored object (v2); stored only (A303).

use crate::Object;
use crate::registry::View;
use crate::value::{Read, remove, set};

/// autoscaling/v1 as a spelling of autoscaling/v2.
pub static VIEW: View = View { of: ("autoscaling", "v2", "horizontalpodautoscalers"), to_stored, from_stored };

fn to_stored(object: &mut Object) {
    if let Some(percent) = remove(object, "spec.targetCPUUtilizationPercentage") {
        let metric = serde_json::json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": percent}}});
        set(object, "spec.metrics", serde_json::json!([metric]));
    }
    drop(remove(object, "status.currentCPUUtilizationPercentage"));
    set(object, "apiVersion", "autoscaling/v2");
}

fn from_stored(object: &mut Object) {
    let metrics = remove(object, "spec.metrics");
    let cpu = metrics.iter().flat_map(|m| m.as_array()).flatten().find(|m| m.text("resource.name") == Some("cpu"));
    if let Some(percent) = cpu.and_then(|m| m.int("resource.target.averageUtilization")) {
        set(object, "spec.targetCPUUtilizationPercentage", percent);
    }
    for member in ["spec.behavior", "status.currentMetrics", "status.conditions"] {
        drop(remove(object, member));
    }
    set(object, "apiVersion", "autoscaling/v1");
}
