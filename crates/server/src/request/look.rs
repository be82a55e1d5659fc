//! How the client wants its answer: format, indent, compression, and what the rows of a table hold (A6–A8, A60, A61, A171).

use everynode_api::status::Status;
use http::HeaderMap;
use http::header::USER_AGENT;

use crate::gzip;
use crate::negotiate::{Accepted, Transform};
use crate::router::Query;

/// How this request's answers are to look, as far as errors are concerned too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// What the Accept header came to; plain JSON if it came to nothing.
    pub(crate) accepted: Accepted,
    /// Two-space indent.
    pub(crate) pretty: bool,
    /// The client takes gzip.
    pub(crate) gzip: bool,
}

impl Look {
    /// Reads headers and query.
    pub(crate) fn of(headers: &HeaderMap, query: &Query, accepted: Option<Accepted>) -> Self {
        let accepted = accepted.unwrap_or(Accepted::JSON);
        let pretty = accepted.pretty
            || match query.get("pretty") {
                Some(value) => matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE"),
                None => by_hand(headers),
            };
        Self { accepted, pretty, gzip: gzip::wanted(headers) }
    }
}

/// Whether a person is likely to read the answer (A61).
fn by_hand(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|browser| agent.starts_with(browser))
}

/// What stands in the `object` of a row (A171).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// Metadata.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads `includeObject`; it counts for tables only.
    pub(crate) fn parse(query: &Query, accepted: Accepted) -> Result<Self, Status> {
        match query.text("includeObject") {
            _ if accepted.transform != Transform::Table => Ok(Self::Metadata),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
                 'Object', 'None', or empty"
            ))),
        }
    }
}
