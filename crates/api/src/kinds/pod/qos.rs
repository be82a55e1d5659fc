//! The quality-of-service class that follows from requests and limits (A313).

use serde_json::Value;

use crate::quantity::Quantity;
use crate::value::Read;

/// `BestEffort`, `Burstable` or `Guaranteed`, for a pod spec.
pub fn class(spec: &Value) -> &'static str {
    let own = spec.at("resources").filter(|r| has_any(r));
    let containers: Vec<&Value> = match own {
        Some(resources) => vec![resources],
        None => ["containers", "initContainers"]
            .into_iter()
            .flat_map(|list| spec.list(list))
            .map(|c| c.at("resources").unwrap_or(&Value::Null))
            .collect(),
    };
    if !containers.iter().any(|r| has_any(r)) {
        return "BestEffort";
    }
    if containers.iter().all(|r| guaranteed(r)) { "Guaranteed" } else { "Burstable" }
}

fn amount(resources: &Value, half: &str, name: &str) -> Option<Quantity> {
    let amount = resources.map(half)?.get(name)?.as_str()?.parse::<Quantity>().ok()?;
    Some(amount).filter(|q| q.sign() > 0)
}

fn has_any(resources: &Value) -> bool {
    ["limits", "requests"].iter().any(|half| ["cpu", "memory"].iter().any(|n| amount(resources, half, n).is_some()))
}

fn guaranteed(resources: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        match (amount(resources, "limits", name), amount(resources, "requests", name)) {
            (Some(limit), Some(request)) => limit == request,
            (Some(_), None) => true,
            (None, _) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes() {
        // A313.
        let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}});
        let rows = [
            (json!({"containers": [{}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"limits": {"example.com/x": "1"}}}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"requests": {"cpu": "1m"}}}]}), "Burstable"),
            (json!({"containers": [{"resources": both}]}), "Guaranteed"),
            (json!({"containers": [{"resources": both}, {}]}), "Burstable"),
            (json!({"containers": [{"resources": both}], "initContainers": [{"resources": {}}]}), "Burstable"),
            (json!({"containers": [{}], "resources": both}), "Guaranteed"),
        ];
        for (spec, expect) in rows {
            assert_eq!(class(&spec), expect, "{spec}");
        }
    }
}
