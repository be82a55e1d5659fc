//! JSON merge patch (RFC 7386, A138): null deletes, objects merge, everything else replaces.

use serde_json::{Map, Value};

/// Applies a patch in place.
pub fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(members) = target {
        for (key, value) in patch {
            if value.is_null() {
                members.remove(key);
            } else {
                apply(members.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
