//! Priority (A232, A405): a pod's class becomes a number.

use serde_json::Value;

use super::{Refusal, text};
use crate::value;

const PREEMPT: &str = "PreemptLowerPriority";

/// The class that pods without one get: of several the one with the lowest value.
pub fn default_class<'a>(classes: impl Iterator<Item = &'a Value>) -> Option<&'a Value> {
    let default = classes.filter(|class| class.get("globalDefault") == Some(&Value::Bool(true)));
    default.min_by_key(|class| class.get("value").and_then(Value::as_i64).unwrap_or_default())
}

/// Sets the priority of a new pod. `class` is the one that it names, or the default one if it names none.
pub fn admit(pod: &mut Value, class: Option<&Value>) -> Result<(), Refusal> {
    let named = pod.pointer("/spec/priorityClassName").and_then(Value::as_str).unwrap_or_default().to_owned();
    if class.is_none() && !named.is_empty() {
        return Err(format!("no PriorityClass with name {named} was found"));
    }
    let priority = class.and_then(|class| class.get("value")).and_then(Value::as_i64).unwrap_or_default();
    let policy = class.map(|class| text(class, "preemptionPolicy")).filter(|policy| !policy.is_empty());
    let policy = policy.unwrap_or(PREEMPT);
    if let Some(given) = pod.pointer("/spec/priority").and_then(Value::as_i64)
        && given != priority
    {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        ));
    }
    if let Some(given) = pod.pointer("/spec/preemptionPolicy").and_then(Value::as_str)
        && given != policy
    {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        ));
    }
    if let (true, Some(class)) = (named.is_empty(), class) {
        let name = class.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        value::set(pod, "spec.priorityClassName", name);
    }
    value::set(pod, "spec.priority", priority);
    value::set(pod, "spec.preemptionPolicy", policy);
    Ok(())
}

/// An update that leaves them out keeps them.
pub fn keep(pod: &mut Value, old: &Value) {
    for member in ["priority", "preemptionPolicy"] {
        let had = old.get("spec").and_then(|spec| spec.get(member));
        let has = pod.get("spec").and_then(|spec| spec.get(member));
        if let (Some(had), None) = (had, has) {
            value::set(pod, &format!("spec.{member}"), had.clone());
        }
    }
}

/// Whether a class may be the default one beside the others.
pub fn check_default<'a>(class: &Value, mut others: impl Iterator<Item = &'a Value>) -> Result<(), Refusal> {
    let is_default = |class: &Value| class.get("globalDefault") == Some(&Value::Bool(true));
    let name = |class: &Value| class.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    if !is_default(class) {
        return Ok(());
    }
    match others.find(|other| is_default(other) && name(other) != name(class)) {
        Some(other) => Err(format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            name(other).unwrap_or_default()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A232.
    #[test]
    fn a_class_becomes_a_number() {
        let class = json!({"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"});
        let table = [
            (json!({}), None, Ok((0, "PreemptLowerPriority", ""))),
            (json!({"priorityClassName": "high"}), Some(&class), Ok((7, "Never", "high"))),
            (json!({}), Some(&class), Ok((7, "Never", "high"))),
            (json!({"priorityClassName": "high", "priority": 7}), Some(&class), Ok((7, "Never", "high"))),
            (json!({"priorityClassName": "foo"}), None, Err("no PriorityClass with name foo was found")),
            (
                json!({"priority": 5}),
                None,
                Err(
                    "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
                ),
            ),
        ];
        for (spec, class, expect) in table {
            let mut pod = json!({ "spec": spec });
            let got = admit(&mut pod, class).map(|()| {
                let spec = &pod["spec"];
                (spec["priority"].as_i64().unwrap(), text(spec, "preemptionPolicy"), text(spec, "priorityClassName"))
            });
            assert_eq!(got.as_ref().map_err(String::as_str), expect.as_ref().map_err(|text| *text));
        }
    }

    #[test]
    fn one_default_only() {
        let class = |name: &str, default: bool, value: i64| json!({"metadata": {"name": name}, "globalDefault": default, "value": value});
        let (a, b, c) = (class("a", true, 5), class("b", true, 3), class("c", false, 1));
        assert_eq!(default_class([&a, &b, &c].into_iter()), Some(&b));
        assert_eq!(check_default(&a, [&a, &c].into_iter()), Ok(()));
        let refused = check_default(&b, [&a, &c].into_iter()).unwrap_err();
        assert_eq!(refused, "PriorityClass a is already marked as default. Only one default can exist");
    }
}
