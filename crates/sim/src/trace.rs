//! What happened, in lines; and one number that is the same when, and only when, all of it was.

use std::fmt::{self, Write as _};

use everynode_core::model::Millis;

/// FNV-1a, 64 bits, over everything written to it.
struct Digest(u64);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// Takes the lines of a run.
pub(crate) struct Trace {
    digest: Digest,
    lines: Option<Vec<String>>,
    start: Millis,
}

impl Trace {
    /// Keeps the lines only when they are to be read.
    pub(crate) fn new(start: Millis, keep: bool) -> Self {
        Self { digest: Digest(0xcbf2_9ce4_8422_2325), lines: keep.then(Vec::new), start }
    }

    pub(crate) fn say(&mut self, now: Millis, what: fmt::Arguments<'_>) {
        let at = now.since(self.start).0;
        // Neither of the two can fail.
        let _ = writeln!(self.digest, "{at} {what}");
        if let Some(lines) = &mut self.lines {
            lines.push(format!("t+{:>4}.{:03}s  {what}", at / 1000, at.rem_euclid(1000)));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.digest.0
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
