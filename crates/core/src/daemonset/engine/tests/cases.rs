//! Cases of section 26.
