//! Places named in our Markdown files: a code span that reads like a path into the repository must lead somewhere, so that "where
//! does a change go" stays true when files move.
//!
//! A place is written from the root or from `crates`; `<name>` stands for any name, `{a,b}` for each of several.

use std::fs;

use anyhow::Context;

use crate::shell::root;

pub(super) fn check(tracked: &[&str]) -> anyhow::Result<Vec<String>> {
    let folders = folders(tracked);
    let mut complaints = Vec::new();
    for path in tracked.iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))?;
        for span in spans(&text).filter(|span| is_place(span, &folders)) {
            for place in each(span) {
                if !exists(known_part(&place)) {
                    complaints.push(format!("{path}: names {place}, which is not there"));
                }
            }
        }
    }
    Ok(complaints)
}

/// The first steps of paths: folders of the root and the crates.
fn folders<'t>(tracked: &[&'t str]) -> Vec<&'t str> {
    let first = |path: &'t str| path.split_once('/').map(|(folder, _)| folder);
    let crates = tracked.iter().filter_map(|path| path.strip_prefix("crates/")).filter_map(first);
    let mut folders: Vec<&str> = tracked.iter().copied().filter_map(first).chain(crates).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// Code spans that stand in one line.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_place(span: &str, folders: &[&str]) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-<>{},".contains(c);
    let starts = span.split_once('/').is_some_and(|(first, rest)| folders.contains(&first) && !rest.is_empty());
    starts && span.chars().all(is_plain)
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn each(span: &str) -> Vec<String> {
    let braced = span.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match braced {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![span.to_owned()],
    }
}

/// Up to the first step that stands for any name.
fn known_part(place: &str) -> &str {
    place.split_once('<').map_or(place, |(known, _)| known)
}

fn exists(place: &str) -> bool {
    root().join(place).exists() || root().join("crates").join(place).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_code() {
        let folders = ["api", "docs", "store"];
        for (span, expect) in [
            ("api/src/kinds", true),
            ("store/src/backend/<name>.rs", true),
            ("api/tests/it/{a,b}.rs", true),
            ("apps/v1", false),
            ("api", false),
            ("docs/", false),
            ("store/src --help", false),
        ] {
            assert_eq!(is_place(span, &folders), expect, "{span}");
        }
        assert_eq!(each("api/{a,b}.rs"), ["api/a.rs", "api/b.rs"]);
        assert_eq!(known_part("store/src/backend/<name>.rs"), "store/src/backend/");
        assert_eq!(spans("a `b` c `d/e`\n`f").collect::<Vec<_>>(), ["b", "d/e", "f"]);
    }
}
