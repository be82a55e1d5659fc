//! The kinds: one file per kind or small family, each a [`crate::strategy::Strategy`] and what belongs to it.

pub mod autoscaler;
pub mod event;
pub mod pod;
