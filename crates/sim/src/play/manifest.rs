//! DaemonSets from a file, or one to begin with.

use everynode_api::codec::Strictness;
use everynode_api::codec::body::{self, Expected, Media};
use everynode_api::schema;
use serde_json::{Value, json};

use crate::facts::Kind;

/// Why a file gives no DaemonSets.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A document cannot be read as what it says it is.
    #[error("document {at} cannot be read: {why}")]
    Unreadable {
        /// Counted from 1.
        at: usize,
        /// In the API's words.
        why: String,
    },
    /// There is none in it.
    #[error("there is no DaemonSet in it")]
    None,
}

/// The DaemonSets in a file of YAML documents, or one of JSON; other kinds are left out.
///
/// # Errors
/// When a DaemonSet cannot be read, or there is none.
pub fn daemon_sets(text: &str) -> Result<Vec<Value>, ManifestError> {
    let mut sets = Vec::new();
    for (at, document) in documents(text).into_iter().enumerate() {
        let is_json = document.trim_start().starts_with('{');
        if kind(&document, is_json).as_deref() != Some("DaemonSet") {
            continue;
        }
        let shape = Kind::Set.row().and_then(|row| schema::table().shape(row.shape));
        let expected = Expected { group: "apps", version: "v1", kind: "DaemonSet", shape };
        let media = if is_json { Media::Json } else { Media::Yaml };
        let decoded = body::decode(document.as_bytes(), media, &expected, Strictness::Strict)
            .map_err(|status| ManifestError::Unreadable { at: at + 1, why: status.message().to_owned() })?;
        sets.push(decoded.object);
    }
    if sets.is_empty() { Err(ManifestError::None) } else { Ok(sets) }
}

fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        let is_mark = line == "---" || line.starts_with("--- ");
        match documents.last_mut() {
            Some(last) if !is_mark => {
                last.push_str(line);
                last.push('\n');
            }
            _ => documents.push(String::new()),
        }
    }
    documents
}

/// What a document says that it is; enough to pass over what is no DaemonSet.
fn kind(document: &str, is_json: bool) -> Option<String> {
    if is_json {
        let value: Value = serde_json::from_str(document).ok()?;
        return value["kind"].as_str().map(str::to_owned);
    }
    let line = document.lines().find_map(|line| line.strip_prefix("kind:"))?;
    let word = line.split(" #").next().unwrap_or_default();
    Some(word.trim().trim_matches(['"', '\'']).to_owned())
}

/// A plain set with one container and the default strategy.
#[must_use]
pub fn sample(name: &str) -> Value {
    json!({
        "kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemon_sets_are_picked_out_of_a_file() {
        let set = "apiVersion: apps/v1\nkind: DaemonSet # here\nmetadata:\n  name: a\nspec:\n  selector:\n    matchLabels: {a: b}\n";
        let others = "kind: ConfigMap\napiVersion: v1\n";
        for (text, expect) in [
            (set.to_owned(), Ok(1)),
            (format!("# words\n---\n{others}---\n{set}---\n{set}"), Ok(2)),
            (sample("x").to_string(), Ok(1)),
            (others.to_owned(), Err("there is no DaemonSet in it".to_owned())),
        ] {
            let got = daemon_sets(&text).map(|sets| sets.len()).map_err(|error| error.to_string());
            assert_eq!(got, expect, "{text}");
        }
        let wrong = daemon_sets(&format!("{set}  minReadySecs: 3\n")).unwrap_err().to_string();
        assert!(wrong.contains("minReadySecs"), "{wrong}");
    }
}
