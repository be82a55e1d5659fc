//! The one binary `everynode`.
fn main() {}
