//! Lists, page by page, from any server.

use bytes::Bytes;
use everynode_api::project::ProjectError;
use everynode_core::selector::{LabelSelector, Operator, Requirement};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

use super::ExplainError;
use crate::api::{Api, Failure};

/// Objects per page of a list.
const PAGE: usize = 500;
/// How often a list is begun anew because the server has forgotten its beginning.
const TRIES: usize = 3;

/// One page of a list.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: Meta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    #[serde(rename = "continue")]
    next: String,
}

/// An object of which only the name is of interest.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) metadata: NamedMeta,
}

#[derive(Deserialize)]
pub(super) struct NamedMeta {
    #[serde(default)]
    pub(super) namespace: String,
}

/// An object of this shape.
pub(super) fn object<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, ProjectError> {
    serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind, source })
}

/// All objects of a list. A list that the server forgets half-way is begun anew.
pub(crate) async fn list<T>(
    api: &Api,
    path: &str,
    read: fn(&[u8]) -> Result<T, ProjectError>,
) -> Result<Vec<T>, ExplainError> {
    let mut tries = 1;
    loop {
        match pages(api, path, usize::MAX, read).await {
            Err(ExplainError::Get { source, .. }) if source.is_expired() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// So many objects from the beginning of a list, to the page.
pub(crate) async fn pages<T>(
    api: &Api,
    path: &str,
    most: usize,
    read: fn(&[u8]) -> Result<T, ProjectError>,
) -> Result<Vec<T>, ExplainError> {
    let mut all = Vec::new();
    let joint = if path.contains('?') { '&' } else { '?' };
    let ask = |next: &str| Asked::of(api, format!("{path}{joint}limit={PAGE}&continue={}", escape(next)));
    let mut asked = ask("");
    loop {
        let body = asked.answer().await.map_err(|source| ExplainError::Get { path: path.to_owned(), source })?;
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|source| ExplainError::Read { path: path.to_owned(), source })?;
        let items = page.items.unwrap_or_default();
        let next = page.metadata.next;
        // On its way while this page is read.
        let further = (!next.is_empty() && all.len() + items.len() < most).then(|| ask(&next));
        for item in items {
            let object = read(item.get().as_bytes());
            all.push(object.map_err(|source| ExplainError::Project { path: path.to_owned(), source })?);
        }
        match further {
            Some(further) => asked = further,
            None => return Ok(all),
        }
    }
}

/// A request that is under way by itself; dropped, it is given up.
struct Asked(JoinHandle<Result<Bytes, Failure>>);

impl Asked {
    fn of(api: &Api, path: String) -> Self {
        let api = api.clone();
        Self(tokio::spawn(async move { api.get(&path).await }))
    }

    async fn answer(mut self) -> Result<Bytes, Failure> {
        match (&mut self.0).await {
            Ok(answer) => answer,
            // It is given up by nobody else, so it has panicked.
            Err(lost) => std::panic::resume_unwind(lost.into_panic()),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A text as a part of a URL's query.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A selector as `labelSelector` writes it.
pub(super) fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.labels.iter().map(|(key, value)| format!("{key}={value}"));
    labels.chain(selector.expressions.iter().map(requirement_text)).collect::<Vec<_>>().join(",")
}

fn requirement_text(requirement: &Requirement) -> String {
    let (key, values) = (&requirement.key, requirement.values.join(","));
    match requirement.operator {
        Operator::In => format!("{key} in ({values})"),
        Operator::NotIn => format!("{key} notin ({values})"),
        Operator::Exists => key.clone(),
        Operator::DoesNotExist => format!("!{key}"),
        // Such a selector matches nothing; no label's value is both.
        Operator::Unknown => format!("{key},!{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_spelled_for_the_query() {
        let requirement = |operator, values: &[&str]| Requirement {
            key: "tier".to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let mut selector = LabelSelector {
            labels: [("app".to_owned(), "web".to_owned())].into(),
            expressions: vec![
                requirement(Operator::In, &["a", "b"]),
                requirement(Operator::NotIn, &["c"]),
                requirement(Operator::Exists, &[]),
            ],
        };
        assert_eq!(selector_text(&selector), "app=web,tier in (a,b),tier notin (c),tier");
        selector.expressions = vec![requirement(Operator::DoesNotExist, &[])];
        assert_eq!(escape(&selector_text(&selector)), "app%3Dweb%2C%21tier");
    }
}
