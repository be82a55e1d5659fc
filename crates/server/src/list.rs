//! Pages of a list at one revision: from memory, with limits, continue tokens and selectors (A89–A94).

use std::time::Duration;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use everynode_api::resource::Resource;
use everynode_api::status::Status;
use everynode_store::{Entry, ReadError, Revision, Store};

use crate::failure;
use crate::request::options::{ListOptions, Match, bad_revision, revision};
use crate::request::selection::Selection;

/// How long a list waits for a revision that has not come yet (A92).
const FUTURE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Entries looked at in one go when a selector may drop most of them.
const CHUNK: usize = 1_000;

/// Some objects of a collection.
#[derive(Debug)]
pub(crate) struct Page {
    /// In key order.
    pub(crate) entries: Vec<Entry>,
    /// The revision that the whole list is consistent with.
    pub(crate) revision: Revision,
    /// How to go on, if there is more.
    pub(crate) continue_token: Option<String>,
    /// How many more there are; unknown with selectors.
    pub(crate) remaining: Option<usize>,
}

/// Where a page starts.
struct Start {
    at: Option<Revision>,
    after: Option<String>,
    limit: usize,
}

/// Reads one page.
pub(crate) async fn page(store: &Store, selection: &Selection, options: &ListOptions) -> Result<Page, Status> {
    let start = start(store, selection, options).await?;
    read(store, selection, &start)
}

async fn start(store: &Store, selection: &Selection, options: &ListOptions) -> Result<Start, Status> {
    if !options.continue_token.is_empty() {
        if !options.revision.is_empty() && options.revision != "0" {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        return continued(selection, options);
    }
    let asked = revision(&options.revision)
        .map_err(|why| {
            Status::bad_request(format!("invalid resource version: {}", bad_revision(&options.revision, &why)))
        })?
        .unwrap_or(0);
    if asked == 0 {
        // `resourceVersion=0` ignores the limit (A91).
        let limit = if options.revision == "0" { 0 } else { options.limit };
        return Ok(Start { at: None, after: None, limit });
    }
    wait_for(store, Revision(asked)).await?;
    let exact = match options.revision_match {
        Some(Match::Exact) => true,
        Some(Match::NotOlderThan) => false,
        None => options.limit > 0,
    };
    Ok(Start { at: exact.then_some(Revision(asked)), after: None, limit: options.limit })
}

/// Waits until the store has reached a revision (A92).
pub(crate) async fn wait_for(store: &Store, revision: Revision) -> Result<(), Status> {
    let deadline = tokio::time::Instant::now() + FUTURE_WAIT_MAX;
    // A wait is the exception, so a short poll is better than one more thing to wake on every commit.
    while store.revision() < revision {
        if tokio::time::Instant::now() >= deadline {
            return Err(failure::future_revision(revision, store.revision()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn read(store: &Store, selection: &Selection, start: &Start) -> Result<Page, Status> {
    if let (Some(key), None) = (selection.key(), start.at) {
        return Ok(single(store, selection, &key, start));
    }
    if selection.is_everything() {
        let page = store
            .list(selection.prefix(), start.after.as_deref(), start.limit, start.at)
            .map_err(|error| expired(store, selection, start, error))?;
        let token = (page.remaining > 0).then(|| token(selection, page.revision, page.entries.last())).flatten();
        let remaining = (page.remaining > 0).then_some(page.remaining);
        return Ok(Page { entries: page.entries, revision: page.revision, continue_token: token, remaining });
    }
    filtered(store, selection, start)
}

/// The list of at most one object.
fn single(store: &Store, selection: &Selection, key: &str, start: &Start) -> Page {
    // The revision is read first: the object may then be newer than the list says, which a watch from there repeats,
    // and never older.
    let revision = store.revision();
    let after = start.after.as_deref().is_some_and(|after| key <= after);
    let entries: Vec<_> = store.get(key).filter(|entry| !after && selection.matches(entry)).into_iter().collect();
    let revision = entries.iter().map(|entry| entry.modified).fold(revision, Revision::max);
    Page { entries, revision, continue_token: None, remaining: None }
}

fn filtered(store: &Store, selection: &Selection, start: &Start) -> Result<Page, Status> {
    let mut entries = Vec::new();
    let mut after = start.after.clone();
    let mut at = start.at;
    // Without a limit one look is enough; with one, chunks keep the cost near the page.
    let chunk = if start.limit == 0 { 0 } else { CHUNK };
    loop {
        let page = store
            .list(selection.prefix(), after.as_deref(), chunk, at)
            .map_err(|error| expired(store, selection, start, error))?;
        at = Some(page.revision);
        let more = page.remaining > 0;
        after = page.entries.last().map(|entry| entry.key.to_string());
        for entry in page.entries {
            if !selection.matches(&entry) {
                continue;
            }
            if start.limit > 0 && entries.len() == start.limit {
                let token = token(selection, page.revision, entries.last());
                return Ok(Page { entries, revision: page.revision, continue_token: token, remaining: None });
            }
            entries.push(entry);
        }
        if !more {
            return Ok(Page { entries, revision: page.revision, continue_token: None, remaining: None });
        }
    }
}

/// The answer when a revision cannot be read any more. A page that was continued gets a token that goes on at the newest
/// revision (A93).
fn expired(store: &Store, selection: &Selection, start: &Start, error: ReadError) -> Status {
    match (error, &start.after) {
        (ReadError::Compacted { .. }, Some(after)) => {
            let token = encode(selection, store.revision(), after);
            Status::continue_expired(token)
        }
        (ReadError::Compacted { .. }, None) => failure::list_expired(),
        (ReadError::Future { .. }, _) => failure::future_revision(start.at.unwrap_or_default(), store.revision()),
    }
}

/// Tokens may come back padded, and with stray last bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a continue token says.
#[derive(serde::Serialize, serde::Deserialize)]
struct Token {
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

fn token(selection: &Selection, revision: Revision, last: Option<&Entry>) -> Option<String> {
    last.map(|entry| encode(selection, revision, &entry.key))
}

/// The token that continues after a key.
fn encode(selection: &Selection, revision: Revision, after: &str) -> String {
    let rest = after.strip_prefix(selection.prefix()).unwrap_or(after);
    let token = Token {
        v: "meta.k8s.io/v1".to_owned(),
        rv: i64::try_from(revision.0).unwrap_or(i64::MAX),
        start: format!("{rest}\0"),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn continued(selection: &Selection, options: &ListOptions) -> Result<Start, Status> {
    let bad = |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let text = options.continue_token.as_str();
    let bytes = LENIENT.decode(text).map_err(|error| bad(base64_error(text, &error)))?;
    let token: Token = match everynode_api::codec::json::parse(&bytes) {
        Ok(value) => serde_json::from_value(value).map_err(|_| bad("incorrect fields".to_owned()))?,
        Err(error) => return Err(bad(error.to_string())),
    };
    if token.v != "meta.k8s.io/v1" {
        return Err(bad(format!("server does not recognize this encoded version {:?}", token.v)));
    }
    if token.start.is_empty() {
        return Err(bad("encoded start key empty, must be set".to_owned()));
    }
    let rest = token.start.strip_suffix('\0').unwrap_or(&token.start);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if rest.split('/').any(|part| part == "..") {
        return Err(bad(format!("{:?} is not a key of this list", token.start)));
    }
    let at = u64::try_from(token.rv).ok().filter(|rv| *rv > 0).map(Revision);
    Ok(Start { at, after: Some(format!("{}{rest}", selection.prefix())), limit: options.limit })
}

fn base64_error(text: &str, error: &base64::DecodeError) -> String {
    match error {
        base64::DecodeError::InvalidByte(at, _) => format!("illegal base64 data at input byte {at}"),
        _ => format!("illegal base64 data at input byte {}", text.len()),
    }
}

/// The first part of a list's body, up to the items.
pub(crate) fn head(row: &Resource, page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(row.list_kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(row.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(list_metadata(page).to_string().as_bytes());
    out.extend_from_slice(b",\"items\":[");
    out
}

/// The metadata of a list.
pub(crate) fn list_metadata(page: &Page) -> ListMeta<'_> {
    ListMeta(page)
}

/// Writes the metadata of a list in wire order.
pub(crate) struct ListMeta<'p>(&'p Page);

impl std::fmt::Display for ListMeta<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{\"resourceVersion\":\"{}\"", self.0.revision)?;
        if let Some(token) = &self.0.continue_token {
            write!(f, ",\"continue\":\"{token}\"")?;
        }
        if let Some(remaining) = self.0.remaining {
            write!(f, ",\"remainingItemCount\":{remaining}")?;
        }
        f.write_str("}")
    }
}
