//! Watches: a cursor on the store's log for each, bytes prepared once for all of them (A100–A109).
//!
//! Invariants: events of one watch come in revision order, none twice, none left out; a watch that cannot keep that
//! promise says 410 and ends. A silent watch costs its cursor and one timer.

mod encode;
mod feed;
mod frames;

use std::time::Duration;

use everynode_api::status::Status;
use everynode_store::{ReadError, Revision};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::failure;
use crate::list;
use crate::negotiate::{Accepted, Format};
use crate::request::call::Call;
use crate::request::options::{self, ListOptions};
use crate::request::selection::Selection;
use crate::respond;

pub(crate) use frames::Frames;

/// How long a watch lasts at least when its client does not say, and how much longer at random (A86).
const LIFETIME_MIN: Duration = Duration::from_secs(1_800);
const LIFETIME_SPREAD_SECONDS: u64 = 1_800;

/// What a watch begins with.
struct Opening {
    /// The state as ADDED events first.
    initial: Option<list::Page>,
    /// A BOOKMARK that ends the initial events.
    marker: bool,
    /// Events after this.
    after: Revision,
}

/// Answers a watch.
pub(crate) async fn open(call: &Call, accepted: Accepted) -> Result<Response<Body>, Status> {
    let options = ListOptions::parse(&call.query, true)?;
    if accepted.format == Format::Yaml {
        return Err(Status::only_acceptable(&encode::SERVED));
    }
    let selection = Selection::parse(call.row, &call.place, &call.query)?;
    let encoder = encode::Encoder::new(call, accepted)?;
    let media_type = encoder.media_type();
    let opening = opening(call, &selection, &options).await?;
    let store = &call.shared.store;
    let (scope, topic) = selection.scope();
    // A revision that has not come yet is waited for in silence (A101).
    let from = opening.after.min(store.revision());
    let body = match store.watch(scope, topic, from) {
        Ok(cursor) => {
            let lifetime = options.timeout_seconds.map_or_else(lifetime, Duration::from_secs);
            let feed = feed::Feed::new(call, cursor, selection, encoder, opening.after)
                .with_lifetime(lifetime)
                .with_bookmarks(options.bookmarks)
                .with_initial(opening.initial.map(|page| page.entries), opening.marker);
            Body::stream(feed.into_stream())
        }
        Err(ReadError::Compacted { asked, compacted }) => {
            // The error comes inside the stream (A101).
            let status = failure::watch_expired(asked, compacted.next());
            Body::from(encoder.error(&status))
        }
        Err(ReadError::Future { current, .. }) => return Err(failure::future_revision(opening.after, current)),
    };
    Ok(respond::typed(StatusCode::OK, media_type, body))
}

fn lifetime() -> Duration {
    LIFETIME_MIN + Duration::from_secs(rand::random_range(0..LIFETIME_SPREAD_SECONDS))
}

async fn opening(call: &Call, selection: &Selection, options: &ListOptions) -> Result<Opening, Status> {
    let store = &call.shared.store;
    let asked = options::revision(&options.revision)
        .map_err(|why| Status::unclassified(options::bad_revision(&options.revision, &why)))?
        .unwrap_or(0);
    let wanted = options.initial_events == Some(true);
    if asked > 0 && !wanted {
        return Ok(Opening { initial: None, marker: false, after: Revision(asked) });
    }
    list::wait_for(store, Revision(asked)).await?;
    let page = list::page(store, selection, &ListOptions::default()).await?;
    let marker = options.bookmarks && (wanted || options.revision == "0");
    let after = page.revision;
    Ok(Opening { initial: Some(page), marker, after })
}
