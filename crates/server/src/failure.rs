//! Anything that goes wrong on the way of a request, as the one [`Status`] that a client sees.

use everynode_api::resource::Resource;
use everynode_api::status::Status;
use everynode_store::{CommitError, Revision};

/// A commit that the store did not make, conflicts excluded.
pub(crate) fn commit(error: &CommitError) -> Status {
    tracing::error!(error = error as &dyn std::error::Error, "the store refused a write");
    match error {
        CommitError::Backend { source, .. } if source.is_full() => {
            Status::internal("the disk of the data directory is full; free some space and try again")
        }
        CommitError::Closed => Status::service_unavailable("the server is shutting down"),
        other => Status::internal(other),
    }
}

/// The object that a request names is not there (A120).
pub(crate) fn not_found(row: &Resource, name: &str) -> Status {
    Status::not_found(row.group, row.plural, name)
}

/// Somebody else was quicker (A66).
pub(crate) fn modified(row: &Resource, name: &str) -> Status {
    Status::modified(row.group, row.plural, name)
}

/// A revision that has not come yet (A92).
pub(crate) fn future_revision(asked: Revision, current: Revision) -> Status {
    Status::too_large_resource_version(asked.0, current.0, 1)
}

/// A list at a revision that is gone (A92).
pub(crate) fn list_expired() -> Status {
    Status::expired("The resourceVersion for the provided list is too old.")
}

/// A watch from a revision that is gone (A101).
pub(crate) fn watch_expired(asked: Revision, oldest: Revision) -> Status {
    Status::expired(format!("too old resource version: {asked} ({oldest})"))
}
