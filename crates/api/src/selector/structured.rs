//! Selectors inside objects: the checks of `LabelSelector`, and matching it against labels for validation (R23).

use serde_json::{Map, Value};

use crate::field::{Error, Path};
use crate::meta::validate_labels;
use crate::names;
use crate::value::Read;

/// The rules of a label selector.
pub fn validate(selector: &Value, at: &Path, errors: &mut Vec<Error>) {
    validate_beside(selector, None, at, errors);
}

/// The same, of a selector that takes the place of a stored one: when that one holds a value that is none, values are not
/// looked at (R23), or the object could never be written again.
pub fn validate_beside(selector: &Value, stored: Option<&Value>, at: &Path, errors: &mut Vec<Error>) {
    let looks_at_values = !stored.is_some_and(has_bad_value);
    validate_labels(selector.at("matchLabels"), &at.child("matchLabels"), errors);
    for (i, expression) in selector.list("matchExpressions").iter().enumerate() {
        let at = at.child("matchExpressions").index(i);
        let values = expression.list("values");
        match expression.text_or_empty("operator") {
            "In" | "NotIn" if values.is_empty() => {
                errors
                    .push(Error::required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(Error::forbidden(&at.child("values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(Error::invalid(&at.child("operator"), other, "not a valid selector operator")),
        }
        let key = expression.text_or_empty("key");
        errors.extend(names::label_key(key).into_iter().map(|text| Error::invalid(&at.child("key"), key, text)));
        for (j, value) in values.iter().filter(|_| looks_at_values).filter_map(Value::as_str).enumerate() {
            let field = at.child("values").index(j);
            errors.extend(names::label_value(value).into_iter().map(|text| Error::invalid(&field, value, text)));
        }
    }
}

fn has_bad_value(selector: &Value) -> bool {
    let values = selector.list("matchExpressions").iter().flat_map(|expression| expression.list("values"));
    values.filter_map(Value::as_str).any(|value| !names::label_value(value).is_empty())
}

/// Whether a selector has neither labels nor expressions.
pub fn is_empty(selector: &Value) -> bool {
    selector.map("matchLabels").is_none_or(Map::is_empty) && selector.list("matchExpressions").is_empty()
}

/// Whether a valid selector selects these labels; an empty selector selects everything.
pub fn matches(selector: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let value_of = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    let by_label = selector.map("matchLabels").into_iter().flatten().all(|(key, want)| value_of(key) == want.as_str());
    by_label
        && selector.list("matchExpressions").iter().all(|e| {
            let value = value_of(e.text_or_empty("key"));
            let listed = || value.is_some_and(|v| e.list("values").iter().any(|w| w.as_str() == Some(v)));
            match e.text_or_empty("operator") {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
