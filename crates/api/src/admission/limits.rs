//! LimitRanger (A227): what containers get if they ask for nothing, and how much they may ask for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Refusal, items, text};
use crate::quantity::Quantity;
use crate::value;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Fills in the defaults of the namespace's LimitRanges, and says so in an annotation.
pub fn default_resources(pod: &mut Value, ranges: &[Value]) {
    let (requests, limits) = (defaults(ranges, "defaultRequest"), defaults(ranges, "default"));
    if requests.is_empty() && limits.is_empty() {
        return;
    }
    let mut said: Vec<String> = Vec::new();
    for (list, kind) in [("containers", "container"), ("initContainers", "init container")] {
        if pod.get("spec").and_then(|spec| spec.get(list)).is_none() {
            continue;
        }
        for container in value::list_mut(pod, &format!("spec.{list}")) {
            let name = text(container, "name").to_owned();
            for (member, word, wanted) in [("requests", "request", &requests), ("limits", "limit", &limits)] {
                let set = fill(container, member, wanted);
                if !set.is_empty() {
                    said.push(format!("{} {word} for {kind} {name}", set.join(", ")));
                }
            }
        }
    }
    if !said.is_empty() {
        let text = format!("LimitRanger plugin set: {}", said.join("; "));
        value::set_entry(pod, "metadata.annotations", ANNOTATION, text);
    }
}

/// Every bound that a pod oversteps, joined as one refusal.
pub fn check(pod: &Value, ranges: &[Value]) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    let Some(spec) = pod.get("spec") else { return Ok(()) };
    for range in ranges.iter().filter_map(|range| range.get("spec")) {
        for limit in items(range, "limits") {
            match text(limit, "type") {
                "Container" => {
                    for container in items(spec, "containers").chain(items(spec, "initContainers")) {
                        check_one(
                            limit,
                            "Container",
                            &amounts(container, "requests"),
                            &amounts(container, "limits"),
                            &mut errors,
                        );
                    }
                }
                "Pod" => {
                    let requests = of_pod(spec, "requests");
                    let limits = of_pod(spec, "limits");
                    check_one(limit, "Pod", &requests, &limits, &mut errors);
                }
                _ => {}
            }
        }
    }
    errors.dedup();
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

type Amounts = BTreeMap<String, Quantity>;

fn check_one(limit: &Value, of: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<Refusal>) {
    for (resource, bound) in amounts(limit, "min") {
        let what = format!("minimum {resource} usage per {of} is {bound}");
        match (requests.get(&resource), limits.get(&resource)) {
            (None, _) => errors.push(format!("{what}.  No request is specified")),
            (Some(request), _) if request < &bound => errors.push(format!("{what}, but request is {request}")),
            (_, Some(limit)) if limit < &bound => errors.push(format!("{what}, but limit is {limit}")),
            _ => {}
        }
    }
    for (resource, bound) in amounts(limit, "max") {
        let what = format!("maximum {resource} usage per {of} is {bound}");
        match (requests.get(&resource), limits.get(&resource)) {
            (_, None) => errors.push(format!("{what}.  No limit is specified")),
            (_, Some(limit)) if limit > &bound => errors.push(format!("{what}, but limit is {limit}")),
            (Some(request), _) if request > &bound => errors.push(format!("{what}, but request is {request}")),
            _ => {}
        }
    }
    for (resource, bound) in amounts(limit, "maxLimitRequestRatio") {
        let what = format!("{resource} max limit to request ratio per {of} is {bound}");
        let request = requests.get(&resource).filter(|request| !request.is_zero());
        match (request, limits.get(&resource)) {
            (None, _) => errors.push(format!("{what}, but no request is specified or request is 0")),
            (_, None) => errors.push(format!("{what}, but no limit is specified")),
            (Some(request), Some(limit)) => {
                let ratio = as_float(limit) / as_float(request);
                if ratio > as_float(&bound) {
                    errors.push(format!("{what}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people, as upstream computes it")]
fn as_float(quantity: &Quantity) -> f64 {
    quantity.milli_value() as f64
}

/// The first default for each resource over all ranges.
fn defaults(ranges: &[Value], member: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for limit in ranges.iter().filter_map(|range| range.get("spec")).flat_map(|spec| items(spec, "limits")) {
        if text(limit, "type") != "Container" {
            continue;
        }
        for (resource, amount) in limit.get(member).and_then(Value::as_object).into_iter().flatten() {
            all.entry(resource.clone()).or_insert_with(|| amount.clone());
        }
    }
    all
}

fn fill(container: &mut Value, member: &str, wanted: &BTreeMap<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (resource, amount) in wanted {
        let has = container.get("resources").and_then(|all| all.get(member)).and_then(|all| all.get(resource));
        if has.is_none() {
            value::set_entry(container, &format!("resources.{member}"), resource, amount.clone());
            set.push(resource.clone());
        }
    }
    set
}

fn amounts(value: &Value, member: &str) -> Amounts {
    let direct = value.get(member);
    let list = direct.or_else(|| value.get("resources").and_then(|all| all.get(member)));
    let entries = list.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?))).collect()
}

/// What a pod uses as a whole: the sum of its containers, or the largest init container where that is more.
fn of_pod(spec: &Value, member: &str) -> Amounts {
    let mut total = Amounts::new();
    for container in items(spec, "containers") {
        for (resource, amount) in amounts(container, member) {
            let sum = total.get(&resource).map_or_else(|| amount.clone(), |have| have.plus(&amount));
            total.insert(resource, sum);
        }
    }
    for container in items(spec, "initContainers") {
        for (resource, amount) in amounts(container, member) {
            if total.get(&resource).is_none_or(|have| have < &amount) {
                total.insert(resource, amount);
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range() -> Vec<Value> {
        vec![json!({"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"},
            "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "2"}, "min": {"cpu": "10m"}}]}})]
    }

    /// golden http/28.
    #[test]
    fn defaults_are_filled_in_and_named() {
        let mut pod = json!({"spec": {"containers": [{"name": "main"}]}});
        default_resources(&mut pod, &range());
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}})
        );
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container main; cpu limit for container main"
        );
    }

    #[test]
    fn bounds_are_held() {
        let check = |requests: &str, limits: &str| {
            let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}}}]}});
            check(&pod, &range()).err().unwrap_or_default()
        };
        assert_eq!(check("100m", "500m"), "");
        assert_eq!(check("4", "4"), "maximum cpu usage per Container is 2, but limit is 4");
        assert_eq!(check("1m", "500m"), "minimum cpu usage per Container is 10m, but request is 1m");
        let bare = json!({"spec": {"containers": [{}]}});
        assert_eq!(
            super::check(&bare, &range()).unwrap_err(),
            "[minimum cpu usage per Container is 10m.  No request is specified, maximum cpu usage per Container is 2.  No limit is specified]"
        );
    }
}
