//! Field paths and field errors, in the words that clients know (A-section 6.3).
//!
//! Not here: the `Invalid` answer around a list of them ([`crate::status::Status::invalid`]).

use std::fmt;

use serde_json::Value;

use crate::quote::go_quote;
use crate::schema::Type;

/// Where in an object an error is: `spec.containers[0].name`, `metadata.labels[key]`. Cheap to extend, never parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path of dotted names; the empty one prints `[]`, as upstream prints a path without a name.
    pub fn new(dotted: impl Into<String>) -> Self {
        Path(dotted.into())
    }

    /// The path of a member.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Path(name.to_owned()) } else { Path(format!("{}.{name}", self.0)) }
    }

    /// The path of a list element.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Path(format!("{}[{index}]", self.0))
    }

    /// The path of a map entry: `labels[a/b]`, the key unquoted.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Path(format!("{}[{key}]", self.0))
    }
}

impl From<&str> for Path {
    fn from(dotted: &str) -> Self {
        Path::new(dotted)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "[]" } else { &self.0 })
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// A value must be given.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value is none of a closed set.
    NotSupported,
    /// The value stands twice where it may stand once.
    Duplicate,
    /// The field may not be set here.
    Forbidden,
    /// The value names a thing that does not exist.
    NotFound,
    /// The value is longer than allowed.
    TooLong,
    /// The list has more items than allowed.
    TooMany,
    /// Something failed while checking.
    Internal,
    /// The value has the wrong JSON type (custom resources).
    TypeInvalid,
}

impl ErrorType {
    /// The machine-readable reason of a cause.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::Internal => "InternalError",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            ErrorType::Required => "Required value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::NotFound => "Not found",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::Internal => "Internal error",
        }
    }
}

/// One violated rule at one field. `Display` is `⟨field⟩: ⟨body⟩`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of violation.
    pub kind: ErrorType,
    /// The printed path.
    pub field: String,
    /// The rendered value; `None` where the kind prints none.
    pub value: Option<String>,
    /// The explanation; may be empty.
    pub detail: String,
}

impl Error {
    fn new(kind: ErrorType, at: &Path, value: Option<String>, detail: impl Into<String>) -> Self {
        Error { kind, field: at.to_string(), value, detail: detail.into() }
    }

    /// `Required value[: detail]`.
    pub fn required(at: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Required, at, None, detail)
    }

    /// `Invalid value: ⟨value⟩[: detail]`; objects and lists print as compact JSON with sorted keys (see [`Error::invalid_shaped`]).
    pub fn invalid(at: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, at, Some(render(&value.into())), detail)
    }

    /// As [`Error::invalid`], with members of the value printed in the order of its type.
    pub fn invalid_shaped(at: &Path, value: &Value, of: Type, detail: impl Into<String>) -> Self {
        let text = match value {
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => render(value),
            _ => String::from_utf8_lossy(&crate::codec::json::encode_type(value, of)).into_owned(),
        };
        Self::new(ErrorType::Invalid, at, Some(text), detail)
    }

    /// `Unsupported value: ⟨value⟩: supported values: …`, the supported ones sorted.
    pub fn not_supported(at: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut sorted: Vec<&str> = supported.to_vec();
        sorted.sort_unstable();
        Self::not_supported_in_order(at, value, &sorted)
    }

    /// As [`Error::not_supported`], keeping the given order.
    pub fn not_supported_in_order(at: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let list = supported.iter().map(|v| go_quote(v)).collect::<Vec<_>>().join(", ");
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {list}") };
        Self::new(ErrorType::NotSupported, at, Some(render(&value.into())), detail)
    }

    /// `Duplicate value: ⟨value⟩`.
    pub fn duplicate(at: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::Duplicate, at, Some(render(&value.into())), "")
    }

    /// `Forbidden: ⟨detail⟩`.
    pub fn forbidden(at: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, at, None, detail)
    }

    /// `Not found: ⟨value⟩`.
    pub fn not_found(at: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::NotFound, at, Some(render(&value.into())), "")
    }

    /// `Too long: may not be more than ⟨max⟩ bytes`.
    pub fn too_long(at: &Path, max: usize) -> Self {
        Self::new(ErrorType::TooLong, at, None, format!("may not be more than {max} bytes"))
    }

    /// `Too many: ⟨actual⟩: must have at most ⟨max⟩ items`.
    pub fn too_many(at: &Path, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        Self::new(ErrorType::TooMany, at, Some(actual.to_string()), format!("must have at most {max} {items}"))
    }

    /// `Internal error: ⟨detail⟩`.
    pub fn internal(at: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Internal, at, None, detail)
    }

    /// `Invalid value: ⟨value⟩: ⟨detail⟩` of a value with the wrong JSON type.
    pub fn type_invalid(at: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::TypeInvalid, at, Some(render(&value.into())), detail)
    }

    /// The text without the field: the message of a cause.
    pub fn body(&self) -> String {
        let mut text = String::from(self.kind.text());
        for part in [self.value.as_deref(), Some(self.detail.as_str()).filter(|d| !d.is_empty())].into_iter().flatten()
        {
            text.push_str(": ");
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

fn render(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => String::from_utf8_lossy(&crate::codec::json::encode_any(value)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_print_as_the_catalogue_says() {
        // A-section 6.3, row by row.
        let at = Path::new("spec").child("containers").index(0).child("name");
        let rows = [
            (Error::required(&at, ""), "spec.containers[0].name: Required value"),
            (
                Error::required(&Path::new("metadata.name"), "name or generateName is required"),
                "metadata.name: Required value: name or generateName is required",
            ),
            (Error::invalid(&Path::new("x"), "abc", "detail"), "x: Invalid value: \"abc\": detail"),
            (Error::invalid(&Path::new("x"), 10, "d"), "x: Invalid value: 10: d"),
            (Error::invalid(&Path::new("x"), Value::Null, "d"), "x: Invalid value: null: d"),
            (
                Error::invalid(&Path::new("x"), json!({"matchLabels": {"a": "b"}}), "field is immutable"),
                "x: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable",
            ),
            (
                Error::not_supported(&Path::new("x"), "Foo", &["B", "A"]),
                "x: Unsupported value: \"Foo\": supported values: \"A\", \"B\"",
            ),
            (
                Error::not_supported(&Path::new("dryRun"), json!(["x"]), &["All"]),
                "dryRun: Unsupported value: [\"x\"]: supported values: \"All\"",
            ),
            (Error::duplicate(&Path::new("x"), "n"), "x: Duplicate value: \"n\""),
            (Error::forbidden(&Path::new("x"), "why"), "x: Forbidden: why"),
            (Error::not_found(&Path::new("x"), "v"), "x: Not found: \"v\""),
            (Error::too_long(&Path::default(), 1_048_576), "[]: Too long: may not be more than 1048576 bytes"),
            (Error::too_many(&Path::new("x"), 5, 3), "x: Too many: 5: must have at most 3 items"),
            (Error::internal(&Path::new("x"), "d"), "x: Internal error: d"),
            (Error::invalid(&Path::new("fieldManager"), "\u{1}", "d"), "fieldManager: Invalid value: \"\\x01\": d"),
            (Error::forbidden(&Path::new("metadata.labels").key("a/b"), "d"), "metadata.labels[a/b]: Forbidden: d"),
        ];
        for (error, expect) in rows {
            assert_eq!(error.to_string(), expect);
        }
    }
}
