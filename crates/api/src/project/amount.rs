//! A number or a percentage.

use everynode_core::model::IntOrPercent;
use serde_json::Value;

/// What can be read as neither is `Invalid`: the decision says what that means.
pub fn int_or_percent(value: &Value) -> IntOrPercent {
    match value {
        Value::Number(number) => {
            number.as_i64().and_then(|n| i32::try_from(n).ok()).map_or(IntOrPercent::Invalid, IntOrPercent::Int)
        }
        Value::String(text) => text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .map_or(IntOrPercent::Invalid, IntOrPercent::Percent),
        _ => IntOrPercent::Invalid,
    }
}
