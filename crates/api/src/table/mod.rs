//! Server-side tables: columns and cells of each kind, ages and other shared formats (A-section 8).
//!
//! Not here: the envelope on the wire, `includeObject` and negotiation (the server).

use jiff::Timestamp;
use serde_json::Value;

use crate::Object;

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

/// Name and creation time: for kinds without columns of their own (A182).
pub static FALLBACK: Printer = Printer {
    columns: &[
        Column {
            name: "Name",
            kind: "string",
            format: "name",
            description: "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
            priority: 0,
        },
        Column { name: "Created At", kind: "date", format: "", description: "", priority: 0 },
    ],
    cells: |object, _| vec![object["metadata"]["name"].clone(), object["metadata"]["creationTimestamp"].clone()],
    conditions: |_| None,
};
