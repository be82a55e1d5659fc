//! Manifests: files of several documents, and lists in them.

use everynode_api::codec::{DecodeError, yaml};
use serde_json::Value;

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The object as it is written.
    pub object: Value,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No YAML, and no JSON.
    #[error("document {number} (from line {line}) is neither YAML nor JSON")]
    Syntax {
        /// Which, from 1.
        number: usize,
        /// Where it begins.
        line: usize,
        /// What is wrong.
        source: DecodeError,
    },
    /// It is no object of an API.
    #[error("document {number} (from line {line}) is no Kubernetes object: {what}")]
    Form {
        /// Which, from 1.
        number: usize,
        /// Where it begins.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing in it.
    #[error("there is no object in it")]
    Empty,
}

impl Document {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Its name, empty when it is to be generated.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its namespace, or the default one.
    #[must_use]
    pub fn namespace<'a>(&'a self, default: &'a str) -> &'a str {
        self.object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty()).unwrap_or(default)
    }

    /// It is a DaemonSet that can be planned.
    #[must_use]
    pub fn is_daemon_set(&self) -> bool {
        self.kind() == "DaemonSet" && self.object["apiVersion"] == "apps/v1"
    }
}

/// The objects of a manifest, those of lists one by one.
pub fn read(text: &str) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    for (number, (line, part)) in parts(text).into_iter().enumerate() {
        let number = number + 1;
        let value = yaml::read(part.as_bytes()).map_err(|source| ManifestError::Syntax { number, line, source })?;
        let form = |what| ManifestError::Form { number, line, what };
        match value {
            Value::Null => {}
            Value::Object(_) => gather(value, &mut documents).map_err(form)?,
            _ => return Err(form("it is a single value or a list, where fields are expected")),
        }
    }
    if documents.is_empty() { Err(ManifestError::Empty) } else { Ok(documents) }
}

/// The parts between lines that begin with `---`, with the number of the line where each begins.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut parts = vec![(1, String::new())];
    for (at, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']));
        match (rest, parts.last_mut()) {
            // What stands behind the dashes belongs to the document.
            (Some(rest), _) => parts.push((at + 1, format!("{}\n", rest.trim()))),
            (None, Some((_, part))) => part.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    let says_something = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    parts.retain(|(_, part)| part.lines().any(says_something));
    parts
}

fn gather(object: Value, documents: &mut Vec<Document>) -> Result<(), &'static str> {
    if object["apiVersion"].as_str().is_none_or(str::is_empty) {
        return Err("it has no apiVersion");
    }
    let Some(kind) = object["kind"].as_str().filter(|kind| !kind.is_empty()) else { return Err("it has no kind") };
    if kind.ends_with("List")
        && let Some(items) = object["items"].as_array()
    {
        return items.iter().try_for_each(|item| gather(item.clone(), documents));
    }
    let is_named = ["name", "generateName"].iter().any(|field| object["metadata"][field].is_string());
    if !is_named {
        return Err("it has no metadata.name");
    }
    documents.push(Document { object });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<String, String> {
        let documents = read(text).map_err(|error| error.to_string())?;
        let name = |document: &Document| format!("{}/{}", document.kind(), document.name());
        Ok(documents.iter().map(name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let one = |kind: &str, name: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n");
        let several = format!("# first\n---\n{}---\n\n--- # next\n{}", one("Pod", "a"), one("DaemonSet", "b"));
        assert_eq!(names(&several).as_deref(), Ok("Pod/a DaemonSet/b"));
        let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
            {"apiVersion": "apps/v1", "kind": "DaemonSetList", "items": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "b"}}]}]}"#;
        assert_eq!(names(list).as_deref(), Ok("Pod/a DaemonSet/b"));
        let text_block = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n";
        assert_eq!(names(text_block).as_deref(), Ok("ConfigMap/a"));
    }

    #[test]
    fn what_is_no_manifest_says_where() {
        for (text, expect) in [
            ("", "there is no object in it"),
            ("# nothing\n---\n", "there is no object in it"),
            ("kind: Pod", "document 1 (from line 1) is no Kubernetes object: it has no apiVersion"),
            ("apiVersion: v1", "document 1 (from line 1) is no Kubernetes object: it has no kind"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\n",
                "document 2 (from line 4) is no Kubernetes object: it has no metadata.name",
            ),
            (
                "- a\n",
                "document 1 (from line 1) is no Kubernetes object: it is a single value or a list, where fields are \
                 expected",
            ),
        ] {
            assert_eq!(names(text), Err(expect.to_owned()));
        }
        let error = names("a: [\n").expect_err("no YAML");
        assert_eq!(error, "document 1 (from line 1) is neither YAML nor JSON");
    }
}
