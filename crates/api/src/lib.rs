//! WIRE: Kubernetes shapes as one table, codecs, defaulting, validation.
pub mod daemonset;
pub mod project;
pub mod rbac;
