//! DOOR: the only crate that speaks HTTP to API clients.
