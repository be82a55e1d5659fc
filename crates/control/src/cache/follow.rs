//! Gets a view and keeps it: by one stream that begins with all there is (A111), or where a server does not offer that, by a
//! list and then a watch; afresh after a gap.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use everynode_core::model::{Key, Version};
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::{Cached, Held, Source};
use crate::api::{Api, Failure};
use crate::chain::Chain;

/// Why a feed had to begin again.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("cannot list")]
    List(#[source] Failure),
    #[error("cannot watch")]
    Watch(#[source] Failure),
    #[error("the server does not stream lists")]
    NoStream,
    #[error("cannot read the list")]
    ReadList(#[source] serde_json::Error),
    #[error("cannot read a line of the watch")]
    ReadLine(#[source] serde_json::Error),
    #[error("the watch broke off")]
    Broken(#[source] kube::Error),
    #[error("the watch ended before all was told")]
    Short,
    #[error("the watch is silent for too long")]
    Silent,
    #[error("the watch has fallen behind the server's history")]
    Expired,
}

/// Objects per page of a list.
const PAGE: usize = 500;
/// How long a watch lasts before the server ends it.
const WATCH_SECONDS: u32 = 300;
/// A watch that says nothing for so long is dead: the server would have ended it.
const WATCH_SILENCE: Duration = Duration::from_secs(330);
/// A watch that ends sooner is counted as a failure, so that a server that ends them at once is not overrun.
const WATCH_SHORT: Duration = Duration::from_secs(1);
/// A stream that says nothing for so long before its mark is taken for a plain watch, whose mark never comes.
pub(super) const MARK_SILENCE: Duration = Duration::from_secs(30);
/// The mark at the end of what is there.
const MARK: &str = "k8s.io/initial-events-end";
/// Delays between tries to list or watch again.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// What follows a step: the version to watch from, or none when only a fresh view helps.
type Step<T = String> = Result<T, (Option<String>, FollowError)>;

/// Follows without an end. `mark_silence`: see [`MARK_SILENCE`].
pub(super) async fn follow<T: Cached>(api: Api, source: Source<T>, held: Arc<Held<T>>, mark_silence: Duration) {
    let follower = Follower { api, source, held, mark_silence };
    let mut delay = AGAIN_FIRST;
    let mut is_streaming = true;
    let mut from: Option<String> = None;
    loop {
        let began = Instant::now();
        let result = match from.take() {
            Some(version) => follower.watch(version).await,
            None if is_streaming => follower.stream().await,
            None => {
                // Nothing to wait for between a list and its watch.
                let listed = follower.list().await;
                if let Ok(version) = listed {
                    from = Some(version);
                    continue;
                }
                listed
            }
        };
        match result {
            Ok(version) => {
                from = Some(version);
                if began.elapsed() >= WATCH_SHORT {
                    delay = AGAIN_FIRST;
                    continue;
                }
            }
            Err((_, FollowError::NoStream)) => {
                tracing::info!(what = follower.source.what, "the server does not stream lists; listing instead");
                is_streaming = false;
                continue;
            }
            Err((version, error)) => {
                follower.complain(&error, delay);
                from = version;
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(AGAIN_MAX);
    }
}

struct Follower<T> {
    api: Api,
    source: Source<T>,
    held: Arc<Held<T>>,
    mark_silence: Duration,
}

/// How far a watch is.
enum Stage {
    /// What was there is being told: these keys so far.
    Initial(BTreeSet<Key>),
    /// All changes up to this version were told.
    Live(String),
}

impl<T: Cached> Follower<T> {
    /// A gap now and then is nothing; one that stays is.
    fn complain(&self, error: &FollowError, delay: Duration) {
        let what = self.source.what;
        if matches!(error, FollowError::Expired) {
            tracing::debug!(what, "the watch has fallen behind; getting a fresh view");
        } else if delay >= AGAIN_MAX {
            tracing::warn!(what, error = %Chain(error), "still cannot follow; trying again");
        } else {
            tracing::debug!(what, error = %Chain(error), "following again");
        }
    }

    async fn list(&self) -> Step {
        let source = &self.source;
        let mut keys = BTreeSet::new();
        let mut next = String::new();
        loop {
            let path = format!("{}?limit={PAGE}&continue={next}&{}", source.path, source.query);
            let body = self.api.get(&path).await.map_err(|error| (None, FollowError::List(error)))?;
            let page: ListPage<'_> =
                serde_json::from_slice(&body).map_err(|error| (None, FollowError::ReadList(error)))?;
            for item in page.items.unwrap_or_default() {
                if let Some(object) = self.project(item.get().as_bytes()) {
                    keys.insert(object.key());
                    self.held.put(object, false);
                }
            }
            next = page.metadata.next;
            if next.is_empty() {
                self.held.settle(&keys, Version::parse(&page.metadata.resource_version));
                return Ok(page.metadata.resource_version);
            }
        }
    }

    async fn stream(&self) -> Step {
        // No version: as new as any read.
        let how = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let lines = self.open(how).await.map_err(|failure| (None, refused_stream(failure)))?;
        self.read(lines, Stage::Initial(BTreeSet::new())).await
    }

    async fn watch(&self, version: String) -> Step {
        match self.open(&format!("resourceVersion={version}")).await {
            Ok(lines) => self.read(lines, Stage::Live(version)).await,
            Err(error) if error.is_expired() => Err((None, FollowError::Expired)),
            Err(error) => Err((Some(version), FollowError::Watch(error))),
        }
    }

    async fn open(&self, how: &str) -> Result<Lines, Failure> {
        let Source { path, query, .. } = &self.source;
        let path = format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&{how}&{query}");
        let response = self.api.open(Method::GET, &path, "application/json", Vec::new()).await?;
        let chunks = Box::pin(response.into_body().into_data_stream());
        Ok(Lines { chunks, rest: BytesMut::new(), searched: 0 })
    }

    /// Reads a watch to its end.
    async fn read(&self, mut lines: Lines, mut stage: Stage) -> Step {
        loop {
            let silence = match stage {
                Stage::Initial(_) => self.mark_silence,
                Stage::Live(_) => WATCH_SILENCE,
            };
            let next = match (timeout(silence, lines.next()).await, &stage) {
                (Ok(Ok(Some(line))), _) => line,
                (Ok(Ok(None)), Stage::Live(version)) => return Ok(version.clone()),
                (Ok(Ok(None)), Stage::Initial(_)) => return Err((None, FollowError::Short)),
                (Ok(Err(error)), Stage::Live(version)) => {
                    return Err((Some(version.clone()), FollowError::Broken(error)));
                }
                (Ok(Err(error)), Stage::Initial(_)) => return Err((None, FollowError::Broken(error))),
                (Err(_), Stage::Live(version)) => return Err((Some(version.clone()), FollowError::Silent)),
                (Err(_), Stage::Initial(_)) => return Err((None, FollowError::NoStream)),
            };
            self.take(&next, &mut stage)?;
        }
    }

    fn take(&self, line: &[u8], stage: &mut Stage) -> Step<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let read = |error| (None, FollowError::ReadLine(error));
        let line: Line<'_> = serde_json::from_slice(line).map_err(read)?;
        let object = line.object.get().as_bytes();
        match line.kind {
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_slice(object).map_err(read)?;
                self.bookmark(&bookmark.metadata, stage);
            }
            "ADDED" | "MODIFIED" | "DELETED" => {
                if let Some(object) = self.project(object) {
                    self.change(line.kind, object, stage);
                }
            }
            // ERROR carries a Status; whatever it says, a fresh view is the mend.
            _ => return Err((None, FollowError::Expired)),
        }
        Ok(())
    }

    fn bookmark(&self, at: &BookmarkMeta, stage: &mut Stage) {
        let version = Version::parse(&at.resource_version);
        match stage {
            Stage::Live(_) => self.held.advance(version),
            Stage::Initial(keys) if at.annotations.as_ref().is_some_and(Annotations::is_mark) => {
                self.held.settle(keys, version);
            }
            Stage::Initial(_) => return,
        }
        *stage = Stage::Live(at.resource_version.clone());
    }

    fn change(&self, kind: &str, object: T, stage: &mut Stage) {
        let version = object.version();
        match stage {
            Stage::Initial(keys) if kind == "DELETED" => {
                keys.remove(&object.key());
                self.held.remove(&object.key());
            }
            Stage::Initial(keys) => {
                keys.insert(object.key());
                self.held.put(object, false);
            }
            Stage::Live(at) => {
                if kind == "DELETED" {
                    self.held.remove(&object.key());
                    self.held.advance(version);
                } else {
                    self.held.put(object, true);
                }
                *at = version.0.to_string();
            }
        }
    }

    fn project(&self, object: &[u8]) -> Option<T> {
        (self.source.project)(object)
            .inspect_err(|error| {
                tracing::warn!(what = self.source.what, error = %Chain(error), "cannot read an object; left out");
            })
            .ok()
    }
}

/// A111: a refusal that is not about load, rights or history is about the way of asking.
fn refused_stream(failure: Failure) -> FollowError {
    if failure.is_expired() {
        return FollowError::Expired;
    }
    match failure.code() {
        Some(400..=499) if !matches!(failure.code(), Some(401 | 403 | 408 | 429)) => FollowError::NoStream,
        _ => FollowError::Watch(failure),
    }
}

/// The lines of an answer.
struct Lines {
    chunks: BoxStream<'static, Result<bytes::Bytes, kube::Error>>,
    rest: BytesMut,
    /// So much of `rest` is known to hold no end of a line.
    searched: usize,
}

impl Lines {
    /// The next line; none at the end.
    async fn next(&mut self) -> Result<Option<BytesMut>, kube::Error> {
        loop {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            match self.chunks.try_next().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
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

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Annotations(std::collections::BTreeMap<String, String>);

impl Annotations {
    fn is_mark(&self) -> bool {
        self.0.get(MARK).is_some_and(|value| value == "true")
    }
}
