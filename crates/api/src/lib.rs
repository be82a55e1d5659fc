//! WIRE: Kubernetes shapes as one table, codecs, defaulting, validation.
pub mod rbac;
