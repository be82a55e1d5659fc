//! Options of requests: query parameters and `DeleteOptions` bodies, decoded and checked (A12, A72–A76, A91, A92, A96).

use everynode_api::codec::Strictness;
pub(crate) use everynode_api::deletion::Options as DeleteOptions;
use everynode_api::deletion::check_dry_run;
use everynode_api::field::{Error, Path};
use everynode_api::status::Status;

use crate::router::Query;

/// Bytes of `fieldManager`.
const FIELD_MANAGER_MAX: usize = 128;

/// Which write the options belong to; names them in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// POST
    Create,
    /// PUT
    Update,
    /// PATCH; whether it is an apply
    Patch { apply: bool },
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Everything but the commit.
    pub(crate) dry_run: bool,
    /// What becomes of unknown and repeated fields.
    pub(crate) strictness: Strictness,
    /// Whether an apply may take fields from their owners.
    pub(crate) force: bool,
}

impl WriteOptions {
    pub(crate) fn parse(query: &Query, write: Write) -> Result<Self, Status> {
        let kind = match write {
            Write::Create => "CreateOptions",
            Write::Update => "UpdateOptions",
            Write::Patch { .. } => "PatchOptions",
        };
        let mut errors = Vec::new();
        if let Write::Patch { apply } = write {
            if !apply && query.get("force").is_some() {
                errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
            }
            if apply && query.text("fieldManager").is_empty() {
                errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
            }
        }
        check_manager(query.text("fieldManager"), &mut errors);
        let dry_run = check_dry_run(&query.all("dryRun").collect::<Vec<_>>(), &mut errors);
        let validation = query.text("fieldValidation");
        let strictness = match validation {
            "" | "Warn" => Strictness::Warn,
            "Ignore" => Strictness::Ignore,
            "Strict" => Strictness::Strict,
            other => {
                let values = ["", "Ignore", "Strict", "Warn"];
                errors.push(Error::not_supported(&Path::new("fieldValidation"), other, &values));
                Strictness::Warn
            }
        };
        refuse(kind, errors)?;
        Ok(Self { dry_run, strictness, force: query.flag("force") })
    }
}

fn refuse(kind: &str, errors: Vec<Error>) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid_options(kind, errors)) }
}

fn check_manager(manager: &str, errors: &mut Vec<Error>) {
    let path = Path::new("fieldManager");
    if manager.len() > FIELD_MANAGER_MAX {
        errors.push(Error::too_long(&path, FIELD_MANAGER_MAX));
    }
    if let Some((at, bad)) = manager.chars().enumerate().find(|(_, c)| c.is_control()) {
        let text = format!("invalid character U+{:04X} (at position {at})", u32::from(bad));
        errors.push(Error::invalid(&path, manager, text));
    }
}

/// Options of a deletion without a body.
pub(crate) fn delete_options(query: &Query) -> Result<DeleteOptions, Status> {
    let grace = query.get("gracePeriodSeconds").filter(|v| !v.is_empty()).map(integer).transpose()?;
    let orphan = query.get("orphanDependents").map(crate::router::truth);
    let mut errors = Vec::new();
    let dry_run = check_dry_run(&query.all("dryRun").collect::<Vec<_>>(), &mut errors);
    DeleteOptions { grace, orphan, dry_run, ..DeleteOptions::default() }
        .with_policy(query.get("propagationPolicy"), errors)
}

/// How a list's revision is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Exact,
    NotOlderThan,
}

/// Options of list, watch and deletecollection, selectors excluded.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    /// `resourceVersion` as sent.
    pub(crate) revision: String,
    pub(crate) revision_match: Option<Match>,
    /// 0: no limit.
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) bookmarks: bool,
    pub(crate) timeout_seconds: Option<u64>,
    /// `sendInitialEvents`, of watches.
    pub(crate) initial_events: Option<bool>,
}

impl ListOptions {
    pub(crate) fn parse(query: &Query, watch: bool) -> Result<Self, Status> {
        let number = |key: &str| query.get(key).filter(|v| !v.is_empty()).map(integer).transpose();
        let limit = number("limit")?.unwrap_or(0);
        let timeout = number("timeoutSeconds")?;
        let own = Self {
            revision: query.text("resourceVersion").to_owned(),
            revision_match: None,
            limit: usize::try_from(limit).unwrap_or(0),
            continue_token: query.text("continue").to_owned(),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout_seconds: timeout.and_then(|t| u64::try_from(t).ok()).filter(|t| *t > 0),
            initial_events: query.get("sendInitialEvents").map(crate::router::truth),
        };
        let sent = query.text("resourceVersionMatch");
        let errors = if watch { own.watch_errors(sent) } else { own.list_errors(sent) };
        refuse("ListOptions", errors)?;
        let revision_match = match sent {
            "Exact" => Some(Match::Exact),
            "NotOlderThan" => Some(Match::NotOlderThan),
            _ => None,
        };
        Ok(Self { revision_match, ..own })
    }

    fn list_errors(&self, sent: &str) -> Vec<Error> {
        let path = Path::new("resourceVersionMatch");
        let mut errors = Vec::new();
        if self.initial_events.is_some() {
            errors.push(Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
        }
        if sent.is_empty() {
            return errors;
        }
        if self.revision.is_empty() {
            let text = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(Error::forbidden(&path, text));
        }
        if !self.continue_token.is_empty() {
            let text = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(Error::forbidden(&path, text));
        }
        if sent != "Exact" && sent != "NotOlderThan" {
            errors.push(Error::not_supported_in_order(&path, sent, &["Exact", "NotOlderThan", ""]));
        }
        if sent == "Exact" && self.revision == "0" {
            let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(Error::forbidden(&path, text));
        }
        errors
    }

    fn watch_errors(&self, sent: &str) -> Vec<Error> {
        let path = Path::new("resourceVersionMatch");
        let mut errors = Vec::new();
        match self.initial_events {
            Some(_) if sent != "NotOlderThan" => {
                let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(Error::forbidden(&path, text));
            }
            None if !sent.is_empty() => {
                let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.push(Error::forbidden(&path, text));
            }
            _ => {}
        }
        if !self.continue_token.is_empty() && !sent.is_empty() {
            let text = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(Error::forbidden(&path, text));
        }
        errors
    }
}

/// An integer of a query (A96).
pub(crate) fn integer(text: &str) -> Result<i64, Status> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {}", number_error(&error)))
    })
}

/// What Go says about a number that is none.
fn number_error(error: &std::num::ParseIntError) -> &'static str {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// A resourceVersion as a number; `None` for empty. The error is what Go's parser says (A66).
pub(crate) fn revision(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("strconv.ParseUint: parsing {text:?}: {}", number_error(&error)))
}

/// What a read says about a resourceVersion that is no number (A92).
pub(crate) fn bad_revision(text: &str, why: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: {why}")
}
