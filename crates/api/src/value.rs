//! Convenient reads and writes of an [`Object`](crate::Object) by dotted path.
//!
//! A path is field names joined by dots; it walks objects only (map keys with dots and list elements are reached step by step).
//! JSON `null` reads as absent, since the canonical form writes it for empty required lists.

use serde_json::{Map, Value};

/// Reads. All return nothing for an absent member, a null, and a member of another type.
pub trait Read {
    /// The value at a dotted path; `null` counts as absent. The empty path is the value itself.
    fn at(&self, path: &str) -> Option<&Value>;
    /// A non-empty or empty string, if there is one.
    fn text(&self, path: &str) -> Option<&str>;
    /// The string, or `""`.
    fn text_or_empty(&self, path: &str) -> &str {
        self.text(path).unwrap_or_default()
    }
    /// A bool.
    fn flag(&self, path: &str) -> Option<bool>;
    /// Whether there is `true`.
    fn is_true(&self, path: &str) -> bool {
        self.flag(path) == Some(true)
    }
    /// An integer.
    fn int(&self, path: &str) -> Option<i64>;
    /// The list, or an empty one.
    fn list(&self, path: &str) -> &[Value];
    /// The members of an object or map.
    fn map(&self, path: &str) -> Option<&Map<String, Value>>;
    /// One entry of a string map such as `metadata.labels`.
    fn entry(&self, path: &str, key: &str) -> Option<&str> {
        self.map(path).and_then(|m| m.get(key)).and_then(Value::as_str)
    }
    /// Whether the value is absent, null, false, 0, or empty.
    fn is_zero(&self, path: &str) -> bool;
}

impl Read for Value {
    fn at(&self, path: &str) -> Option<&Value> {
        let mut here = self;
        if !path.is_empty() {
            for step in path.split('.') {
                here = here.as_object()?.get(step)?;
            }
        }
        if here.is_null() { None } else { Some(here) }
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    fn flag(&self, path: &str) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    fn int(&self, path: &str) -> Option<i64> {
        self.at(path)?.as_i64()
    }

    fn list(&self, path: &str) -> &[Value] {
        self.at(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn map(&self, path: &str) -> Option<&Map<String, Value>> {
        self.at(path)?.as_object()
    }

    fn is_zero(&self, path: &str) -> bool {
        match self.at(path) {
            None => true,
            Some(value) => is_zero(value),
        }
    }
}

/// Whether a value is null, false, 0, "", [] or {}.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// Sets the value at a dotted path. Objects on the way are made where absent or null; anything else on the way is replaced.
pub fn set(object: &mut Value, path: &str, value: impl Into<Value>) {
    *slot(object, path) = value.into();
}

/// Sets the value at a dotted path unless something non-null is there. Says whether it did.
pub fn set_default(object: &mut Value, path: &str, value: impl Into<Value>) -> bool {
    let slot = slot(object, path);
    let absent = slot.is_null();
    if absent {
        *slot = value.into();
    }
    absent
}

/// Sets one entry of a map such as `metadata.annotations`; the key may contain dots.
pub fn set_entry(object: &mut Value, path: &str, key: &str, value: impl Into<Value>) {
    members(object, path).insert(key.to_owned(), value.into());
}

/// The members of the object at a dotted path, made if absent.
pub fn members<'a>(object: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    as_members(slot(object, path))
}

/// The list at a dotted path, made if absent.
pub fn list_mut<'a>(object: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    let slot = slot(object, path);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    match slot {
        Value::Array(list) => list,
        _ => unreachable!("made above"),
    }
}

/// The value at a dotted path, to be changed in place; never creates anything.
pub fn at_mut<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut here = object;
    if !path.is_empty() {
        for step in path.split('.') {
            here = here.as_object_mut()?.get_mut(step)?;
        }
    }
    if here.is_null() { None } else { Some(here) }
}

/// Removes and returns the value at a dotted path.
pub fn remove(object: &mut Value, path: &str) -> Option<Value> {
    match path.rsplit_once('.') {
        None => object.as_object_mut()?.remove(path),
        Some((parent, last)) => at_mut(object, parent)?.as_object_mut()?.remove(last),
    }
}

fn slot<'a>(object: &'a mut Value, path: &str) -> &'a mut Value {
    let mut here = object;
    if !path.is_empty() {
        for step in path.split('.') {
            here = as_members(here).entry(step).or_insert(Value::Null);
        }
    }
    here
}

fn as_members(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made above"),
    }
}

/// Puts the old object's top-level member in place of the new one's.
pub fn keep(new: &mut Value, old: &Value, member: &str) {
    match old.get(member) {
        Some(value) => set(new, member, value.clone()),
        None => drop(remove(new, member)),
    }
}

/// Semantic equality (R16): absent, null, `[]` and `{}` are one, everything else is compared by value.
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (solid(a), solid(b)) {
        (None, None) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| same(Some(value), b.get(key)))
                && b.iter().all(|(key, value)| a.contains_key(key) || solid(Some(value)).is_none())
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

fn solid(value: Option<&Value>) -> Option<&Value> {
    value.filter(|v| match v {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_skip_nulls_and_other_types() {
        let v = json!({"a": {"b": "x", "n": null, "l": [1], "i": 3, "t": true}, "m": {"k/x.y": "z"}});
        assert_eq!(v.text("a.b"), Some("x"));
        assert_eq!(v.text("a.n"), None);
        assert_eq!(v.text("a.i"), None);
        assert_eq!(v.int("a.i"), Some(3));
        assert_eq!(v.list("a.l").len(), 1);
        assert!(v.list("a.none").is_empty());
        assert!(v.is_true("a.t"));
        assert_eq!(v.entry("m", "k/x.y"), Some("z"));
        assert!(v.is_zero("a.none.deeper"));
    }

    #[test]
    fn writes_make_the_way() {
        let mut v = json!({"a": null});
        set(&mut v, "a.b.c", 1);
        assert!(!set_default(&mut v, "a.b.c", 2));
        assert!(set_default(&mut v, "a.b.d", 2));
        set_entry(&mut v, "metadata.labels", "x.y/z", "v");
        list_mut(&mut v, "l").push(json!(1));
        assert_eq!(remove(&mut v, "a.b.c"), Some(json!(1)));
        assert_eq!(v, json!({"a": {"b": {"d": 2}}, "metadata": {"labels": {"x.y/z": "v"}}, "l": [1]}));
    }
}
