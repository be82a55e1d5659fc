//! A request as it is understood: who asks, for what, with which options, and how the answer is to look.
//!
//! Not here: what is done about it ([`crate::rest`]), the answer ([`crate::answer`], [`crate::render`]).

pub(crate) mod call;
pub(crate) mod look;
pub(crate) mod options;
pub(crate) mod selection;

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;

use crate::router::Query;
use crate::{Identity, Shared};
use look::Look;

/// A request on its way, before it is known what it is about.
pub(crate) struct Incoming {
    pub(crate) shared: Arc<Shared>,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
    pub(crate) look: Look,
    pub(crate) identity: Identity,
    pub(crate) now: Timestamp,
}
