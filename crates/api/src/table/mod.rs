//! Server-side tables: columns and cells of each kind (A-section 8).
//!
//! Not here: the envelope on the wire, `includeObject` and negotiation (the server). Descriptions of the columns that recorded sessions
//! compare are the ones clients know; they are the API's own field documentation.

pub mod ages;
mod cluster;
mod config;
mod pods;
mod workloads;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use cluster::*;
pub use config::*;
pub use pods::PODS;
pub use workloads::*;

use crate::Object;
use crate::value::Read;

/// A column as it stands in `columnDefinitions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Header, in title case.
    pub name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the name column, else empty.
    pub format: &'static str,
    /// One sentence about the column.
    pub description: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
}

/// How objects of a kind are printed.
pub struct Printer {
    /// The columns.
    pub columns: &'static [Column],
    /// The cells of one object, as many as columns.
    pub cells: fn(&Object, Timestamp) -> Vec<Value>,
    /// The `conditions` of the row, for finished pods.
    pub conditions: fn(&Object) -> Option<Value>,
}

impl Printer {
    const fn new(columns: &'static [Column], cells: fn(&Object, Timestamp) -> Vec<Value>) -> Self {
        Printer { columns, cells, conditions: |_| None }
    }
}

const NAME_IS: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const AGE_IS: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The column of the name.
const NAME: Column = Column { name: "Name", kind: "string", format: "name", description: NAME_IS, priority: 0 };
/// The column of the age.
const AGE: Column = text("Age", AGE_IS);

/// A column of texts.
const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

/// A column of whole numbers.
const fn number(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "integer", format: "", description, priority: 0 }
}

/// A column of yes and no.
const fn flag(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "boolean", format: "", description, priority: 0 }
}

/// A column that is shown only when asked for more.
const fn wide(mut column: Column) -> Column {
    column.priority = 1;
    column
}

/// Name and creation time: for kinds without columns of their own (A182).
pub static FALLBACK: Printer = Printer::new(
    &[NAME, Column { name: "Created At", kind: "date", format: "", description: AGE_IS, priority: 0 }],
    |object, _| vec![name(object), object["metadata"]["creationTimestamp"].clone()],
);

fn name(object: &Object) -> Value {
    Value::from(object.text_or_empty("metadata.name"))
}

fn age(object: &Object, now: Timestamp) -> Value {
    Value::from(ages::since(object.text("metadata.creationTimestamp"), now))
}

/// The text, or `<none>` when it is empty.
fn or_none(text: &str) -> Value {
    Value::from(if text.is_empty() { "<none>" } else { text })
}

/// A number that may be left out when it is 0.
fn count(object: &Object, path: &str) -> Value {
    Value::from(object.int(path).unwrap_or(0))
}

/// `k=v,k2=v2`, or `<none>` (A176).
fn labels(map: Option<&Map<String, Value>>) -> String {
    let pairs: Vec<String> =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector as its query text, or `<none>` (A176).
fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return "<none>".to_owned() };
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector.map("matchLabels").into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in selector.list("matchExpressions") {
        let key = expression.text_or_empty("key");
        let mut values: Vec<&str> = expression.list("values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression.text_or_empty("operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    if parts.is_empty() {
        return "<none>".to_owned();
    }
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// Names and images of the containers of a pod spec.
fn containers(spec: Option<&Value>) -> (String, String) {
    let list = spec.map_or(&[] as &[Value], |s| s.list("containers"));
    let join = |member: &str| list.iter().map(|c| c.text_or_empty(member)).collect::<Vec<_>>().join(",");
    (join("name"), join("image"))
}

/// The first three, and how many more there are.
fn first_three(items: &[String], none: &str) -> String {
    match items.len() {
        0 => none.to_owned(),
        1..=3 => items.join(","),
        more => format!("{} + {} more...", items[..3].join(","), more - 3),
    }
}

#[cfg(test)]
mod tests;
