//! The order of merged lists: that of `$setElementOrder` where it is given, otherwise the patch's elements first, and the elements that
//! only the server has keep their place among them as well as can be.

use serde_json::Value;

use super::{DIRECTIVE, Members, MergeError, ORDER, Schema, element, elements_of, merge_list, taken};

/// Carries out all `$setElementOrder/…` of a map, together with the lists they are about, and takes both out of the patch.
pub(super) fn apply(original: &mut Members, patch: &mut Members, schema: Schema) -> Result<(), MergeError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let Some(Value::Array(order)) = patch.remove(&directive) else { return Err(MergeError::ElementOrder) };
        let name =
            directive.strip_prefix(ORDER).and_then(|rest| rest.strip_prefix('/')).ok_or(MergeError::ElementOrder)?;
        let (ty, rule) = schema.member(name)?;
        let old = list(original.get(name))?;
        let new = list(patch.get(name))?;
        check(new.as_deref().unwrap_or_default(), &order, rule.key)?;
        let server = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => match taken(Value::Array(new)) {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            (Some(old), Some(mut new)) => merge_list(old, &mut new, element(ty), rule)?,
        };
        elements_of(&server, &[])?;
        let arranged = arrange(merged, &order, &server, rule.key)?;
        original.insert(name.to_owned(), Value::Array(arranged));
        patch.remove(name);
    }
    Ok(())
}

fn list(value: Option<&Value>) -> Result<Option<Vec<Value>>, MergeError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(MergeError::Type {
            expected: "[]interface {}",
            found: match other {
                Value::Null => "%!s(<nil>)",
                Value::Object(_) => "map[string]interface {}",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "int64",
            },
        }),
    }
}

/// The elements of the patch, except those that delete, stand in the order list and in its order.
fn check(new: &[Value], order: &[Value], key: Option<&str>) -> Result<(), MergeError> {
    let mut places = order.iter();
    for item in new {
        if key.is_some() && item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
            continue;
        }
        if let Some(key) = key
            && item.is_object()
            && item.get(key).is_none()
        {
            return Err(MergeError::no_key(item, key));
        }
        if !places.any(|place| same(place, item, key)) {
            return Err(MergeError::Order {
                patch: crate::patch::go_print(&Value::Array(new.to_vec())),
                order: crate::patch::go_print(&Value::Array(order.to_vec())),
            });
        }
    }
    Ok(())
}

/// Whether two elements are the same by key, or by value where there is none.
fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) if a.is_object() || b.is_object() => {
            let value = a.get(key);
            value.is_some() && value == b.get(key)
        }
        _ => a == b,
    }
}

fn place(in_list: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    in_list.iter().position(|other| same(other, item, key))
}

/// Puts merged elements in order: those named by `wanted` in its order, the others relative to them as in `server`.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, MergeError> {
    if let Some(key) = key
        && let Some(without) = merged.iter().chain(wanted).find(|item| item.is_object() && item.get(key).is_none())
    {
        return Err(MergeError::no_key(without, key));
    }
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item, key).is_some());
    named.sort_by_key(|item| place(wanted, item, key));
    others.sort_by_key(|item| place(server, item, key));
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => match (place(server, other, key), place(server, named, key)) {
                (Some(a), Some(b)) => a < b,
                _ => false,
            },
        };
        result.extend(if other_first { others.next() } else { named.next() });
    }
}
