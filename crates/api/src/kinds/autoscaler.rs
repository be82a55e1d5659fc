//! HorizontalPodAutoscaler: v1 and v2 are one stored object (v2); stored only (A303).

use crate::Object;
use crate::field::{Error, Path};
use crate::resource::View;
use crate::strategy::Strategy;
use crate::value::{Read, remove, set, set_default};

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

/// The strategy of autoscalers.
#[derive(Debug)]
pub struct Autoscaler;

/// The one [`Autoscaler`].
pub static AUTOSCALER: Autoscaler = Autoscaler;

impl Strategy for Autoscaler {
    fn default(&self, object: &mut Object) {
        if object.at("spec").is_none() {
            return;
        }
        set_default(object, "spec.minReplicas", 1);
        let v2 = object.text("apiVersion") != Some("autoscaling/v1");
        if v2 && object.list("spec.metrics").is_empty() {
            let metric = serde_json::json!({"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 80}}});
            set(object, "spec.metrics", serde_json::json!([metric]));
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let at = Path::new("spec");
        let mut errors = Vec::new();
        let (min, max) = (object.int("spec.minReplicas").unwrap_or(1), object.int("spec.maxReplicas").unwrap_or(0));
        if max < 1 {
            errors.push(Error::invalid(&at.child("maxReplicas"), max, "must be greater than 0"));
        } else if max < min {
            errors.push(Error::invalid(
                &at.child("maxReplicas"),
                max,
                "must be greater than or equal to `minReplicas`",
            ));
        }
        if object.text_or_empty("spec.scaleTargetRef.name").is_empty() {
            errors.push(Error::required(&at.child("scaleTargetRef").child("name"), ""));
        }
        errors
    }
}
