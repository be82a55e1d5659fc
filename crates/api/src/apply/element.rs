//! One step of a path into an object, as field ownership names it (A154).
//!
//! On the wire a step is the name of a JSON member: `f:⟨name⟩`, `k:⟨keys as JSON⟩`, `v:⟨value as JSON⟩`, `i:⟨index⟩`; in messages it is
//! `.name`, `[name="c"]`, `[="v"]`, `[0]` (A150). Invariants: a key holds at least one field, sorted by name; keys and values are scalars.

use std::{cmp::Ordering, fmt};

use serde_json::{Map, Number, Value};

use crate::codec::json::encode_any;
use crate::quote::go_quote;

/// A step of a path. The order is the one in which conflicts are listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A member of a struct or map.
    Field(String),
    /// The element of a list with these keys.
    Key(Vec<(String, Scalar)>),
    /// This very value in a set.
    Value(Scalar),
    /// The element at this position; nothing of ours makes it.
    Index(i64),
}

impl Element {
    /// The element with these keys, in any order.
    pub fn key(mut keys: Vec<(String, Scalar)>) -> Self {
        keys.sort();
        Element::Key(keys)
    }

    /// Reads the name of a member. `Ok(None)`: a sort of step that a later version may know.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((sort, rest)) = text.split_once(':') else {
            return Err(format!("missing colon in {}", go_quote(text)));
        };
        let json = |rest: &str| serde_json::from_str::<Value>(rest).map_err(|e| format!("{}: {e}", go_quote(text)));
        let scalar = |value: &Value| Scalar::of(value).ok_or_else(|| format!("{} is no scalar", go_quote(text)));
        match sort {
            "f" => Ok(Some(Element::Field(rest.to_owned()))),
            "v" => Ok(Some(Element::Value(scalar(&json(rest)?)?))),
            "k" => match json(rest)? {
                Value::Object(members) if !members.is_empty() => {
                    let keys = members.iter().map(|(name, value)| Ok((name.clone(), scalar(value)?)));
                    Ok(Some(Element::key(keys.collect::<Result<_, String>>()?)))
                }
                _ => Err(format!("{} names no keys", go_quote(text))),
            },
            "i" => rest.parse().map(|at| Some(Element::Index(at))).map_err(|e| format!("{}: {e}", go_quote(text))),
            _ => Ok(None),
        }
    }

    /// The name of the member on the wire.
    pub(super) fn encode(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Key(keys) => {
                let members: Map<String, Value> = keys.iter().map(|(k, v)| (k.clone(), v.to_value())).collect();
                format!("k:{}", json_text(&Value::Object(members)))
            }
            Element::Value(value) => format!("v:{}", json_text(&value.to_value())),
            Element::Index(at) => format!("i:{at}"),
        }
    }
}

fn json_text(value: &Value) -> String {
    String::from_utf8_lossy(&encode_any(value)).into_owned()
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={value}")?;
                }
                f.write_str("]")
            }
            Element::Value(value) => write!(f, "[={value}]"),
            Element::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// A value without parts. Numbers come before strings, strings before bools, null last.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A bool.
    Bool(bool),
    /// Nothing.
    Null,
}

impl Scalar {
    /// A JSON value, if it has no parts.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Scalar::Null,
            Value::Bool(b) => Scalar::Bool(*b),
            Value::Number(n) => Scalar::Number(n.clone()),
            Value::String(text) => Scalar::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn to_value(&self) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(b) => Value::Bool(*b),
            Scalar::Number(n) => Value::Number(n.clone()),
            Scalar::Text(text) => Value::String(text.clone()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Scalar::Number(_) => 0,
            Scalar::Text(_) => 1,
            Scalar::Bool(_) => 2,
            Scalar::Null => 3,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(&go_quote(text)),
            other => f.write_str(&json_text(&other.to_value())),
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Scalar::Number(a), Scalar::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
            },
            (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}
