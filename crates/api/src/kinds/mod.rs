//! The kinds: one file per kind or small family, each a [`crate::strategy::Strategy`] and what belongs to it.

pub mod autoscaler;
pub mod budget;
pub mod certificate;
pub mod classes;
pub mod config;
pub mod controller_revision;
pub mod daemon_set;
pub mod event;
pub mod extension;
pub mod jobs;
pub mod lease;
pub mod namespace;
pub mod networking;
pub mod node;
pub mod pod;
pub mod quota;
pub mod rbac;
pub mod service;
pub mod storage;
pub mod workloads;

use serde_json::Value;

use crate::field::{Error, ErrorType, Path};

/// An `Invalid value` whose value is quoted as upstream prints its internal type.
fn quoted(at: &Path, value: String, detail: impl Into<String>) -> Error {
    Error { kind: ErrorType::Invalid, field: at.to_string(), value: Some(value), detail: detail.into() }
}

/// A struct of upstream's internal types: members in their order, unset ones as null.
fn go_struct(members: impl Iterator<Item = (&'static str, Value)>) -> String {
    let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests;
