//! JSON patch (RFC 6902, A137), with upstream's liberties: `replace` of a missing member adds it, negative indices count from the end,
//! a `test` for null passes on a missing member.

use serde_json::Value;

use crate::{
    codec::{DecodeError, json},
    status::Status,
};

/// The most operations in one patch.
pub const OPERATIONS_MAX: usize = 10_000;

/// The most bytes that all `copy` operations of a patch may produce.
pub const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Why a patch does not apply. Clients only hear that it was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The operation is none of the six.
    #[error("unexpected kind: {0}")]
    Operation(String),
    /// The path leads nowhere.
    #[error("{operation} operation does not apply: doc is missing path: {path}")]
    Missing {
        /// Which operation.
        operation: String,
        /// The pointer.
        path: String,
    },
    /// A test did not hold.
    #[error("testing value {0} failed")]
    Test(String),
    /// Copies grew too large.
    #[error("unable to copy, the accumulated size increase of copy is {0}, exceeding the limit {COPIED_BYTES_MAX}")]
    Copied(usize),
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// Reads the operations of a patch, and repeated members in them. Errors are complete answers.
pub fn parse(patch: &[u8]) -> Result<(Vec<Operation>, Vec<String>), Status> {
    let bad = |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding patch: {error}"));
    let (document, repeats) = json::parse_reporting(patch).map_err(|e| match e {
        DecodeError::Syntax(text) => bad(&text),
        other => bad(&other),
    })?;
    let items = match document {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => {
            let kind = super::json_kind(&other);
            return Err(bad(&format!("json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp")));
        }
    };
    if items.len() > OPERATIONS_MAX {
        return Err(Status::too_large(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            items.len()
        )));
    }
    let mut operations = Vec::with_capacity(items.len());
    for item in items {
        operations.push(operation(item).map_err(|e| bad(&e))?);
    }
    Ok((operations, repeats))
}

fn operation(item: Value) -> Result<Operation, String> {
    let mut members = match item {
        Value::Object(members) => members,
        Value::Null => return Ok(Operation::default()),
        other => {
            let kind = super::json_kind(&other);
            return Err(format!("json: cannot unmarshal {kind} into Go value of type handlers.jsonPatchOp"));
        }
    };
    let mut text = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!(
            "json: cannot unmarshal {} into Go struct field jsonPatchOp.{name} of type string",
            super::json_kind(&other)
        )),
    };
    let (op, path, from) = (text("op")?, text("path")?, text("from")?);
    Ok(Operation { op: op.unwrap_or_default(), path, from, value: members.remove("value") })
}

/// Applies the operations in order.
pub fn apply(mut document: Value, operations: &[Operation]) -> Result<Value, PatchError> {
    let mut copied = 0usize;
    for operation in operations {
        let missing = || PatchError::Missing {
            operation: operation.op.clone(),
            path: operation.path.clone().unwrap_or_default(),
        };
        let value = || operation.value.clone().unwrap_or_default();
        let path = operation.path.as_deref();
        let from = operation.from.as_deref();
        match operation.op.as_str() {
            "add" => path.and_then(|path| add(&mut document, path, value())).ok_or_else(missing)?,
            "remove" => drop(path.and_then(|path| remove(&mut document, path)).ok_or_else(missing)?),
            "replace" => path.and_then(|path| replace(&mut document, path, value())).ok_or_else(missing)?,
            "move" => {
                let moved = from.and_then(|from| remove(&mut document, from)).ok_or_else(missing)?;
                path.and_then(|path| add(&mut document, path, moved)).ok_or_else(missing)?;
            }
            "copy" => {
                let copy = from.and_then(|from| find(&document, from)).ok_or_else(missing)?.clone();
                copied += json::encode_any(&copy).len();
                if copied > COPIED_BYTES_MAX {
                    return Err(PatchError::Copied(copied));
                }
                path.and_then(|path| add(&mut document, path, copy)).ok_or_else(missing)?;
            }
            "test" => {
                let found = path.and_then(|path| find(&document, path)).ok_or_else(missing)?;
                if !equal(found, &value()) {
                    return Err(PatchError::Test(operation.path.clone().unwrap_or_default()));
                }
            }
            other => return Err(PatchError::Operation(other.to_owned())),
        }
    }
    Ok(document)
}

/// The steps of a pointer; nothing if it is malformed.
fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    Some(pointer.strip_prefix('/')?.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

/// An index into a list of this length: plain, or counted from the end.
fn index(step: &str, length: usize) -> Option<usize> {
    match step.strip_prefix('-') {
        Some(back) => length.checked_sub(back.parse().ok()?),
        None if step.starts_with('+') => None,
        None => step.parse().ok(),
    }
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(index(step, items.len())?),
        _ => None,
    }
}

/// What a pointer names. A missing member of an object that is there is null, as upstream reads it.
fn find<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    static NOTHING: Value = Value::Null;
    let steps = steps(pointer)?;
    let Some((last, way)) = steps.split_last() else { return Some(document) };
    let container = way.iter().try_fold(document, |here, step| child(here, step))?;
    match container {
        Value::Object(members) => Some(members.get(last).unwrap_or(&NOTHING)),
        _ => child(container, last),
    }
}

/// The container that the last step of a pointer is about.
fn parent<'a>(document: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let mut steps = steps(pointer)?;
    let last = steps.pop()?;
    let mut here = document;
    for step in &steps {
        here = match here {
            Value::Object(members) => members.get_mut(step)?,
            Value::Array(items) => {
                let at = index(step, items.len())?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    Some((here, last))
}

fn add(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let (container, last) = parent(document, pointer)?;
    match container {
        Value::Object(members) => drop(members.insert(last, value)),
        Value::Array(items) => {
            let at = if last == "-" { items.len() } else { index(&last, items.len() + 1)? };
            if at > items.len() {
                return None;
            }
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn replace(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    if pointer.is_empty() {
        *document = value;
        return Some(());
    }
    let (container, last) = parent(document, pointer)?;
    match container {
        Value::Object(members) => drop(members.insert(last, value)),
        Value::Array(items) => {
            let at = index(&last, items.len())?;
            *items.get_mut(at)? = value;
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, pointer: &str) -> Option<Value> {
    let (container, last) = parent(document, pointer)?;
    match container {
        Value::Object(members) => members.remove(&last),
        Value::Array(items) => {
            let at = index(&last, items.len())?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

/// Equality of JSON values: numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, value)| y.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}
