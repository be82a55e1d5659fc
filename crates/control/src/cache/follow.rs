//! Lists, then watches, and lists again after a gap.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use everynode_core::model::Version;
use futures::TryStreamExt as _;
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cached, Chain, Feed, Source};
use crate::api::{Api, Failure};

/// Why a feed had to begin again.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("cannot list")]
    List(#[source] Failure),
    #[error("cannot watch")]
    Watch(#[source] Failure),
    #[error("cannot read the list")]
    ReadList(#[source] serde_json::Error),
    #[error("cannot read a line of the watch")]
    ReadLine(#[source] serde_json::Error),
    #[error("the watch broke off")]
    Broken(#[source] kube::Error),
    #[error("the watch has fallen behind the server's history")]
    Expired,
}

/// Objects per page of a list.
const PAGE: usize = 500;
/// How long a watch lasts before the server ends it.
const WATCH_SECONDS: u32 = 300;
/// Delays between tries to list or watch again.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);

pub(super) async fn follow<T: Cached>(api: Api, source: Source<T>, feed: Feed<T>) {
    let mut delay = AGAIN_FIRST;
    let mut from: Option<String> = None;
    loop {
        let result = match from.take() {
            None => list(&api, &source, &feed).await,
            Some(version) => watch_from(&api, &source, &feed, version).await,
        };
        match result {
            Ok(version) => {
                from = Some(version);
                delay = AGAIN_FIRST;
                continue;
            }
            Err((version, error)) => {
                if !matches!(error, FollowError::Expired) {
                    tracing::debug!(what = source.what, error = %Chain(&error), "following again");
                }
                from = version;
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(AGAIN_MAX);
    }
}

#[derive(Deserialize)]
struct ListPage<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// What follows a step: the version to watch from, or none when only a list helps.
type Step = Result<String, (Option<String>, FollowError)>;

async fn list<T: Cached>(api: &Api, source: &Source<T>, feed: &Feed<T>) -> Step {
    let mut keys = BTreeSet::new();
    let mut next = String::new();
    loop {
        let path = format!("{}?limit={PAGE}&continue={next}&{}", source.path, source.query);
        let body = api.get(&path).await.map_err(|error| (None, FollowError::List(error)))?;
        let page: ListPage<'_> = serde_json::from_slice(&body).map_err(|error| (None, FollowError::ReadList(error)))?;
        for item in page.items.unwrap_or_default() {
            match (source.project)(item.get().as_bytes()) {
                Ok(object) => {
                    keys.insert(object.key());
                    feed.put(object, false);
                }
                Err(error) => {
                    tracing::warn!(what = source.what, error = %Chain(&error), "cannot read an object; left out")
                }
            }
        }
        next = page.metadata.next;
        if next.is_empty() {
            feed.settle(&keys, Version::parse(&page.metadata.resource_version));
            return Ok(page.metadata.resource_version);
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: ListMeta,
}

async fn watch_from<T: Cached>(api: &Api, source: &Source<T>, feed: &Feed<T>, mut version: String) -> Step {
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}&{}",
        source.path, source.query
    );
    let response = match api.open(Method::GET, &path, "application/json", Vec::new()).await {
        Ok(response) => response,
        Err(error) if error.is_expired() => return Err((None, FollowError::Expired)),
        Err(error) => return Err((Some(version), FollowError::Watch(error))),
    };
    let mut chunks = response.into_body().into_data_stream();
    let mut rest = BytesMut::new();
    loop {
        let chunk: Bytes = match chunks.try_next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(version),
            Err(error) => return Err((Some(version), FollowError::Broken(error))),
        };
        let mut searched = rest.len();
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest[searched..].iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(searched + end + 1);
            searched = 0;
            take_line(source, feed, &line, &mut version)?;
        }
    }
}

fn take_line<T: Cached>(
    source: &Source<T>,
    feed: &Feed<T>,
    line: &[u8],
    version: &mut String,
) -> Result<(), (Option<String>, FollowError)> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let read = |error| (None, FollowError::ReadLine(error));
    let line: Line<'_> = serde_json::from_slice(line).map_err(read)?;
    let object = line.object.get().as_bytes();
    match line.kind {
        "BOOKMARK" => {
            *version = serde_json::from_slice::<Versioned>(object).map_err(read)?.metadata.resource_version;
            feed.advance(Version::parse(version));
        }
        "ADDED" | "MODIFIED" | "DELETED" => match (source.project)(object) {
            Ok(object) => {
                *version = object.version().0.to_string();
                if line.kind == "DELETED" {
                    feed.remove(&object.key());
                    feed.advance(object.version());
                } else {
                    feed.put(object, true);
                }
            }
            Err(error) => {
                tracing::warn!(what = source.what, error = %Chain(&error), "cannot read an object; left out");
            }
        },
        // ERROR carries a Status; whatever it says, a fresh list is the mend.
        _ => return Err((None, FollowError::Expired)),
    }
    Ok(())
}
