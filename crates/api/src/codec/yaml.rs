//! YAML bodies.
