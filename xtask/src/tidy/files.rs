//! Size and form of our Rust files, and words that must not stand in them.

use std::fs;

use anyhow::Context;

use crate::shell::root;

/// A file longer than this is two files.
const LINES_MAX: usize = 500;

/// Names that say nothing; each has a better one (style.md §5.6).
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager", "types"];

pub(super) fn check(tracked: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in tracked.iter().filter(|path| path.ends_with(".rs")) {
        let text = fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))?;
        complaints.extend(complaints_about(path, &text));
    }
    Ok(complaints)
}

fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complaints.push(format!("{path}: {lines} lines, {LINES_MAX} at most"));
    }
    if !text.starts_with("//!") {
        complaints.push(format!("{path}: no module header; open with //! and say what it is for"));
    }
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    if EMPTY_NAMES.iter().any(|name| *name == stem || *name == folder) {
        complaints.push(format!("{path}: the name says nothing"));
    }
    let ignored = concat!("#[", "ignore");
    if text.contains(ignored) {
        complaints.push(format!("{path}: an ignored test; assert what holds today instead"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_named() {
        for (path, text, expect) in [
            ("crates/x/src/good.rs", "//! Good.\n".to_owned(), ""),
            ("crates/x/src/long.rs", "//! Long.\n".repeat(501), "501 lines"),
            ("crates/x/src/bare.rs", "fn main() {}\n".to_owned(), "no module header"),
            ("crates/x/src/utils.rs", "//! Things.\n".to_owned(), "says nothing"),
            ("crates/x/src/common/a.rs", "//! Things.\n".to_owned(), "says nothing"),
            ("crates/x/src/a.rs", format!("//! A.\n#[{}]\n", "ignore"), "ignored test"),
        ] {
            let found = complaints_about(path, &text).join("; ");
            assert!(found.contains(expect) && found.is_empty() == expect.is_empty(), "{path}: {found:?}");
        }
    }
}
