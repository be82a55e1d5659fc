//! The patch that `kubectl apply` sends: what a manifest says now, and what it no longer says goes.
//!
//! A strategic merge patch over the present object whose effect is that of kubectl's three-way merge: members of the manifest are
//! set, members of the manifest that was applied before and are gone from it are deleted, and everything that others have added
//! stays. It says more than kubectl's patch (members that do not change too), which makes no difference to the result.

use serde_json::{Map, Value, json};

use crate::schema::{PatchRule, Shape, Type};

/// The annotation in which `kubectl apply` keeps what was applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

type Members = Map<String, Value>;

/// What was applied to this object before, if that is known.
#[must_use]
pub fn last_applied(live: &Value) -> Option<Value> {
    serde_json::from_str(live["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// The patch that applies `wanted` where `before` was applied last.
#[must_use]
pub fn patch(before: Option<&Value>, wanted: &Value, shape: &'static Shape) -> Value {
    let mut wanted = wanted.as_object().cloned().unwrap_or_default();
    // kubectl always writes its annotation, so the member is never the one that goes.
    if let Some(metadata) = wanted.entry("metadata").or_insert_with(|| json!({})).as_object_mut() {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(LAST_APPLIED);
        }
    }
    Value::Object(members(before.and_then(Value::as_object), &wanted, Some(shape)))
}

fn members(before: Option<&Members>, wanted: &Members, shape: Option<&'static Shape>) -> Members {
    let mut out = Members::new();
    for (name, value) in wanted {
        let field = shape.and_then(|shape| shape.member(name));
        let rule = field.map(|field| field.patch).unwrap_or_default();
        let before = before.and_then(|before| before.get(name));
        match value {
            Value::Object(value) if !rule.replace => {
                let inner = field.and_then(|field| field.ty.as_struct());
                let mut patch = members(before.and_then(Value::as_object), value, inner);
                retain(&mut patch, value, rule);
                out.insert(name.clone(), Value::Object(patch));
            }
            Value::Array(items) if rule.merge => {
                let before = before.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let inner = field.and_then(|field| element(field.ty));
                list(&mut out, name, before, items, rule, inner);
            }
            other => drop(out.insert(name.clone(), other.clone())),
        }
    }
    let gone = before.into_iter().flat_map(Members::keys).filter(|name| !wanted.contains_key(*name));
    out.extend(gone.map(|name| (name.clone(), Value::Null)));
    out
}

/// Of a union only what the manifest says stays.
fn retain(patch: &mut Members, wanted: &Members, rule: PatchRule) {
    if rule.retain_keys {
        let kept: Vec<&String> = wanted.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
        patch.insert("$retainKeys".to_owned(), json!(kept));
    }
}

fn element(ty: Type) -> Option<&'static Shape> {
    match ty.resolved() {
        Type::List(inner) => inner.as_struct(),
        _ => None,
    }
}

/// A list that merges: its elements, their order, and those that go.
fn list(
    out: &mut Members,
    name: &str,
    before: &[Value],
    wanted: &[Value],
    rule: PatchRule,
    shape: Option<&'static Shape>,
) {
    let order = format!("$setElementOrder/{name}");
    let Some(key) = rule.key else {
        out.insert(order, json!(wanted));
        let gone: Vec<&Value> = before.iter().filter(|value| !wanted.contains(value)).collect();
        if !gone.is_empty() {
            out.insert(format!("$deleteFromPrimitiveList/{name}"), json!(gone));
        }
        out.insert(name.to_owned(), json!(wanted));
        return;
    };
    let find = |value: &Value| before.iter().find(|other| other.get(key) == value.get(key)).and_then(Value::as_object);
    let mut items: Vec<Value> = Vec::new();
    for value in wanted {
        // What has no key is sent as it is: the server says what is wrong with it.
        let Some(members_wanted) = value.as_object().filter(|members| members.contains_key(key)) else {
            items.push(value.clone());
            continue;
        };
        let mut patch = members(find(value), members_wanted, shape);
        retain(&mut patch, members_wanted, rule);
        items.push(Value::Object(patch));
    }
    let is_gone =
        |other: &&Value| other.get(key).is_some() && wanted.iter().all(|value| value.get(key) != other.get(key));
    items.extend(before.iter().filter(is_gone).map(|other| json!({"$patch": "delete", key: other[key]})));
    out.insert(order, wanted.iter().filter_map(|value| Some(json!({key: value.get(key)?}))).collect());
    out.insert(name.to_owned(), Value::Array(items));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::strategic;
    use crate::schema::table;

    fn set(spec: &Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}})
    }

    /// The template's spec after `wanted` is applied to `live`, where `before` was applied last.
    fn applied(before: Option<Value>, wanted: &Value, live: &Value) -> Value {
        let shape = table().kind("apps", "v1", "DaemonSet").expect("it is in the table");
        let shape = shape.id.get();
        let mut patch = patch(before.map(|before| set(&before)).as_ref(), &set(wanted), shape);
        let merged = strategic::apply(set(live), &mut patch, shape).expect("it merges");
        merged["spec"]["template"]["spec"].clone()
    }

    #[test]
    fn what_is_no_longer_said_goes_and_what_others_said_stays() {
        let rows = [
            // A member that the manifest had goes; defaults and others' members stay.
            (
                Some(json!({"nodeSelector": {"disk": "ssd"}, "hostNetwork": true})),
                json!({"hostNetwork": true}),
                json!({"nodeSelector": {"disk": "ssd"}, "hostNetwork": true, "dnsPolicy": "ClusterFirst"}),
                json!({"hostNetwork": true, "dnsPolicy": "ClusterFirst"}),
            ),
            (None, json!({}), json!({"nodeSelector": {"disk": "ssd"}}), json!({"nodeSelector": {"disk": "ssd"}})),
            // Containers merge by name: one changes, one goes, one that others injected stays.
            (
                Some(json!({"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]})),
                json!({"containers": [{"name": "a", "image": "a:2"}]}),
                json!({"containers": [
                    {"name": "a", "image": "a:1", "imagePullPolicy": "Always"}, {"name": "b", "image": "b:1"},
                    {"name": "mesh", "image": "m:1"},
                ]}),
                json!({"containers": [
                    {"name": "a", "image": "a:2", "imagePullPolicy": "Always"}, {"name": "mesh", "image": "m:1"},
                ]}),
            ),
            // Tolerations are replaced whole.
            (
                None,
                json!({"tolerations": [{"operator": "Exists"}]}),
                json!({"tolerations": [{"key": "a", "operator": "Exists"}]}),
                json!({"tolerations": [{"operator": "Exists"}]}),
            ),
            // A volume that changes its type keeps nothing of the old one.
            (
                Some(json!({"volumes": [{"name": "v", "emptyDir": {}}]})),
                json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
                json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
                json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
            ),
        ];
        for (before, wanted, live, expect) in rows {
            assert_eq!(applied(before, &wanted, &live), expect, "{wanted}");
        }
    }

    #[test]
    fn lists_take_the_order_of_the_manifest() {
        let two = |a: &str, b: &str| json!({"containers": [{"name": a}, {"name": b}]});
        assert_eq!(applied(None, &two("b", "a"), &two("a", "b")), two("b", "a"));
    }

    /// `kubectl rollout restart` annotates the template, and applying the manifest again does not undo that.
    #[test]
    fn annotations_of_others_stay() {
        let shape = table().kind("apps", "v1", "DaemonSet").expect("it is in the table").id.get();
        let before = json!({"metadata": {"name": "a", "annotations": {}, "finalizers": ["x/y"]}});
        let wanted = json!({"metadata": {"name": "a", "finalizers": ["x/z"]}});
        let live = json!({"metadata": {"name": "a", "annotations": {"b": "c"}, "finalizers": ["x/y", "x/w"]}});
        let mut patch = patch(Some(&before), &wanted, shape);
        let merged = strategic::apply(live, &mut patch, shape).expect("it merges");
        assert_eq!(merged["metadata"]["annotations"], json!({"b": "c"}));
        let kept: Vec<&str> =
            merged["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(kept.contains(&"x/z") && kept.contains(&"x/w") && !kept.contains(&"x/y"), "{kept:?}");
    }

    #[test]
    fn what_was_applied_is_read_from_the_annotation() {
        assert_eq!(last_applied(&json!({"metadata": {}})), None);
        let live = json!({"metadata": {"annotations": {LAST_APPLIED: "{\"spec\":{}}\n"}}});
        assert_eq!(last_applied(&live), Some(json!({"spec": {}})));
    }
}
