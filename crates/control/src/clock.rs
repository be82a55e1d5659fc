//! The one place where controllers read the clock.

use everynode_core::model::Millis;

/// Now, on the wall clock.
#[must_use]
pub fn now() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// A point in time as the wire writes it: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}
