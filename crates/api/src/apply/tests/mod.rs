//! Tests of ownership and apply.
