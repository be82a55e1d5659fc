//! Links in our Markdown files: what they point to inside the repository must exist.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::shell::root;

pub(super) fn check(tracked: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in tracked.iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))?;
        let folder = Path::new(path).parent().unwrap_or_else(|| Path::new(""));
        for target in targets(&text) {
            if !root().join(folder).join(target).exists() {
                complaints.push(format!("{path}: link to {target}, which is not there"));
            }
        }
    }
    Ok(complaints)
}

/// The targets of `[text](target)` that lie in the repository, without fragments.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_into_the_repository_are_followed() {
        let text = "See [a](docs/a.md#part), [web](https://example.org), [here](#top) and [b](../b.md).";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md", "../b.md"]);
    }
}
