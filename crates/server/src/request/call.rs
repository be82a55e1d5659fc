//! One request to a resource: who, what, where.

use std::sync::Arc;

use everynode_api::meta;
use everynode_api::resource::{KindRef, Resource, Subresource};
use everynode_api::status::Status;
use everynode_api::strategy::{Context, Requester};
use http::{HeaderMap, Method};
use jiff::Timestamp;

use crate::admission;
use crate::authz::{self, Attributes};
use crate::router::{Place, Query};
use crate::verbatim::Verbatim;
use crate::{Identity, Shared};

/// A request to a resource that exists, from somebody who may make it.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: Identity,
    pub(crate) method: Method,
    pub(crate) place: Place,
    pub(crate) row: &'static Resource,
    pub(crate) sub: Option<&'static Subresource>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// When it came.
    pub(crate) now: Timestamp,
    /// What of the body is kept as it was sent.
    pub(crate) sent: Option<Verbatim>,
    /// Warnings for the client, in order, each once (A20).
    pub(crate) warnings: Vec<String>,
}

/// What a strategy is told and nothing pure can make.
pub(crate) struct Tools {
    uid: String,
    pub(crate) suffix: String,
    requester: Requester,
}

impl Tools {
    /// The context of a call; `subresource` is empty for the main resource.
    pub(crate) fn context<'c>(&'c self, call: &'c Call, subresource: &'c str) -> Context<'c> {
        Context {
            subresource,
            namespace: &call.place.namespace,
            now: call.now,
            uid: &self.uid,
            suffix: &self.suffix,
            requester: Some(&self.requester),
        }
    }
}

impl Call {
    /// Whether the caller may do something further than the request's own verb says.
    pub(crate) fn authorize(&self, verb: &str) -> Result<(), Status> {
        let attributes = Attributes {
            verb,
            group: self.row.group,
            version: self.row.version,
            resource: self.row.plural,
            subresource: &self.place.subresource,
            name: &self.place.name,
            namespace: &self.place.namespace,
            ..Attributes::default()
        };
        let decision = self.shared.security.authorizer.decide(&self.identity, &attributes);
        if decision.allowed { Ok(()) } else { Err(authz::forbidden(&self.identity, &attributes, &decision)) }
    }

    /// Draws uid and name suffix, and says who asks.
    pub(crate) fn tools(&self) -> Tools {
        Tools {
            uid: uuid::Uuid::new_v4().to_string(),
            suffix: meta::suffix(rand::random()),
            requester: Requester {
                user: self.identity.user.clone(),
                uid: self.identity.uid.clone(),
                groups: self.identity.groups.clone(),
                extra: self.identity.extra.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            },
        }
    }

    /// What admission is told.
    pub(crate) fn admission<'c>(&'c self, subresource: &'c str, dry_run: bool) -> admission::Context<'c> {
        self.admission_of(&self.place.name, subresource, dry_run)
    }

    /// The same about an object whose name is not in the URL.
    pub(crate) fn admission_of<'c>(
        &'c self,
        name: &'c str,
        subresource: &'c str,
        dry_run: bool,
    ) -> admission::Context<'c> {
        admission::Context {
            identity: &self.identity,
            group: self.row.group,
            resource: self.row.plural,
            kind: self.row.kind,
            now: self.now,
            namespace: &self.place.namespace,
            name,
            subresource,
            dry_run,
        }
    }

    /// Takes warnings for the answer.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// The kind of the body of this call.
    pub(crate) fn body_kind(&self) -> KindRef {
        self.row.body_of(&self.place.subresource).unwrap_or_else(|| self.row.kind_ref())
    }
}
